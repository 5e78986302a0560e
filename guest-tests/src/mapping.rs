//! Memory whose pages are present, absent or forbidden at will: the buffers that direct I/O is given.

use std::os::fd::AsFd;
use std::ptr::NonNull;

use guest_wire::params::FillOrder;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

use crate::pattern::{self, PAGE};

/// A mapping of whole pages, unmapped on drop.
///
/// Its bytes are never handed out as a slice: pages may be forbidden, and a file's pages change under us.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// Maps the first `len` bytes of a file, shared, readable and writable.
    ///
    /// # Errors
    /// mmap(2) failed.
    pub fn file(fd: impl AsFd, len: usize) -> Result<Mapping, Errno> {
        // SAFETY: the kernel chooses the address, so no existing memory is replaced.
        let start = unsafe {
            let prot = ProtFlags::READ | ProtFlags::WRITE;
            rustix::mm::mmap(std::ptr::null_mut(), len, prot, MapFlags::SHARED, fd, 0)
        }?;
        let mapping = Mapping {
            start: NonNull::new(start.cast()).ok_or(Errno::NOMEM)?,
            len,
        };
        // Readahead and fault-around would bring in the pages that are meant to be absent.
        mapping.advise(Advice::Random)?;
        Ok(mapping)
    }

    /// Maps `len` bytes of anonymous memory, none of it present yet.
    ///
    /// # Errors
    /// mmap(2) failed.
    pub fn anonymous(len: usize) -> Result<Mapping, Errno> {
        // SAFETY: the kernel chooses the address, so no existing memory is replaced.
        let start = unsafe {
            let prot = ProtFlags::READ | ProtFlags::WRITE;
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), len, prot, MapFlags::PRIVATE)
        }?;
        let mapping = Mapping {
            start: NonNull::new(start.cast()).ok_or(Errno::NOMEM)?,
            len,
        };
        // A huge page would be present as a whole and physically contiguous. Kernels without them say EINVAL.
        match mapping.advise(Advice::LinuxNoHugepage) {
            Ok(()) | Err(Errno::INVAL) => Ok(mapping),
            Err(errno) => Err(errno),
        }
    }

    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it has no bytes; never so, for mmap(2) refuses it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Pages that it takes up, a last one that is not full included.
    #[must_use]
    pub fn pages(&self) -> usize {
        self.len.div_ceil(PAGE)
    }

    /// The address `offset` bytes into it, for a system call; at its end if `offset` is beyond.
    #[must_use]
    pub(crate) fn address(&self, offset: usize) -> *mut u8 {
        // SAFETY: the offset is clamped to the mapping, so the pointer stays in or just behind it.
        unsafe { self.start.as_ptr().add(offset.min(self.len)) }
    }

    /// Reads one byte of each of the pages, so that they are present.
    pub fn touch(&self, pages: std::ops::Range<usize>) {
        for page in pages.start..pages.end.min(self.pages()) {
            // SAFETY: the address is within the mapping, and callers touch only what they left readable.
            let _byte = unsafe { self.address(page * PAGE).read_volatile() };
        }
    }

    /// Fills every page with the pattern, in the order given; in anonymous memory this makes them present.
    pub fn fill(&self, tag: u64, order: FillOrder) {
        let fill_page = |index: usize| {
            let bytes = pattern::page(tag, index as u64);
            let len = PAGE.min(self.len - index * PAGE);
            // SAFETY: page `index` begins within the mapping and `len` is what is left of it; nothing else refers to
            // this memory while `self` is borrowed, and it was mapped readable and writable.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.address(index * PAGE), len) };
        };
        match order {
            FillOrder::Forwards => (0..self.pages()).for_each(fill_page),
            FillOrder::Backwards => (0..self.pages()).rev().for_each(fill_page),
        }
    }

    /// Copies the bytes out; all pages must be readable.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        // SAFETY: source and destination are both `len` bytes and do not overlap; callers left every page readable.
        unsafe { std::ptr::copy_nonoverlapping(self.start.as_ptr(), bytes.as_mut_ptr(), self.len) };
        bytes
    }

    /// Takes all access from these pages: whoever touches them gets SIGSEGV, a system call EFAULT.
    ///
    /// # Errors
    /// mprotect(2) failed.
    pub fn forbid(&self, pages: std::ops::Range<usize>) -> Result<(), Errno> {
        let offset = pages.start * PAGE;
        let len = (pages.end.min(self.pages()) * PAGE).saturating_sub(offset);
        // SAFETY: the range lies within the mapping, and no reference into it exists.
        unsafe { rustix::mm::mprotect(self.address(offset).cast(), len, MprotectFlags::empty()) }
    }

    /// Which pages are in memory, by mincore(2); for a file's mapping that is its page cache.
    ///
    /// # Errors
    /// mincore(2) failed.
    pub fn residency(&self) -> Result<Vec<bool>, Errno> {
        let mut flags = vec![0u8; self.pages()];
        // SAFETY: the vector has one byte for each page of the mapping, as mincore(2) wants.
        let status = unsafe { libc::mincore(self.start.as_ptr().cast(), self.len, flags.as_mut_ptr()) };
        if status == 0 {
            Ok(flags.iter().map(|flag| flag & 1 == 1).collect())
        } else {
            Err(last_errno())
        }
    }

    /// Writes changed pages of a file's mapping back.
    ///
    /// # Errors
    /// msync(2) failed.
    pub fn sync(&self) -> Result<(), Errno> {
        // SAFETY: the range is the mapping itself.
        unsafe { rustix::mm::msync(self.start.as_ptr().cast(), self.len, rustix::mm::MsyncFlags::SYNC) }
    }

    fn advise(&self, advice: Advice) -> Result<(), Errno> {
        // SAFETY: the range is the mapping itself, and neither advice that this module gives changes its contents.
        let answer = unsafe { rustix::mm::madvise(self.start.as_ptr().cast(), self.len, advice) };
        if answer == Err(Errno::NOSYS) {
            eprintln!("this kernel has no madvise() (it needs CONFIG_ADVISE_SYSCALLS=y)");
        }
        answer
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by this value, and no reference into it exists. A failure leaves it mapped.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

/// The error of the libc call that just failed.
pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_pages_are_absent_until_touched() {
        let mapping = Mapping::anonymous(8 * PAGE).unwrap();
        assert_eq!(mapping.residency().unwrap(), [false; 8]);
        mapping.touch(2..4);
        let resident = mapping.residency().unwrap();
        assert!(!resident[0] && !resident[7]);
        mapping.fill(1, FillOrder::Backwards);
        assert_eq!(mapping.residency().unwrap(), [true; 8]);
        assert_eq!(pattern::check(&mapping.to_vec(), 1, 0), None);
    }
}
