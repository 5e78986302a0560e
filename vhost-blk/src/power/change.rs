//! Changes of a disk, as its history keeps them, and what they are made to.

use std::ops::Range;

use bytes::Bytes;

/// What a range held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// What the golden image holds there.
    Golden(u64),
    Zeros(u64),
    /// These bytes.
    Bytes(Bytes),
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
pub(crate) trait Medium {
    /// Puts a content somewhere.
    fn put(&mut self, offset: u64, content: &Content);
    /// Makes the disk end elsewhere; where it grows there are zeros.
    fn set_bytes(&mut self, bytes: u64);
    /// Takes it back that the disk was made smaller: gives it this size again, and what was cut off.
    fn regrow(&mut self, bytes: u64, cut: &[Content]);
}

/// A [`Medium`] that can be looked at as it stands.
pub(crate) trait Standing: Medium {
    /// Its size in bytes.
    fn bytes(&self) -> u64;
    /// What it holds in a range, piece by piece; nothing where the range does not lie on it.
    fn contents(&self, range: &Range<u64>) -> Vec<Content>;
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
    pub(super) fn cost(&self) -> u64 {
        match self {
            Content::Golden(_) | Content::Zeros(_) => 0,
            Content::Bytes(bytes) => bytes.len() as u64,
        }
    }

    pub(super) fn part(&self, range: Range<u64>) -> Content {
        match self {
            Content::Golden(_) => Content::Golden(range.end - range.start),
            Content::Zeros(_) => Content::Zeros(range.end - range.start),
            Content::Bytes(bytes) => {
                let end = bytes.len().min(range.end as usize);
                Content::Bytes(bytes.slice(end.min(range.start as usize)..end))
            }
        }
    }

    /// Whether it is known at a glance to be the same: the same bytes in memory, or none of its own.
    pub(super) fn is_same(&self, other: &Content) -> bool {
        match (self, other) {
            (Content::Golden(len), Content::Golden(other)) | (Content::Zeros(len), Content::Zeros(other)) => {
                len == other
            }
            (Content::Bytes(bytes), Content::Bytes(other)) => {
                bytes.len() == other.len() && bytes.as_ptr() == other.as_ptr()
            }
            _ => false,
        }
    }
}

impl Resize {
    /// What was cut off and is, as far as is known, not zeros: where, and how many bytes.
    pub(super) fn lost(&self) -> Vec<(u64, u64)> {
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

impl Change {
    pub(super) fn cost(&self) -> u64 {
        let pieces = self.before.len() * size_of::<Content>();
        (size_of::<Change>() + pieces) as u64 + self.after.cost() + self.before.iter().map(Content::cost).sum::<u64>()
    }

    /// Where it ends, in bytes.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.after.len()
    }

    /// Puts back what was there.
    pub(super) fn undo(&self, medium: &mut impl Medium) {
        let mut at = self.offset;
        for content in &self.before {
            medium.put(at, content);
            at += content.len();
        }
    }
}
