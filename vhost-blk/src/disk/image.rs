//! What every part of the disk speaks of: the golden image's bytes, blocks, and pieces of guest memory.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use thiserror::Error;
use vm_memory::VolatileSlice;

/// Granularity of the overlay's states in bytes.
pub(crate) const BLOCK_BYTES: u64 = 4096;

/// How much is moved at a time where there is no need for all at once.
pub(super) const PIECE_BYTES: u64 = 1 << 20;

/// An access that was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AccessError {
    /// The range lies outside the disk.
    #[error("the range lies outside the disk")]
    OutOfRange,
    /// The files behind the disk cannot be read or written.
    #[error("the disk's storage fails: {0}")]
    Storage(io::ErrorKind),
}

/// What an image holds in a range; zeros beyond its end.
pub(super) fn golden(image: &File, range: &Range<u64>) -> Result<Vec<u8>, AccessError> {
    let len = usize::try_from(range.end - range.start).map_err(|_| AccessError::OutOfRange)?;
    let mut bytes = vec![0; len];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match image.read_at(rest, range.start + done as u64) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(AccessError::Storage(error.kind())),
        }
    }
    Ok(bytes)
}

/// The part of a slice that begins at `offset` of the disk which these bytes of the disk are.
pub(super) fn part_of<'a>(
    slice: &VolatileSlice<'a>,
    offset: u64,
    part: &Range<u64>,
) -> Result<VolatileSlice<'a>, AccessError> {
    let start = (part.start - offset) as usize;
    let len = (part.end - part.start) as usize;
    slice.subslice(start, len).map_err(|_| AccessError::OutOfRange)
}

/// Makes all of a slice zeros.
pub(crate) fn fill_zero(slice: &VolatileSlice<'_>) {
    const ZEROS: [u8; BLOCK_BYTES as usize] = [0; BLOCK_BYTES as usize];
    let mut done = 0;
    while let Ok(rest) = slice.offset(done) {
        if rest.is_empty() {
            break;
        }
        rest.copy_from(&ZEROS[..]);
        done += rest.len().min(ZEROS.len());
    }
}
