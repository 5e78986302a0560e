//! How a request completes: what an action that says so comes to, and the work of a request with and without one.

use std::time::Duration;

use vhost_blk_api::op::{Op, SECTOR_BYTES};
use vhost_blk_api::plan::{Action, Corruption, FailStatus, ShortStatus, Spread};
use vhost_blk_api::trace::{RangeOnDisk, Status};
use vm_memory::{GuestMemory, Permissions};

use super::access::{Access, Done, Target, disk_range, for_each_piece, written};
use super::buffers::Buffer;
use super::chain::{Mem, Request};
use super::completion::Effect;
use super::corrupt::corrupt;
use crate::config::{RANGE_SECTORS_MAX, SERIAL_BYTES};
use crate::disk::Together;
use crate::power::change::Content;
use crate::power::in_flight::Pieces;
use crate::rulebook::decide::PickedAction;

/// "May unmap" of a write-zeroes range.
const FLAG_UNMAP: u32 = 1;

/// How a request completes, if a rule has a say in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestOutcome {
    /// With an error, without touching the disk.
    Fail(FailStatus),
    /// With only its first bytes moved.
    Short {
        /// Bytes that are moved, fewer than the request has.
        bytes: u64,
        /// What the guest is told.
        then: ShortStatus,
    },
    /// With other data than it should, and success.
    Corrupt {
        /// Which bits or sectors are wrong.
        how: Corruption,
        /// Seed of the places that are chosen.
        seed: u64,
    },
    /// Without anything done, and success.
    Drop,
    /// A flush: at once, and what it makes durable is so after this time.
    Early(Duration),
}

impl RequestOutcome {
    /// What an action comes to for one request; nothing of one that does not say how the request completes.
    pub(crate) fn of(picked: PickedAction) -> Option<RequestOutcome> {
        let PickedAction { action, mut rng } = picked;
        Some(match action {
            Action::Fail(status) => RequestOutcome::Fail(status),
            Action::Short { bytes, then } => RequestOutcome::Short { bytes, then },
            Action::Corrupt(how) => RequestOutcome::Corrupt {
                how,
                seed: rng.next_u64(),
            },
            Action::Drop => RequestOutcome::Drop,
            Action::Early(span) => RequestOutcome::Early(span.draw(Spread::Uniform, &mut rng)),
            Action::Delay { .. } | Action::Slow { .. } | Action::Hold { .. } | Action::Hang => return None,
            Action::Reorder { .. } | Action::Cut { .. } | Action::Disconnect => return None,
        })
    }

    /// Whether it can touch sectors of the disk that are not the request's own.
    pub(crate) fn goes_elsewhere(&self) -> bool {
        match self {
            RequestOutcome::Corrupt { .. } => true,
            RequestOutcome::Fail(_)
            | RequestOutcome::Short { .. }
            | RequestOutcome::Drop
            | RequestOutcome::Early(_) => false,
        }
    }

    /// The word of the action that it is of.
    pub(crate) fn action(&self) -> &'static str {
        match self {
            RequestOutcome::Fail(_) => "fail",
            RequestOutcome::Short { .. } => "short",
            RequestOutcome::Corrupt { .. } => "corrupt",
            RequestOutcome::Drop => "drop",
            RequestOutcome::Early(_) => "early",
        }
    }
}

/// Does the work. Never fails: what goes wrong is the request's status.
#[must_use]
pub fn execute(request: &Request, target: Target<'_>, mem: &Mem, outcome: Option<RequestOutcome>) -> Effect {
    let (limit, instead) = match outcome {
        Some(RequestOutcome::Fail(FailStatus::IoErr)) => return failed(Status::IoErr),
        Some(RequestOutcome::Fail(FailStatus::Unsupp)) => return failed(Status::Unsupp),
        Some(RequestOutcome::Early(time)) => {
            target.disk.history.flush(target.flushes, time);
            return told(Ok((0, 0)), None);
        }
        Some(RequestOutcome::Drop) => return told(check(request, target).map(|()| (0, 0)), None),
        Some(RequestOutcome::Short {
            bytes,
            then: ShortStatus::IoErr,
        }) => (bytes, Some(Status::IoErr)),
        Some(RequestOutcome::Short {
            bytes,
            then: ShortStatus::Ok,
        }) => (bytes, None),
        Some(RequestOutcome::Corrupt { .. }) | None => (u64::MAX, None),
    };
    let done = match (outcome, request.facts.op) {
        (Some(RequestOutcome::Corrupt { how, seed }), _) => corrupt(request, target, mem, how, seed),
        (_, Op::Read | Op::Write) => move_data(request, target, mem, limit),
        (_, Op::Flush) => {
            target.disk.history.flush(target.flushes, Duration::ZERO);
            Ok((0, 0))
        }
        (_, Op::GetId) => get_id(request, target, mem),
        (_, Op::Discard | Op::WriteZeroes) => zero_ranges(request, target),
    };
    // Whatever an outcome has put there, too: it is acknowledged.
    if target.write_through && request.facts.op != Op::Read {
        target.disk.history.flush(u64::MAX, Duration::ZERO);
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

/// What a request would change, as it arrives; nothing of one that changes nothing, or is refused.
pub(crate) fn what_it_changes(request: &Request, target: Target<'_>, mem: &Mem) -> Option<Pieces> {
    let facts = &request.facts;
    check(request, target).ok()?;
    match facts.op {
        Op::Read | Op::Flush | Op::GetId => None,
        Op::Write => {
            let mut bytes = vec![0; usize::try_from(facts.len).ok()?];
            for_each_piece(request, mem, 0..facts.len, |at, slice| {
                let at = usize::try_from(at).map_err(|_| Status::IoErr)?;
                let place = bytes.get_mut(at..at + slice.len()).ok_or(Status::IoErr)?;
                slice.copy_to(place);
                Ok(())
            })
            .ok()?;
            Some(vec![(facts.sector * SECTOR_BYTES, Content::Bytes(bytes.into()))])
        }
        Op::Discard | Op::WriteZeroes => {
            let zeros = |range: &RangeOnDisk| {
                let bytes = u64::from(range.sectors) * SECTOR_BYTES;
                (range.sector * SECTOR_BYTES, Content::Zeros(bytes))
            };
            Some(request.ranges.iter().map(zeros).collect())
        }
    }
}

fn move_data(request: &Request, target: Target<'_>, mem: &Mem, limit: u64) -> Done {
    // The whole request must lie on the disk, also when only its first bytes are moved.
    check(request, target)?;
    let moved = request.facts.len.min(limit);
    let mut access = Access::of(request, target);
    access.move_part(request, mem, 0..moved, request.facts.sector)?;
    Ok((moved, written(request, moved)))
}

/// Adds what a read or write moves to what is done together; what the request comes to once that is done. Nothing if it
/// cannot be done so: then what was added of it does no harm, for it is done again.
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
    let mut access = Access::of(request, target);
    for RangeOnDisk { sector, sectors, .. } in &request.ranges {
        access.zero(sector * SECTOR_BYTES, u64::from(*sectors) * SECTOR_BYTES)?;
    }
    // However large they are, nothing is moved.
    Ok((0, 0))
}
