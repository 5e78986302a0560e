//! Does a request's work: moves bytes between guest memory and disk, as far as the outcome decided for it allows.

use vm_memory::{GuestMemory, Permissions};

use crate::completion::Effect;
use crate::decide::Outcome;
use crate::disk::Disk;
use crate::op::Op;
use crate::plan::{FailStatus, ShortStatus};
use crate::request::{Buffer, Mem, RangeOnDisk, Request, SECTOR_BYTES};
use crate::trace::Status;

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
    /// What get-id returns.
    pub serial: &'a [u8; SERIAL_BYTES],
}

/// The disk's status, bytes moved and bytes written to guest memory.
type Done = Result<(u64, u32), Status>;

/// Does the work. Never fails: what goes wrong is the request's status.
#[must_use]
pub fn execute(request: &Request, target: Target<'_>, mem: &Mem, outcome: Option<Outcome>) -> Effect {
    let (limit, told) = match outcome {
        Some(Outcome::Fail(FailStatus::IoErr)) => return failed(Status::IoErr),
        Some(Outcome::Fail(FailStatus::Unsupp)) => return failed(Status::Unsupp),
        Some(Outcome::Short {
            bytes,
            then: ShortStatus::IoErr,
        }) => (bytes, Some(Status::IoErr)),
        Some(Outcome::Short {
            bytes,
            then: ShortStatus::Ok,
        }) => (bytes, None),
        None => (u64::MAX, None),
    };
    let done = match request.facts.op {
        Op::Read | Op::Write => move_data(request, target, mem, limit),
        Op::Flush => Ok((0, 0)),
        Op::GetId => get_id(request, target, mem),
        Op::Discard | Op::WriteZeroes => zero_ranges(request, target),
    };
    match done {
        Ok((bytes, written)) => Effect {
            status: told.unwrap_or(Status::Ok),
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

fn move_data(request: &Request, target: Target<'_>, mem: &Mem, limit: u64) -> Done {
    let (facts, disk) = (&request.facts, target.disk);
    if facts.op == Op::Write && target.read_only {
        return Err(Status::IoErr);
    }
    // The whole request must lie on the disk, also when only its first bytes are moved.
    let start = disk_range(facts.sector, facts.len, disk)?;
    let access = if facts.op == Op::Read {
        Permissions::Write
    } else {
        Permissions::Read
    };
    let mut moved: u64 = 0;
    for Buffer { addr, len } in &request.buffers {
        let len = u64::from(*len).min(limit.saturating_sub(moved));
        let len = usize::try_from(len).map_err(|_| Status::IoErr)?;
        for slice in mem.get_slices(*addr, len, access).map_err(|_| Status::IoErr)? {
            let slice = slice.map_err(|_| Status::IoErr)?;
            let offset = start + moved;
            let done = if facts.op == Op::Read {
                disk.read(offset, &slice)
            } else {
                disk.write(offset, &slice)
            };
            done.map_err(|_| Status::IoErr)?;
            moved += slice.len() as u64;
        }
    }
    let written = if facts.op == Op::Read {
        u32::try_from(moved).unwrap_or(u32::MAX)
    } else {
        0
    };
    Ok((moved, written))
}

/// The byte offset of a range that lies on the disk.
fn disk_range(sector: u64, len: u64, disk: &Disk) -> Result<u64, Status> {
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
    Ok((written as u64, u32::try_from(written).unwrap_or(0)))
}

fn zero_ranges(request: &Request, target: Target<'_>) -> Done {
    if target.read_only {
        return Err(Status::IoErr);
    }
    let allowed = if request.facts.op == Op::WriteZeroes {
        FLAG_UNMAP
    } else {
        0
    };
    let mut bytes = 0;
    // All ranges are checked before the first is touched: a request is done as a whole or not at all.
    for RangeOnDisk { sector, sectors, flags } in &request.ranges {
        if flags & !allowed != 0 {
            return Err(Status::Unsupp);
        }
        disk_range(*sector, u64::from(*sectors) * SECTOR_BYTES, target.disk)?;
    }
    for RangeOnDisk { sector, sectors, .. } in &request.ranges {
        let len = u64::from(*sectors) * SECTOR_BYTES;
        target
            .disk
            .zero(sector * SECTOR_BYTES, len)
            .map_err(|_| Status::IoErr)?;
        bytes += len;
    }
    Ok((bytes, 0))
}
