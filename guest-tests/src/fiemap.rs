//! The extents of a file (FS_IOC_FIEMAP), to see holes where data was promised.

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::ioctl::{Updater, opcode};

/// Extents asked for in one call.
const BATCH: usize = 128;
/// More extents than this are an error: the largest file of any test has fewer pages.
const EXTENTS_MAX: usize = 1 << 16;

const FLAG_LAST: u32 = 0x1;
const FLAG_DELALLOC: u32 = 0x4;
const FLAG_UNWRITTEN: u32 = 0x800;

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct RawExtent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved64: [u64; 2],
    flags: u32,
    reserved: [u32; 3],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    start: u64,
    length: u64,
    flags: u32,
    mapped_extents: u32,
    extent_count: u32,
    reserved: u32,
}

#[repr(C)]
struct Request {
    header: Header,
    extents: [RawExtent; BATCH],
}

/// The size in the ioctl's number is that of the header alone, without the extents behind it.
const FS_IOC_FIEMAP: rustix::ioctl::Opcode = opcode::read_write::<Header>(b'f', 11);

/// One extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    /// Offset in the file, in bytes.
    pub logical: u64,
    /// Offset on the device (btrfs: in its logical address space), in bytes.
    pub physical: u64,
    /// Length in bytes.
    pub len: u64,
    /// Allocated but not written: reads as zeros.
    pub unwritten: bool,
    /// Not allocated yet.
    pub delayed: bool,
}

/// The extents of a file.
///
/// # Errors
/// The ioctl failed; `EOPNOTSUPP` where the file system has no FIEMAP.
pub(crate) fn extents(file: impl AsFd) -> Result<Vec<Extent>, Errno> {
    let mut all: Vec<Extent> = Vec::new();
    let mut start = 0;
    while all.len() < EXTENTS_MAX {
        let mut request = Request {
            header: Header {
                start,
                length: u64::MAX - start,
                flags: 0,
                mapped_extents: 0,
                extent_count: BATCH as u32,
                reserved: 0,
            },
            extents: [RawExtent::default(); BATCH],
        };
        // SAFETY: FS_IOC_FIEMAP reads and writes a header followed by `extent_count` extents, which is what `Request`
        // is.
        let ioctl = unsafe { Updater::<{ FS_IOC_FIEMAP }, Request>::new(&mut request) };
        // SAFETY: the request lives until the call returns, and the kernel writes within it alone.
        unsafe { rustix::ioctl::ioctl(&file, ioctl) }?;
        let count = (request.header.mapped_extents as usize).min(BATCH);
        for raw in &request.extents[..count] {
            all.push(Extent {
                logical: raw.logical,
                physical: raw.physical,
                len: raw.length,
                unwritten: raw.flags & FLAG_UNWRITTEN != 0,
                delayed: raw.flags & FLAG_DELALLOC != 0,
            });
        }
        match request.extents[..count].last() {
            Some(last) if last.flags & FLAG_LAST == 0 => start = last.logical.saturating_add(last.length),
            _ => return Ok(all),
        }
    }
    Err(Errno::FBIG)
}

/// The first part of `[start, end)` that no written extent covers, as offset and length.
#[must_use]
pub(crate) fn first_hole(extents: &[Extent], start: u64, end: u64) -> Option<(u64, u64)> {
    let mut at = start;
    for extent in extents.iter().filter(|extent| !extent.unwritten) {
        if at >= end || extent.logical > at {
            break;
        }
        at = at.max(extent.logical.saturating_add(extent.len));
    }
    if at >= end {
        return None;
    }
    let next = extents
        .iter()
        .filter(|extent| !extent.unwritten && extent.logical > at)
        .map(|extent| extent.logical)
        .min();
    Some((at, next.unwrap_or(end).min(end) - at))
}

/// A short text of the extents: count, and the first few.
#[must_use]
pub(crate) fn text(extents: &[Extent]) -> String {
    let shown: Vec<String> = extents
        .iter()
        .take(4)
        .map(|extent| {
            let mark = if extent.unwritten { " unwritten" } else { "" };
            format!("{}+{}{mark}", extent.logical, extent.len)
        })
        .collect();
    let more = if extents.len() > shown.len() { " …" } else { "" };
    format!("{} extents: {}{more}", extents.len(), shown.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(logical: u64, len: u64, unwritten: bool) -> Extent {
        Extent {
            logical,
            physical: 0,
            len,
            unwritten,
            delayed: false,
        }
    }

    #[test]
    fn finds_the_first_hole() {
        let full = [extent(0, 4096, false), extent(4096, 8192, false)];
        assert_eq!(first_hole(&full, 0, 12288), None);
        assert_eq!(first_hole(&full, 0, 16384), Some((12288, 4096)));
        let headless = [extent(4096, 8192, false)];
        assert_eq!(first_hole(&headless, 0, 12288), Some((0, 4096)));
        assert_eq!(first_hole(&headless, 4096, 12288), None);
        let unwritten = [extent(0, 4096, true), extent(4096, 8192, false)];
        assert_eq!(first_hole(&unwritten, 0, 12288), Some((0, 4096)));
        assert_eq!(first_hole(&[], 0, 4096), Some((0, 4096)));
        assert_eq!(text(&unwritten), "2 extents: 0+4096 unwritten 4096+8192");
    }

    #[test]
    fn the_ioctl_has_the_number_of_the_kernel_headers() {
        assert_eq!(FS_IOC_FIEMAP, 0xC020_660B);
        assert_eq!(size_of::<RawExtent>(), 56);
    }
}
