//! What a request's work touches: the disk, and the guest memory that holds its data.

use std::ops::Range;

use vhost_blk_api::op::{Op, SECTOR_BYTES};
use vhost_blk_api::trace::Status;
use vm_memory::{GuestAddress, GuestMemory, Permissions, VolatileSlice};

use super::buffers::Buffer;
use super::chain::{Mem, Request};
use crate::config::SERIAL_BYTES;
use crate::disk::{Changes, Disk};

/// What a request is done against.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The disk that is read and written.
    pub disk: &'a Disk,
    /// Whether writing is refused.
    pub read_only: bool,
    /// Whether what is written is durable at once, as without a write cache.
    pub write_through: bool,
    /// How many of the history's entries a flush makes durable: those of requests that were completed before it was
    /// submitted.
    pub flushes: u64,
    /// What the request is known by among those in flight, if it is.
    pub flight: Option<u64>,
    /// What get-id returns.
    pub serial: &'a [u8; SERIAL_BYTES],
}

/// The disk's status, bytes moved and bytes written to guest memory.
pub(crate) type Done = Result<(u64, u32), Status>;

/// A disk, and the changes that one request makes to it.
pub(crate) struct Access<'a> {
    disk: &'a Disk,
    changes: Option<Changes<'a>>,
}

impl<'a> Access<'a> {
    /// For this request.
    pub(crate) fn of(request: &Request, target: Target<'a>) -> Access<'a> {
        let disk = target.disk;
        Access {
            disk,
            changes: (request.facts.op != Op::Read).then(|| disk.change(target.flight)),
        }
    }

    /// Moves a part (in bytes) of a request's data to or from where it lies on a disk on which the whole request begins
    /// at `sector`.
    pub(crate) fn move_part(
        &mut self,
        request: &Request,
        mem: &Mem,
        part: Range<u64>,
        sector: u64,
    ) -> Result<(), Status> {
        for_each_piece(request, mem, part, |at, slice| {
            let offset = sector * SECTOR_BYTES + at;
            let done = match &mut self.changes {
                Some(changes) => changes.write(offset, slice),
                None => self.disk.read(offset, slice),
            };
            done.map_err(|_| Status::IoErr)
        })
    }

    /// Copies to the disk; a read's request writes nothing.
    pub(crate) fn write(&mut self, offset: u64, from: &VolatileSlice<'_>) -> Result<(), Status> {
        match &mut self.changes {
            Some(changes) => changes.write(offset, from).map_err(|_| Status::IoErr),
            None => Err(Status::IoErr),
        }
    }

    /// Makes a range of the disk zeros; a read's request writes nothing.
    pub(crate) fn zero(&mut self, offset: u64, bytes: u64) -> Result<(), Status> {
        match &mut self.changes {
            Some(changes) => changes.zero(offset, bytes).map_err(|_| Status::IoErr),
            None => Err(Status::IoErr),
        }
    }
}

/// Calls `each` with every piece of guest memory that holds a part (in bytes) of a request's data, and where in the
/// data it begins.
pub(crate) fn for_each_piece<'m>(
    request: &Request,
    mem: &'m Mem,
    part: Range<u64>,
    mut each: impl FnMut(u64, &VolatileSlice<'m>) -> Result<(), Status>,
) -> Result<(), Status> {
    let access = if request.facts.op == Op::Read {
        Permissions::Write
    } else {
        Permissions::Read
    };
    let mut at: u64 = 0;
    for Buffer { addr, len } in &request.buffers {
        let (start, end) = (at.max(part.start), (at + u64::from(*len)).min(part.end));
        if start < end {
            let first = GuestAddress(addr.0 + (start - at));
            let len = usize::try_from(end - start).map_err(|_| Status::IoErr)?;
            let mut done = start;
            for slice in mem.get_slices(first, len, access).map_err(|_| Status::IoErr)? {
                let slice = slice.map_err(|_| Status::IoErr)?;
                each(done, &slice)?;
                done += slice.len() as u64;
            }
        }
        at += u64::from(*len);
    }
    Ok(())
}

/// Bytes written to guest memory by a request that moved `moved`.
pub(crate) fn written(request: &Request, moved: u64) -> u32 {
    match request.facts.op {
        Op::Read => u32::try_from(moved).unwrap_or(u32::MAX),
        _ => 0,
    }
}

/// The byte offset of a range that lies on the disk.
pub(crate) fn disk_range(sector: u64, len: u64, disk: &Disk) -> Result<u64, Status> {
    let start = sector.checked_mul(SECTOR_BYTES).ok_or(Status::IoErr)?;
    let end = start.checked_add(len).ok_or(Status::IoErr)?;
    if end <= disk.bytes() {
        Ok(start)
    } else {
        Err(Status::IoErr)
    }
}
