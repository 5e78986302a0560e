//! A disk that is looked at and left as it is: as it stood at a mark, or would stand after a power cut.

use std::ops::Range;

use thiserror::Error;
use vhost_blk_api::control::Cut;

use super::change::{Content, Medium};
use super::cover::Cover;
use super::log::{Log, UnknownMark, undo};
use super::survivors::{PowerCut, survivors};

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

/// Where the bytes of a piece are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source<'a> {
    /// On the disk as it stands.
    Disk,
    /// In the golden image.
    Golden,
    /// Here.
    Bytes(&'a [u8]),
}

/// A picture of a disk: the disk itself, and what lies over it.
#[derive(Debug)]
pub(crate) struct Picture {
    bytes: u64,
    /// Up to here the disk itself shows where nothing lies over it; beyond there are zeros.
    shown: u64,
    over: Cover,
}

impl Picture {
    /// Of a disk of this size, as it stands.
    pub(crate) fn new(bytes: u64) -> Picture {
        Picture {
            bytes,
            shown: bytes,
            over: Cover::default(),
        }
    }

    /// Size of the disk in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its pieces, in their order; where there is none there are zeros.
    pub(crate) fn pieces(&self) -> Vec<(Range<u64>, Source<'_>)> {
        let mut pieces = Vec::new();
        let mut at = 0;
        let all = self.over.iter().map(|(start, content)| (start, Some(content)));
        for (start, content) in all.chain([(self.bytes, None)]) {
            let bare = at..start.min(self.shown);
            if !bare.is_empty() {
                pieces.push((bare, Source::Disk));
            }
            let Some(content) = content else { break };
            at = start + content.len();
            match content {
                Content::Golden(_) => pieces.push((start..at, Source::Golden)),
                Content::Bytes(bytes) => pieces.push((start..at, Source::Bytes(bytes))),
                Content::Zeros(_) => {}
            }
        }
        pieces
    }
}

impl Medium for Picture {
    fn put(&mut self, offset: u64, content: &Content) {
        self.over.put(offset, content.clone());
    }

    fn set_bytes(&mut self, bytes: u64) {
        if bytes < self.bytes {
            self.over.bare(&(bytes..self.bytes));
            self.shown = self.shown.min(bytes);
        }
        self.bytes = bytes;
    }

    fn regrow(&mut self, bytes: u64, cut: &[Content]) {
        let mut at = self.bytes;
        self.set_bytes(bytes);
        for content in cut {
            self.put(at, content);
            at += content.len();
        }
    }
}

impl Log {
    /// Makes a picture of the disk as it stands into that which is wanted; what the power cut did, if there is one.
    pub(crate) fn draw(&self, wanted: &StateRequest<'_>, picture: &mut Picture) -> Result<Option<Cut>, PictureError> {
        let unknown = |name| PictureError::Forgotten { name };
        let all = self.entries.len();
        let (end, level_end, durable) = match wanted.at {
            Some(name) => {
                let mark = self.find(name).ok_or_else(|| self.unknown(name))?;
                let level = self.level_of(self.forgotten + mark as u64);
                self.unwind(level, picture);
                let durable = self.durable_at(mark).ok_or_else(|| unknown(name.to_owned()));
                (mark + 1, self.end_index(level), durable)
            }
            None => (all, all, Ok(self.durable())),
        };
        undo(self.entries.range(end..level_end.max(end)), picture);
        let Some(PowerCut { lose, torn, seed }) = wanted.power_cut else {
            return Ok(None);
        };
        let durable = durable?;
        let volatile = self.entries.range(durable..end);
        undo(volatile.clone(), picture);
        let (cut, survivors) = survivors(volatile, lose, torn, &mut PowerCut::rng(seed));
        survivors.iter().for_each(|survivor| survivor.put(picture));
        Ok(Some(cut))
    }
}
