//! The disk: a golden image that is never written, under a copy-on-write overlay that belongs to this process.
//!
//! `overlay.rs` has one state a block (`blocks.rs`), for reads, for `export` (what differs from the image) and for
//! zeroed ranges, which cost nothing; the bytes are in memory (`memory.rs`) or in a file (`files.rs`), with the same
//! meaning. A disk can be made to end elsewhere than its image: beyond that there are zeros, and what was cut off is
//! gone (`overlay/size.rs`).
//!
//! The image must not be truncated while it is in use; the harness's golden images are never changed.

mod arena;
mod blocks;
pub(crate) mod export;
mod files;
pub(crate) mod fill;
pub(crate) mod image;
mod mapping;
mod medium;
mod memory;
pub(crate) mod overlay;
mod rings;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use smallvec::{SmallVec, smallvec};
use thiserror::Error;
use vhost_blk_api::op::SECTOR_BYTES;
use vm_memory::VolatileSlice;

use self::image::{AccessError, PIECE_BYTES, golden};
use self::overlay::{Overlay, Pieces};
use crate::power::change::{Change, Content};
use crate::power::gate::{OrderedGuard, OrderedRwLock, Rank, ReadGuard, WriteGuard};
use crate::power::history::History;
use crate::power::log::{Keep, Log};

/// What can go wrong with the image.
#[derive(Debug, Error)]
pub enum DiskError {
    /// It cannot be opened or mapped.
    #[error("cannot use the image {}: {source}", path.display())]
    Open {
        /// The raw image as it was named.
        path: PathBuf,
        /// The system's answer, or that it is no regular file.
        source: io::Error,
    },
    /// The file for what is written cannot be made.
    #[error("cannot make a file for what is written in {}: {source} (`--storage-dir` names another directory)", dir.display())]
    Written {
        /// The directory that has no room for a file without a name.
        dir: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Its size is none that a disk can have.
    #[error("the image {} has {bytes} bytes: expected a multiple of the block size {block_bytes}, and not 0 \
             (`truncate -s` changes it)", path.display())]
    Size {
        /// The raw image as it was named.
        path: PathBuf,
        /// The file's length.
        bytes: u64,
        /// Logical block size in bytes, at least 512.
        block_bytes: u32,
    },
}

/// Where what is written lives. Whatever it is, it ends with the process, and the image is never written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// In anonymous memory; the image is mapped.
    Memory,
    /// In a file without a name; image and file are read and written through io_uring.
    File {
        /// Where the file is made.
        dir: PathBuf,
    },
}

/// A disk that many threads use at once.
#[derive(Debug)]
pub struct Disk {
    file: Arc<File>,
    image_bytes: u64,
    /// The overlay's, for those who only want to know.
    bytes: AtomicU64,
    in_file: bool,
    // Accesses share the lock; rollback, resize and export have it alone.
    overlay: OrderedRwLock<Overlay>,
    /// Taken before the overlay's lock.
    pub(crate) history: History,
}

/// One request's changes to a disk: one entry of its history, if that is kept.
pub(crate) struct Changes<'a> {
    disk: &'a Disk,
    log: Option<OrderedGuard<'a, Option<Log>>>,
    made: Vec<Change>,
    /// What the request is known by among those in flight.
    flight: Option<u64>,
}

impl Disk {
    /// Opens a raw image read-only.
    ///
    /// # Errors
    /// It cannot be opened or mapped, or its size is not a multiple of `block_bytes`.
    pub fn open(path: &Path, block_bytes: u32) -> Result<Disk, DiskError> {
        Disk::open_in(path, block_bytes, &Storage::Memory)
    }

    /// Opens a raw image read-only; what is written goes where `storage` says.
    ///
    /// # Errors
    /// As of [`open`](Self::open), or the file for what is written cannot be made.
    pub fn open_in(path: &Path, block_bytes: u32, storage: &Storage) -> Result<Disk, DiskError> {
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
        let overlay = match storage {
            Storage::Memory => Overlay::in_memory(&file, bytes).map_err(open)?,
            Storage::File { dir } => Overlay::in_file(&file, bytes, dir).map_err(|source| DiskError::Written {
                dir: dir.clone(),
                source,
            })?,
        };
        Ok(Disk {
            file,
            image_bytes: bytes,
            bytes: AtomicU64::new(bytes),
            in_file: overlay.is_in_file(),
            overlay: OrderedRwLock::new(Rank::Overlay, overlay),
            history: History::default(),
        })
    }

    /// Size in bytes; a resize or a rollback changes it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    /// Size of the image in bytes.
    pub(crate) fn image_bytes(&self) -> u64 {
        self.image_bytes
    }

    /// The golden image.
    pub(crate) fn golden(&self) -> &File {
        &self.file
    }

    /// Copies from the disk into guest memory.
    ///
    /// # Errors
    /// The range lies outside the disk.
    pub fn read(&self, offset: u64, to: &VolatileSlice<'_>) -> Result<(), AccessError> {
        self.shared().read(offset, to)
    }

    /// Copies from the golden image, whatever was written since, into guest memory; zeros from beyond its end.
    ///
    /// # Errors
    /// The range lies outside the disk, or the image cannot be read.
    pub(crate) fn read_golden(&self, offset: u64, to: &VolatileSlice<'_>) -> Result<(), AccessError> {
        let end = offset
            .checked_add(to.len() as u64)
            .filter(|end| *end <= self.bytes())
            .ok_or(AccessError::OutOfRange)?;
        to.copy_from(&golden(&self.file, &(offset..end))?);
        Ok(())
    }

    /// Calls `each` with the bytes that the golden image holds in a range, a piece at a time.
    pub(crate) fn each_golden_piece(
        &self,
        range: &Range<u64>,
        mut each: impl FnMut(u64, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        for at in (range.start..range.end).step_by(PIECE_BYTES as usize) {
            let piece = at..range.end.min(at + PIECE_BYTES);
            each(at, &golden(&self.file, &piece).map_err(io::Error::other)?)?;
        }
        Ok(())
    }

    /// For accesses that are better done together than one by one; nothing where that is no better, or while history is
    /// kept.
    pub(crate) fn together<'m>(&self) -> Option<Together<'_, 'm>> {
        (self.in_file && !self.history.is_kept()).then(|| Together {
            overlay: self.shared(),
            pieces: Pieces::default(),
        })
    }

    /// Whether what is written lives in a file.
    #[must_use]
    pub(crate) fn is_in_file(&self) -> bool {
        self.in_file
    }

    /// Makes what this many threads at once need for accesses, after which nothing has to be made for them, and nothing
    /// is.
    pub fn prepare(&self, threads: usize) {
        self.shared().prepare(threads);
    }

    /// Keeps memory there for what is written next, so that who writes need not wait for it. Returns only where that is
    /// no use.
    pub(crate) fn keep_ahead(&self) {
        let arena = self.shared().arena();
        if let Some(arena) = arena {
            arena.keep_ahead();
        }
    }

    /// Keeps what it takes to go back to marks and to show power cuts; what was written before counts as durable.
    pub fn keep_history(&self, keep: Keep) {
        self.history.keep(keep);
    }

    /// Begins one request's changes. While history is kept, no other request changes anything before this value is
    /// dropped.
    pub(crate) fn change(&self, flight: Option<u64>) -> Changes<'_> {
        Changes {
            flight,
            disk: self,
            log: self.history.open(),
            made: Vec::new(),
        }
    }

    /// Copies from guest memory to the disk.
    ///
    /// # Errors
    /// The range lies outside the disk.
    pub fn write(&self, offset: u64, from: &VolatileSlice<'_>) -> Result<(), AccessError> {
        self.change(None).write(offset, from)
    }

    #[cfg(test)]
    pub(crate) fn zero(&self, offset: u64, bytes: u64) -> Result<(), AccessError> {
        self.change(None).zero(offset, bytes)
    }

    fn shared(&self) -> ReadGuard<'_, Overlay> {
        self.overlay.read()
    }

    fn alone(&self) -> WriteGuard<'_, Overlay> {
        self.overlay.write()
    }

    /// Goes back to the golden image, which has its own size.
    ///
    /// # Errors
    /// The file for what is written cannot be emptied; the disk then stays as it is.
    pub fn rollback(&self) -> io::Result<()> {
        let mut overlay = self.alone();
        overlay.renew()?;
        self.bytes.store(overlay.bytes(), Ordering::Release);
        drop(overlay);
        self.history.clear();
        Ok(())
    }

    /// Runs something that must see the disk stand still.
    pub(crate) fn frozen<T>(&self, look: impl FnOnce(&Overlay) -> T) -> T {
        look(&self.alone())
    }
}

impl Changes<'_> {
    /// Copies from guest memory to the disk.
    pub(crate) fn write(&mut self, offset: u64, from: &VolatileSlice<'_>) -> Result<(), AccessError> {
        let len = from.len() as u64;
        self.make(
            offset,
            len,
            |overlay| overlay.write(offset, from),
            |overlay| {
                // Read back, not out of guest memory: the driver may write there meanwhile.
                Ok(Content::Bytes(overlay.copy(&(offset..offset + len))?.into()))
            },
        )
    }

    /// Makes a range read as zeros.
    pub(crate) fn zero(&mut self, offset: u64, bytes: u64) -> Result<(), AccessError> {
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
        change: impl FnOnce(&Overlay) -> Result<(), AccessError>,
        after: impl Fn(&Overlay) -> Result<Content, AccessError>,
    ) -> Result<(), AccessError> {
        let overlay = self.disk.shared();
        if self.log.is_none() {
            return change(&overlay);
        }
        // Whole sectors: a disk's cache, and a log of dm-log-writes, hold no less.
        let end = offset.checked_add(len).ok_or(AccessError::OutOfRange)?;
        let whole_end = end.checked_next_multiple_of(SECTOR_BYTES);
        let whole = offset / SECTOR_BYTES * SECTOR_BYTES..whole_end.ok_or(AccessError::OutOfRange)?;
        let before = self.unchanged(whole.clone());
        let before = before.into_iter().map(|range| {
            let before = overlay.contents(range.start, range.end - range.start)?;
            Ok((range, before))
        });
        let before: SmallVec<[_; 1]> = before.collect::<Result<_, AccessError>>()?;
        change(&overlay)?;
        // What this request had changed before is still one change.
        for made in self.made.iter_mut().filter(|made| overlap(made, &whole)) {
            made.after = Content::Bytes(overlay.copy(&(made.offset..made.end()))?.into());
        }
        for (range, before) in before {
            let after = if range == (offset..end) {
                after(&overlay)?
            } else {
                Content::Bytes(overlay.copy(&range)?.into())
            };
            self.made.push(Change {
                offset: range.start,
                before,
                after,
            });
        }
        Ok(())
    }

    /// What of a range this request has not changed yet.
    fn unchanged(&self, range: Range<u64>) -> SmallVec<[Range<u64>; 1]> {
        let mut left: SmallVec<[Range<u64>; 1]> = smallvec![range.clone()];
        for made in self.made.iter().filter(|made| overlap(made, &range)) {
            let parts = left.iter().flat_map(|part| {
                [
                    part.start..part.end.min(made.offset),
                    part.start.max(made.end())..part.end,
                ]
            });
            left = parts.filter(|part| !part.is_empty()).collect();
        }
        left
    }
}

/// Whether a change lies in a range, if only in part.
fn overlap(change: &Change, range: &Range<u64>) -> bool {
    change.offset < range.end && change.end() > range.start
}

impl<'m> Together<'_, 'm> {
    /// Adds a read. The memory is used until [`finish`](Self::finish).
    pub(crate) fn read(&mut self, offset: u64, to: &VolatileSlice<'m>) -> Result<(), AccessError> {
        self.overlay.gather_read(offset, to, &mut self.pieces)
    }

    /// Adds a write, if it can be; it cannot where a block is written in part. The memory is used until
    /// [`finish`](Self::finish).
    pub(crate) fn write(&mut self, offset: u64, from: &VolatileSlice<'m>) -> Result<bool, AccessError> {
        self.overlay.gather_write(offset, from, &mut self.pieces)
    }

    /// Does all of them.
    pub(crate) fn finish(self) -> Result<(), AccessError> {
        self.overlay.run(self.pieces)
    }
}

impl Drop for Changes<'_> {
    fn drop(&mut self) {
        if let Some(log) = self.log.as_mut().and_then(|log| log.as_mut()) {
            let made = std::mem::take(&mut self.made);
            self.disk.history.landed(log, made, self.flight);
        }
    }
}

/// Accesses that are done together.
pub(crate) struct Together<'a, 'm> {
    overlay: ReadGuard<'a, Overlay>,
    pieces: Pieces<'m>,
}

#[cfg(test)]
mod tests;
