//! Bytes in memory: the image mapped privately, so that the kernel copies a page when it is first written. The device starts
//! at once whatever the image's size, many devices share one image's page cache, and going back is a new mapping. A disk that grew beyond
//! its image has memory of no file there.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise};
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{FileOffset, MmapRegion, VolatileMemory, VolatileSlice};

use super::{AccessError, BLOCK_BYTES};

/// A private mapping of an image, and of what is beyond it.
#[derive(Debug)]
pub(super) struct Mapping {
    file: Arc<File>,
    /// Where each begins, and its bytes: that of the image first, each of whole blocks, each behind the one before it.
    regions: Vec<(u64, MmapRegion)>,
}

impl Mapping {
    /// Maps an image of this size.
    ///
    /// # Errors
    /// It cannot be mapped.
    pub(super) fn new(file: &Arc<File>, bytes: u64) -> io::Result<Mapping> {
        // Where the file ends within a page, the rest of the page is zeros.
        let image = map(
            bytes.next_multiple_of(BLOCK_BYTES),
            Some(FileOffset::from_arc(Arc::clone(file), 0)),
        )?;
        Ok(Mapping {
            file: Arc::clone(file),
            regions: vec![(0, image)],
        })
    }

    /// The image again, as it was; it has this size.
    ///
    /// # Errors
    /// It cannot be mapped again; this mapping stays as it is.
    pub(super) fn renew(&mut self, bytes: u64) -> io::Result<()> {
        *self = Mapping::new(&self.file, bytes)?;
        Ok(())
    }

    /// Where it ends.
    fn end(&self) -> u64 {
        self.regions
            .last()
            .map_or(0, |(start, region)| start + region.size() as u64)
    }

    /// Makes room for a disk of this size. What is there stays where it is.
    ///
    /// # Errors
    /// There is not that much address space.
    pub(super) fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        let end = self.end();
        let wanted = bytes.saturating_sub(end).next_multiple_of(BLOCK_BYTES);
        if wanted == 0 {
            return Ok(());
        }
        // It costs address space and no memory; to double it keeps the regions few, however often a disk grows by little.
        let region = map(wanted.max(end), None).or_else(|_| map(wanted, None))?;
        self.regions.push((end, region));
        Ok(())
    }

    /// Gives the memory of what is beyond a place back; whether it is now as it was in the beginning, from the next page on.
    pub(super) fn forget(&mut self, from: u64) -> bool {
        let page = rustix::param::page_size();
        self.regions.iter_mut().all(|(start, region)| {
            let size = region.size();
            let first = usize::try_from(from.saturating_sub(*start)).unwrap_or(usize::MAX);
            let Some(first) = first.checked_next_multiple_of(page).filter(|first| *first < size) else {
                return true;
            };
            let address = region.as_ptr().wrapping_add(first);
            // SAFETY: the range lies within a private mapping that nobody else looks at, for this is alone with it.
            unsafe { madvise(address.cast(), size - first, Advice::LinuxDontNeed) }.is_ok()
        })
    }

    /// Calls `each` with the pieces that a range consists of, and where on the disk they are.
    ///
    /// # Errors
    /// It lies outside the mapping, or `each` says so.
    pub(super) fn each(
        &self,
        range: &Range<u64>,
        mut each: impl FnMut(u64, VolatileSlice<'_>) -> Result<(), AccessError>,
    ) -> Result<(), AccessError> {
        let mut at = range.start;
        for (start, region) in &self.regions {
            let end = range.end.min(start + region.size() as u64);
            if at < end {
                let piece = region.get_slice((at - start) as usize, (end - at) as usize);
                each(at, piece.map_err(|_| AccessError::OutOfRange)?)?;
                at = end;
            }
        }
        (at >= range.end).then_some(()).ok_or(AccessError::OutOfRange)
    }
}

/// Maps so many bytes of a file, or of none.
fn map(bytes: u64, file: Option<FileOffset>) -> io::Result<MmapRegion> {
    let size = usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
    let prot = (ProtFlags::READ | ProtFlags::WRITE).bits().cast_signed();
    let mut flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
    let mut builder = MmapRegionBuilder::new(size).with_mmap_prot(prot);
    match file {
        Some(file) => builder = builder.with_file_offset(file),
        None => flags |= MapFlags::from_bits_retain(libc::MAP_ANONYMOUS.cast_unsigned()),
    }
    builder
        .with_mmap_flags(flags.bits().cast_signed())
        .build()
        .map_err(|error| match error {
            vm_memory::mmap::MmapRegionError::Mmap(error) => error,
            other => io::Error::other(other),
        })
}
