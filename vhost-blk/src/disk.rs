//! The disk: a golden image that is never written, under a copy-on-write overlay that belongs to this process.
//!
//! The image is mapped privately, so that the kernel copies a page when it is first written: the device starts at once
//! whatever the image's size, many devices share one image's page cache, and going back is a new mapping. Beside the
//! mapping stands one state a block, for `export` (what differs from the image) and for zeroed ranges, which cost no memory.
//!
//! The image must not be truncated while it is in use; the harness's golden images are never changed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use thiserror::Error;
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{FileOffset, MmapRegion, VolatileMemory, VolatileSlice};

use rustix::mm::{MapFlags, ProtFlags};

use crate::history::{Change, Content, History, Keep, Log};

/// Granularity of the overlay's states in bytes.
pub const BLOCK_BYTES: u64 = 4096;

/// The block is as in the image.
const CLEAN: u8 = 0;
/// The block was written; the mapping has its bytes.
const DIRTY: u8 = 1;
/// The block reads as zeros whatever the mapping holds.
const ZERO: u8 = 2;

/// What can go wrong with the image.
#[derive(Debug, Error)]
pub enum DiskError {
    /// It cannot be opened or mapped.
    #[error("cannot use the image {}: {source}", path.display())]
    Open {
        /// The image.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Its size is none that a disk can have.
    #[error("the image {} has {bytes} bytes: expected a multiple of the block size {block_bytes}, and not 0 \
             (`truncate -s` changes it)", path.display())]
    Size {
        /// The image.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The block size.
        block_bytes: u32,
    },
}

/// An access outside the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the range lies outside the disk")]
pub struct OutOfRange;

/// A disk that many threads use at once.
#[derive(Debug)]
pub struct Disk {
    file: Arc<File>,
    bytes: u64,
    // Accesses share the lock; rollback and export have it alone.
    overlay: RwLock<Overlay>,
    /// Taken before the overlay's lock.
    pub(crate) history: History,
}

/// One request's changes to a disk: one entry of its history, if that is kept.
pub(crate) struct Changes<'a> {
    disk: &'a Disk,
    log: Option<MutexGuard<'a, Option<Log>>>,
    made: Vec<Change>,
}

#[derive(Debug)]
pub(crate) struct Overlay {
    region: MmapRegion,
    states: Vec<AtomicU8>,
    /// Whether any block was ever zeroed; while not, reads need not look.
    any_zero: AtomicBool,
    /// Held while a zeroed block becomes a written one, so that two writers to its halves do not lose each other's.
    reviving: Mutex<()>,
}

impl Disk {
    /// Opens a raw image read-only.
    ///
    /// # Errors
    /// It cannot be opened or mapped, or its size is not a multiple of `block_bytes`.
    pub fn open(path: &Path, block_bytes: u32) -> Result<Disk, DiskError> {
        let open = |source| DiskError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(open)?;
        let metadata = file.metadata().map_err(open)?;
        if !metadata.is_file() {
            return Err(open(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")));
        }
        let bytes = metadata.len();
        if bytes == 0 || !bytes.is_multiple_of(u64::from(block_bytes.max(512))) {
            return Err(DiskError::Size {
                path: path.to_owned(),
                bytes,
                block_bytes: block_bytes.max(512),
            });
        }
        let file = Arc::new(file);
        let overlay = Overlay::new(&file, bytes).map_err(open)?;
        Ok(Disk {
            file,
            bytes,
            overlay: RwLock::new(overlay),
            history: History::default(),
        })
    }

    /// Size in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The golden image.
    pub(crate) fn golden(&self) -> &File {
        &self.file
    }

    /// Copies from the disk into guest memory.
    ///
    /// # Errors
    /// The range lies outside the disk.
    pub fn read(&self, offset: u64, to: &VolatileSlice<'_>) -> Result<(), OutOfRange> {
        self.shared().read(offset, to)
    }

    /// Copies from the golden image, whatever was written since, into guest memory.
    ///
    /// # Errors
    /// The range lies outside the disk, or the image cannot be read.
    pub fn read_golden(&self, offset: u64, to: &VolatileSlice<'_>) -> Result<(), OutOfRange> {
        let mut bytes = vec![0; to.len()];
        self.file.read_exact_at(&mut bytes, offset).map_err(|_| OutOfRange)?;
        to.copy_from(&bytes);
        Ok(())
    }

    /// Keeps what it takes to go back to marks and to show power cuts; what was written before counts as durable.
    pub fn keep_history(&self, keep: Keep) {
        self.history.keep(keep);
    }

    /// Begins one request's changes. While history is kept, no other request changes anything before this value is dropped.
    pub(crate) fn change(&self) -> Changes<'_> {
        Changes {
            disk: self,
            log: self.history.open(),
            made: Vec::new(),
        }
    }

    /// Copies from guest memory to the disk.
    ///
    /// # Errors
    /// The range lies outside the disk.
    pub fn write(&self, offset: u64, from: &VolatileSlice<'_>) -> Result<(), OutOfRange> {
        self.change().write(offset, from)
    }

    /// Makes a range read as zeros.
    ///
    /// # Errors
    /// The range lies outside the disk.
    pub fn zero(&self, offset: u64, bytes: u64) -> Result<(), OutOfRange> {
        self.change().zero(offset, bytes)
    }

    fn shared(&self) -> RwLockReadGuard<'_, Overlay> {
        self.overlay.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts back what a range held; the history knows of it already.
    pub(crate) fn put(&self, offset: u64, content: &Content) {
        let overlay = self.shared();
        // It was read from there, so it lies on the disk; an image that cannot be read any more leaves what is there.
        let _ = match content {
            Content::Zeros(len) => overlay.zero(offset, *len),
            Content::Bytes(bytes) => overlay.write_bytes(offset, bytes),
            Content::Golden(len) => self.put_golden(&overlay, offset, *len),
        };
    }

    fn put_golden(&self, overlay: &Overlay, offset: u64, len: u64) -> Result<(), OutOfRange> {
        const STEP: u64 = 1 << 20;
        for start in (0..len).step_by(STEP as usize) {
            let mut bytes = vec![0; (len - start).min(STEP) as usize];
            self.file
                .read_exact_at(&mut bytes, offset + start)
                .map_err(|_| OutOfRange)?;
            overlay.write_bytes(offset + start, &bytes)?;
        }
        Ok(())
    }

    /// Goes back to the golden image.
    ///
    /// # Errors
    /// The image cannot be mapped again; the disk then stays as it is.
    pub fn rollback(&self) -> io::Result<()> {
        let fresh = Overlay::new(&self.file, self.bytes)?;
        *self.overlay.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        self.history.clear();
        Ok(())
    }

    /// Runs something that must see the disk stand still.
    pub(crate) fn frozen<T>(&self, look: impl FnOnce(&Overlay) -> T) -> T {
        look(&self.overlay.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Changes<'_> {
    /// Copies from guest memory to the disk.
    pub(crate) fn write(&mut self, offset: u64, from: &VolatileSlice<'_>) -> Result<(), OutOfRange> {
        let len = from.len() as u64;
        self.make(
            offset,
            len,
            |overlay| overlay.write(offset, from),
            |overlay| {
                // Read back, not out of guest memory: the driver may write there meanwhile.
                Ok(Content::Bytes(overlay.copy(&(offset..offset + len))?))
            },
        )
    }

    /// Makes a range read as zeros.
    pub(crate) fn zero(&mut self, offset: u64, bytes: u64) -> Result<(), OutOfRange> {
        self.make(
            offset,
            bytes,
            |overlay| overlay.zero(offset, bytes),
            |_| Ok(Content::Zeros(bytes)),
        )
    }

    fn make(
        &mut self,
        offset: u64,
        len: u64,
        change: impl FnOnce(&Overlay) -> Result<(), OutOfRange>,
        after: impl FnOnce(&Overlay) -> Result<Content, OutOfRange>,
    ) -> Result<(), OutOfRange> {
        let overlay = self.disk.shared();
        if self.log.is_none() {
            return change(&overlay);
        }
        let before = overlay.contents(offset, len)?;
        change(&overlay)?;
        let after = after(&overlay)?;
        self.made.push(Change { offset, before, after });
        Ok(())
    }
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        if let Some(log) = self.log.as_mut().and_then(|log| log.as_mut()) {
            log.changed(std::mem::take(&mut self.made));
        }
    }
}

impl Overlay {
    fn new(file: &Arc<File>, bytes: u64) -> io::Result<Overlay> {
        let size = usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let prot = (ProtFlags::READ | ProtFlags::WRITE).bits().cast_signed();
        let flags = (MapFlags::PRIVATE | MapFlags::NORESERVE).bits().cast_signed();
        let region = MmapRegionBuilder::new(size)
            .with_file_offset(FileOffset::from_arc(Arc::clone(file), 0))
            .with_mmap_prot(prot)
            .with_mmap_flags(flags)
            .build()
            .map_err(io::Error::other)?;
        let blocks = size.div_ceil(BLOCK_BYTES as usize);
        let states = std::iter::repeat_with(|| AtomicU8::new(CLEAN)).take(blocks).collect();
        Ok(Overlay {
            region,
            states,
            any_zero: AtomicBool::new(false),
            reviving: Mutex::new(()),
        })
    }

    fn slice(&self, offset: u64, bytes: usize) -> Result<VolatileSlice<'_>, OutOfRange> {
        let offset = usize::try_from(offset).map_err(|_| OutOfRange)?;
        self.region.get_slice(offset, bytes).map_err(|_| OutOfRange)
    }

    fn state(&self, block: u64) -> &AtomicU8 {
        // In range for every block of a slice that `slice` has checked.
        &self.states[block as usize]
    }

    fn read(&self, offset: u64, to: &VolatileSlice<'_>) -> Result<(), OutOfRange> {
        let from = self.slice(offset, to.len())?;
        from.copy_to_volatile_slice(*to);
        if self.any_zero.load(Ordering::Acquire) {
            for (block, part) in parts(offset, to.len() as u64) {
                if self.state(block).load(Ordering::Acquire) == ZERO {
                    let start = (part.start - offset) as usize;
                    let hole = to
                        .subslice(start, (part.end - part.start) as usize)
                        .map_err(|_| OutOfRange)?;
                    fill_zero(&hole);
                }
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, from: &VolatileSlice<'_>) -> Result<(), OutOfRange> {
        let to = self.slice(offset, from.len())?;
        self.dirty(offset, from.len() as u64)?;
        from.copy_to_volatile_slice(to);
        Ok(())
    }

    fn write_bytes(&self, offset: u64, bytes: &[u8]) -> Result<(), OutOfRange> {
        let to = self.slice(offset, bytes.len())?;
        self.dirty(offset, bytes.len() as u64)?;
        to.copy_from(bytes);
        Ok(())
    }

    fn copy(&self, range: &std::ops::Range<u64>) -> Result<Box<[u8]>, OutOfRange> {
        let slice = self.bytes_at(range)?;
        let mut bytes = vec![0; slice.len()];
        slice.copy_to(&mut bytes);
        Ok(bytes.into_boxed_slice())
    }

    /// What a range holds, piece by piece.
    fn contents(&self, offset: u64, len: u64) -> Result<Vec<Content>, OutOfRange> {
        self.slice(offset, usize::try_from(len).map_err(|_| OutOfRange)?)?;
        let mut pieces: Vec<(u8, std::ops::Range<u64>)> = Vec::new();
        for (block, part) in parts(offset, len) {
            let state = self.state(block).load(Ordering::Acquire);
            match pieces.last_mut() {
                Some((last, range)) if *last == state => range.end = part.end,
                _ => pieces.push((state, part)),
            }
        }
        let content = |(state, range): (u8, std::ops::Range<u64>)| match state {
            CLEAN => Ok(Content::Golden(range.end - range.start)),
            ZERO => Ok(Content::Zeros(range.end - range.start)),
            _ => self.copy(&range).map(Content::Bytes),
        };
        pieces.into_iter().map(content).collect()
    }

    /// Marks a range as written; a block that was zeroed gets its zeros first.
    fn dirty(&self, offset: u64, bytes: u64) -> Result<(), OutOfRange> {
        for (block, _) in parts(offset, bytes) {
            let state = self.state(block);
            if state.load(Ordering::Acquire) == ZERO {
                let _guard = self.reviving.lock().unwrap_or_else(PoisonError::into_inner);
                if state.load(Ordering::Acquire) == ZERO {
                    fill_zero(&self.block(block)?);
                    state.store(DIRTY, Ordering::Release);
                }
            } else {
                state.store(DIRTY, Ordering::Release);
            }
        }
        Ok(())
    }

    fn zero(&self, offset: u64, bytes: u64) -> Result<(), OutOfRange> {
        self.slice(offset, usize::try_from(bytes).map_err(|_| OutOfRange)?)?;
        let end_of_disk = self.region.size() as u64;
        for (block, part) in parts(offset, bytes) {
            let whole = part.start == block * BLOCK_BYTES && part.end == end_of_disk.min((block + 1) * BLOCK_BYTES);
            if whole {
                self.any_zero.store(true, Ordering::Release);
                self.state(block).store(ZERO, Ordering::Release);
            } else {
                self.dirty(part.start, part.end - part.start)?;
                fill_zero(&self.slice(part.start, (part.end - part.start) as usize)?);
            }
        }
        Ok(())
    }

    fn block(&self, block: u64) -> Result<VolatileSlice<'_>, OutOfRange> {
        let start = block * BLOCK_BYTES;
        let end = (self.region.size() as u64).min(start + BLOCK_BYTES);
        self.slice(start, (end - start) as usize)
    }

    /// Byte ranges that were written and are not zeroed, merged where they touch, with the mapping's bytes.
    pub(crate) fn dirty_ranges(&self) -> Vec<std::ops::Range<u64>> {
        self.ranges(DIRTY)
    }

    /// Byte ranges that read as zeros because the guest said so.
    pub(crate) fn zero_ranges(&self) -> Vec<std::ops::Range<u64>> {
        self.ranges(ZERO)
    }

    fn ranges(&self, wanted: u8) -> Vec<std::ops::Range<u64>> {
        let mut ranges: Vec<std::ops::Range<u64>> = Vec::new();
        let size = self.region.size() as u64;
        for (block, state) in (0u64..).zip(&self.states) {
            if state.load(Ordering::Acquire) == wanted {
                let (start, end) = (block * BLOCK_BYTES, size.min((block + 1) * BLOCK_BYTES));
                match ranges.last_mut() {
                    Some(last) if last.end == start => last.end = end,
                    _ => ranges.push(start..end),
                }
            }
        }
        ranges
    }

    /// The mapping's bytes.
    pub(crate) fn bytes_at(&self, range: &std::ops::Range<u64>) -> Result<VolatileSlice<'_>, OutOfRange> {
        self.slice(
            range.start,
            usize::try_from(range.end - range.start).map_err(|_| OutOfRange)?,
        )
    }
}

/// Cuts a range at the blocks' borders: each block's number and the bytes of it that are meant.
fn parts(offset: u64, bytes: u64) -> impl Iterator<Item = (u64, std::ops::Range<u64>)> {
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

pub(crate) fn fill_zero(slice: &VolatileSlice<'_>) {
    const ZEROS: [u8; BLOCK_BYTES as usize] = [0; BLOCK_BYTES as usize];
    let mut done = 0;
    while let Ok(rest) = slice.offset(done) {
        if rest.is_empty() {
            break;
        }
        rest.copy_from(&ZEROS[..]);
        done += rest.len().min(ZEROS.len());
    }
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
