//! Files as the tests need them: direct and buffered, whole reads that survive errors, calls that count their faults.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use guest_wire::Event;
use rustix::io::Errno;

use crate::errno;
use crate::mapping::{Mapping, last_errno};

/// How much is read at once when a file is read back.
const CHUNK: usize = 1 << 20;

/// How a file is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// With `O_DIRECT`, past the page cache.
    Direct,
    /// Through the page cache.
    Buffered,
}

impl Via {
    /// As open(2) wants it.
    #[must_use]
    pub fn flags(self) -> i32 {
        match self {
            Via::Direct => libc::O_DIRECT,
            Via::Buffered => 0,
        }
    }

    /// As a report says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Via::Direct => "O_DIRECT",
            Via::Buffered => "buffered",
        }
    }
}

/// Opens a file for reading.
///
/// # Errors
/// open(2) failed.
pub fn open_read(path: &Path, via: Via) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(via.flags()).open(path)
}

/// Opens a file for writing, creating it if need be, with more open(2) flags.
///
/// # Errors
/// open(2) failed.
pub fn open_write(path: &Path, via: Via, flags: i32) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .custom_flags(via.flags() | flags);
    options.open(path)
}

/// A system call on a mapping, and what it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub(crate) name: &'static str,
    pub(crate) offset: u64,
    /// Length asked for.
    pub len: usize,
    /// Bytes done, or the error.
    pub result: Result<usize, Errno>,
    /// Page faults that this thread took meanwhile.
    pub faults: u64,
}

impl Call {
    /// As it goes to the host.
    #[must_use]
    pub fn event(&self) -> Event {
        Event::Syscall {
            call: self.name.to_owned(),
            offset: self.offset,
            len: self.len as u64,
            ret: self.result.map_or(-1, |done| i64::try_from(done).unwrap_or(i64::MAX)),
            errno: self.result.err().map(errno::name),
            faults: self.faults,
        }
    }

    /// As a person writes it: `pwrite64(4096 bytes at 0) = EFAULT`.
    #[must_use]
    pub fn text(&self) -> String {
        let result = self.result.map_or_else(errno::name, |done| done.to_string());
        format!("{}({} bytes at {}) = {result}", self.name, self.len, self.offset)
    }
}

/// pwrite(2) from `at` bytes into the mapping.
#[must_use]
pub fn pwrite(file: &File, from: &Mapping, at: usize, len: usize, offset: u64) -> Call {
    call("pwrite64", offset, len, |position| {
        // SAFETY: the kernel only reads the buffer and answers EFAULT for what is not readable; the length ends within
        // the mapping by `clamp`.
        unsafe {
            libc::pwrite(
                file.as_raw_fd(),
                from.address(at).cast(),
                clamp(from, at, len),
                position,
            )
        }
    })
}

/// pread(2) to `at` bytes into the mapping.
#[must_use]
pub fn pread(file: &File, to: &Mapping, at: usize, len: usize, offset: u64) -> Call {
    call("pread64", offset, len, |position| {
        // SAFETY: the mapping hands out no references to its bytes, so the kernel may change them; the length ends
        // within the mapping by `clamp`.
        unsafe { libc::pread(file.as_raw_fd(), to.address(at).cast(), clamp(to, at, len), position) }
    })
}

fn clamp(mapping: &Mapping, at: usize, len: usize) -> usize {
    len.min(mapping.len().saturating_sub(at))
}

fn call(name: &'static str, offset: u64, len: usize, run: impl FnOnce(i64) -> isize) -> Call {
    let Ok(position) = i64::try_from(offset) else {
        return Call {
            name,
            offset,
            len,
            result: Err(Errno::INVAL),
            faults: 0,
        };
    };
    let before = thread_faults();
    let done = run(position);
    // The error first: another call would overwrite it.
    let result = usize::try_from(done).map_err(|_| last_errno());
    let faults = thread_faults().saturating_sub(before);
    Call {
        name,
        offset,
        len,
        result,
        faults,
    }
}

/// Page faults that this thread has taken so far; those that the kernel takes on its behalf in `get_user_pages` count.
#[must_use]
pub(crate) fn thread_faults() -> u64 {
    // SAFETY: `rusage` is plain numbers, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live `rusage`.
    let status = unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut usage) };
    if status == 0 {
        u64::try_from(usage.ru_minflt + usage.ru_majflt).unwrap_or(0)
    } else {
        0
    }
}

/// Empties the page cache of clean pages.
///
/// # Errors
/// `/proc/sys/vm/drop_caches` cannot be written.
pub fn drop_caches() -> std::io::Result<()> {
    std::fs::write("/proc/sys/vm/drop_caches", "3")
}

/// A file's bytes as far as they can be read, and the error that ended it.
#[derive(Debug)]
pub struct Content {
    /// The bytes before the error or the end.
    pub bytes: Vec<u8>,
    /// The error, if there was one.
    pub error: Option<Errno>,
}

/// Reads a whole file.
///
/// # Errors
/// It cannot be opened, or no buffer can be had; errors while reading are part of the [`Content`].
pub fn read_all(path: &Path, via: Via) -> std::io::Result<Content> {
    let file = open_read(path, via)?;
    let buffer = Mapping::anonymous(CHUNK)?;
    let mut bytes = Vec::new();
    loop {
        match pread(&file, &buffer, 0, CHUNK, bytes.len() as u64).result {
            Ok(0) => return Ok(Content { bytes, error: None }),
            Ok(done) => bytes.extend_from_slice(&buffer.to_vec()[..done.min(CHUNK)]),
            Err(Errno::INTR) => {}
            Err(error) => {
                return Ok(Content {
                    bytes,
                    error: Some(error),
                });
            }
        }
        // A read that ends off a sector's boundary was at the end of the file, and O_DIRECT cannot go on from there.
        if bytes.len() % crate::pattern::SECTOR != 0 {
            return Ok(Content { bytes, error: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use guest_wire::params::FillOrder;

    use super::*;
    use crate::pattern::{PAGE, TAG_SOURCE, check};

    #[test]
    fn what_is_written_from_a_mapping_is_read_back() {
        let path = std::env::temp_dir().join(format!("bioscope-file-{}", std::process::id()));
        let file = open_write(&path, Via::Buffered, 0).unwrap();
        let mapping = Mapping::anonymous(3 * PAGE).unwrap();
        mapping.fill(TAG_SOURCE, FillOrder::Forwards);
        let call = pwrite(&file, &mapping, PAGE, 2 * PAGE, 0);
        assert_eq!(call.result, Ok(2 * PAGE));
        assert_eq!(call.text(), "pwrite64(8192 bytes at 0) = 8192");
        let content = read_all(&path, Via::Buffered).unwrap();
        assert_eq!((content.bytes.len(), content.error), (2 * PAGE, None));
        assert_eq!(check(&content.bytes, TAG_SOURCE, 1), None);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn absent_pages_are_counted_as_faults_of_the_call() {
        let path = std::env::temp_dir().join(format!("bioscope-faults-{}", std::process::id()));
        let file = open_write(&path, Via::Buffered, 0).unwrap();
        let mapping = Mapping::anonymous(4 * PAGE).unwrap();
        assert!(pwrite(&file, &mapping, 0, 4 * PAGE, 0).faults >= 4);
        assert_eq!(pwrite(&file, &mapping, 0, 4 * PAGE, 0).faults, 0);
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn forbidden_pages_fault_in_system_calls() {
        let mapping = Mapping::anonymous(2 * PAGE).unwrap();
        mapping.fill(1, FillOrder::Forwards);
        mapping.forbid(1..2).unwrap();
        let path = std::env::temp_dir().join(format!("bioscope-forbid-{}", std::process::id()));
        let file = File::create(&path).unwrap();
        let call = pwrite(&file, &mapping, PAGE, PAGE, 0);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(call.result, Err(Errno::FAULT));
    }
}
