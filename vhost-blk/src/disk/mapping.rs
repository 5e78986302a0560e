//! Bytes in memory: the image mapped privately, so that the kernel copies a page when it is first written. The device starts
//! at once whatever the image's size, many devices share one image's page cache, and going back is a new mapping.

use std::fs::File;
use std::io;
use std::sync::Arc;

use rustix::mm::{MapFlags, ProtFlags};
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{FileOffset, MmapRegion, VolatileMemory, VolatileSlice};

use super::AccessError;

/// A private mapping of an image.
#[derive(Debug)]
pub(super) struct Mapping {
    file: Arc<File>,
    region: MmapRegion,
}

impl Mapping {
    /// Maps an image of this size.
    ///
    /// # Errors
    /// It cannot be mapped.
    pub(super) fn new(file: &Arc<File>, bytes: u64) -> io::Result<Mapping> {
        let size = usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        let prot = (ProtFlags::READ | ProtFlags::WRITE).bits().cast_signed();
        let flags = (MapFlags::PRIVATE | MapFlags::NORESERVE).bits().cast_signed();
        let region = MmapRegionBuilder::new(size)
            .with_file_offset(FileOffset::from_arc(Arc::clone(file), 0))
            .with_mmap_prot(prot)
            .with_mmap_flags(flags)
            .build()
            .map_err(io::Error::other)?;
        Ok(Mapping {
            file: Arc::clone(file),
            region,
        })
    }

    /// The image again, as it was.
    ///
    /// # Errors
    /// It cannot be mapped again; this mapping stays as it is.
    pub(super) fn renew(&mut self) -> io::Result<()> {
        *self = Mapping::new(&self.file, self.region.size() as u64)?;
        Ok(())
    }

    /// The bytes of a range.
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
