//! The entries of a history, and what is made of them: the way back, and what a power cut leaves.

use std::collections::VecDeque;
use std::time::Instant;

use thiserror::Error;
use vhost_blk_api::control::Cut;
use vhost_blk_api::plan::{Lose, Torn};
use vhost_blk_api::rng::Rng;

use super::change::{Change, Content, Medium, Resize};

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

/// How the power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PowerCut {
    /// What of the volatile cache is lost.
    pub(crate) lose: Lose,
    /// Whether the last write is torn.
    pub(crate) torn: Option<Torn>,
    /// Seed of what is to be chosen.
    pub(crate) seed: u64,
}

/// Something that happened to a disk.
#[derive(Debug)]
pub(super) enum Entry {
    /// A request's changes, in their order.
    Changes(Vec<Change>),
    /// The disk was made to end elsewhere; that is durable at once.
    Resize(Resize),
    /// What came before is durable from this time on; `early` if the guest was told before that.
    Flush {
        from: Instant,
        early: bool,
    },
    Mark {
        name: String,
        at: Instant,
    },
}

/// The log of changes.
#[derive(Debug)]
pub(crate) struct Log {
    pub(super) keep: Keep,
    pub(super) entries: VecDeque<Entry>,
    bytes: u64,
    /// Entries that were forgotten for want of room.
    pub(super) forgotten: u64,
    /// If the last of them was a flush, when what came before it was durable.
    forgotten_flush: Option<Instant>,
    /// The last flush that has done its work, and all after it: their numbers, counted with what was forgotten, and
    /// when they do it. A log that is long is not to be searched for them at every write.
    flushes: VecDeque<(u64, Instant)>,
}

/// What of a request, or of the disk's size, is still there after a power cut.
pub(super) enum Survivor<'log> {
    /// Changes, and how many bytes of each.
    Changes(Vec<(&'log Change, u64)>),
    /// Where the disk ends.
    End(u64),
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

impl PowerCut {
    /// What its choices are made with.
    pub(crate) fn rng(seed: u64) -> Rng {
        Rng::for_choice(seed, "cut", 0)
    }
}

impl Entry {
    /// What it costs to keep, itself included: flushes alone, and there is one for every few writes, would fill the
    /// memory in the end.
    fn cost(&self) -> u64 {
        let more = match self {
            Entry::Changes(changes) => changes.iter().map(Change::cost).sum(),
            Entry::Resize(Resize { cut, .. }) => cut.iter().flatten().map(Content::cost).sum(),
            Entry::Mark { name, .. } => name.len() as u64,
            Entry::Flush { .. } => 0,
        };
        size_of::<Entry>() as u64 + more
    }
}

/// Takes back what entries did, the last of them first.
pub(super) fn undo<'log>(
    entries: impl DoubleEndedIterator<Item = &'log Entry>,
    medium: &mut impl Medium<'log>,
) -> usize {
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

/// What of entries that were not durable a power cut leaves, in their order.
pub(super) fn survivors<'log>(
    volatile: impl Iterator<Item = &'log Entry> + Clone,
    lose: Lose,
    torn: Option<Torn>,
    rng: &mut Rng,
) -> (Cut, Vec<Survivor<'log>>) {
    let requests = volatile.clone().filter(|entry| matches!(entry, Entry::Changes(_)));
    let mut cut = Cut {
        volatile: requests.count(),
        ..Cut::default()
    };
    let (mut number, mut left) = (0, Vec::new());
    for entry in volatile {
        let changes = match entry {
            Entry::Changes(changes) => changes,
            Entry::Resize(Resize { to, .. }) => {
                left.push(Survivor::End(*to));
                continue;
            }
            Entry::Flush { .. } | Entry::Mark { .. } => continue,
        };
        number += 1;
        let survives = match lose {
            Lose::All => false,
            Lose::None => true,
            Lose::Some => rng.chance(0.5),
        };
        let survivor = match torn.filter(|_| number == cut.volatile) {
            Some(torn) => {
                let (changes, bytes) = tear(changes, torn, rng);
                cut.torn_bytes = Some(bytes);
                changes
            }
            None if survives => changes.iter().map(|change| (change, change.after.len())).collect(),
            None => Vec::new(),
        };
        if survivor.is_empty() {
            cut.lost += 1;
        } else {
            left.push(Survivor::Changes(survivor));
        }
    }
    (cut, left)
}

/// The first units of a request's changes, a number of them that the seed chooses.
fn tear<'log>(changes: &'log [Change], torn: Torn, rng: &mut Rng) -> (Vec<(&'log Change, u64)>, u64) {
    let all: u64 = changes.iter().map(|change| change.after.len()).sum();
    let unit = torn.bytes();
    let mut left = rng.below(all.div_ceil(unit)) * unit;
    let kept = left.min(all);
    let mut survivors = Vec::new();
    for change in changes {
        let len = left.min(change.after.len());
        if len > 0 {
            survivors.push((change, len));
        }
        left -= len;
    }
    (survivors, kept)
}

impl Log {
    pub(super) fn new(keep: Keep) -> Log {
        Log {
            keep,
            entries: VecDeque::new(),
            bytes: 0,
            forgotten: 0,
            forgotten_flush: None,
            flushes: VecDeque::new(),
        }
    }

    /// Forgets everything: the disk is the golden image again.
    pub(super) fn clear(&mut self) {
        *self = Log::new(self.keep);
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

    pub(super) fn push(&mut self, entry: Entry) {
        // Nobody can go back to it.
        if self.keep == Keep::Volatile && matches!(entry, Entry::Mark { .. }) {
            return;
        }
        self.bytes += entry.cost();
        if let Entry::Flush { from, .. } = entry {
            self.flushes
                .push_back((self.forgotten + self.entries.len() as u64, from));
        }
        self.entries.push_back(entry);
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

    /// How many of the entries are durable by now.
    pub(super) fn durable(&mut self) -> usize {
        let now = Instant::now();
        let Some(last) = self.flushes.iter().rposition(|(_, from)| *from <= now) else {
            return 0;
        };
        // Those before it have no say any more.
        self.flushes.drain(..last);
        let number = self.flushes.front().map_or(0, |(number, _)| number + 1);
        usize::try_from(number.saturating_sub(self.forgotten)).unwrap_or(usize::MAX)
    }

    /// How many of the first entries were durable at a time; nothing if that was forgotten.
    pub(super) fn durable_of(&self, first: usize, at: Instant) -> Option<usize> {
        let done = |entry: &Entry| matches!(entry, Entry::Flush { from, .. } if *from <= at);
        let flush = self.entries.range(..first).rposition(done);
        let all_known = self.forgotten == 0 || self.forgotten_flush.is_some_and(|from| from <= at);
        flush.map(|flush| flush + 1).or(all_known.then_some(0))
    }

    fn forget(&mut self, count: usize) {
        for entry in self.entries.drain(..count.min(self.entries.len())) {
            self.bytes -= entry.cost();
            self.forgotten += 1;
            self.forgotten_flush = match entry {
                Entry::Flush { from, .. } => Some(from),
                _ => None,
            };
        }
    }

    /// The entry that is the last mark of this name, if one can go back to it, and when it was made.
    pub(super) fn find(&self, mark: &str) -> Option<(usize, Instant)> {
        let entries = self.entries.iter().enumerate().skip(self.reachable());
        let mut marks = entries.filter_map(|(index, entry)| match entry {
            Entry::Mark { name, at } if name == mark => Some((index, *at)),
            _ => None,
        });
        marks.next_back()
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
        let lost = |entry: &Entry| matches!(entry, Entry::Resize(Resize { from, to, cut: None }) if from > to);
        self.entries.iter().rposition(lost).map_or(0, |index| index + 1)
    }

    /// Takes entries off until this many are left, oldest first.
    pub(super) fn take_from(&mut self, left: usize) -> VecDeque<Entry> {
        let taken = self.entries.split_off(left.min(self.entries.len()));
        self.bytes -= taken.iter().map(Entry::cost).sum::<u64>();
        let flush = |(number, entry): (u64, &Entry)| match entry {
            Entry::Flush { from, .. } => Some((number, *from)),
            _ => None,
        };
        self.flushes = (self.forgotten..).zip(&self.entries).filter_map(flush).collect();
        taken
    }
}
