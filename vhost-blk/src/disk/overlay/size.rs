//! A disk that ends elsewhere. What was cut off is gone: where a disk grows, and where it grows again, there are zeros.

use std::ops::Range;
use std::{fs, io};

use super::{Overlay, Store, blocks, parts};
use crate::disk::blocks::Kind;
use crate::disk::image::{AccessError, BLOCK_BYTES, golden};
use crate::power::change::Content;

impl Overlay {
    /// Makes room for a disk of this size; nothing is changed.
    ///
    /// # Errors
    /// There is no room.
    pub(in crate::disk) fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        self.blocks.reserve(blocks(bytes))?;
        match &mut self.store {
            Store::Memory(_) => Ok(()),
            Store::Files(files) => files.reserve(bytes),
        }
    }

    /// Makes the disk end elsewhere; there was room for that, now or before.
    ///
    /// # Errors
    /// The storage fails, and all stays as it is.
    pub(in crate::disk) fn set_bytes(&mut self, bytes: u64) -> Result<(), AccessError> {
        let old = self.bytes;
        if bytes < old {
            self.end_at(bytes);
            let slots = self.blocks.cut_off(blocks(bytes)..blocks(old));
            match &mut self.store {
                Store::Memory(memory) => memory.give_back(slots),
                Store::Files(files) => files.forget(bytes),
            }
            return Ok(());
        }
        // It may have been given back since there was room.
        self.blocks
            .reserve(blocks(bytes))
            .map_err(|error| AccessError::Storage(error.kind()))?;
        // Behind the disk's end there may be anything in the block that it ends in.
        let last = old / BLOCK_BYTES * BLOCK_BYTES..old;
        let kept = if last.is_empty() || self.blocks.get(old / BLOCK_BYTES).kind() == Kind::Zero {
            None
        } else {
            Some(self.copy(&last)?)
        };
        // The blocks that the disk has now, too, are zeros: they were so from the beginning, or since they were cut
        // off.
        self.end_at(bytes);
        let Some(kept) = kept else { return Ok(()) };
        let whole = self.block(old / BLOCK_BYTES);
        let mut block = kept.into_vec();
        block.resize((whole.end - whole.start) as usize, 0);
        self.write_bytes(whole.start, &block).inspect_err(|_| self.end_at(old))
    }

    fn end_at(&mut self, bytes: u64) {
        self.bytes = bytes;
        if let Store::Memory(memory) = &mut self.store {
            memory.set_bytes(bytes);
        }
    }

    /// Takes it back that the disk was made smaller: gives it this size again, and what was cut off.
    ///
    /// # Errors
    /// The storage fails.
    pub(in crate::disk) fn regrow(&mut self, bytes: u64, cut: &[Content], image: &fs::File) -> Result<(), AccessError> {
        let mut at = self.bytes;
        self.set_bytes(bytes)?;
        for content in cut {
            let range = at..at + content.len();
            match content {
                Content::Golden(_) => self.golden_again(&range, image)?,
                Content::Zeros(len) => self.zero(at, *len)?,
                Content::Bytes(bytes) => self.write_bytes(at, bytes)?,
            }
            at = range.end;
        }
        Ok(())
    }

    /// Makes a range what the image holds there.
    fn golden_again(&mut self, range: &Range<u64>, image: &fs::File) -> Result<(), AccessError> {
        for (block, part) in parts(range.start, range.end - range.start) {
            if part.end - part.start < BLOCK_BYTES {
                self.write_bytes(part.start, &golden(image, &part)?)?;
                continue;
            }
            let slot = self.blocks.clean(block);
            if let Store::Memory(memory) = &self.store {
                memory.give_back(slot.into_iter().collect());
            }
        }
        Ok(())
    }

    /// How many bytes of a range were written.
    pub(in crate::disk) fn written_bytes(&self, range: &Range<u64>) -> u64 {
        let written = self.runs(range.start, range.end.saturating_sub(range.start));
        let written = written.into_iter().filter(|(kind, _)| *kind == Kind::Written);
        written.map(|(_, part)| part.end - part.start).sum()
    }
}
