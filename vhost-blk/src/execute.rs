//! Does a request's work: moves bytes between guest memory and disk, as far as the outcome decided for it allows.

use std::ops::Range;
use std::time::Duration;

use vhost_blk_api::op::Op;
use vhost_blk_api::plan::{FailStatus, ShortStatus};
use vhost_blk_api::trace::{RangeOnDisk, Status};
use vm_memory::{GuestAddress, GuestMemory, Permissions, VolatileSlice};

use crate::completion::Effect;
use crate::config::RANGE_SECTORS_MAX;
use crate::corrupt::corrupt;
use crate::decide::Outcome;
use crate::disk::{Changes, Disk, Together};
use crate::request::{Buffer, Mem, Request, SECTOR_BYTES};

/// Bytes of the serial number that get-id returns.
pub const SERIAL_BYTES: usize = 20;

/// "May unmap" of a write-zeroes range.
const FLAG_UNMAP: u32 = 1;

/// What a request is done against.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The disk.
    pub disk: &'a Disk,
    /// Whether writing is refused.
    pub read_only: bool,
    /// Whether what is written is durable at once, as without a write cache.
    pub write_through: bool,
    /// What get-id returns.
    pub serial: &'a [u8; SERIAL_BYTES],
}

/// The disk's status, bytes moved and bytes written to guest memory.
pub(crate) type Done = Result<(u64, u32), Status>;

/// Does the work. Never fails: what goes wrong is the request's status.
#[must_use]
pub fn execute(request: &Request, target: Target<'_>, mem: &Mem, outcome: Option<Outcome>) -> Effect {
    let (limit, instead) = match outcome {
        Some(Outcome::Fail(FailStatus::IoErr)) => return failed(Status::IoErr),
        Some(Outcome::Fail(FailStatus::Unsupp)) => return failed(Status::Unsupp),
        Some(Outcome::Early(time)) => {
            target.disk.history.flush(time);
            return told(Ok((0, 0)), None);
        }
        Some(Outcome::Drop) => return told(check(request, target).map(|()| (0, 0)), None),
        Some(Outcome::Short {
            bytes,
            then: ShortStatus::IoErr,
        }) => (bytes, Some(Status::IoErr)),
        Some(Outcome::Short {
            bytes,
            then: ShortStatus::Ok,
        }) => (bytes, None),
        Some(Outcome::Corrupt { .. }) | None => (u64::MAX, None),
    };
    let done = match (outcome, request.facts.op) {
        (Some(Outcome::Corrupt { how, seed }), _) => corrupt(request, target, mem, how, seed),
        (_, Op::Read | Op::Write) => move_data(request, target, mem, limit),
        (_, Op::Flush) => {
            target.disk.history.flush(Duration::ZERO);
            Ok((0, 0))
        }
        (_, Op::GetId) => get_id(request, target, mem),
        (_, Op::Discard | Op::WriteZeroes) => zero_ranges(request, target),
    };
    // Whatever an outcome has put there, too: it is acknowledged.
    if target.write_through && request.facts.op != Op::Read {
        target.disk.history.flush(Duration::ZERO);
    }
    told(done, instead)
}

/// What the guest is told of what was done: the disk's status, or another one in place of success.
fn told(done: Done, instead: Option<Status>) -> Effect {
    match done {
        Ok((bytes, written)) => Effect {
            status: instead.unwrap_or(Status::Ok),
            bytes,
            written,
        },
        Err(status) => failed(status),
    }
}

fn failed(status: Status) -> Effect {
    Effect {
        status,
        bytes: 0,
        written: 0,
    }
}

/// Checks that a request can be done; the disk is not touched.
fn check(request: &Request, target: Target<'_>) -> Result<(), Status> {
    let facts = &request.facts;
    match facts.op {
        Op::Read => disk_range(facts.sector, facts.len, target.disk).map(drop),
        Op::Write if target.read_only => Err(Status::IoErr),
        Op::Write => disk_range(facts.sector, facts.len, target.disk).map(drop),
        Op::Flush | Op::GetId => Ok(()),
        Op::Discard | Op::WriteZeroes => check_ranges(request, target),
    }
}

fn move_data(request: &Request, target: Target<'_>, mem: &Mem, limit: u64) -> Done {
    // The whole request must lie on the disk, also when only its first bytes are moved.
    check(request, target)?;
    let moved = request.facts.len.min(limit);
    let mut access = Access::of(request, target.disk);
    access.move_part(request, mem, 0..moved, request.facts.sector)?;
    Ok((moved, written(request, moved)))
}

/// Adds what a read or write moves to what is done together; what the request comes to once that is done. Nothing if it cannot be done so: then
/// what was added of it does no harm, for it is done again.
pub(crate) fn gather<'m>(
    request: &Request,
    target: Target<'_>,
    mem: &'m Mem,
    together: &mut Together<'_, 'm>,
) -> Option<Effect> {
    let facts = &request.facts;
    if !facts.op.moves_data() || check(request, target).is_err() {
        return None;
    }
    for_each_piece(request, mem, 0..facts.len, |at, slice| {
        let offset = facts.sector * SECTOR_BYTES + at;
        let added = match facts.op {
            Op::Read => together.read(offset, slice).map(|()| true),
            _ => together.write(offset, slice),
        };
        match added {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(Status::IoErr),
        }
    })
    .ok()?;
    Some(told(Ok((facts.len, written(request, facts.len))), None))
}

/// A disk, and the changes that one request makes to it.
pub(crate) struct Access<'a> {
    disk: &'a Disk,
    changes: Option<Changes<'a>>,
}

impl<'a> Access<'a> {
    /// For this request.
    pub(crate) fn of(request: &Request, disk: &'a Disk) -> Access<'a> {
        Access {
            disk,
            changes: (request.facts.op != Op::Read).then(|| disk.change()),
        }
    }

    /// Moves a part (in bytes) of a request's data to or from where it lies on a disk on which the whole request begins at `sector`.
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

/// Calls `each` with every piece of guest memory that holds a part (in bytes) of a request's data, and where in the data it begins.
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

fn get_id(request: &Request, target: Target<'_>, mem: &Mem) -> Done {
    let mut left: &[u8] = target.serial;
    for Buffer { addr, len } in &request.buffers {
        let len = left.len().min(*len as usize);
        let (now, later) = left.split_at(len);
        let mut from = now;
        for slice in mem
            .get_slices(*addr, len, Permissions::Write)
            .map_err(|_| Status::IoErr)?
        {
            let slice = slice.map_err(|_| Status::IoErr)?;
            slice.copy_from(from);
            from = from.get(slice.len()..).unwrap_or_default();
        }
        left = later;
    }
    let written = SERIAL_BYTES - left.len();
    // None of it comes from the disk.
    Ok((0, u32::try_from(written).unwrap_or(0)))
}

/// Checks all ranges: a request is done as a whole or not at all.
fn check_ranges(request: &Request, target: Target<'_>) -> Result<(), Status> {
    if target.read_only {
        return Err(Status::IoErr);
    }
    let allowed = if request.facts.op == Op::WriteZeroes {
        FLAG_UNMAP
    } else {
        0
    };
    for RangeOnDisk { sector, sectors, flags } in &request.ranges {
        if flags & !allowed != 0 {
            return Err(Status::Unsupp);
        }
        // A driver must not, and one that did could keep its ring from being stopped for as long as it likes.
        if *sectors > RANGE_SECTORS_MAX {
            return Err(Status::IoErr);
        }
        disk_range(*sector, u64::from(*sectors) * SECTOR_BYTES, target.disk)?;
    }
    Ok(())
}

fn zero_ranges(request: &Request, target: Target<'_>) -> Done {
    check_ranges(request, target)?;
    let mut access = Access::of(request, target.disk);
    for RangeOnDisk { sector, sectors, .. } in &request.ranges {
        access.zero(sector * SECTOR_BYTES, u64::from(*sectors) * SECTOR_BYTES)?;
    }
    // However large they are, nothing is moved.
    Ok((0, 0))
}
