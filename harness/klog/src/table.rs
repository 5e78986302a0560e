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

use std::sync::OnceLock;

use crate::row::Row;

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
    /// The one index, made by whoever asks first.
    pub(crate) fn get() -> &'static Index {
        static INDEX: OnceLock<Index> = OnceLock::new();
        INDEX.get_or_init(Index::new)
    }

    fn new() -> Index {
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
