//! What was written over the image: a state a block, and a store for the bytes.

mod size;

use std::fs::File;
use std::io;
use std::marker::PhantomData;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use smallvec::SmallVec;
use vm_memory::VolatileSlice;

use super::arena::Arena;
use super::blocks::{Blocks, Kind};
use super::files::{Files, Piece, Which};
use super::image::{AccessError, BLOCK_BYTES, PIECE_BYTES, fill_zero, part_of};
use super::memory::Memory;
use crate::power::change::Content;

/// An image, and what was written over it.
#[derive(Debug)]
pub(crate) struct Overlay {
    /// Size of the image, which the disk has at first.
    image_bytes: u64,
    bytes: u64,
    blocks: Blocks,
    /// Held while a block that is not a written one becomes one, so that two writers to its halves do not lose each
    /// other's.
    reviving: Mutex<()>,
    store: Store,
}

#[derive(Debug)]
enum Store {
    Memory(Memory),
    Files(Files),
}

/// What is to be moved between memory and files at once.
#[derive(Debug, Default)]
pub(super) struct Pieces<'m> {
    list: SmallVec<[Piece; 8]>,
    /// Blocks that are no written ones yet, and are then.
    fresh: SmallVec<[Range<u64>; 4]>,
    /// The memory outlives this.
    memory: PhantomData<VolatileSlice<'m>>,
}

impl Overlay {
    /// In memory.
    ///
    /// # Errors
    /// The image cannot be mapped.
    pub(super) fn in_memory(file: &Arc<File>, bytes: u64) -> io::Result<Overlay> {
        Overlay::new(bytes, Store::Memory(Memory::new(file, bytes)?))
    }

    /// In a file of this directory.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(super) fn in_file(file: &Arc<File>, bytes: u64, dir: &Path) -> io::Result<Overlay> {
        let files = Files::new(Arc::clone(file), bytes, dir)?;
        Overlay::new(bytes, Store::Files(files))
    }

    fn new(bytes: u64, store: Store) -> io::Result<Overlay> {
        Ok(Overlay {
            image_bytes: bytes,
            bytes,
            blocks: Blocks::new(blocks(bytes))?,
            reviving: Mutex::new(()),
            store,
        })
    }

    /// Forgets all that was written, and the size that the disk was given.
    ///
    /// # Errors
    /// The store cannot; all stays as it is.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        if let Store::Files(files) = &mut self.store {
            files.renew(self.image_bytes)?;
        }
        self.blocks.clear()?;
        self.bytes = self.image_bytes;
        if let Store::Memory(memory) = &mut self.store {
            memory.set_bytes(self.image_bytes);
            memory.renew();
        }
        Ok(())
    }

    pub(super) fn prepare(&self, threads: usize) {
        if let Store::Files(files) = &self.store {
            files.prepare(threads);
        }
    }

    /// Size of the disk in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The memory for what is written, if that is where it is.
    pub(super) fn arena(&self) -> Option<Arc<Arena>> {
        match &self.store {
            Store::Memory(memory) => Some(Arc::clone(memory.arena())),
            Store::Files(_) => None,
        }
    }

    /// Whether its bytes are in files.
    pub(super) fn is_in_file(&self) -> bool {
        matches!(self.store, Store::Files(_))
    }

    fn check(&self, offset: u64, bytes: u64) -> Result<(), AccessError> {
        let end = offset.checked_add(bytes).ok_or(AccessError::OutOfRange)?;
        (end <= self.bytes).then_some(()).ok_or(AccessError::OutOfRange)
    }

    pub(super) fn read(&self, offset: u64, to: &VolatileSlice<'_>) -> Result<(), AccessError> {
        self.check(offset, to.len() as u64)?;
        if let Store::Memory(memory) = &self.store {
            return memory.read(&self.blocks, offset, to);
        }
        let mut pieces = Pieces::default();
        self.gather_read(offset, to, &mut pieces)?;
        self.run(pieces)
    }

    pub(super) fn write(&self, offset: u64, from: &VolatileSlice<'_>) -> Result<(), AccessError> {
        let bytes = from.len() as u64;
        self.check(offset, bytes)?;
        if let Store::Memory(memory) = &self.store {
            return memory.write(&self.blocks, &self.reviving, offset, from);
        }
        let mut pieces = Pieces::default();
        if self.gather_write(offset, from, &mut pieces)? {
            return self.run(pieces);
        }
        for (block, part) in parts(offset, bytes) {
            self.write_part(block, &part, &part_of(from, offset, &part)?)?;
        }
        Ok(())
    }

    pub(super) fn write_bytes(&self, offset: u64, bytes: &[u8]) -> Result<(), AccessError> {
        // A slice of memory that is written to must be one's own.
        let mut bytes = bytes.to_vec();
        self.write(offset, &VolatileSlice::from(&mut bytes[..]))
    }

    pub(super) fn copy(&self, range: &Range<u64>) -> Result<Box<[u8]>, AccessError> {
        self.check(range.start, range.end.saturating_sub(range.start))?;
        let mut bytes = vec![0; usize::try_from(range.end - range.start).map_err(|_| AccessError::OutOfRange)?];
        self.read(range.start, &VolatileSlice::from(&mut bytes[..]))?;
        Ok(bytes.into_boxed_slice())
    }

    /// What a range holds, piece by piece.
    pub(super) fn contents(&self, offset: u64, len: u64) -> Result<Vec<Content>, AccessError> {
        self.check(offset, len)?;
        let content = |(kind, range): (Kind, Range<u64>)| match kind {
            Kind::Clean => Ok(Content::Golden(range.end - range.start)),
            Kind::Zero => Ok(Content::Zeros(range.end - range.start)),
            Kind::Written => Ok(Content::Bytes(self.copy(&range)?.into())),
        };
        self.runs(offset, len).into_iter().map(content).collect()
    }

    /// A range cut where the blocks' states change.
    fn runs(&self, offset: u64, len: u64) -> SmallVec<[(Kind, Range<u64>); 4]> {
        let mut runs: SmallVec<[(Kind, Range<u64>); 4]> = SmallVec::new();
        for (block, part) in parts(offset, len) {
            let kind = self.blocks.get(block).kind();
            match runs.last_mut() {
                Some((last, range)) if *last == kind => range.end = part.end,
                _ => runs.push((kind, part)),
            }
        }
        runs
    }

    pub(super) fn zero(&self, offset: u64, bytes: u64) -> Result<(), AccessError> {
        self.check(offset, bytes)?;
        for (block, part) in parts(offset, bytes) {
            if part == self.block(block) {
                self.blocks.zero(block);
            } else {
                self.write_bytes(part.start, &vec![0; (part.end - part.start) as usize])?;
            }
        }
        Ok(())
    }

    /// A block's bytes; the last one ends with the disk.
    fn block(&self, block: u64) -> Range<u64> {
        let start = block * BLOCK_BYTES;
        start..self.bytes.min(start + BLOCK_BYTES)
    }

    /// Adds what a read moves; zeros are written here.
    pub(super) fn gather_read<'m>(
        &self,
        offset: u64,
        to: &VolatileSlice<'m>,
        pieces: &mut Pieces<'m>,
    ) -> Result<(), AccessError> {
        self.check(offset, to.len() as u64)?;
        for (kind, range) in self.runs(offset, to.len() as u64) {
            let part = part_of(to, offset, &range)?;
            match kind {
                Kind::Zero => fill_zero(&part),
                Kind::Clean => pieces.add(Which::Image, false, range.start, &part),
                Kind::Written => pieces.add(Which::Written, false, range.start, &part),
            }
        }
        Ok(())
    }

    /// Adds what a write moves, unless it is to a part of a block that is no written one: what else is in that has to
    /// be written, too.
    pub(super) fn gather_write<'m>(
        &self,
        offset: u64,
        from: &VolatileSlice<'m>,
        pieces: &mut Pieces<'m>,
    ) -> Result<bool, AccessError> {
        self.check(offset, from.len() as u64)?;
        let before = pieces.fresh.len();
        for (block, part) in parts(offset, from.len() as u64) {
            // One that is written now is left alone: if somebody zeroes it before this is done, what is not of this
            // write must not come back.
            if self.blocks.get(block).kind() == Kind::Written {
                continue;
            }
            if part != self.block(block) {
                pieces.fresh.truncate(before);
                return Ok(false);
            }
            match pieces.fresh.get_mut(before..).and_then(<[_]>::last_mut) {
                Some(last) if last.end == block => last.end += 1,
                _ => pieces.fresh.push(block..block + 1),
            }
        }
        if !from.is_empty() {
            pieces.add(Which::Written, true, offset, from);
        }
        Ok(true)
    }

    /// Moves what was gathered.
    pub(super) fn run(&self, mut pieces: Pieces<'_>) -> Result<(), AccessError> {
        let Store::Files(files) = &self.store else {
            return Ok(());
        };
        let _guard = (!pieces.fresh.is_empty()).then(|| self.reviving.lock().unwrap_or_else(PoisonError::into_inner));
        // SAFETY: each piece is a part of a slice of memory that outlives `pieces`, and so this call.
        unsafe { files.transfer(&mut pieces.list) }.map_err(|error| AccessError::Storage(error.kind()))?;
        for block in pieces.fresh.into_iter().flatten() {
            self.blocks.written_in_place(block);
        }
        Ok(())
    }

    /// Writes to a part of a block in the file.
    fn write_part(&self, block: u64, part: &Range<u64>, from: &VolatileSlice<'_>) -> Result<(), AccessError> {
        let mut pieces = Pieces::default();
        if self.gather_write(part.start, from, &mut pieces)? {
            return self.run(pieces);
        }
        let _guard = self.reviving.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pieces = Pieces::default();
        // Somebody may have written to its other part meanwhile.
        if !self.gather_write(part.start, from, &mut pieces)? {
            let whole = self.block(block);
            let was = self.blocks.get(block);
            let mut bytes = self.copy(&whole)?;
            let at = (part.start - whole.start) as usize;
            if let Some(place) = bytes.get_mut(at..at + from.len()) {
                from.copy_to(place);
            }
            let mut all = Pieces::default();
            let slice = VolatileSlice::from(&mut bytes[..]);
            self.gather_write(whole.start, &slice, &mut all)?;
            // The lock is held here. If somebody has zeroed the block meanwhile it stays so: what was copied is of
            // before.
            all.fresh.clear();
            self.run(all)?;
            self.blocks.written(block, was, 0);
            return Ok(());
        }
        self.run(pieces)
    }

    /// Byte ranges that were written and are not zeroed, merged where they touch.
    pub(crate) fn dirty_ranges(&self) -> Vec<Range<u64>> {
        self.ranges(Kind::Written)
    }

    /// Byte ranges that read as zeros because the guest said so.
    pub(crate) fn zero_ranges(&self) -> Vec<Range<u64>> {
        self.ranges(Kind::Zero)
    }

    fn ranges(&self, wanted: Kind) -> Vec<Range<u64>> {
        let runs = (0u64..).zip(self.blocks.kinds(blocks(self.bytes)));
        let mut ranges: Vec<Range<u64>> = Vec::new();
        for (block, _) in runs.filter(|(_, kind)| *kind == wanted) {
            let bytes = self.block(block);
            match ranges.last_mut() {
                Some(last) if last.end == bytes.start => last.end = bytes.end,
                _ => ranges.push(bytes),
            }
        }
        ranges
    }

    /// Calls `each` with the bytes of a range, a piece at a time.
    pub(crate) fn each_piece(
        &self,
        range: &Range<u64>,
        mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min(at + PIECE_BYTES);
            let bytes = self.copy(&(at..end)).map_err(io::Error::other)?;
            each(at, &bytes)?;
            at = end;
        }
        Ok(())
    }
}

impl<'m> Pieces<'m> {
    fn add(&mut self, which: Which, write: bool, at: u64, slice: &VolatileSlice<'m>) {
        self.list.push(Piece {
            which,
            write,
            at,
            memory: slice.ptr_guard_mut().as_ptr(),
            len: slice.len(),
        });
    }
}

/// Blocks of a disk of this size.
fn blocks(bytes: u64) -> usize {
    usize::try_from(bytes.div_ceil(BLOCK_BYTES)).unwrap_or(usize::MAX)
}

/// Cuts a range at the blocks' borders: each block's number and the bytes of it that are meant.
fn parts(offset: u64, bytes: u64) -> impl Iterator<Item = (u64, Range<u64>)> {
    let end = offset + bytes;
    let blocks = if bytes == 0 {
        0..0
    } else {
        offset / BLOCK_BYTES..end.div_ceil(BLOCK_BYTES)
    };
    blocks.map(move |block| {
        let (start, stop) = (block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);
        (block, start.max(offset)..stop.min(end))
    })
}
