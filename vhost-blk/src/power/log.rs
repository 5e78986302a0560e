//! The entries of a history, and what is made of them: the way back, and what a power cut leaves.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use thiserror::Error;

use super::change::{Change, Content, Medium, Resize};
use super::in_flight::Pieces;
use super::presented::Presented;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// What is not durable.
    Volatile,
    /// All, up to this many bytes; the oldest durable entries go first.
    All {
        /// Most bytes of memory: the data before and after each change, and what it takes to keep them.
        bytes_max: u64,
    },
}

/// No mark has this name, or it was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no mark `{name}` to go back to: known marks: {}{}",
    if known.is_empty() { "none".to_owned() } else { known.join(", ") },
    if *kept { "" } else { "; start the device with --history to keep what is needed" })]
pub struct UnknownMark {
    pub(crate) name: String,
    /// The marks there are.
    pub(crate) known: Vec<String>,
    /// Whether all of the history is kept.
    pub(crate) kept: bool,
}

/// Something that happened to a disk.
#[derive(Debug)]
pub(super) enum Entry {
    /// A request's changes, in their order.
    Changes(Vec<Change>),
    /// The disk was made to end elsewhere; that is durable at once.
    Resize(Resize),
    /// The first `covers` entries of all are durable from this time on; `early` if the guest was told before that.
    Flush { covers: u64, from: Instant, early: bool },
    /// A mark, at which the first `durable` entries of all were durable.
    Mark {
        name: String,
        durable: u64,
        /// The requests that were in flight.
        in_flight: Vec<Arc<Pieces>>,
    },
}

/// The log of changes.
#[derive(Debug)]
pub(crate) struct Log {
    pub(super) keep: Keep,
    pub(super) entries: VecDeque<Entry>,
    bytes: u64,
    /// Entries that were forgotten, because they are durable and for want of room.
    pub(super) forgotten: u64,
    /// How many entries there were up to the last one that was forgotten and changed the disk.
    forgotten_changes: u64,
    /// How many of all entries flushes that have done their work made durable.
    covered: u64,
    /// Flushes that have not done it: how many entries they make durable, and when.
    early: Vec<(u64, Instant)>,
    /// How many entries there have been, for who must not wait for the log.
    number: Arc<AtomicU64>,
    /// States of marks that are presented, each on the one before.
    pub(super) presented: Vec<Presented>,
    /// Entries before this number cannot be gone back to: what was done to what is presented was forgotten.
    lost_before: u64,
    /// The marks' numbers, by name: a log that is long is not to be searched for them.
    marks: HashMap<String, Vec<u64>>,
}

impl UnknownMark {
    pub(super) fn without_history(name: &str) -> UnknownMark {
        UnknownMark {
            name: name.to_owned(),
            known: Vec::new(),
            kept: false,
        }
    }
}

impl Entry {
    /// What it costs to keep, itself included: flushes alone, and there is one for every few writes, would fill the
    /// memory in the end.
    fn cost(&self) -> u64 {
        let more = match self {
            Entry::Changes(changes) => changes.iter().map(Change::cost).sum(),
            Entry::Resize(Resize { cut, .. }) => cut.iter().flatten().map(Content::cost).sum(),
            Entry::Mark { name, in_flight, .. } => {
                let pieces = in_flight.iter().flat_map(|pieces| pieces.iter());
                name.len() as u64 + pieces.map(|(_, content)| content.cost()).sum::<u64>()
            }
            Entry::Flush { .. } => 0,
        };
        size_of::<Entry>() as u64 + more
    }
}

/// Takes back what entries did, the last of them first.
pub(super) fn undo<'log>(entries: impl DoubleEndedIterator<Item = &'log Entry>, medium: &mut impl Medium) -> usize {
    let mut undone = 0;
    for entry in entries.rev() {
        match entry {
            Entry::Changes(changes) => {
                changes.iter().rev().for_each(|change| change.undo(medium));
                undone += 1;
            }
            Entry::Resize(Resize { from, to, cut }) if from > to => {
                medium.regrow(*from, cut.as_deref().unwrap_or_default());
            }
            Entry::Resize(Resize { from, .. }) => medium.set_bytes(*from),
            Entry::Flush { .. } | Entry::Mark { .. } => {}
        }
    }
    undone
}

impl Log {
    pub(super) fn new(keep: Keep, number: Arc<AtomicU64>) -> Log {
        number.store(0, Ordering::Release);
        Log {
            number,
            keep,
            entries: VecDeque::new(),
            bytes: 0,
            forgotten: 0,
            forgotten_changes: 0,
            covered: 0,
            early: Vec::new(),
            presented: Vec::new(),
            lost_before: 0,
            marks: HashMap::new(),
        }
    }

    /// Forgets everything: the disk is the golden image again.
    pub(super) fn clear(&mut self) {
        *self = Log::new(self.keep, Arc::clone(&self.number));
    }

    /// Whether something that costs so much is to be kept.
    pub(crate) fn keeps(&self, bytes: u64) -> bool {
        match self.keep {
            // No power cut gives back what was cut off.
            Keep::Volatile => false,
            Keep::All { bytes_max } => bytes <= bytes_max,
        }
    }

    /// Notes one request's changes.
    pub(crate) fn changed(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.push(Entry::Changes(changes));
        }
    }

    /// Notes that the disk ends elsewhere.
    pub(crate) fn resized(&mut self, resize: Resize) {
        self.push(Entry::Resize(resize));
    }

    /// How many entries there have been.
    pub(super) fn noted(&self) -> u64 {
        self.forgotten + self.entries.len() as u64
    }

    /// Notes a flush that makes the first entries durable, of all that there have been, at this time.
    pub(super) fn flushed(&mut self, covers: u64, from: Instant, early: bool) {
        self.push(Entry::Flush {
            covers: covers.min(self.noted()),
            from,
            early,
        });
    }

    /// Notes that all up to now is durable.
    pub(super) fn flushed_all(&mut self) {
        self.flushed(u64::MAX, Instant::now(), false);
    }

    /// Notes a mark.
    pub(super) fn marked(&mut self, name: &str, in_flight: Vec<Arc<Pieces>>) {
        let durable = self.durable_number();
        self.push(Entry::Mark {
            name: name.to_owned(),
            durable,
            in_flight,
        });
    }

    /// Makes all that there is durable.
    pub(super) fn all_is_durable(&mut self) {
        self.covered = self.noted();
        self.early.clear();
    }

    pub(super) fn push(&mut self, entry: Entry) {
        let number = self.noted();
        match &entry {
            // Nobody can go back to it.
            Entry::Mark { .. } if self.keep == Keep::Volatile => return,
            Entry::Mark { name, .. } => self.marks.entry(name.clone()).or_default().push(number),
            Entry::Flush { covers, from, early } if *early => self.early.push((*covers, *from)),
            Entry::Flush { covers, .. } => {
                self.covered = self.durable_number().max(*covers);
                let covered = self.covered;
                self.early.retain(|(covers, _)| *covers > covered);
            }
            // What was cut off is not known.
            Entry::Resize(Resize { from, to, cut: None }) if from > to => self.lost_before = number + 1,
            Entry::Changes(_) | Entry::Resize(_) => {}
        }
        self.bytes += entry.cost();
        self.entries.push_back(entry);
        self.number.store(number + 1, Ordering::Release);
        match self.keep {
            Keep::Volatile => {
                let durable = self.durable();
                self.forget(durable);
            }
            Keep::All { bytes_max } if self.bytes > bytes_max => {
                let mut left = self.durable();
                while self.bytes > bytes_max && left > 0 {
                    self.forget(1);
                    left -= 1;
                }
            }
            Keep::All { .. } => {}
        }
    }

    /// How many of all entries are durable by now.
    fn durable_number(&self) -> u64 {
        if self.early.is_empty() {
            return self.covered;
        }
        let now = Instant::now();
        let done = self.early.iter().filter(|(_, from)| *from <= now);
        done.map(|(covers, _)| *covers).max().unwrap_or(0).max(self.covered)
    }

    /// How many of the entries are durable by now.
    pub(super) fn durable(&self) -> usize {
        self.index_of(self.durable_number())
    }

    /// Where an entry is that has this number, if it is still there.
    pub(super) fn index_of(&self, number: u64) -> usize {
        usize::try_from(number.saturating_sub(self.forgotten)).unwrap_or(usize::MAX)
    }

    /// How many of the entries were durable at a mark; nothing if others, of which that is not known, were forgotten.
    pub(super) fn durable_at(&self, mark: usize) -> Option<usize> {
        match self.entries.get(mark) {
            Some(Entry::Mark { durable, .. }) if *durable >= self.forgotten_changes => Some(self.index_of(*durable)),
            _ => None,
        }
    }

    fn forget(&mut self, count: usize) {
        for entry in self.entries.drain(..count.min(self.entries.len())) {
            if self
                .presented
                .first()
                .is_some_and(|presented| presented.begins <= self.forgotten)
            {
                self.lost_before = self.forgotten + 1;
                self.presented.clear();
            }
            self.bytes -= entry.cost();
            self.forgotten += 1;
            match entry {
                Entry::Changes(_) | Entry::Resize(_) => self.forgotten_changes = self.forgotten,
                Entry::Mark { name, .. } => drop_mark(&mut self.marks, &name, |numbers| {
                    numbers.remove(0);
                }),
                Entry::Flush { .. } => {}
            }
        }
    }

    /// The entry that is the last mark of this name, if one can go back to it.
    pub(super) fn find(&self, mark: &str) -> Option<usize> {
        let number = self.marks.get(mark)?.last()?;
        let index = self.index_of(*number);
        (index >= self.reachable()).then_some(index)
    }

    /// Says that there is no such mark, and which there are.
    pub(super) fn unknown(&self, mark: &str) -> UnknownMark {
        let entries = self.entries.iter().skip(self.reachable());
        let marks = entries.filter_map(|entry| match entry {
            Entry::Mark { name, .. } => Some(name.clone()),
            _ => None,
        });
        UnknownMark {
            name: mark.to_owned(),
            known: marks.collect(),
            kept: self.keep != Keep::Volatile,
        }
    }

    /// The first entry to which one can go back: before it the disk lost what there was no room to keep.
    fn reachable(&self) -> usize {
        self.index_of(self.lost_before)
    }

    /// Takes entries off until this many are left, oldest first.
    pub(super) fn take_from(&mut self, left: usize) -> VecDeque<Entry> {
        let taken = self.entries.split_off(left.min(self.entries.len()));
        self.bytes -= taken.iter().map(Entry::cost).sum::<u64>();
        for entry in taken.iter().rev() {
            if let Entry::Mark { name, .. } = entry {
                drop_mark(&mut self.marks, name, |numbers| numbers.truncate(numbers.len() - 1));
            }
        }
        let noted = self.noted();
        self.number.store(noted, Ordering::Release);
        self.lost_before = self.lost_before.min(noted);
        self.covered = self.covered.min(noted);
        self.early.retain(|(covers, _)| *covers <= noted);
        taken
    }
}

/// Takes one of a name's numbers off.
fn drop_mark(marks: &mut HashMap<String, Vec<u64>>, name: &str, take: impl FnOnce(&mut Vec<u64>)) {
    if let Some(numbers) = marks.get_mut(name) {
        take(numbers);
        if numbers.is_empty() {
            marks.remove(name);
        }
    }
}
