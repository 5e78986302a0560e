//! Which requests a rule applies to.

use std::ops::Range;

use crate::op::Op;
use crate::payload::Tag;

/// Which requests a rule applies to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trigger {
    /// What the request looks like.
    pub matcher: Matcher,
    /// Only the Nth that looks so (1-based).
    pub nth: Option<u64>,
    /// Only every Nth that looks so.
    pub every: Option<u64>,
    /// Only with this probability, by the plan's seed.
    pub probability: Option<f64>,
    /// Only this often.
    pub limit: Option<u64>,
    /// Only the first that looks so since the last request of this operation.
    pub first_after: Option<Op>,
    /// Only the one that completes a row of requests, each beginning where the one before ended, over these sectors.
    pub covers: Option<Range<u64>>,
    /// Only once this has happened.
    pub after: Option<Event>,
    /// Only until this has happened.
    pub before: Option<Event>,
    /// Only while a state variable has this value.
    pub when: Option<Var>,
}

/// The part of a trigger that one request alone decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matcher {
    /// Operation; `None` is any.
    pub op: Option<Op>,
    /// Sectors of 512 bytes; the request must overlap them, with one of its ranges.
    pub sectors: Option<Range<u64>>,
    /// Length in bytes.
    pub len: Option<Range<u64>>,
    /// How it lies on the disk.
    pub(crate) align: Option<Align>,
    /// The virtqueue it came from.
    pub queue: Option<u16>,
    /// What a write's data begins with.
    pub payload: Option<PayloadMatch>,
}

/// How a request lies on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// Begins and ends at multiples of this many bytes, with each of its ranges.
    To(u64),
    /// Does not.
    Off(u64),
}

/// What a write's data begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadMatch {
    /// A tagged page.
    Tag {
        /// Chosen by who writes the page, one a buffer or file.
        tag: u64,
        /// The page; `None` is any.
        page: Option<u64>,
    },
    /// These bytes, at most [`PREFIX_BYTES`].
    Prefix(Vec<u8>),
}

/// Something that happens once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The rule of this name was applied for the first time.
    Rule(String),
    /// Somebody made this mark.
    Mark(String),
}

/// A state variable's name and value; every variable is 0 until a rule or a command sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Var {
    /// As in `when=NAME:VALUE`; there is no list of names.
    pub name: String,
    /// The value to compare with, or to set.
    pub value: u64,
}

/// Which other request a held one waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// What it looks like.
    pub matcher: Matcher,
    /// Ordinal of the request among those that match, counted from the hold on (from 1).
    pub nth: u64,
}

/// How many bytes of a write's data rules can look at.
pub const PREFIX_BYTES: usize = 32;

/// The first bytes of a write's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prefix {
    bytes: [u8; PREFIX_BYTES],
    len: usize,
}

/// What rules can know of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// From the request's header.
    pub op: Op,
    /// First sector of 512 bytes.
    pub sector: u64,
    /// Length in bytes, of all ranges together.
    pub len: u64,
    /// The sectors of a discard or write-zeroes request with several ranges; empty where `sector` and `len` say it.
    pub ranges: Vec<Range<u64>>,
    /// The virtqueue that it came from.
    pub queue: u16,
    /// The tag that a write's data begins with.
    pub tag: Option<Tag>,
    /// The first bytes of a write's data; none otherwise.
    pub prefix: Prefix,
}

impl Prefix {
    /// The first of these bytes.
    #[must_use]
    #[inline]
    pub fn of(data: &[u8]) -> Prefix {
        let mut prefix = Prefix {
            len: data.len().min(PREFIX_BYTES),
            ..Prefix::default()
        };
        for (to, from) in prefix.bytes.iter_mut().zip(data) {
            *to = *from;
        }
        prefix
    }

    /// As many as the write had, at most [`PREFIX_BYTES`].
    #[must_use]
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Facts {
    /// The sectors of each range of the request, in the order in which it has them; all but a discard or write-zeroes
    /// have one.
    #[inline]
    pub fn pieces(&self) -> impl Iterator<Item = Range<u64>> {
        let only = self.sector..self.sector.saturating_add(self.len.div_ceil(512));
        let only = self.ranges.is_empty().then_some(only);
        only.into_iter().chain(self.ranges.iter().cloned())
    }

    /// As [`pieces`](Self::pieces), but what has no length lies in the sector that it begins with.
    #[inline]
    pub fn places(&self) -> impl Iterator<Item = Range<u64>> {
        self.pieces()
            .map(|piece| piece.start..piece.end.max(piece.start.saturating_add(1)))
    }
}

impl Matcher {
    /// Whether a request looks like this.
    #[must_use]
    #[inline]
    pub fn matches(&self, facts: &Facts) -> bool {
        if facts.op == Op::GetId || self.op.is_some_and(|op| op != facts.op) {
            return false;
        }
        // A flush lies nowhere and has no length; a rule that names one of these does not mean it.
        if facts.op == Op::Flush && (self.sectors.is_some() || self.len.is_some() || self.align.is_some()) {
            return false;
        }
        if let Some(sectors) = &self.sectors
            && !facts
                .places()
                .any(|place| place.start < sectors.end && sectors.start < place.end)
        {
            return false;
        }
        if self.len.as_ref().is_some_and(|len| !len.contains(&facts.len)) {
            return false;
        }
        if self.queue.is_some_and(|queue| queue != facts.queue) {
            return false;
        }
        if self.align.is_some_and(|align| !align.matches(facts)) {
            return false;
        }
        match &self.payload {
            None => true,
            Some(PayloadMatch::Tag { tag, page }) => facts
                .tag
                .is_some_and(|found| found.tag == *tag && page.is_none_or(|page| page == found.page)),
            Some(PayloadMatch::Prefix(bytes)) => facts.prefix.bytes().starts_with(bytes),
        }
    }
}

impl Align {
    #[inline]
    fn matches(self, facts: &Facts) -> bool {
        let aligned = |bytes: u64| match facts.ranges.as_slice() {
            [] => (facts.sector.saturating_mul(512) | facts.len).is_multiple_of(bytes),
            ranges => ranges
                .iter()
                .all(|range| ((range.start | range.end).saturating_mul(512)).is_multiple_of(bytes)),
        };
        match self {
            Align::To(bytes) => aligned(bytes),
            Align::Off(bytes) => !aligned(bytes),
        }
    }
}
