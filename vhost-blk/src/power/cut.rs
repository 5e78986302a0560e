//! A power cut: what was not durable is taken back, and what of it survives is put there again.
//!
//! Where all of the history is kept, the cut is a change like others: what it took away stays known, and with it every
//! mark before it.

use std::ops::Range;

use vhost_blk_api::control::Cut;

use super::change::{Change, Content, Standing};
use super::history::History;
use super::log::{Entry, Keep, Log, undo};
use super::survivors::{PowerCut, survivors};

impl History {
    /// Makes the disk what it is after the power went: what was durable, and what of the rest survives. Nothing if no
    /// history is kept, for then nobody knows what was durable.
    pub(crate) fn cut(&self, PowerCut { lose, torn, seed }: PowerCut, disk: &mut impl Standing) -> Option<Cut> {
        let mut history = self.lock();
        let log = history.as_mut()?;
        let durable = log.durable();
        self.flights.clear();
        let volatile = log.take_from(durable);
        let stood = match log.keep {
            Keep::Volatile => Vec::new(),
            Keep::All { .. } => look(disk, &touched(volatile.iter(), disk.bytes())),
        };
        undo(volatile.iter(), disk);
        let (cut, survivors) = survivors(volatile.iter(), lose, torn, &mut PowerCut::rng(seed));
        survivors.iter().for_each(|survivor| survivor.put(disk));
        if log.keep != Keep::Volatile {
            let changes = stood
                .iter()
                .flat_map(|(range, before)| differences(disk, range, before));
            let changes = changes.collect();
            log.put_back(volatile);
            log.changed(changes);
        }
        log.flushed_all();
        Some(cut)
    }
}

/// Where entries changed something that lies on a disk of this size; no range touches another.
fn touched<'log>(entries: impl Iterator<Item = &'log Entry>, bytes: u64) -> Vec<Range<u64>> {
    let changes = entries.filter_map(|entry| match entry {
        Entry::Changes(changes) => Some(changes),
        _ => None,
    });
    let mut ranges: Vec<Range<u64>> = changes
        .flatten()
        .map(|change| change.offset.min(bytes)..change.end().min(bytes))
        .filter(|range| !range.is_empty())
        .collect();
    ranges.sort_unstable_by_key(|range| range.start);
    let mut apart: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match apart.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}

/// What a disk holds in ranges.
fn look(disk: &impl Standing, ranges: &[Range<u64>]) -> Vec<(Range<u64>, Vec<Content>)> {
    ranges
        .iter()
        .map(|range| (range.clone(), disk.contents(range)))
        .collect()
}

/// The changes that made of a range that held this what it holds now.
fn differences(disk: &impl Standing, range: &Range<u64>, before: &[Content]) -> Vec<Change> {
    let now = disk.contents(range);
    if now == before {
        return Vec::new();
    }
    let mut at = range.start;
    let mut changes = Vec::with_capacity(now.len());
    for after in now {
        let len = after.len();
        changes.push(Change {
            offset: at,
            before: part(before, at - range.start..at - range.start + len),
            after,
        });
        at += len;
    }
    changes
}

/// What contents that lie one behind the other hold in a range of all their bytes.
fn part(contents: &[Content], range: Range<u64>) -> Vec<Content> {
    let mut at = 0;
    let mut parts = Vec::new();
    for content in contents {
        let within = range.start.max(at)..range.end.min(at + content.len());
        if !within.is_empty() {
            parts.push(content.part(within.start - at..within.end - at));
        }
        at += content.len();
    }
    parts
}

impl Log {
    /// Puts back what was taken off.
    fn put_back(&mut self, entries: impl IntoIterator<Item = Entry>) {
        for entry in entries {
            self.push(entry);
        }
    }
}
