//! A disk in memory: the image, mapped, and slots of memory for what is written. A block that is written for the first
//! time, and wholly, costs neither a look at the image nor a page fault.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use vm_memory::VolatileSlice;

use super::arena::Arena;
use super::blocks::{Block, Blocks};
use super::image::{AccessError, BLOCK_BYTES, fill_zero, part_of};
use super::mapping::Mapping;

/// Image and slots.
#[derive(Debug)]
pub(super) struct Memory {
    image: Mapping,
    /// Size of the disk.
    bytes: u64,
    arena: Arc<Arena>,
}

impl Memory {
    /// # Errors
    /// The image cannot be mapped, or there is no address space.
    pub(super) fn new(file: &Arc<File>, bytes: u64) -> io::Result<Memory> {
        // Whatever size the disk is given, no more can be written than the machine can hold. Address space costs
        // nothing; where it is counted all the same (`vm.overcommit_memory=2`), there may be enough for a disk of the
        // image's size.
        let machine = rustix::system::sysinfo();
        let holds = (machine.totalram + machine.totalswap) * u64::from(machine.mem_unit);
        let arena = Arena::new(holds / BLOCK_BYTES).or_else(|_| Arena::new(bytes.div_ceil(BLOCK_BYTES)))?;
        Ok(Memory {
            image: Mapping::new(file, bytes)?,
            bytes,
            arena: Arc::new(arena),
        })
    }

    /// The disk has another size. Nobody reads or writes meanwhile.
    pub(super) fn set_bytes(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    /// Gives slots back that no block has any more, and their memory.
    pub(super) fn give_back(&self, slots: Vec<u32>) {
        self.arena.forget(slots);
    }

    /// The memory for what is written.
    pub(super) fn arena(&self) -> &Arc<Arena> {
        &self.arena
    }

    /// Forgets all that was written; so must the blocks. Nobody reads or writes meanwhile.
    pub(super) fn renew(&self) {
        self.arena.renew();
    }

    /// Copies from the disk, from a range that lies in it.
    pub(super) fn read(&self, blocks: &Blocks, offset: u64, to: &VolatileSlice<'_>) -> Result<(), AccessError> {
        let end = offset + to.len() as u64;
        let mut at = offset;
        while at < end {
            let begun = blocks.get(at / BLOCK_BYTES);
            let stop = run_end(blocks, begun, at, end);
            let part = part_of(to, offset, &(at..stop))?;
            match begun {
                Block::Clean => self.image.slice(at, part.len())?.copy_to_volatile_slice(part),
                Block::Zero(_) => fill_zero(&part),
                Block::Written(slot) => self
                    .arena
                    .slice(slot, at % BLOCK_BYTES, part.len())?
                    .copy_to_volatile_slice(part),
            }
            at = stop;
        }
        Ok(())
    }

    /// Copies to the disk, to a range that lies in it. The lock is for blocks that become written ones but not wholly:
    /// it keeps two writers to parts of one from losing each other's.
    pub(super) fn write(
        &self,
        blocks: &Blocks,
        reviving: &Mutex<()>,
        offset: u64,
        from: &VolatileSlice<'_>,
    ) -> Result<(), AccessError> {
        let end = offset + from.len() as u64;
        let mut at = offset;
        while at < end {
            let block = at / BLOCK_BYTES;
            let begun = blocks.get(block);
            let stop = match begun {
                Block::Written(_) => run_end(blocks, begun, at, end),
                Block::Clean => self.whole_end(blocks, at, end),
                Block::Zero(_) => at,
            };
            match begun {
                Block::Written(slot) => {
                    let part = part_of(from, offset, &(at..stop))?;
                    part.copy_to_volatile_slice(self.arena.slice(slot, at % BLOCK_BYTES, part.len())?);
                    at = stop;
                }
                Block::Clean if stop > at => at = self.write_fresh(blocks, at, &part_of(from, offset, &(at..stop))?)?,
                Block::Clean | Block::Zero(_) => {
                    // It is a written one then, and the next round writes to it.
                    let _guard = reviving.lock().unwrap_or_else(PoisonError::into_inner);
                    self.revive(blocks, block)?;
                }
            }
        }
        Ok(())
    }

    /// Writes whole blocks that are as in the image, as many of them as are so still when they are written; how far it
    /// came.
    fn write_fresh(&self, blocks: &Blocks, at: u64, from: &VolatileSlice<'_>) -> Result<u64, AccessError> {
        let block = at / BLOCK_BYTES;
        // First the bytes, then the word that they are there: nobody sees a block that is written by half.
        let slots = self.arena.put(from)?;
        let bytes = from.len().min(slots.len() * BLOCK_BYTES as usize);
        for (block, slot) in (block..).zip(slots.clone()) {
            if !blocks.written(block, Block::Clean, slot) {
                // Somebody else has written to it. From here on it is another run.
                self.arena.give_back(slot..slots.end);
                return Ok(block * BLOCK_BYTES);
            }
        }
        Ok(at + bytes as u64)
    }

    /// Makes a block a written one that holds what it held. The lock is held.
    fn revive(&self, blocks: &Blocks, block: u64) -> Result<(), AccessError> {
        let start = block * BLOCK_BYTES;
        let bytes = (self.bytes - start).min(BLOCK_BYTES) as usize;
        let was = blocks.get(block);
        let (slot, own) = match was {
            Block::Written(_) => return Ok(()),
            Block::Zero(Some(slot)) => (slot, true),
            Block::Clean | Block::Zero(None) => (self.arena.take(1)?.start, false),
        };
        let place = self.arena.slice(slot, 0, bytes)?;
        match was {
            Block::Clean => self.image.slice(start, bytes)?.copy_to_volatile_slice(place),
            _ => fill_zero(&place),
        }
        if !blocks.written(block, was, slot) && !own {
            self.arena.give_back(slot..slot + 1);
        }
        Ok(())
    }

    /// The end of the whole blocks in a row from here on that are as in the image.
    fn whole_end(&self, blocks: &Blocks, at: u64, end: u64) -> u64 {
        let mut stop = at;
        if at.is_multiple_of(BLOCK_BYTES) {
            while stop < end {
                let next = (stop + BLOCK_BYTES).min(self.bytes);
                if next > end || blocks.get(stop / BLOCK_BYTES) != Block::Clean {
                    break;
                }
                stop = next;
            }
        }
        stop
    }
}

/// The end of the blocks in a row from here on whose bytes are in a row, too.
fn run_end(blocks: &Blocks, begun: Block, at: u64, end: u64) -> u64 {
    let mut block = at / BLOCK_BYTES;
    let mut expected = begun;
    loop {
        block += 1;
        let stop = block * BLOCK_BYTES;
        if stop >= end {
            return end;
        }
        if let Block::Written(slot) = expected {
            expected = Block::Written(slot + 1);
        }
        let next = blocks.get(block);
        let goes_on = match expected {
            Block::Zero(_) => next.kind() == expected.kind(),
            expected => next == expected,
        };
        if !goes_on {
            return stop;
        }
    }
}
