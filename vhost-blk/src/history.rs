//! What was written since when: enough to take writes back, to a mark or as a power cut does.
//!
//! Off until somebody wants it, for every change then costs two copies. While it is on, changes are made one after another and each request's
//! changes are one entry, with what was there before and what is there now. A flush makes the entries before it durable; the others are
//! what a volatile write cache would hold.

mod cut;
mod log;
mod picture;

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{Entry, undo};
use thiserror::Error;
use vhost_blk_api::plan::{Lose, Torn};
use vhost_blk_api::rng::Rng;

use crate::disk::Disk;
use crate::log_writes::{self, LogError};

pub(crate) use log::Log;
pub(crate) use picture::{Picture, Source};

pub use picture::{PictureError, Wanted};

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

/// The disk was made to end elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resize {
    /// Where it ended, in bytes.
    pub(crate) from: u64,
    /// Where it ends.
    pub(crate) to: u64,
    /// What was cut off, piece by piece, unless that was too much to keep.
    pub(crate) cut: Option<Vec<Content>>,
}

/// What a history's changes are made to and taken back from: the disk, or a picture of one.
pub(crate) trait Medium<'log> {
    /// Puts the first bytes of a content somewhere.
    fn put(&mut self, offset: u64, content: &'log Content, len: u64);
    /// Makes the disk end elsewhere; where it grows there are zeros.
    fn set_bytes(&mut self, bytes: u64);
    /// Takes it back that the disk was made smaller: gives it this size again, and what was cut off.
    fn regrow(&mut self, bytes: u64, cut: &'log [Content]);
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

/// How the power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PowerCut {
    /// What of the volatile cache is lost.
    pub lose: Lose,
    /// Whether the last write is torn.
    pub torn: Option<Torn>,
    /// Seed of what is to be chosen.
    pub seed: u64,
}

impl UnknownMark {
    fn without_history(name: &str) -> UnknownMark {
        UnknownMark {
            name: name.to_owned(),
            known: Vec::new(),
            kept: false,
        }
    }
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

    /// A part of it.
    fn part(&self, range: Range<u64>) -> Content {
        match self {
            Content::Golden(_) => Content::Golden(range.end - range.start),
            Content::Zeros(_) => Content::Zeros(range.end - range.start),
            // It has them in memory.
            Content::Bytes(bytes) => {
                let part = bytes.get(range.start as usize..range.end as usize);
                Content::Bytes(part.unwrap_or_default().into())
            }
        }
    }
}

impl Resize {
    /// What was cut off and is, as far as is known, not zeros: where, and how many bytes.
    fn lost(&self) -> Vec<(u64, u64)> {
        let Some(cut) = &self.cut else {
            return vec![(self.to, self.from.saturating_sub(self.to))];
        };
        let mut at = self.to;
        let pieces = cut.iter().map(|content| {
            at += content.len();
            (at - content.len(), content)
        });
        let lost = pieces.filter(|(_, content)| !matches!(content, Content::Zeros(_)));
        lost.map(|(at, content)| (at, content.len())).collect()
    }
}

impl PowerCut {
    /// What its choices are made with.
    pub(crate) fn rng(seed: u64) -> Rng {
        Rng::for_choice(seed, "cut", 0)
    }
}

impl Change {
    fn cost(&self) -> u64 {
        let pieces = self.before.len() * size_of::<Content>();
        (size_of::<Change>() + pieces) as u64 + self.after.cost() + self.before.iter().map(Content::cost).sum::<u64>()
    }

    /// Where it ends, in bytes.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.after.len()
    }

    /// Puts back what was there.
    fn undo<'log>(&'log self, medium: &mut impl Medium<'log>) {
        let mut at = self.offset;
        for content in &self.before {
            medium.put(at, content, content.len());
            at += content.len();
        }
    }
}

impl History {
    /// The log, if it is kept, whatever is meant to be done with it.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Log>> {
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
            None => *history = Some(Log::new(keep)),
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
                early: !after.is_zero(),
            });
        }
    }

    /// Notes a mark.
    pub(crate) fn mark(&self, name: &str) {
        if let Some(log) = self.lock_kept().as_mut().and_then(|log| log.as_mut()) {
            log.push(Entry::Mark {
                name: name.to_owned(),
                at: Instant::now(),
            });
        }
    }

    /// Writes all of it as a log of dm-log-writes; returns the number of its entries, and the largest size that the disk had since it had this one.
    pub(crate) fn export(&self, path: &Path, mut disk_bytes: u64) -> Result<(u64, u64), LogError> {
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
        let entries = log_writes::write(path, |out| {
            for entry in &log.entries {
                match entry {
                    Entry::Changes(changes) => {
                        for change in changes {
                            out(Step::Change(change.offset, &change.after))?;
                        }
                    }
                    Entry::Resize(resize) => {
                        disk_bytes = disk_bytes.max(resize.to);
                        // A log has no word for a disk's size. Were it to grow again there would be zeros.
                        for (at, len) in resize.lost() {
                            out(Step::Change(at, &Content::Zeros(len)))?;
                        }
                    }
                    // The log has no word for a time: whether it ever made anything durable is not known there.
                    Entry::Flush { early: true, .. } => {}
                    Entry::Flush { .. } => out(Step::Flush)?,
                    Entry::Mark { name, .. } => out(Step::Mark(name))?,
                }
            }
            Ok(())
        })?;
        Ok((entries, disk_bytes))
    }

    /// Forgets everything: the disk is the golden image again.
    pub(crate) fn clear(&self) {
        if let Some(log) = self.lock_kept().as_mut().and_then(|log| log.as_mut()) {
            log.clear();
        }
    }

    /// Whether there is a mark of this name to go back to.
    pub(crate) fn knows(&self, name: &str) -> Result<(), UnknownMark> {
        match self.lock().as_ref() {
            Some(log) => log.find(name).map(drop).ok_or_else(|| log.unknown(name)),
            None => Err(UnknownMark::without_history(name)),
        }
    }

    /// Takes back what was done to the disk since the last mark of this name.
    pub(crate) fn back_to(&self, name: &str, mut disk: &Disk) -> Result<usize, UnknownMark> {
        let mut history = self.lock();
        let Some(log) = history.as_mut() else {
            return Err(UnknownMark::without_history(name));
        };
        let (at, _) = log.find(name).ok_or_else(|| log.unknown(name))?;
        let undone = undo(log.take_from(at + 1).iter(), &mut disk);
        // Nothing of it is in a cache any more.
        log.push(Entry::Flush {
            from: Instant::now(),
            early: false,
        });
        Ok(undone)
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
