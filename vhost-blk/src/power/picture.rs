//! A disk that is looked at and left as it is: as it stood at a mark, or would stand after a power cut.

use std::collections::BTreeMap;
use std::ops::Range;

use thiserror::Error;
use vhost_blk_api::control::Cut;

use super::change::{Content, Medium};
use super::log::{Log, PowerCut, Survivor, UnknownMark, survivors, undo};

/// What of a disk is wanted; nothing given is the disk as it stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StateRequest<'a> {
    /// As it stood at this mark, the last of the name.
    pub(crate) at: Option<&'a str>,
    /// As it would stand had the power been cut then.
    pub(crate) power_cut: Option<PowerCut>,
}

/// A state of the disk that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PictureError {
    /// There is no history.
    #[error(
        "no history is kept, and so nothing is known of what was and what is durable: start the device with --history"
    )]
    NotKept,
    /// There is no such mark.
    #[error(transparent)]
    Mark(#[from] UnknownMark),
    /// What was not durable at the mark is not known any more.
    #[error("the history does not go back to what was durable at mark `{name}`: give --history more bytes")]
    Forgotten { name: String },
}

/// What lies over a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patch<'log> {
    Golden(u64),
    Zeros(u64),
    Bytes(&'log [u8]),
}

/// Where the bytes of a piece are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source<'log> {
    /// On the disk as it stands.
    Disk,
    /// In the golden image.
    Golden,
    /// Here.
    Bytes(&'log [u8]),
}

/// A picture of a disk: the disk itself, and what lies over it.
#[derive(Debug)]
pub(crate) struct Picture<'log> {
    bytes: u64,
    /// Up to here the disk itself shows where nothing lies over it; beyond there are zeros.
    shown: u64,
    /// What lies over it, by where it begins; none lies upon another.
    over: BTreeMap<u64, Patch<'log>>,
}

impl<'log> Patch<'log> {
    fn of(content: &'log Content, len: u64) -> Patch<'log> {
        match content {
            Content::Golden(_) => Patch::Golden(len),
            Content::Zeros(_) => Patch::Zeros(len),
            Content::Bytes(bytes) => Patch::Bytes(bytes).part(0..len),
        }
    }

    fn len(self) -> u64 {
        match self {
            Patch::Golden(len) | Patch::Zeros(len) => len,
            Patch::Bytes(bytes) => bytes.len() as u64,
        }
    }

    fn part(self, range: Range<u64>) -> Patch<'log> {
        match self {
            Patch::Golden(_) => Patch::Golden(range.end - range.start),
            Patch::Zeros(_) => Patch::Zeros(range.end - range.start),
            // It has them in memory.
            Patch::Bytes(bytes) => {
                Patch::Bytes(bytes.get(range.start as usize..range.end as usize).unwrap_or_default())
            }
        }
    }
}

impl<'log> Picture<'log> {
    /// Of a disk of this size, as it stands.
    pub(crate) fn new(bytes: u64) -> Picture<'log> {
        Picture {
            bytes,
            shown: bytes,
            over: BTreeMap::new(),
        }
    }

    /// Size of the disk in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its pieces, in their order; where there is none there are zeros.
    pub(crate) fn pieces(&self) -> Vec<(Range<u64>, Source<'log>)> {
        let mut pieces = Vec::new();
        let mut at = 0;
        let all = self.over.iter().map(|(start, patch)| (*start, Some(*patch)));
        for (start, patch) in all.chain([(self.bytes, None)]) {
            let bare = at..start.min(self.shown);
            if !bare.is_empty() {
                pieces.push((bare, Source::Disk));
            }
            let Some(patch) = patch else { break };
            at = start + patch.len();
            match patch {
                Patch::Golden(_) => pieces.push((start..at, Source::Golden)),
                Patch::Bytes(bytes) => pieces.push((start..at, Source::Bytes(bytes))),
                Patch::Zeros(_) => {}
            }
        }
        pieces
    }

    /// Takes away what lies over a range.
    fn bare(&mut self, range: &Range<u64>) {
        // Of those that begin before it only the last can reach into it.
        let before = self.over.range(..range.start).next_back();
        let within = self.over.range(range.clone());
        let touched: Vec<u64> = before.into_iter().chain(within).map(|(start, _)| *start).collect();
        for start in touched {
            let Some(patch) = self.over.remove(&start) else {
                continue;
            };
            let end = start + patch.len();
            if start < range.start {
                self.over.insert(start, patch.part(0..end.min(range.start) - start));
            }
            if end > range.end {
                self.over.insert(range.end, patch.part(range.end - start..end - start));
            }
        }
    }
}

impl<'log> Medium<'log> for Picture<'log> {
    fn put(&mut self, offset: u64, content: &'log Content, len: u64) {
        if len > 0 {
            self.bare(&(offset..offset + len));
            self.over.insert(offset, Patch::of(content, len));
        }
    }

    fn set_bytes(&mut self, bytes: u64) {
        if bytes < self.bytes {
            let cut = bytes..self.bytes;
            self.bare(&cut);
            self.shown = self.shown.min(bytes);
        }
        self.bytes = bytes;
    }

    fn regrow(&mut self, bytes: u64, cut: &'log [Content]) {
        let mut at = self.bytes;
        self.set_bytes(bytes);
        for content in cut {
            self.put(at, content, content.len());
            at += content.len();
        }
    }
}

impl Log {
    /// Makes a picture of the disk as it stands into that which is wanted; what the power cut did, if there is one.
    pub(crate) fn draw<'log>(
        &'log self,
        wanted: &StateRequest<'_>,
        picture: &mut Picture<'log>,
    ) -> Result<Option<Cut>, PictureError> {
        let unknown = |name| PictureError::Forgotten { name };
        let (end, durable) = match wanted.at {
            Some(name) => {
                let mark = self.find(name).ok_or_else(|| self.unknown(name))?;
                (mark + 1, self.durable_at(mark).ok_or_else(|| unknown(name.to_owned())))
            }
            None => (self.entries.len(), Ok(self.durable())),
        };
        undo(self.entries.range(end..), picture);
        let Some(PowerCut { lose, torn, seed }) = wanted.power_cut else {
            return Ok(None);
        };
        let durable = durable?;
        let volatile = self.entries.range(durable..end);
        undo(volatile.clone(), picture);
        let (cut, survivors) = survivors(volatile, lose, torn, &mut PowerCut::rng(seed));
        for survivor in survivors {
            match survivor {
                Survivor::Changes(changes) => {
                    for (change, len) in changes {
                        picture.put(change.offset, &change.after, len);
                    }
                }
                Survivor::End(bytes) => picture.set_bytes(bytes),
            }
        }
        Ok(Some(cut))
    }
}
