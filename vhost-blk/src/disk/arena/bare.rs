//! Slots whose memory comes to be with bytes in it, by a [`Filler`]: those of long writes, and, with zeros, what is
//! made to be there ahead.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use vm_memory::VolatileSlice;

use super::{Arena, CHUNK, Place, State};
use crate::disk::fill::Filler;
use crate::disk::image::{AccessError, BLOCK_BYTES};

/// Blocks of a write that is long enough for it: 32 KiB. For less the memory that is there ahead is quicker.
const LONG: u32 = 8;
/// Chunks that are put aside for it at a time: 64 MiB of addresses. The kernel stops everybody who wants memory
/// meanwhile.
const COVERED: u32 = 32;

impl Arena {
    /// Takes slots in a row, as many as there are bytes for or fewer, and puts the bytes there.
    ///
    /// # Errors
    /// All are taken, or there is no memory.
    pub(in crate::disk) fn put(&self, from: &VolatileSlice<'_>) -> Result<Range<u32>, AccessError> {
        let wanted = from.len().div_ceil(BLOCK_BYTES as usize);
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX);
        if wanted >= LONG
            && from.len().is_multiple_of(BLOCK_BYTES as usize)
            && let Some((filler, slots)) = self.take_bare(wanted)
        {
            let (from, to) = self.both(from, &slots)?;
            if filler.copy(&from, &to).is_ok() {
                return Ok(slots);
            }
            // Whatever went wrong, if it is in the guest's memory or this machine's the other way finds out.
            drop(filler);
            if !self.uncover(&mut self.state()) {
                return Err(AccessError::Storage(io::ErrorKind::OutOfMemory));
            }
            from.copy_to_volatile_slice(to);
            return Ok(slots);
        }
        let slots = self.take(wanted)?;
        let (from, to) = self.both(from, &slots)?;
        from.copy_to_volatile_slice(to);
        Ok(slots)
    }

    /// What of a source goes to slots, and where.
    fn both<'a>(
        &'a self,
        from: &VolatileSlice<'a>,
        slots: &Range<u32>,
    ) -> Result<(VolatileSlice<'a>, VolatileSlice<'a>), AccessError> {
        let bytes = from.len().min(slots.len() * BLOCK_BYTES as usize);
        let from = from.subslice(0, bytes).map_err(|_| AccessError::OutOfRange)?;
        Ok((from, self.slice(slots.start, 0, bytes)?))
    }

    /// Takes slots in a row whose memory can come to be by the filler only; none if there is no filler, or no room for
    /// it.
    fn take_bare(&self, wanted: u32) -> Option<(Arc<Filler>, Range<u32>)> {
        let mut state = self.state();
        let ready = state.current.next < state.current.there || !state.ahead.is_empty();
        if ready {
            return None;
        }
        let filler = self.cover(&mut state)?;
        let run = state.bare.next..state.bare.next + wanted.min(state.bare.end - state.bare.next);
        state.bare.next = run.end;
        for chunk in run.start / CHUNK..run.end.div_ceil(CHUNK) {
            state.touch(chunk);
        }
        Some((filler, run))
    }

    /// The filler, and at least a slot that is its own.
    fn cover(&self, state: &mut State) -> Option<Arc<Filler>> {
        let filler = Arc::clone(state.filler.as_ref()?);
        if state.bare.next < state.bare.end {
            return Some(filler);
        }
        let first = state.fresh;
        let chunks = (self.slots / CHUNK - first).min(COVERED);
        if state.crowded || chunks == 0 {
            return None;
        }
        state.fresh += chunks;
        let slots = first * CHUNK..(first + chunks) * CHUNK;
        if self.range(&slots).is_none_or(|range| filler.take(&range).is_err()) {
            // A process's memory map has only so many places. The slots are as any others then.
            state.spare.push(slots);
            state.crowded = true;
            return None;
        }
        state.covered = true;
        state.bare = Place {
            next: slots.start,
            end: slots.end,
            there: slots.end,
        };
        Some(filler)
    }

    /// Makes all slots accessible again; false if those of the filler are not before the last of its users is done.
    pub(super) fn uncover(&self, state: &mut State) -> bool {
        if !state.covered {
            return true;
        }
        let begun = 0..state.fresh * CHUNK;
        let range = self.range(&begun);
        let released = match (&state.filler, range) {
            (Some(filler), Some(range)) => filler.release(&range).is_ok(),
            _ => false,
        };
        let bare = std::mem::take(&mut state.bare);
        if released {
            state.covered = false;
            if bare.next < bare.end {
                state.spare.push(bare.next..bare.end);
            }
        } else {
            // All its ranges go as it is closed.
            state.filler = None;
        }
        released
    }

    /// Makes all slots accessible again while nobody uses any.
    pub(super) fn uncover_all(&self, state: &mut State) {
        // If it failed it is closed now, for nobody else has it.
        let _ = self.uncover(state);
        state.covered = false;
        state.crowded = false;
    }

    /// Slots in a row.
    pub(super) fn range(&self, slots: &Range<u32>) -> Option<VolatileSlice<'_>> {
        self.slice(slots.start, 0, slots.len() * BLOCK_BYTES as usize).ok()
    }

    /// Begins a chunk, of those of the filler if there is one.
    pub(super) fn begin_ahead(&self, state: &mut State) -> Option<(u32, Option<Arc<Filler>>)> {
        if state.passed.is_empty()
            && let Some(filler) = self.cover(state)
        {
            let end = state.bare.end;
            if end.is_multiple_of(CHUNK) && end - state.bare.next >= CHUNK {
                state.bare.end -= CHUNK;
                let chunk = state.bare.end / CHUNK;
                state.touch(chunk);
                return Some((chunk, Some(filler)));
            }
        }
        self.begin(state).map(|chunk| (chunk, None))
    }

    /// Makes slots be there, with zeros in them; false if not all are.
    pub(super) fn fill(&self, filler: &Filler, slots: &Range<u32>, zeros: &mut [u8]) -> bool {
        let step = zeros.len() / BLOCK_BYTES as usize;
        slots.clone().step_by(step).all(|first| {
            let part = first..(first + step as u32).min(slots.end);
            self.range(&part)
                .is_some_and(|to| filler.copy(&VolatileSlice::from(&mut *zeros), &to).is_ok())
        })
    }
}
