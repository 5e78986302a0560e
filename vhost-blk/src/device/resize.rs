//! A disk that is made larger or smaller while it runs, and who learns of it.

use std::io;
use std::sync::atomic::Ordering;

use thiserror::Error;
use vhost_blk_api::control::FrontEnd;
use vhost_blk_api::plan::units::print_bytes;
use vhost_blk_api::trace::Record;

use super::Device;

/// Largest disk in bytes, 16 TiB: a size that was mistyped must not take all memory: four bytes for each block that is
/// written or zeroed.
pub(crate) const BYTES_MAX: u64 = 16 << 40;

/// A disk that has another size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resized {
    /// What it had, in bytes.
    pub(crate) from: u64,
    /// What it has.
    pub(crate) bytes: u64,
    /// Whether the front end knows.
    pub(crate) front_end: FrontEnd,
}

/// A size that the disk cannot be given; it has its old one still.
#[derive(Debug, Error)]
pub enum ResizeError {
    /// No disk has such a size.
    #[error("a disk of {bytes} bytes: expected a multiple of its block size {block_bytes}, and not 0")]
    Odd {
        bytes: u64,
        /// The block size.
        block_bytes: u32,
    },
    /// It is too large.
    #[error("a disk of {bytes} bytes: expected at most {BYTES_MAX} ({})", print_bytes(BYTES_MAX))]
    Large { bytes: u64 },
    /// The storage says so.
    #[error("no room for a disk of {bytes} bytes: {source}; it has {now} bytes still")]
    Storage {
        bytes: u64,
        /// The size that it has.
        now: u64,
        source: io::Error,
    },
}

impl Device {
    /// Makes the disk larger or smaller, between two requests, and tells the front end. A request that waits, and lies
    /// beyond the new end when it is done, fails as one that comes later.
    ///
    /// # Errors
    /// It is no size for a disk, or there is no room.
    pub fn resize(&self, bytes: u64) -> Result<Resized, ResizeError> {
        let block_bytes = self.config().block_size;
        if bytes == 0 || !bytes.is_multiple_of(u64::from(block_bytes)) {
            return Err(ResizeError::Odd { bytes, block_bytes });
        }
        if bytes > BYTES_MAX {
            return Err(ResizeError::Large { bytes });
        }
        // Nothing is done on the disk meanwhile, as for a power cut: a request sees one size.
        let power = self.gate.power_exclusive();
        let state = self.lock();
        let from = self.disk.bytes();
        self.disk.resize(bytes).map_err(|source| ResizeError::Storage {
            bytes,
            now: from,
            source,
        })?;
        self.trace_size(from);
        drop((state, power));
        self.trace.flush();
        Ok(Resized {
            from,
            bytes,
            front_end: self.front_end.tell_size(),
        })
    }

    /// Whether the disk had another size once.
    #[must_use]
    pub(crate) fn was_resized(&self) -> bool {
        self.was_resized.load(Ordering::Acquire)
    }

    /// Puts it into the trace if the disk has another size than this.
    pub(crate) fn trace_size(&self, from: u64) {
        let bytes = self.disk.bytes();
        if bytes != from {
            self.was_resized.store(true, Ordering::Release);
            self.trace.write(|| Record::Resize {
                t_us: self.trace.now_us(),
                from,
                bytes,
            });
        }
    }
}
