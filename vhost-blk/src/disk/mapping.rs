//! The image in memory, to read from. The device starts at once whatever the image's size, and many devices share its
//! page cache.

use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::mm::{MapFlags, ProtFlags};
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{FileOffset, MmapRegion, VolatileMemory, VolatileSlice};

use super::image::AccessError;

/// An image that is mapped.
#[derive(Debug)]
pub(super) struct Mapping {
    region: MmapRegion,
}

impl Mapping {
    /// Maps an image of this size.
    ///
    /// # Errors
    /// It cannot be mapped.
    pub(super) fn new(file: &Arc<File>, bytes: u64) -> io::Result<Mapping> {
        let size = usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let region = MmapRegionBuilder::new(size)
            .with_file_offset(FileOffset::from_arc(Arc::clone(file), 0))
            .with_mmap_prot(ProtFlags::READ.bits().cast_signed())
            .with_mmap_flags(MapFlags::PRIVATE.bits().cast_signed())
            .build()
            .map_err(io::Error::other)?;
        Ok(Mapping { region })
    }

    /// The bytes of a range, not to be written to.
    ///
    /// # Errors
    /// It lies outside the disk.
    pub(super) fn slice(&self, offset: u64, bytes: usize) -> Result<VolatileSlice<'_>, AccessError> {
        let offset = usize::try_from(offset).map_err(|_| AccessError::OutOfRange)?;
        self.region
            .get_slice(offset, bytes)
            .map_err(|_| AccessError::OutOfRange)
    }
}
