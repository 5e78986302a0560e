//! The table of kinds: by which line each is opened, what looks like it and is none, how its place is found, and which
//! report a line continues. One row a form; the first row that matches decides.
//!
//! A pattern stands at the beginning of a message; `*` is any text and `$` the message's end ([`crate::pattern`]).
//! Where the kernel puts a process's name first, a pattern begins with `*` and ends with `$`: such a name says nothing.

mod block;
mod btrfs;
mod core;
mod ext4;
mod locking;
mod memory;
mod xfs;

use crate::Kind;

/// How the function is found that a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first `name+0x…` of the opening.
    Offset,
    /// `name:123` in the opening.
    Line,
    /// The word that follows this text in the opening; else the first `name+0x…`.
    After(&'static str),
    /// Where the CPU was, or the stack's innermost function.
    Stack,
}

/// How much belongs to a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// One line, or a few that say nothing more.
    Line,
    /// A stack follows.
    Stack,
    /// A stack follows, and then `---[ end trace`.
    Trace,
}

/// A form of a kind.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) kind: Kind,
    pub(crate) pattern: &'static str,
    /// Patterns of lines that look like it and are no report.
    pub(crate) except: &'static [&'static str],
    pub(crate) place: Place,
    pub(crate) extent: Extent,
    /// Kinds whose report this line continues, if it comes soon after their opening: a `BUG()` after the message that
    /// says what for.
    pub(crate) continues: &'static [Kind],
    /// Whether the line counts only where it bears a time stamp if others do: its form is too loose otherwise.
    pub(crate) loose: bool,
}

/// A form with a stack.
const fn row(kind: Kind, pattern: &'static str) -> Row {
    Row {
        kind,
        pattern,
        except: &[],
        place: Place::Offset,
        extent: Extent::Stack,
        continues: &[],
        loose: false,
    }
}

/// A form of one line.
const fn line(kind: Kind, pattern: &'static str) -> Row {
    row(kind, pattern).extent(Extent::Line)
}

/// A form with a stack and an end.
const fn trace(kind: Kind, pattern: &'static str) -> Row {
    row(kind, pattern).extent(Extent::Trace)
}

impl Row {
    const fn extent(mut self, extent: Extent) -> Row {
        self.extent = extent;
        self
    }

    const fn place(mut self, place: Place) -> Row {
        self.place = place;
        self
    }

    const fn except(mut self, except: &'static [&'static str]) -> Row {
        self.except = except;
        self
    }

    const fn continues(mut self, kinds: &'static [Kind]) -> Row {
        self.continues = kinds;
        self
    }

    const fn loose(mut self) -> Row {
        self.loose = true;
        self
    }
}

/// All rows, in the order in which they are asked.
pub(crate) const KINDS: &[&[Row]] = &[
    core::ROWS,
    memory::ROWS,
    locking::ROWS,
    btrfs::ROWS,
    ext4::ROWS,
    xfs::ROWS,
    block::ROWS,
    core::LOOSE,
];

/// Rows by the first byte of what they match.
pub(crate) struct Index {
    by_byte: Vec<Vec<&'static Row>>,
}

impl Index {
    pub(crate) fn new() -> Index {
        let mut by_byte: Vec<Vec<&'static Row>> = (0..=u8::MAX).map(|_| Vec::new()).collect();
        for row in KINDS.iter().copied().flatten() {
            match row.pattern.bytes().next() {
                Some(b'*') | None => by_byte.iter_mut().for_each(|rows| rows.push(row)),
                Some(byte) => by_byte[usize::from(byte)].push(row),
            }
        }
        Index { by_byte }
    }

    /// The rows that a message has to be compared with.
    pub(crate) fn candidates(&self, text: &str) -> &[&'static Row] {
        let first = text.bytes().next().map(usize::from);
        first.and_then(|byte| self.by_byte.get(byte)).map_or(&[], Vec::as_slice)
    }
}
