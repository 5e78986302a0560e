//! What was written since when: enough to take writes back, to a mark or as a power cut does.
//!
//! Off until somebody wants it, for every change then costs two copies. While it is on, changes are made one after another and each request's
//! changes are one entry, with what was there before and what is there now. A flush makes the entries before it durable; the others are
//! what a volatile write cache would hold.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::log_writes::{self, LogError};
use crate::plan::{Lose, Torn};
use crate::rng::Rng;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// What is not durable.
    Volatile,
    /// All, up to this many bytes; the oldest durable entries go first.
    All {
        /// Most bytes of data, before and after.
        bytes_max: u64,
    },
}

/// What a range held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// What the golden image holds there.
    Golden(u64),
    /// Zeros.
    Zeros(u64),
    /// These bytes.
    Bytes(Box<[u8]>),
}

/// A change of one range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Where it begins, in bytes.
    pub(crate) offset: u64,
    /// What was there, piece by piece.
    pub(crate) before: Vec<Content>,
    /// What is there now.
    pub(crate) after: Content,
}

#[derive(Debug)]
enum Entry {
    /// A request's changes, in their order.
    Changes(Vec<Change>),
    /// What came before is durable from this time on.
    Flush { from: Instant },
    /// A mark.
    Mark(String),
}

/// The log of changes.
#[derive(Debug)]
pub(crate) struct Log {
    keep: Keep,
    entries: VecDeque<Entry>,
    bytes: u64,
    /// Entries that were forgotten for want of room.
    forgotten: u64,
}

/// The history of a disk, if it is kept.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Whether it is kept: a look that costs a request nothing. Once kept it stays so.
    kept: AtomicBool,
    log: Mutex<Option<Log>>,
}

/// A step of the history, as an export sees it.
#[derive(Clone, Copy)]
pub(crate) enum Step<'a> {
    /// What was put where, in bytes.
    Change(u64, &'a Content),
    /// What came before is durable.
    Flush,
    /// A mark.
    Mark(&'a str),
}

/// No mark has this name, or it was forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no mark `{name}` to go back to: known marks: {}{}",
    if known.is_empty() { "none".to_owned() } else { known.join(", ") },
    if *kept { "" } else { "; start the device with --history to keep what is needed" })]
pub struct UnknownMark {
    /// The name.
    pub name: String,
    /// The marks there are.
    pub known: Vec<String>,
    /// Whether all of the history is kept.
    pub kept: bool,
}

/// What a power cut did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    /// Requests that were in the volatile cache, or in flight.
    pub volatile: usize,
    /// How many of them are lost wholly.
    pub lost: usize,
    /// Bytes of the last one that were still written, if it was torn.
    pub torn_bytes: Option<u64>,
}

impl Content {
    /// Its length in bytes.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Content::Golden(len) | Content::Zeros(len) => *len,
            Content::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// What it costs to keep.
    fn cost(&self) -> u64 {
        match self {
            Content::Golden(_) | Content::Zeros(_) => 0,
            Content::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// Its first bytes.
    fn truncated(&self, len: u64) -> Content {
        let len = len.min(self.len());
        match self {
            Content::Golden(_) => Content::Golden(len),
            Content::Zeros(_) => Content::Zeros(len),
            Content::Bytes(bytes) => {
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                Content::Bytes(bytes.get(..len).unwrap_or_default().into())
            }
        }
    }
}

impl Change {
    fn cost(&self) -> u64 {
        self.after.cost() + self.before.iter().map(Content::cost).sum::<u64>()
    }

    /// Puts back what was there.
    fn undo(&self, put: &mut impl FnMut(u64, &Content)) {
        let mut at = self.offset;
        for content in &self.before {
            put(at, content);
            at += content.len();
        }
    }
}

impl History {
    fn lock(&self) -> MutexGuard<'_, Option<Log>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The log, if it is kept.
    fn lock_kept(&self) -> Option<MutexGuard<'_, Option<Log>>> {
        self.kept.load(Ordering::Acquire).then(|| self.lock())
    }

    /// Begins to keep it, or keeps more of it; what was written before counts as durable.
    pub(crate) fn keep(&self, keep: Keep) {
        let mut history = self.lock();
        match history.as_mut() {
            Some(log) if keep != Keep::Volatile => log.keep = keep,
            Some(_) => {}
            None => {
                *history = Some(Log {
                    keep,
                    entries: VecDeque::new(),
                    bytes: 0,
                    forgotten: 0,
                });
            }
        }
        self.kept.store(true, Ordering::Release);
    }

    /// Whether it is kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }

    /// The log, for one request's changes; none if it is not kept.
    pub(crate) fn open(&self) -> Option<MutexGuard<'_, Option<Log>>> {
        self.lock_kept()
    }

    /// Notes a flush that makes all before it durable, after this long.
    pub(crate) fn flush(&self, after: Duration) {
        if let Some(log) = self.lock_kept().as_mut().and_then(|log| log.as_mut()) {
            log.push(Entry::Flush {
                from: Instant::now() + after,
            });
        }
    }

    /// Notes a mark.
    pub(crate) fn mark(&self, name: &str) {
        if let Some(log) = self.lock_kept().as_mut().and_then(|log| log.as_mut()) {
            log.push(Entry::Mark(name.to_owned()));
        }
    }

    /// Writes all of it as a log of dm-log-writes; returns the number of its entries.
    pub(crate) fn export(&self, path: &Path) -> Result<u64, LogError> {
        let history = self.lock();
        let log = match history.as_ref() {
            None => return Err(LogError::Incomplete("none is kept; start the device with --history")),
            Some(log) if log.keep == Keep::Volatile => {
                return Err(LogError::Incomplete(
                    "only what is not durable is kept; start the device with --history",
                ));
            }
            Some(log) if log.forgotten > 0 => {
                return Err(LogError::Incomplete(
                    "its oldest part was forgotten; give --history more bytes",
                ));
            }
            Some(log) => log,
        };
        log_writes::write(path, |out| {
            for entry in &log.entries {
                match entry {
                    Entry::Changes(changes) => {
                        for change in changes {
                            out(Step::Change(change.offset, &change.after))?;
                        }
                    }
                    Entry::Flush { .. } => out(Step::Flush)?,
                    Entry::Mark(name) => out(Step::Mark(name))?,
                }
            }
            Ok(())
        })
    }

    /// Forgets everything: the disk is the golden image again.
    pub(crate) fn clear(&self) {
        if let Some(log) = self.lock_kept().as_mut().and_then(|log| log.as_mut()) {
            log.entries.clear();
            (log.bytes, log.forgotten) = (0, 0);
        }
    }

    /// Takes back what was written since the last mark of this name; `put` writes to the disk.
    pub(crate) fn back_to(&self, name: &str, mut put: impl FnMut(u64, &Content)) -> Result<usize, UnknownMark> {
        let mut history = self.lock();
        let unknown = |log: Option<&Log>| UnknownMark {
            name: name.to_owned(),
            known: log.map(Log::marks).unwrap_or_default(),
            kept: log.is_some_and(|log| log.keep != Keep::Volatile),
        };
        let Some(log) = history.as_mut() else {
            return Err(unknown(None));
        };
        let is_it = |entry: &Entry| matches!(entry, Entry::Mark(mark) if mark == name);
        let Some(at) = log.entries.iter().rposition(is_it) else {
            return Err(unknown(Some(log)));
        };
        let undone = log.undo_to(at + 1, &mut put).len();
        // Nothing of it is in a cache any more.
        log.push(Entry::Flush { from: Instant::now() });
        Ok(undone)
    }

    /// What the disk is after the power went: what was durable, and what of the rest survives. `put` writes to the disk.
    pub(crate) fn cut(&self, lose: Lose, torn: Option<Torn>, rng: &mut Rng, mut put: impl FnMut(u64, &Content)) -> Cut {
        let mut history = self.lock();
        let Some(log) = history.as_mut() else {
            return Cut::default();
        };
        let durable = log.durable();
        let volatile = log.undo_to(durable, &mut put);
        let mut cut = Cut {
            volatile: volatile.len(),
            ..Cut::default()
        };
        let last = volatile.len().wrapping_sub(1);
        for (number, changes) in volatile.into_iter().enumerate() {
            let survives = match lose {
                Lose::All => false,
                Lose::None => true,
                Lose::Some => rng.chance(0.5),
            };
            let survivor = match torn.filter(|_| number == last) {
                Some(torn) => {
                    let (changes, bytes) = tear(&changes, torn, rng);
                    cut.torn_bytes = Some(bytes);
                    changes
                }
                None if survives => changes,
                None => Vec::new(),
            };
            if survivor.is_empty() {
                cut.lost += 1;
                continue;
            }
            for change in &survivor {
                put(change.offset, &change.after);
            }
            log.push(Entry::Changes(survivor));
        }
        log.push(Entry::Flush { from: Instant::now() });
        cut
    }
}

/// The first units of a request's changes, a number of them that the seed chooses.
fn tear(changes: &[Change], torn: Torn, rng: &mut Rng) -> (Vec<Change>, u64) {
    let all: u64 = changes.iter().map(|change| change.after.len()).sum();
    let unit = torn.bytes();
    let mut left = rng.below(all.div_ceil(unit)) * unit;
    let kept = left.min(all);
    let mut survivors = Vec::new();
    for change in changes {
        let len = left.min(change.after.len());
        if len > 0 {
            survivors.push(Change {
                after: change.after.truncated(len),
                ..change.clone()
            });
        }
        left -= len;
    }
    (survivors, kept)
}

impl Log {
    /// Notes one request's changes.
    pub(crate) fn changed(&mut self, changes: Vec<Change>) {
        if !changes.is_empty() {
            self.push(Entry::Changes(changes));
        }
    }

    fn push(&mut self, entry: Entry) {
        match (&entry, self.keep) {
            (Entry::Changes(changes), _) => self.bytes += changes.iter().map(Change::cost).sum::<u64>(),
            // Nobody can go back to it.
            (Entry::Mark(_), Keep::Volatile) => return,
            _ => {}
        }
        self.entries.push_back(entry);
        let durable = self.durable();
        match self.keep {
            Keep::Volatile => self.forget(durable),
            Keep::All { bytes_max } => {
                let mut left = durable;
                while self.bytes > bytes_max && left > 0 {
                    self.forget(1);
                    left -= 1;
                }
            }
        }
    }

    /// How many of the entries are durable by now.
    fn durable(&self) -> usize {
        let now = Instant::now();
        let done = |entry: &Entry| matches!(entry, Entry::Flush { from } if *from <= now);
        self.entries.iter().rposition(done).map_or(0, |at| at + 1)
    }

    fn forget(&mut self, count: usize) {
        for entry in self.entries.drain(..count.min(self.entries.len())) {
            if let Entry::Changes(changes) = entry {
                self.bytes -= changes.iter().map(Change::cost).sum::<u64>();
            }
            self.forgotten += 1;
        }
    }

    fn marks(&self) -> Vec<String> {
        let marks = self.entries.iter().filter_map(|entry| match entry {
            Entry::Mark(name) => Some(name.clone()),
            _ => None,
        });
        marks.collect()
    }

    /// Takes entries off until this many are left, and takes back what they changed; returns the changes, oldest first.
    fn undo_to(&mut self, left: usize, put: &mut impl FnMut(u64, &Content)) -> Vec<Vec<Change>> {
        let mut undone = Vec::new();
        while self.entries.len() > left {
            let Some(Entry::Changes(changes)) = self.entries.pop_back() else {
                continue;
            };
            for change in changes.iter().rev() {
                self.bytes -= change.cost();
                change.undo(put);
            }
            undone.push(changes);
        }
        undone.reverse();
        undone
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
