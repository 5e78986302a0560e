//! One direct write into one file, made of the parameters of a variant.

use std::ops::Range;

use guest_wire::params::{DataLayout, Layout, Pages, Target, WriteSync};

use crate::pattern::{TAG_OLD, TAG_SOURCE};
use crate::target;

/// Name of the file that the buffer of a write maps.
pub(super) const SOURCE: &str = "source";

/// Name under which the write's result is kept for the verify phase.
pub(super) const RESULT: &str = "write";

/// One direct write into one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteCase {
    /// Name of the file written to.
    pub name: &'static str,
    /// Offset of the write; with `O_APPEND` this is the file's size.
    pub offset: usize,
    /// Length of the write in bytes.
    pub len: usize,
    /// How much of the buffer can be read, from its beginning; less than `len` where it is forbidden further on.
    pub readable: usize,
    /// How the file was made, and its size then.
    pub layout: Layout,
    /// Size of the file before the write, in bytes; 0 for a new file.
    pub old_size: usize,
    /// Tag of its content before the write.
    pub old_tag: u64,
    /// First page of the source that the buffer begins with.
    pub source_page: usize,
    /// More open(2) flags (`O_DSYNC`, …).
    pub flags: i32,
    /// The device fails a request of this write: it must not succeed.
    pub expect_error: bool,
}

/// The flags of open(2) for a write that syncs, or does not.
#[must_use]
pub fn open_flags(sync: WriteSync) -> i32 {
    match sync {
        WriteSync::None => 0,
        WriteSync::Dsync => libc::O_DSYNC,
        WriteSync::Sync => libc::O_SYNC,
    }
}

impl WriteCase {
    /// A write into the target, from a buffer that can be read as a whole, to a device that works.
    #[must_use]
    pub fn into_target(target: Target, sync: WriteSync, size: Pages) -> WriteCase {
        let len = size.bytes();
        let (layout, offset, old_size, append) = match target {
            Target::At { layout, offset } => {
                let offset = offset.bytes();
                (layout, offset, target::old_size(layout, offset + len), 0)
            }
            // The file then holds its prefix alone, and the write begins behind it.
            Target::Append { prefix } => (Layout::Existing, prefix.bytes(), prefix.bytes(), libc::O_APPEND),
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
            flags: open_flags(sync) | append,
            expect_error: false,
        }
    }

    /// A write from the source, a file of this size, to a range of itself, to a device that works.
    #[must_use]
    pub fn onto_source(layout: DataLayout, sync: WriteSync, size: Pages, range: Range<usize>) -> WriteCase {
        WriteCase {
            name: SOURCE,
            offset: range.start,
            len: range.len(),
            readable: range.len(),
            layout: layout.into(),
            old_size: size.bytes(),
            old_tag: TAG_SOURCE,
            source_page: 0,
            flags: open_flags(sync),
            expect_error: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::PAGE;

    #[test]
    fn a_target_is_new_and_written_from_its_start() {
        let case = WriteCase::into_target(Target::NEW, WriteSync::None, Pages(8));
        assert_eq!((case.name, case.layout, case.flags), ("target", Layout::New, 0));
        assert_eq!((case.offset, case.len, case.old_size), (0, 8 * PAGE, 0));
        assert_eq!((case.readable, case.expect_error), (8 * PAGE, false));
    }

    #[test]
    fn a_target_with_data_reaches_to_the_end_of_the_write() {
        let target = Target::At {
            layout: Layout::Nocow,
            offset: Pages(2),
        };
        let case = WriteCase::into_target(target, WriteSync::Dsync, Pages(4));
        assert_eq!((case.layout, case.flags), (Layout::Nocow, libc::O_DSYNC));
        assert_eq!((case.offset, case.old_size), (2 * PAGE, 6 * PAGE));
    }

    #[test]
    fn an_appending_write_finds_its_prefix() {
        let case = WriteCase::into_target(Target::APPEND, WriteSync::Sync, Pages(8));
        assert_eq!(
            (case.layout, case.offset, case.old_size),
            (Layout::Existing, 4 * PAGE, 4 * PAGE)
        );
        assert_eq!(case.flags, libc::O_APPEND | libc::O_SYNC);
    }

    #[test]
    fn a_write_onto_its_source_has_a_range_of_it() {
        let range = 2 * PAGE..6 * PAGE;
        let case = WriteCase::onto_source(DataLayout::Fragmented, WriteSync::Sync, Pages(8), range);
        assert_eq!(
            (case.name, case.layout, case.old_tag),
            ("source", Layout::Fragmented, TAG_SOURCE)
        );
        assert_eq!((case.offset, case.len, case.old_size), (2 * PAGE, 4 * PAGE, 8 * PAGE));
        assert_eq!((case.flags, case.expect_error), (libc::O_SYNC, false));
    }
}
