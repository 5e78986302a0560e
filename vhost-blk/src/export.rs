//! Writes the disk as it stands into a raw file of its own, sparse where it can be, for tools like `btrfs check`.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use thiserror::Error;

use crate::disk::Disk;

/// An export that did not work; nothing stands at its path then.
#[derive(Debug, Error)]
#[error("cannot export the disk to {}: {source}", path.display())]
pub struct ExportError {
    path: PathBuf,
    source: io::Error,
}

impl ExportError {
    /// What the file system says.
    pub(crate) fn io_error(&self) -> &io::Error {
        &self.source
    }
}

/// Writes the disk to `path`: beside it first, then renamed, so that a reader sees the whole file or none. Returns
/// how many bytes of data were written; the rest is holes.
///
/// # Errors
/// The file cannot be written.
pub fn export(disk: &Disk, path: &Path) -> Result<u64, ExportError> {
    let error = |source| ExportError {
        path: path.to_owned(),
        source,
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".partial-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = write(disk, &beside).and_then(|bytes| std::fs::rename(&beside, path).map(|()| bytes));
    if written.is_err() {
        // Best effort: the error that is told is the first one.
        let _ = std::fs::remove_file(&beside);
    }
    written.map_err(error)
}

fn write(disk: &Disk, path: &Path) -> io::Result<u64> {
    let out = File::create(path)?;
    disk.frozen(|overlay| {
        out.set_len(overlay.bytes())?;
        let mut data = data_ranges(disk.golden(), overlay.bytes())?;
        data.extend(overlay.dirty_ranges());
        let data = without(&merge(data), &overlay.zero_ranges());
        let mut bytes = 0;
        for range in data {
            overlay.each_piece(&range, |at, bytes| out.write_all_at(bytes, at))?;
            bytes += range.end - range.start;
        }
        Ok(bytes)
    })
}

/// Where a sparse file has data. A file system that cannot say answers "everywhere", which is right, only larger.
fn data_ranges(file: &File, bytes: u64) -> io::Result<Vec<Range<u64>>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < bytes {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data from here to the end.
            Err(Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = seek(file, SeekFrom::Hole(start))?.min(bytes);
        if end <= start {
            break;
        }
        ranges.push(start..end);
        at = end;
    }
    Ok(ranges)
}

/// Sorts ranges and joins those that touch or overlap.
fn merge(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_unstable_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(ranges.len());
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// `ranges` with `holes` cut out; both sorted and disjoint.
fn without(ranges: &[Range<u64>], holes: &[Range<u64>]) -> Vec<Range<u64>> {
    let mut left = Vec::with_capacity(ranges.len());
    let mut holes = holes.iter().peekable();
    for range in ranges {
        let mut start = range.start;
        while let Some(hole) = holes.peek().filter(|hole| hole.start < range.end) {
            if hole.start > start {
                left.push(start..hole.start);
            }
            start = start.max(hole.end);
            if hole.end > range.end {
                break;
            }
            holes.next();
        }
        if start < range.end {
            left.push(start..range.end);
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn disjoint() -> impl Strategy<Value = Vec<Range<u64>>> {
        proptest::collection::vec((0u64..60, 1u64..9), 0..8)
            .prop_map(|pairs| merge(pairs.into_iter().map(|(start, len)| start..start + len).collect()))
    }

    proptest! {
        #[test]
        fn range_arithmetic_is_set_arithmetic(a in disjoint(), holes in disjoint()) {
            let inside = |ranges: &[Range<u64>], x: u64| ranges.iter().any(|range| range.contains(&x));
            let left = without(&a, &holes);
            for x in 0..80 {
                prop_assert_eq!(inside(&left, x), inside(&a, x) && !inside(&holes, x), "at {}", x);
            }
        }
    }
}
