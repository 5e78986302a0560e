//! A disk that ends elsewhere. What was cut off is gone: where a disk grows, and where it grows again, there are zeros.

use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};
use std::{fs, io};

use super::{CLEAN, DIRTY, Overlay, Store, ZERO, blocks, parts};
use crate::disk::{AccessError, BLOCK_BYTES, golden};
use crate::history::Content;

impl Overlay {
    /// Makes room for a disk of this size; nothing is changed.
    ///
    /// # Errors
    /// There is no room.
    pub(in crate::disk) fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let more = blocks(bytes).saturating_sub(self.states.len());
        self.states
            .try_reserve_exact(more)
            .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
        match &mut self.store {
            Store::Mapped(mapping) => mapping.reserve(bytes),
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
            self.bytes = bytes;
            self.states.truncate(blocks(bytes));
            match &mut self.store {
                Store::Mapped(mapping) => self.pristine &= mapping.forget(bytes),
                Store::Files(files) => files.forget(bytes),
            }
            return Ok(());
        }
        // Behind the disk's end there may be anything in the block that it ends in.
        let last = old / BLOCK_BYTES * BLOCK_BYTES..old;
        let kept = if last.is_empty() || self.state(old / BLOCK_BYTES).load(Ordering::Acquire) == ZERO {
            None
        } else {
            Some(self.copy(&last)?)
        };
        self.bytes = bytes;
        self.states.resize_with(blocks(bytes), || AtomicU8::new(ZERO));
        *self.any_zero.get_mut() = true;
        let Some(kept) = kept else { return Ok(()) };
        let whole = self.block(old / BLOCK_BYTES);
        let mut block = kept.into_vec();
        block.resize((whole.end - whole.start) as usize, 0);
        self.write_bytes(whole.start, &block).inspect_err(|_| {
            self.bytes = old;
            self.states.truncate(blocks(old));
        })
    }

    /// Takes it back that the disk was made smaller: gives it this size again, and what was cut off.
    ///
    /// # Errors
    /// The storage fails.
    pub(in crate::disk) fn regrow(&mut self, bytes: u64, cut: &[Content], image: &fs::File) -> Result<(), AccessError> {
        let mut at = self.bytes;
        // From here on the store is as it was in the beginning, if it could be: nobody has written there since the disk was cut.
        let pristine = at.next_multiple_of(rustix::param::page_size() as u64);
        self.set_bytes(bytes)?;
        for content in cut {
            let range = at..at + content.len();
            match content {
                Content::Golden(_) => self.golden_again(&range, pristine, image)?,
                Content::Zeros(len) => self.zero(at, *len)?,
                Content::Bytes(bytes) => self.write_bytes(at, bytes)?,
            }
            at = range.end;
        }
        Ok(())
    }

    /// Makes a range that was zeros what the image holds there.
    fn golden_again(&mut self, range: &Range<u64>, pristine: u64, image: &fs::File) -> Result<(), AccessError> {
        for (block, part) in parts(range.start, range.end - range.start) {
            let whole = part.end - part.start == BLOCK_BYTES;
            if whole && part.start >= pristine && (self.pristine || self.is_in_file()) {
                self.state(block).store(CLEAN, Ordering::Release);
            } else {
                self.write_bytes(part.start, &golden(image, &part)?)?;
            }
        }
        Ok(())
    }

    /// How many bytes of a range were written.
    pub(in crate::disk) fn written_bytes(&self, range: &Range<u64>) -> u64 {
        let written = self.runs(range.start, range.end.saturating_sub(range.start));
        let written = written.into_iter().filter(|(state, _)| *state == DIRTY);
        written.map(|(_, part)| part.end - part.start).sum()
    }
}
