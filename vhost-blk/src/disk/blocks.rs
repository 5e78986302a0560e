//! What is known of each block: as in the image, zero, or written, and then where its bytes are.

use std::sync::atomic::{AtomicU32, Ordering};

/// The block reads as zeros whatever its slot holds.
const ZERO: u32 = 1 << 31;

/// A block.
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

/// All blocks of a disk, for many threads at once. Those of which nothing is known take no memory.
#[derive(Debug)]
pub(super) struct Blocks(Box<[AtomicU32]>);

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

    /// Blocks as in the image.
    pub(super) fn new(count: usize) -> Blocks {
        // Zeros that the allocator gets from the kernel are not there before they are looked at.
        let zeros = vec![0u32; count].into_boxed_slice();
        // SAFETY: an atomic is laid out as its number, and the box is ours alone.
        Blocks(unsafe { Box::from_raw(Box::into_raw(zeros) as *mut [AtomicU32]) })
    }

    fn entry(&self, block: u64) -> &AtomicU32 {
        // In range for every block of a range that the overlay has checked.
        &self.0[block as usize]
    }

    pub(super) fn get(&self, block: u64) -> Block {
        Block::from_raw(self.entry(block).load(Ordering::Acquire))
    }

    /// Makes a block, whose bytes are in their slot by now, a written one, if it still is what it was; whether it was.
    pub(super) fn written(&self, block: u64, was: Block, slot: u32) -> bool {
        let now = Block::Written(slot).raw();
        self.entry(block)
            .compare_exchange(was.raw(), now, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Makes a block one that is written in a store without slots.
    pub(super) fn written_in_place(&self, block: u64) {
        self.entry(block).store(Block::Written(0).raw(), Ordering::Release);
    }

    pub(super) fn zero(&self, block: u64) {
        self.entry(block).fetch_or(ZERO, Ordering::AcqRel);
    }

    /// All as in the image again.
    pub(super) fn clear(&mut self) {
        *self = Blocks::new(self.0.len());
    }

    /// Each block's kind, in order.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> {
        self.0
            .iter()
            .map(|entry| Block::from_raw(entry.load(Ordering::Acquire)).kind())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_what_it_was_made() {
        let mut blocks = Blocks::new(3);
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
        assert!(blocks.kinds().eq([Kind::Clean, Kind::Zero, Kind::Written]));
        blocks.clear();
        assert!(blocks.kinds().all(|kind| kind == Kind::Clean));
    }
}
