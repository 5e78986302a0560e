//! What the write tests have in common: one direct write, its result, and what it promises about the file.
//!
//! A test reads its write from its parameters (`settings`), makes the files and does the write (`run`), and compares
//! the file with what the result promised (`promise`) after a fresh mount (`verify`).

mod promise;
mod run;
mod settings;
mod verify;

use crate::target::Layout;

pub use promise::Written;
pub use run::{arm_faults, arm_residency, make_source, map_source, write, write_from_source};
pub use settings::{DEFAULT_SIZE, Target, layout_with_data, open_flags, present};
pub use verify::{verify, verify_content};

/// Name of the file that the buffer of a write maps.
const SOURCE: &str = "source";

/// Name under which the write's result is kept for the verify phase.
const RESULT: &str = "write";

/// One direct write into one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteCase {
    /// Name of the file written to.
    pub name: &'static str,
    /// Offset of the write; with `O_APPEND` this is the file's size.
    pub offset: usize,
    /// Length of the write.
    pub len: usize,
    /// How much of the buffer can be read, from its beginning; less than `len` where it is forbidden further on.
    pub readable: usize,
    /// How the file was made, and its size then.
    pub layout: Layout,
    /// Size before the write.
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

#[cfg(test)]
mod tests;
