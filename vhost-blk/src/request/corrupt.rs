//! Reads and writes that move other data than they should.

use std::collections::BTreeSet;
use std::ops::Range;

use vhost_blk_api::op::{Op, SECTOR_BYTES};
use vhost_blk_api::plan::{Corruption, Sectors};
use vhost_blk_api::rng::Rng;
use vhost_blk_api::trace::Status;
use vm_memory::VolatileSlice;

use super::access::{Access, Done, Target, disk_range, for_each_piece, written};
use super::chain::{Mem, Request};
use crate::disk::Disk;

/// Moves a request's data, and damages it on the way.
///
/// What is read is damaged in guest memory and stays good on the disk; what is written is damaged on the disk.
pub(crate) fn corrupt(request: &Request, target: Target<'_>, mem: &Mem, how: Corruption, seed: u64) -> Done {
    let (facts, disk) = (&request.facts, target.disk);
    let reads = facts.op == Op::Read;
    if !reads && target.read_only {
        return Err(Status::IoErr);
    }
    let start = disk_range(facts.sector, facts.len, disk)?;
    let mut access = Access::of(request, target);
    let mut rng = Rng::for_choice(seed, "corrupt", facts.sector);
    let all = 0..facts.len;
    match how {
        Corruption::Misdirect(by) => {
            let elsewhere = facts
                .sector
                .checked_add_signed(by)
                .filter(|sector| disk_range(*sector, facts.len, disk).is_ok());
            match elsewhere {
                Some(sector) => access.move_part(request, mem, all, sector)?,
                None if reads => fill(request, mem, all)?,
                None => {}
            }
        }
        Corruption::Flip(bits) => {
            access.move_part(request, mem, all, facts.sector)?;
            for place in distinct(u64::from(bits), facts.len * 8, &mut rng) {
                let (at, bit) = (place / 8, place % 8);
                if reads {
                    for_each_piece(request, mem, at..at + 1, |_, slice| flip(slice, bit))?;
                } else {
                    flip_on(&mut access, disk, start + at, bit)?;
                }
            }
        }
        Corruption::Zero(sectors) => {
            access.move_part(request, mem, all, facts.sector)?;
            let row = row(sectors, facts.len, &mut rng);
            if reads {
                fill(request, mem, row)?;
            } else {
                access.zero(start + row.start, row.end - row.start)?;
            }
        }
        Corruption::Stale(sectors) => {
            let row = row(sectors, facts.len, &mut rng);
            for part in [0..row.start, row.end..facts.len] {
                access.move_part(request, mem, part, facts.sector)?;
            }
            if reads {
                for_each_piece(request, mem, row, |at, slice| {
                    disk.read_golden(start + at, slice).map_err(|_| Status::IoErr)
                })?;
            }
        }
    }
    Ok((facts.len, written(request, facts.len)))
}

/// So many different numbers below `bound`, or all there are (Floyd's algorithm): a bit that is inverted twice is as it
/// was.
fn distinct(count: u64, bound: u64, rng: &mut Rng) -> BTreeSet<u64> {
    let mut chosen = BTreeSet::new();
    for last in bound.saturating_sub(count)..bound {
        let number = rng.below(last + 1);
        if !chosen.insert(number) {
            chosen.insert(last);
        }
    }
    chosen
}

/// The bytes of a request's data that a row of its sectors takes.
fn row(sectors: Sectors, len: u64, rng: &mut Rng) -> Range<u64> {
    let whole = len / SECTOR_BYTES;
    let count = match sectors {
        Sectors::All => whole,
        Sectors::Some(count) => whole.min(u64::from(count)),
    };
    let first = rng.below(whole - count + 1);
    first * SECTOR_BYTES..(first + count) * SECTOR_BYTES
}

/// Fills a part of what is read with zeros.
fn fill(request: &Request, mem: &Mem, part: Range<u64>) -> Result<(), Status> {
    for_each_piece(request, mem, part, |_, slice| {
        crate::disk::image::fill_zero(slice);
        Ok(())
    })
}

fn flip(slice: &VolatileSlice<'_>, bit: u64) -> Result<(), Status> {
    let mut byte = [0u8];
    slice.copy_to(&mut byte);
    byte[0] ^= 1 << bit;
    slice.copy_from(&byte);
    Ok(())
}

fn flip_on(access: &mut Access<'_>, disk: &Disk, offset: u64, bit: u64) -> Result<(), Status> {
    let mut byte = [0u8];
    let slice = VolatileSlice::from(&mut byte[..]);
    disk.read(offset, &slice).map_err(|_| Status::IoErr)?;
    flip(&slice, bit)?;
    access.write(offset, &slice)
}

#[cfg(test)]
mod tests;
