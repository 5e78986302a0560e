//! Reads a write from the variant's parameters: what the tests take alike.
//!
//! A parameter that one test alone knows is read there. Each function names the parameters that it reads, in their
//! order: of several wrong ones the first is told.

use std::ops::Range;

use crate::params::{ParamError, Params};
use crate::pattern::{PAGE, TAG_OLD, TAG_SOURCE};
use crate::target::{LAYOUTS, Layout};
use crate::write_case::{SOURCE, WriteCase};

/// The `size` of a variant that has none.
pub const DEFAULT_SIZE: usize = 256 << 10;

/// Flags of open(2) by the names that parameters use.
const FLAGS: &[(&str, i32)] = &[
    ("dsync", libc::O_DSYNC),
    ("sync", libc::O_SYNC),
    ("append", libc::O_APPEND),
];

/// Reads `flags=dsync,append`.
///
/// # Errors
/// An unknown word.
pub fn open_flags(params: &Params) -> Result<i32, ParamError> {
    Ok(params.set("flags", FLAGS)?.into_iter().fold(0, |all, flag| all | flag))
}

/// Reads `present`, the number of pages touched first: fewer than a write of `len` bytes has.
///
/// # Errors
/// It is no number, or too many.
pub fn present(params: &Params, default: usize, len: usize) -> Result<usize, ParamError> {
    let present = params.number("present", default)?;
    if present * PAGE >= len {
        return Err(params.bad("present", "fewer pages than the write has"));
    }
    Ok(present)
}

/// Reads `layout`, for a file that must have data.
///
/// # Errors
/// An unknown word, or a layout without data.
pub fn layout_with_data(params: &Params) -> Result<Layout, ParamError> {
    let layout = params.choice("layout", LAYOUTS, Layout::Existing)?;
    if matches!(layout, Layout::New | Layout::NewNocow | Layout::Prealloc) {
        return Err(params.bad("layout", "one with data: existing, nocow, fragmented, nocow-fragmented"));
    }
    Ok(layout)
}

/// The file that a test writes into, where that is not the source, and where the write goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// How the file is made.
    pub layout: Layout,
    /// Offset of the write.
    pub offset: usize,
    /// Size of the file before an appending write, which needs neither layout nor offset.
    pub prefix: usize,
    /// More open(2) flags.
    pub flags: i32,
}

impl Target {
    /// Bytes that an appending write finds in the file, unless the variant says otherwise.
    pub const PREFIX: usize = 4 * PAGE;

    /// Reads `target` and `flags`; the write is at offset 0, or behind the usual prefix.
    ///
    /// # Errors
    /// An unknown word.
    pub fn from_params(params: &Params) -> Result<Target, ParamError> {
        Ok(Target {
            layout: Self::layout(params)?,
            offset: 0,
            prefix: Self::PREFIX,
            flags: open_flags(params)?,
        })
    }

    /// Reads `target`, the layout.
    ///
    /// # Errors
    /// An unknown word.
    pub fn layout(params: &Params) -> Result<Layout, ParamError> {
        params.choice("target", LAYOUTS, Layout::New)
    }

    /// Whether the write appends.
    #[must_use]
    pub fn appends(&self) -> bool {
        self.flags & libc::O_APPEND != 0
    }

    /// A write of `len` bytes into this file, from a buffer that can be read as a whole, to a device that works.
    #[must_use]
    pub fn write_of(&self, len: usize) -> WriteCase {
        let (layout, offset, old_size) = if self.appends() {
            // The file then holds its prefix alone, and the write begins behind it.
            (Layout::Existing, self.prefix, self.prefix)
        } else {
            (self.layout, self.offset, self.layout.size(self.offset + len))
        };
        WriteCase {
            name: "target",
            offset,
            len,
            readable: len,
            layout,
            old_size,
            old_tag: TAG_OLD,
            source_page: 0,
            flags: self.flags,
            expect_error: false,
        }
    }
}

impl WriteCase {
    /// Reads `layout`, `flags` and `expect-error` of a write from the source, `size` bytes long, to a range of itself.
    ///
    /// # Errors
    /// An unknown word, a layout without data, or a write that appends.
    pub fn onto_source(params: &Params, size: usize, range: Range<usize>) -> Result<WriteCase, ParamError> {
        let layout = layout_with_data(params)?;
        let flags = open_flags(params)?;
        if flags & libc::O_APPEND != 0 {
            return Err(params.bad("flags", "dsync or sync"));
        }
        Ok(WriteCase {
            name: SOURCE,
            offset: range.start,
            len: range.len(),
            readable: range.len(),
            layout,
            old_size: size,
            old_tag: TAG_SOURCE,
            source_page: 0,
            flags,
            expect_error: params.switch("expect-error")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(words: &[&str]) -> Params {
        Params::parse(words).unwrap()
    }

    fn error<T: std::fmt::Debug>(result: Result<T, ParamError>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_target_is_new_and_written_from_its_start() {
        let case = Target::from_params(&params(&[])).unwrap().write_of(8 * PAGE);
        assert_eq!((case.name, case.layout, case.flags), ("target", Layout::New, 0));
        assert_eq!((case.offset, case.len, case.old_size), (0, 8 * PAGE, 0));
        assert_eq!((case.readable, case.expect_error), (8 * PAGE, false));
    }

    #[test]
    fn a_target_with_data_reaches_to_the_end_of_the_write() {
        let target = Target::from_params(&params(&["target=nocow", "flags=dsync"])).unwrap();
        let case = Target {
            offset: 2 * PAGE,
            ..target
        }
        .write_of(4 * PAGE);
        assert_eq!((case.layout, case.flags), (Layout::Nocow, libc::O_DSYNC));
        assert_eq!((case.offset, case.old_size), (2 * PAGE, 6 * PAGE));
    }

    #[test]
    fn an_appending_write_finds_its_prefix_whatever_the_layout() {
        let target = Target::from_params(&params(&["target=prealloc", "flags=append,sync"])).unwrap();
        let case = target.write_of(8 * PAGE);
        assert_eq!(
            (case.layout, case.offset, case.old_size),
            (Layout::Existing, 4 * PAGE, 4 * PAGE)
        );
        assert_eq!(case.flags, libc::O_APPEND | libc::O_SYNC);
    }

    #[test]
    fn a_write_onto_its_source_has_a_range_of_it() {
        let params = params(&["layout=fragmented", "flags=sync", "expect-error=1"]);
        let case = WriteCase::onto_source(&params, 8 * PAGE, 2 * PAGE..6 * PAGE).unwrap();
        assert_eq!(
            (case.name, case.layout, case.old_tag),
            ("source", Layout::Fragmented, TAG_SOURCE)
        );
        assert_eq!((case.offset, case.len, case.old_size), (2 * PAGE, 4 * PAGE, 8 * PAGE));
        assert_eq!((case.flags, case.expect_error), (libc::O_SYNC, true));
        assert_eq!(params.finish(), Ok(()));
    }

    #[test]
    fn a_write_onto_its_source_needs_data_and_does_not_append() {
        let onto = |words: &[&str]| error(WriteCase::onto_source(&params(words), PAGE, 0..PAGE));
        assert_eq!(
            onto(&["layout=prealloc", "flags=append"]),
            "parameter layout=prealloc: expected one with data: existing, nocow, fragmented, nocow-fragmented"
        );
        assert_eq!(
            onto(&["flags=append", "expect-error=2"]),
            "parameter flags=append: expected dsync or sync"
        );
        assert_eq!(onto(&["expect-error=2"]), "parameter expect-error=2: expected 0 or 1");
    }

    #[test]
    fn some_page_of_the_write_must_be_absent() {
        assert_eq!(present(&params(&[]), 1, 2 * PAGE), Ok(1));
        assert_eq!(present(&params(&["present=3"]), 1, 4 * PAGE), Ok(3));
        assert_eq!(
            error(present(&params(&["present=4"]), 1, 4 * PAGE)),
            "parameter present=4: expected fewer pages than the write has"
        );
    }

    #[test]
    fn a_reader_asks_for_its_own_parameters_only() {
        let params = params(&["target=new", "expect-error=1"]);
        Target::from_params(&params).unwrap();
        assert_eq!(
            error(params.finish()),
            "parameter expect-error is unknown to this test; it knows flags, target"
        );
    }
}
