//! What is known of each block: as in the image, zero, or written, and then where its bytes are.

use std::alloc::{Layout, alloc_zeroed};
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Blocks of which it is known together whether anything was ever said of one of them: a disk may be made so large that
/// looking at each would take seconds, and memory for what it looks at.
const CHUNK: usize = 1 << 16;

/// The block reads as zeros whatever its slot holds.
const ZERO: u32 = 1 << 31;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Block {
    /// As in the image.
    Clean,
    /// Zeros. If it was written before, its slot is still its own: somebody may be reading there.
    Zero(Option<u32>),
    /// Written; the store has its bytes, in this slot if it has slots.
    Written(u32),
}

/// What all blocks have in common that are one kind of block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Clean,
    Zero,
    Written,
}

/// All blocks of a disk, and some that it may have, for many threads at once. Those of which nothing is known take no
/// memory: they are as in the image, and zeros beyond it.
#[derive(Debug)]
pub(super) struct Blocks {
    entries: Box<[AtomicU32]>,
    /// By chunk: whether something was said of its blocks. Set before it is said.
    touched: Box<[AtomicBool]>,
    /// How many the image has.
    image: usize,
}

impl Block {
    pub(super) fn kind(self) -> Kind {
        match self {
            Block::Clean => Kind::Clean,
            Block::Zero(_) => Kind::Zero,
            Block::Written(_) => Kind::Written,
        }
    }

    fn from_raw(raw: u32) -> Block {
        let slot = (raw & !ZERO).checked_sub(1);
        match slot {
            _ if raw & ZERO != 0 => Block::Zero(slot),
            None => Block::Clean,
            Some(slot) => Block::Written(slot),
        }
    }

    /// The slot that is its own.
    fn slot(self) -> Option<u32> {
        match self {
            Block::Clean => None,
            Block::Zero(slot) => slot,
            Block::Written(slot) => Some(slot),
        }
    }

    fn raw(self) -> u32 {
        match self {
            Block::Clean => 0,
            Block::Zero(slot) => ZERO | slot.map_or(0, |slot| slot + 1),
            Block::Written(slot) => slot + 1,
        }
    }
}

impl Blocks {
    /// Most slots that can be told apart.
    pub(super) const SLOTS_MAX: u32 = ZERO - 2;

    /// Those of an image that has so many.
    ///
    /// # Errors
    /// There is no memory for them.
    pub(super) fn new(image: usize) -> io::Result<Blocks> {
        Ok(Blocks {
            entries: nothing_known(image)?,
            touched: untouched(image),
            image,
        })
    }

    /// Makes room for a disk of so many; nothing is changed.
    ///
    /// # Errors
    /// There is no memory for them.
    pub(super) fn reserve(&mut self, count: usize) -> io::Result<()> {
        if count > self.entries.len() {
            self.set_len(count)?;
        }
        Ok(())
    }

    /// Makes the table one of so many, with what is known of them.
    fn set_len(&mut self, count: usize) -> io::Result<()> {
        let mut entries = nothing_known(count)?;
        let mut touched = untouched(count);
        for chunk in self.touched_chunks(0..count) {
            for (new, old) in entries[chunk.clone()].iter_mut().zip(&self.entries[chunk.clone()]) {
                *new.get_mut() = old.load(Ordering::Relaxed);
            }
            *touched[chunk.start / CHUNK].get_mut() = true;
        }
        (self.entries, self.touched) = (entries, touched);
        Ok(())
    }

    /// The parts of a range of which something may be known.
    fn touched_chunks(&self, blocks: Range<usize>) -> Vec<Range<usize>> {
        let end = blocks.end.min(self.entries.len());
        let chunks = blocks.start / CHUNK..end.div_ceil(CHUNK);
        let touched = chunks.filter(|chunk| self.touched[*chunk].load(Ordering::Relaxed));
        touched
            .map(|chunk| (chunk * CHUNK).max(blocks.start)..((chunk + 1) * CHUNK).min(end))
            .collect()
    }

    fn entry(&self, block: u64) -> &AtomicU32 {
        // In range for every block of a range that the overlay has checked.
        &self.entries[block as usize]
    }

    /// The same, for something to be said of the block.
    fn entry_to_change(&self, block: u64) -> &AtomicU32 {
        let touched = &self.touched[block as usize / CHUNK];
        // Nearly always it is set, and then the line stays with all processors that read it.
        if !touched.load(Ordering::Relaxed) {
            touched.store(true, Ordering::Relaxed);
        }
        self.entry(block)
    }

    fn is_beyond(&self, block: u64) -> bool {
        block >= self.image as u64
    }

    pub(super) fn get(&self, block: u64) -> Block {
        match Block::from_raw(self.entry(block).load(Ordering::Acquire)) {
            Block::Clean if self.is_beyond(block) => Block::Zero(None),
            known => known,
        }
    }

    /// Makes a block, whose bytes are in their slot by now, a written one, if it still is what it was; whether it was.
    pub(super) fn written(&self, block: u64, was: Block, slot: u32) -> bool {
        let becomes = |was: Block| {
            let (was, now) = (was.raw(), Block::Written(slot).raw());
            let entry = self.entry_to_change(block);
            entry
                .compare_exchange(was, now, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        };
        // Beyond the image nothing was said of most zeros.
        becomes(was) || (was == Block::Zero(None) && self.is_beyond(block) && becomes(Block::Clean))
    }

    /// Makes a block one that is written in a store without slots.
    pub(super) fn written_in_place(&self, block: u64) {
        self.entry_to_change(block)
            .store(Block::Written(0).raw(), Ordering::Release);
    }

    pub(super) fn zero(&self, block: u64) {
        self.entry_to_change(block).fetch_or(ZERO, Ordering::AcqRel);
    }

    /// Makes blocks, up to the disk's end, zeros that no disk has for now; the slots that they had. A table that is
    /// much too large then is given back, so there must be room again before the disk ends behind them.
    pub(super) fn cut_off(&mut self, blocks: Range<usize>) -> Vec<u32> {
        let image = self.image;
        let mut slots = Vec::new();
        // What the image has is not there any more, whatever was known of it.
        for block in blocks.start..blocks.end.min(image) {
            let entry = self.entry_to_change(block as u64);
            slots.extend(Block::from_raw(entry.swap(ZERO, Ordering::Relaxed)).slot());
        }
        for chunk in self.touched_chunks(blocks.start.max(image)..blocks.end) {
            for entry in self.entries.get_mut(chunk).unwrap_or_default() {
                // What is so already is not touched, for it may have no memory.
                if *entry.get_mut() != 0 {
                    slots.extend(Block::from_raw(std::mem::take(entry.get_mut())).slot());
                }
            }
        }
        let kept = blocks.start.max(image);
        if kept <= self.entries.len() / 2 {
            // Without memory for a smaller one the larger one does.
            let _ = self.set_len(kept);
        }
        slots
    }

    /// Makes a block of the image one that is as in the image; the slot that it had.
    pub(super) fn clean(&mut self, block: u64) -> Option<u32> {
        Block::from_raw(self.entry_to_change(block).swap(0, Ordering::AcqRel)).slot()
    }

    /// All as in the image again.
    ///
    /// # Errors
    /// There is no memory, and they stay as they are.
    pub(super) fn clear(&mut self) -> io::Result<()> {
        *self = Blocks::new(self.image)?;
        Ok(())
    }

    /// The kind of each of the first so many blocks, in order.
    pub(super) fn kinds(&self, count: usize) -> impl Iterator<Item = Kind> {
        (0..self.entries.len().min(count)).map(|block| self.get(block as u64).kind())
    }
}

/// Chunks of so many blocks, nothing said of any.
fn untouched(count: usize) -> Box<[AtomicBool]> {
    (0..count.div_ceil(CHUNK)).map(|_| AtomicBool::new(false)).collect()
}

/// Entries for blocks of which nothing is known. Zeros that the allocator gets from the kernel are not there before
/// they are looked at.
fn nothing_known(count: usize) -> io::Result<Box<[AtomicU32]>> {
    let none = || io::Error::from(io::ErrorKind::OutOfMemory);
    let layout = Layout::array::<AtomicU32>(count).map_err(|_| none())?;
    if count == 0 {
        return Ok(Box::default());
    }
    // SAFETY: the layout has a size.
    let entries = unsafe { alloc_zeroed(layout) }.cast::<AtomicU32>();
    if entries.is_null() {
        return Err(none());
    }
    // SAFETY: it was allocated just now, for a slice of that many; zeros are atomics.
    Ok(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(entries, count)) })
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a panic here is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_what_it_was_made() {
        let mut blocks = Blocks::new(3).expect("memory");
        assert_eq!(blocks.get(1), Block::Clean);
        assert!(blocks.written(1, Block::Clean, 0));
        assert_eq!(blocks.get(1), Block::Written(0));
        assert!(!blocks.written(1, Block::Clean, 1), "somebody else was first");
        blocks.zero(1);
        blocks.zero(2);
        assert_eq!(
            (blocks.get(1), blocks.get(2)),
            (Block::Zero(Some(0)), Block::Zero(None))
        );
        assert!(blocks.written(2, Block::Zero(None), Blocks::SLOTS_MAX));
        assert_eq!(blocks.get(2), Block::Written(Blocks::SLOTS_MAX));
        assert!(blocks.kinds(3).eq([Kind::Clean, Kind::Zero, Kind::Written]));
        blocks.clear().expect("memory");
        assert!(blocks.kinds(3).all(|kind| kind == Kind::Clean));
    }

    #[test]
    fn beyond_the_image_and_where_a_disk_was_cut_off_are_zeros() {
        let mut blocks = Blocks::new(2).expect("memory");
        assert!(blocks.written(1, Block::Clean, 7));
        blocks.reserve(5).expect("memory");
        assert_eq!(blocks.get(1), Block::Written(7));
        assert_eq!(blocks.get(2), Block::Zero(None));
        assert!(blocks.written(2, Block::Zero(None), 8), "of which nothing was said");
        blocks.zero(3);
        assert!(blocks.written(3, Block::Zero(None), 9), "that somebody zeroed");
        blocks.zero(3);
        assert_eq!(blocks.cut_off(1..5), [7, 8, 9]);
        assert_eq!(
            blocks.entries.len(),
            2,
            "what is not needed for the image is given back"
        );
        blocks.reserve(5).expect("memory");
        assert!(blocks.kinds(4).eq([Kind::Clean, Kind::Zero, Kind::Zero, Kind::Zero]));
        assert_eq!(blocks.clean(1), None);
        assert_eq!(blocks.get(1), Block::Clean);
        assert!(blocks.cut_off(0..1).is_empty());
        assert_eq!(blocks.get(0), Block::Zero(None));
    }

    #[test]
    fn what_is_known_stays_so_where_the_table_changes() {
        let chunk = CHUNK as u64;
        let mut blocks = Blocks::new(3).expect("memory");
        assert!(blocks.written(2, Block::Clean, 1));
        blocks.reserve(9 * CHUNK).expect("memory");
        for (slot, block) in (2..).zip([chunk - 1, chunk, 5 * chunk + 7, 9 * chunk - 1]) {
            assert!(blocks.written(block, Block::Zero(None), slot));
        }
        blocks.zero(7 * chunk);
        blocks.reserve(20 * CHUNK).expect("memory");
        assert_eq!(blocks.get(5 * chunk + 7), Block::Written(4));
        assert_eq!(blocks.get(7 * chunk), Block::Zero(None));
        // The table stays when most of it does, and is given back when most of it goes.
        assert!(blocks.cut_off(17 * CHUNK..20 * CHUNK).is_empty());
        assert_eq!(blocks.entries.len(), 20 * CHUNK);
        assert_eq!(blocks.cut_off(CHUNK..17 * CHUNK), [3, 4, 5]);
        assert_eq!(blocks.entries.len(), CHUNK);
        assert_eq!(blocks.get(chunk - 1), Block::Written(2));
        blocks.reserve(9 * CHUNK).expect("memory");
        assert_eq!(
            (blocks.get(2), blocks.get(chunk)),
            (Block::Written(1), Block::Zero(None))
        );
    }

    #[test]
    fn more_blocks_than_there_is_memory_for_are_refused() {
        let mut blocks = Blocks::new(1).expect("memory");
        let error = blocks.reserve(usize::MAX / 8).expect_err("no memory");
        assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        assert_eq!(blocks.get(0), Block::Clean);
    }
}
