//! Writes the disk as it stands, as it stood, or as it would stand after a power cut, into a raw file of its own,
//! sparse where it can be, for tools like `btrfs check`.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use thiserror::Error;
use vhost_blk_api::control::Cut;

use crate::disk::Disk;
use crate::disk::overlay::Overlay;
use crate::power::picture::{Picture, PictureError, Source, StateRequest};

/// An export that did not work; nothing stands at its path then.
#[derive(Debug, Error)]
pub(crate) enum ExportError {
    #[error("cannot export the disk to {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// What is wanted is not known.
    #[error("cannot export the disk: {0}")]
    Picture(#[from] PictureError),
}

impl ExportError {
    /// What the file system says, if it was asked.
    pub(crate) fn io_error(&self) -> Option<&io::Error> {
        match self {
            ExportError::Io { source, .. } => Some(source),
            ExportError::Picture(_) => None,
        }
    }
}

/// An export that worked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exported {
    /// Bytes of data in the file; the rest are holes.
    pub(crate) data_bytes: u64,
    /// What the power cut did, if one was wanted.
    pub(crate) cut: Option<Cut>,
}

/// Writes the disk to `path`: beside it first, then renamed, so that a reader sees the whole file or none. The disk is
/// left as it is, whatever is wanted.
///
/// # Errors
/// The file cannot be written, or what is wanted is not known.
pub(crate) fn export(disk: &Disk, path: &Path, wanted: &StateRequest<'_>) -> Result<Exported, ExportError> {
    let write = |look: &mut dyn FnMut(&File) -> io::Result<u64>| beside(path, look);
    // As it stands needs no history.
    let log = (wanted.at.is_some() || wanted.power_cut.is_some()).then(|| disk.history.lock());
    disk.frozen(|overlay| {
        let mut picture = Picture::new(overlay.bytes());
        let cut = match &log {
            None => None,
            Some(log) => log.as_ref().ok_or(PictureError::NotKept)?.draw(wanted, &mut picture)?,
        };
        let data_bytes = write(&mut |out| fill(out, disk, overlay, &picture))?;
        Ok(Exported { data_bytes, cut })
    })
}

/// Has a file written beside its path, then gives it its name.
fn beside(path: &Path, write: &mut dyn FnMut(&File) -> io::Result<u64>) -> Result<u64, ExportError> {
    let error = |source| ExportError::Io {
        path: path.to_owned(),
        source,
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".partial-{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = File::create(&beside)
        .and_then(|out| write(&out))
        .and_then(|bytes| std::fs::rename(&beside, path).map(|()| bytes));
    if written.is_err() {
        // Best effort: the error that is told is the first one.
        let _ = std::fs::remove_file(&beside);
    }
    written.map_err(error)
}

/// Writes a picture into an empty file; returns how many bytes that are.
fn fill(out: &File, disk: &Disk, overlay: &Overlay, picture: &Picture) -> io::Result<u64> {
    out.set_len(picture.bytes())?;
    let golden = data_ranges(disk.golden(), disk.image_bytes())?;
    let on_disk = merge([&golden[..], &overlay.dirty_ranges()].concat());
    let on_disk = without(&on_disk, &overlay.zero_ranges());
    let mut bytes = 0;
    for (range, source) in picture.pieces() {
        let put = |at: u64, bytes: &[u8]| out.write_all_at(bytes, at);
        bytes += match source {
            Source::Disk => within(&on_disk, &range, |part| overlay.each_piece(&part, put))?,
            Source::Golden => within(&golden, &range, |part| disk.each_golden_piece(&part, put))?,
            Source::Bytes(bytes) => {
                put(range.start, bytes)?;
                range.end - range.start
            }
        };
    }
    Ok(bytes)
}

/// Calls `each` with what of some ranges, sorted and disjoint, lies within another; returns how many bytes that are.
fn within(
    ranges: &[Range<u64>],
    range: &Range<u64>,
    mut each: impl FnMut(Range<u64>) -> io::Result<()>,
) -> io::Result<u64> {
    let first = ranges.partition_point(|other| other.end <= range.start);
    let mut bytes = 0;
    for other in ranges.iter().skip(first).take_while(|other| other.start < range.end) {
        let part = other.start.max(range.start)..other.end.min(range.end);
        bytes += part.end - part.start;
        each(part)?;
    }
    Ok(bytes)
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
