//! Memory for what is written: slots of a block each, taken as they come, whatever blocks they are for.
//!
//! So a disk that is written all over its size takes the memory of what was written and little more, and memory can be made to be there many slots at
//! once, which takes half of what page faults take, and before it is wanted, by a thread that does nothing else. What a rollback leaves is used again.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise};
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{MmapRegion, VolatileMemory, VolatileSlice};

use super::blocks::Blocks;
use super::{AccessError, BLOCK_BYTES};

/// Slots of a chunk: what is made to be there at once ahead of its use. 2 MiB, for so much has a page of a page table: two threads that make memory
/// be there do not want the same lock.
const CHUNK: u32 = 512;
/// Chunks that are kept there ahead: 8 MiB.
const AHEAD: usize = 4;
/// Slots that are made to be there at least when one is taken from a chunk that is not.
const BATCH: u32 = 16;
/// Chunks that stay there over a rollback, at most: 64 MiB.
const WARM: u32 = 32;

/// The slots.
#[derive(Debug)]
pub(super) struct Arena {
    region: MmapRegion,
    /// Where the first chunk is in it.
    base: usize,
    slots: u32,
    state: Mutex<State>,
    /// There are fewer chunks ahead than there should be.
    behind: Condvar,
    /// Whether the kernel can make memory be there at once (Linux 5.14). Else a page fault does, slot by slot.
    populates: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// Where slots are taken.
    current: Place,
    /// Chunks that are there, and whole.
    ahead: Vec<u32>,
    /// The first chunk that was never begun.
    fresh: u32,
    /// Chunks before this one are there from before the last rollback.
    warm: u32,
    /// Slots that were taken and given back, in rows.
    spare: Vec<Range<u32>>,
    /// Rollbacks.
    renewals: u64,
    /// Somebody waits to make chunks be there.
    waiting: bool,
}

/// What is left of a chunk.
#[derive(Debug, Default)]
struct Place {
    next: u32,
    end: u32,
    /// Slots before this one are there.
    there: u32,
}

impl Arena {
    /// For so many blocks that are written, or some more.
    ///
    /// # Errors
    /// There is not that much address space.
    pub(super) fn new(blocks: u64) -> io::Result<Arena> {
        // More than all blocks have: who is not the first to write a block has a slot too many for a moment.
        let slots = (blocks + blocks / 8 + 1024).next_multiple_of(CHUNK.into());
        let slots = u32::try_from(slots).map_or(Blocks::SLOTS_MAX, |slots| slots.min(Blocks::SLOTS_MAX));
        let size = usize::try_from(u64::from(slots) * BLOCK_BYTES)
            .map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        let alignment = CHUNK as usize * BLOCK_BYTES as usize;
        let region = MmapRegionBuilder::new(size + alignment)
            .with_mmap_prot(prot.bits().cast_signed())
            .with_mmap_flags(flags.bits().cast_signed() | libc::MAP_ANONYMOUS)
            .build()
            .map_err(io::Error::other)?;
        Ok(Arena {
            base: region.as_ptr().align_offset(alignment).min(alignment),
            region,
            slots,
            state: Mutex::new(State {
                ahead: Vec::with_capacity(AHEAD),
                spare: Vec::with_capacity(64),
                ..State::default()
            }),
            behind: Condvar::new(),
            populates: AtomicBool::new(true),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes slots, in a row: as many as wanted if there are, else some.
    ///
    /// # Errors
    /// All are taken.
    pub(super) fn take(&self, wanted: u32) -> Result<Range<u32>, AccessError> {
        let mut state = self.state();
        if let Some(spare) = state.spare.last_mut() {
            let run = spare.start..spare.start + wanted.min(spare.end - spare.start);
            spare.start = run.end;
            if spare.start == spare.end {
                state.spare.pop();
            }
            return Ok(run);
        }
        if state.current.next == state.current.end {
            if let Some(chunk) = state.ahead.pop() {
                state.current = Place::of(chunk, true);
                if state.waiting && state.ahead.len() < AHEAD / 2 {
                    state.waiting = false;
                    self.behind.notify_one();
                }
            } else if let Some(chunk) = self.begin(&mut state) {
                state.current = Place::of(chunk, chunk < state.warm);
            } else {
                return Err(AccessError::Storage(io::ErrorKind::StorageFull));
            }
        }
        let place = &mut state.current;
        let run = place.next..place.next + wanted.min(place.end - place.next);
        place.next = run.end;
        let lacking = run.start.max(place.there)..run.end.max(place.there + BATCH).min(place.end);
        if run.end > place.there {
            place.there = lacking.end;
            drop(state);
            self.populate(lacking);
        }
        Ok(run)
    }

    /// Begins a chunk that was never begun; `None` if all were.
    fn begin(&self, state: &mut State) -> Option<u32> {
        (state.fresh < self.slots / CHUNK).then(|| {
            state.fresh += 1;
            state.fresh - 1
        })
    }

    /// Gives back slots, at least one, that no block has.
    pub(super) fn give_back(&self, slots: Range<u32>) {
        self.state().spare.push(slots);
    }

    /// Gives back slots that no block has any more, and their memory. Nobody uses them meanwhile.
    pub(super) fn forget(&self, mut slots: Vec<u32>) {
        slots.sort_unstable();
        for row in slots.chunk_by(|slot, next| slot + 1 == *next) {
            let (Some(first), Some(last)) = (row.first(), row.last()) else {
                continue;
            };
            let row = *first..last + 1;
            // If it fails the memory stays, which is no harm.
            let _ = self.advise(&row, Advice::LinuxDontNeed);
            self.give_back(row);
        }
    }

    /// Makes slots be there.
    fn populate(&self, slots: Range<u32>) {
        if self.populates.load(Ordering::Relaxed)
            && self.advise(&slots, Advice::LinuxPopulateWrite) == Err(rustix::io::Errno::INVAL)
        {
            self.populates.store(false, Ordering::Relaxed);
        }
        // Whatever else went wrong, a page fault finds out.
    }

    /// Keeps chunks there ahead, for ever, or as long as the kernel can.
    pub(super) fn keep_ahead(&self) {
        let mut state = self.state();
        while self.populates.load(Ordering::Relaxed) {
            let lacks = state.ahead.len() < AHEAD;
            let Some(chunk) = lacks.then(|| self.begin(&mut state)).flatten() else {
                state.waiting = true;
                let awake = |state: &mut State| state.waiting;
                state = self
                    .behind
                    .wait_while(state, awake)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let renewals = state.renewals;
            drop(state);
            self.populate(chunk * CHUNK..(chunk + 1) * CHUNK);
            state = self.state();
            // After a rollback somebody else may have begun it.
            if state.renewals == renewals {
                state.ahead.push(chunk);
            }
        }
    }

    fn advise(&self, slots: &Range<u32>, advice: Advice) -> rustix::io::Result<()> {
        let (start, end) = (self.place(slots.start, 0), self.place(slots.end, 0));
        let begin = self.region.as_ptr().wrapping_add(start);
        // SAFETY: the range is one of the region's, to which nobody has references; and what is taken away is nobody's (`renew`).
        unsafe { madvise(begin.cast(), end.saturating_sub(start), advice) }
    }

    /// Bytes of slots in a row, from so many bytes behind the first one's beginning.
    ///
    /// # Errors
    /// There are no such slots.
    pub(super) fn slice(&self, slot: u32, offset: u64, bytes: usize) -> Result<VolatileSlice<'_>, AccessError> {
        self.region
            .get_slice(self.place(slot, offset), bytes)
            .map_err(|_| AccessError::OutOfRange)
    }

    fn place(&self, slot: u32, offset: u64) -> usize {
        // The region has that size, so it is one.
        self.base + (u64::from(slot) * BLOCK_BYTES + offset) as usize
    }

    /// All slots are nobody's again. Nobody uses any meanwhile.
    pub(super) fn renew(&self) {
        let mut state = self.state();
        let begun = std::mem::take(&mut state.fresh);
        state.warm = begun.max(state.warm).min(WARM);
        state.current = Place::default();
        state.ahead.clear();
        state.spare.clear();
        state.renewals += 1;
        if begun > WARM {
            // If it fails it stays, which is no harm.
            let _ = self.advise(&(WARM * CHUNK..begun * CHUNK), Advice::LinuxDontNeed);
        }
        if std::mem::take(&mut state.waiting) {
            self.behind.notify_one();
        }
    }
}

impl Place {
    fn of(chunk: u32, there: bool) -> Place {
        let (next, end) = (chunk * CHUNK, (chunk + 1) * CHUNK);
        Place {
            next,
            end,
            there: if there { end } else { next },
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a panic here is the test's failure")]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn every_slot_is_taken_once_until_all_are_nobodys_again() {
        let arena = Arena::new(8).expect("memory");
        for _ in 0..3 {
            assert_eq!(arena.take(5).expect("slots"), 0..5);
            let mut taken = 5;
            while let Ok(run) = arena.take(1000) {
                assert_eq!(run.start, taken);
                taken = run.end;
            }
            assert_eq!(taken, arena.slots);
            arena.give_back(3..5);
            arena.forget(vec![9, 7, 8, 1]);
            assert_eq!(arena.take(2).expect("spare ones"), 7..9);
            assert_eq!(arena.take(2).expect("a spare one"), 9..10);
            assert_eq!(arena.take(2).expect("a spare one"), 1..2);
            assert_eq!(arena.take(2).expect("spare ones"), 3..5);
            let full = Err(AccessError::Storage(io::ErrorKind::StorageFull));
            assert_eq!(arena.take(1), full);
            arena.renew();
        }
    }

    #[test]
    fn slots_that_are_there_ahead_are_taken_once_too_over_rollbacks() {
        let arena = Arc::new(Arena::new(8192).expect("memory"));
        let ahead = Arc::clone(&arena);
        // It ends with the test's process.
        std::thread::spawn(move || ahead.keep_ahead());
        for round in 0..400 {
            // A few chunks, so that one may be under way as all become nobody's; then more, so that it would come twice.
            for chunks in [3 + round % 3, 16] {
                let mut seen = BTreeSet::new();
                for _ in 0..chunks {
                    for slot in arena.take(CHUNK).expect("slots") {
                        assert!(seen.insert(slot), "slot {slot} was taken twice");
                    }
                }
                arena.renew();
            }
        }
    }

    #[test]
    fn what_a_rollback_leaves_is_bounded() {
        let slots = WARM * CHUNK;
        let arena = Arena::new(u64::from(slots) * 2).expect("memory");
        let first = |slot| {
            let mut byte = [0u8];
            arena.slice(slot, 0, 1).expect("a slot").copy_to(&mut byte);
            byte[0]
        };
        let mut taken = 0;
        while taken < slots + CHUNK {
            for slot in arena.take(CHUNK).expect("slots") {
                arena.slice(slot, 0, 1).expect("a slot").copy_from(&[7u8]);
                taken += 1;
            }
        }
        arena.renew();
        // Memory that was given back reads as zeros.
        assert_eq!(
            [first(0), first(slots - 1), first(slots), first(taken - 1)],
            [7, 7, 0, 0]
        );
    }
}
