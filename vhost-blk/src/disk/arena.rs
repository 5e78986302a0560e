//! Memory for what is written: slots of a block each, taken as they come, whatever blocks they are for.
//!
//! So a disk that is written all over its size takes the memory of what was written and little more, and memory can be
//! made to be there many slots at once, which takes half of what page faults take, and before it is wanted, by a thread
//! that does nothing else; or it comes to be with the bytes of a long write in it (`fill.rs`). What a rollback leaves
//! is used again.

mod bare;
mod huge;

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise};
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{MmapRegion, VolatileMemory, VolatileSlice};

use self::huge::{Huge, thread_time};
use super::blocks::Blocks;
use super::fill::Filler;
use super::image::{AccessError, BLOCK_BYTES};

/// Slots of a chunk: what is made to be there at once ahead of its use. 2 MiB, for so much has a page of a page table:
/// two threads that make memory be there do not want the same lock.
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
    /// Chunks that are there, and whole; the last one is the next. After a rollback those that it left.
    ahead: Vec<u32>,
    /// The first chunk that was never begun, but for those of `passed`.
    fresh: u32,
    /// Chunks before it that were not begun since the last rollback and are not there, the last one the next.
    passed: Vec<u32>,
    /// Of the first [`WARM`] chunks those that may be there: a bit each.
    touched: u32,
    /// Slots that were taken and given back, in rows.
    spare: Vec<Range<u32>>,
    /// Rollbacks.
    renewals: u64,
    /// Somebody waits to make chunks be there.
    waiting: bool,
    /// What makes memory be with bytes in it, if the kernel has that.
    filler: Option<Arc<Filler>>,
    /// Where slots are taken for that. They are the filler's, and no other access to them is possible.
    bare: Place,
    /// The filler has chunks.
    covered: bool,
    /// It can have no more.
    crowded: bool,
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
                ahead: Vec::with_capacity(WARM as usize + AHEAD),
                passed: Vec::with_capacity(WARM as usize),
                spare: Vec::with_capacity(64),
                filler: Filler::new().map(Arc::new),
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
                state.current = Place::of(chunk, false);
            } else if self.uncover(&mut state) && !state.spare.is_empty() {
                // The last ones were the filler's.
                drop(state);
                return self.take(wanted);
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
        let chunk = state.passed.pop().or_else(|| {
            (state.fresh < self.slots / CHUNK).then(|| {
                state.fresh += 1;
                state.fresh - 1
            })
        })?;
        state.touch(chunk);
        Some(chunk)
    }

    /// Gives back slots, at least one, that no block has.
    pub(super) fn give_back(&self, slots: Range<u32>) {
        self.state().spare.push(slots);
    }

    /// Gives back slots that no block has any more, and their memory. Nobody uses them meanwhile.
    pub(super) fn forget(&self, mut slots: Vec<u32>) {
        self.uncover_all(&mut self.state());
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
        let mut zeros = vec![0; 16 * BLOCK_BYTES as usize];
        let mut huge = Huge::default();
        let mut state = self.state();
        while self.populates.load(Ordering::Relaxed) {
            let lacks = state.ahead.len() < AHEAD;
            // What is the filler's can come to be as pages only.
            let whole = (lacks && huge.wanted()).then(|| self.begin(&mut state)).flatten();
            let begun = match whole {
                None if lacks => self.begin_ahead(&mut state),
                chunk => chunk.map(|chunk| (chunk, None)),
            };
            let Some((chunk, filler)) = begun else {
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
            let slots = chunk * CHUNK..(chunk + 1) * CHUNK;
            let began = thread_time();
            if whole.is_some() && self.advise(&slots, Advice::LinuxHugepage).is_err() {
                huge.leave();
            }
            if !filler.is_some_and(|filler| self.fill(&filler, &slots, &mut zeros)) {
                self.populate(slots);
            }
            huge.took(whole.is_some(), thread_time().saturating_sub(began));
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
        // SAFETY: the range is one of the region's, to which nobody has references; and what is taken away is nobody's
        // (`renew`).
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
        self.uncover_all(&mut state);
        let begun = state.fresh;
        state.fresh = begun.min(WARM);
        state.current = Place::default();
        state.ahead.clear();
        state.passed.clear();
        for chunk in (0..state.fresh).rev() {
            if state.touched >> chunk & 1 == 1 {
                state.ahead.push(chunk);
            } else {
                state.passed.push(chunk);
            }
        }
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

impl State {
    /// A chunk is begun.
    fn touch(&mut self, chunk: u32) {
        self.touched |= 1u32.checked_shl(chunk).unwrap_or(0);
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
mod tests;
