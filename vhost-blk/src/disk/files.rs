//! Bytes in files: the image as it is, and a file of the same size, without a name, for what is written. For images
//! that are larger than memory, and for who wants a real disk's times.
//!
//! All that a batch of requests moves is handed to the kernel at once through io_uring and waited for, so that the disk
//! underneath sees the depth that the guest's queue has. Where place, length and buffer allow it the page cache is left
//! out (`O_DIRECT`). A kernel without io_uring, or one that forbids it, gets plain reads and writes, one after the
//! other; that is said once.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use io_uring::{IoUring, opcode, squeue, types};

use super::rings::{ENTRIES, Rings};

/// What place and length must be a multiple of for `O_DIRECT`: what the largest logical blocks ask for.
const DIRECT_BYTES: u64 = 4096;
/// What a buffer's address must be a multiple of for it; more than any driver asks for.
const DIRECT_ALIGN: usize = 512;

/// A file of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// What was there before: only read.
    Image,
    /// What was written since.
    Written,
}

/// Bytes between memory and a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// The file.
    pub(crate) which: Which,
    /// To the file, not from it.
    pub(crate) write: bool,
    /// Where in the file.
    pub(crate) at: u64,
    /// Where in memory.
    pub(crate) memory: *mut u8,
    pub(crate) len: usize,
}

/// Both files.
#[derive(Debug)]
pub(super) struct Files {
    image: Opened,
    written: Opened,
    rings: Rings,
    /// No io_uring: plain reads and writes.
    plain: AtomicBool,
    /// The kernel took back what it had promised about `O_DIRECT`.
    cached: AtomicBool,
}

/// A file, with and without the page cache.
#[derive(Debug)]
struct Opened {
    file: Arc<File>,
    direct: Option<File>,
}

impl Opened {
    fn new(file: Arc<File>, write: bool) -> Opened {
        // By its descriptor, for it may have no name.
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let direct = OpenOptions::new()
            .read(true)
            .write(write)
            .custom_flags(libc::O_DIRECT | libc::O_CLOEXEC)
            .open(path);
        Opened {
            file,
            // Not every file system has it.
            direct: direct.ok(),
        }
    }
}

impl Files {
    /// For an image of this size; the other file comes to lie in this directory.
    ///
    /// # Errors
    /// The file cannot be made.
    pub(super) fn new(image: Arc<File>, bytes: u64, dir: &Path) -> io::Result<Files> {
        let written = tempfile::tempfile_in(dir)?;
        written.set_len(bytes)?;
        Ok(Files {
            image: Opened::new(image, false),
            written: Opened::new(Arc::new(written), true),
            rings: Rings::default(),
            plain: AtomicBool::new(false),
            cached: AtomicBool::new(false),
        })
    }

    /// Forgets all that was written; the image has this size.
    ///
    /// # Errors
    /// The file cannot be emptied.
    pub(super) fn renew(&mut self, bytes: u64) -> io::Result<()> {
        self.written.file.set_len(0)?;
        self.written.file.set_len(bytes)
    }

    /// Makes what this many threads at once need, after which nothing more is made.
    pub(super) fn prepare(&self, threads: usize) {
        if let Err(error) = self.rings.prepare(threads) {
            self.do_without(&error);
        }
    }

    /// Goes on without io_uring.
    fn do_without(&self, error: &io::Error) {
        if !self.plain.swap(true, Ordering::Relaxed) {
            crate::say!("no io_uring here ({error}): plain reads and writes in its place");
        }
    }

    /// Makes room for a disk of this size.
    ///
    /// # Errors
    /// No file can be so large there.
    pub(super) fn reserve(&mut self, bytes: u64) -> io::Result<()> {
        if bytes > self.written.file.metadata()?.len() {
            self.written.file.set_len(bytes)?;
        }
        Ok(())
    }

    /// Gives the room of what is beyond a place back.
    pub(super) fn forget(&mut self, from: u64) {
        // Whatever is not given back is not looked at: a block is read only after it was written.
        let _ = self.written.file.set_len(from);
    }

    /// Moves all pieces, in any order, and returns when all are moved.
    ///
    /// # Safety
    /// The memory of each piece is there until then, and pieces that write to memory do not lie upon another.
    ///
    /// # Errors
    /// A file cannot be read or written, or ends before a piece does.
    pub(super) unsafe fn transfer(&self, pieces: &mut [Piece]) -> io::Result<()> {
        if !self.plain.load(Ordering::Relaxed) {
            // SAFETY: as the caller promises.
            let by_ring = |ring: &mut IoUring| unsafe { self.by_ring(ring, pieces, |ring| ring.submit_and_wait(1)) };
            match self.rings.with(by_ring) {
                Ok(Some(done)) => {
                    done?;
                    return pieces
                        .iter()
                        .all(|piece| piece.len == 0)
                        .then_some(())
                        .ok_or_else(end_of_file);
                }
                // More threads than rings: this once.
                Ok(None) => {}
                Err(error) => self.do_without(&error),
            }
        }
        for piece in pieces {
            while piece.len > 0 {
                let (fd, direct) = self.fd(piece);
                // SAFETY: as the caller promises.
                let moved = unsafe { by_call(fd, piece) };
                self.moved(piece, direct, moved)?;
            }
        }
        Ok(())
    }

    /// Moves pieces with a ring. `wait` hands what is in the ring to the kernel and waits for the end of one at least.
    ///
    /// # Safety
    /// As of [`transfer`](Self::transfer).
    unsafe fn by_ring(
        &self,
        ring: &mut IoUring,
        pieces: &mut [Piece],
        mut wait: impl FnMut(&mut IoUring) -> io::Result<usize>,
    ) -> io::Result<()> {
        let mut problem = None;
        for pieces in pieces.chunks_mut(ENTRIES as usize) {
            let mut left = pieces.len();
            let mut next: Vec<usize> = (0..pieces.len()).collect();
            // Which were sent past the page cache, a bit each.
            let mut direct = 0u64;
            while left > 0 {
                for index in next.drain(..) {
                    let Some(piece) = pieces.get(index) else { continue };
                    let (fd, is_direct) = self.fd(piece);
                    direct = direct & !(1 << index) | u64::from(is_direct) << index;
                    let entry = entry(fd, piece).user_data(index as u64);
                    // SAFETY: as the caller promises; no more are pushed than there is room for.
                    if unsafe { ring.submission().push(&entry) }.is_err() {
                        return Err(io::Error::other("the submission queue is full"));
                    }
                }
                // What was submitted uses the caller's memory: nothing but its end may end this wait.
                if let Err(error) = wait(ring) {
                    if !passes(&error) {
                        // Nothing can be known of what is under way.
                        std::process::abort();
                    }
                    // What has ended makes room; if nothing has, others may.
                    std::thread::yield_now();
                }
                for done in ring.completion() {
                    let Some((index, piece)) = usize::try_from(done.user_data())
                        .ok()
                        .and_then(|index| Some((index, pieces.get_mut(index)?)))
                    else {
                        continue;
                    };
                    let moved =
                        usize::try_from(done.result()).map_err(|_| io::Error::from_raw_os_error(-done.result()));
                    match self.moved(piece, direct & 1 << index != 0, moved) {
                        Ok(()) if piece.len > 0 => next.push(index),
                        Ok(()) => left -= 1,
                        Err(error) => {
                            problem = Some(error);
                            left -= 1;
                        }
                    }
                }
            }
        }
        problem.map_or(Ok(()), Err)
    }

    /// What a piece is sent to, and whether that is past the page cache.
    fn fd(&self, piece: &Piece) -> (RawFd, bool) {
        let opened = match piece.which {
            Which::Image => &self.image,
            Which::Written => &self.written,
        };
        let aligned = (piece.at | piece.len as u64).is_multiple_of(DIRECT_BYTES)
            && piece.memory.addr().is_multiple_of(DIRECT_ALIGN)
            && !self.cached.load(Ordering::Relaxed);
        let direct = opened.direct.as_ref().filter(|_| aligned);
        (direct.unwrap_or(&opened.file).as_raw_fd(), direct.is_some())
    }

    /// Notes what of a piece was moved; the rest of it is to be moved then.
    fn moved(&self, piece: &mut Piece, direct: bool, moved: io::Result<usize>) -> io::Result<()> {
        match moved {
            Ok(0) => Err(end_of_file()),
            Ok(bytes) => {
                let bytes = bytes.min(piece.len);
                piece.memory = piece.memory.wrapping_add(bytes);
                piece.at += bytes as u64;
                piece.len -= bytes;
                Ok(())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => Ok(()),
            // Some file systems say only now that they cannot, and of all that was sent to them so.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && direct => {
                self.cached.store(true, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

fn entry(fd: RawFd, piece: &Piece) -> squeue::Entry {
    let fd = types::Fd(fd);
    let len = u32::try_from(piece.len).unwrap_or(!0xFFF);
    if piece.write {
        opcode::Write::new(fd, piece.memory, len).offset(piece.at).build()
    } else {
        opcode::Read::new(fd, piece.memory, len).offset(piece.at).build()
    }
}

/// # Safety
/// As of [`Files::transfer`].
unsafe fn by_call(fd: RawFd, piece: &Piece) -> io::Result<usize> {
    let at = piece.at.cast_signed();
    let moved = if piece.write {
        // SAFETY: as the caller promises.
        unsafe { libc::pwrite(fd, piece.memory.cast(), piece.len, at) }
    } else {
        // SAFETY: as the caller promises.
        unsafe { libc::pread(fd, piece.memory.cast(), piece.len, at) }
    };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// Whether a ring can be waited for once more: a signal, a kernel short of memory (EAGAIN), or ends that are to be
/// taken out first (EBUSY).
fn passes(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY))
}

fn end_of_file() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a panic here is the test's failure")]
mod tests {
    use super::*;

    const BYTES: u64 = 1 << 20;

    fn files(plain: bool) -> Files {
        let dir = std::env::temp_dir();
        let image = tempfile::tempfile_in(&dir).expect("a file");
        image.set_len(BYTES).expect("its size");
        let files = Files::new(Arc::new(image), BYTES, &dir).expect("files");
        files.plain.store(plain, Ordering::Relaxed);
        files
    }

    /// Moves pieces of this length to or from places a page and a bit apart.
    fn all(files: &Files, write: bool, memory: &mut [u8], len: usize) -> io::Result<()> {
        let chunks = memory.chunks_mut(len).enumerate();
        let mut pieces: Vec<Piece> = chunks
            .map(|(index, chunk)| Piece {
                which: Which::Written,
                write,
                at: index as u64 * 4096 + len as u64 % 4096,
                memory: chunk.as_mut_ptr(),
                len: chunk.len(),
            })
            .collect();
        // SAFETY: the chunks are apart and outlive the call.
        unsafe { files.transfer(&mut pieces) }
    }

    #[test]
    fn more_pieces_than_the_ring_holds_come_back_as_they_went_whatever_their_length() {
        for plain in [false, true] {
            for len in [512, 1000, 4096] {
                let files = files(plain);
                let mut memory: Vec<u8> = (0..len * 200).map(|byte| (byte / 7) as u8).collect();
                all(&files, true, &mut memory, len).expect("written");
                let mut back = vec![0; memory.len()];
                all(&files, false, &mut back, len).expect("read");
                assert!(back == memory, "pieces of {len}, plain {plain}");
            }
        }
    }

    #[test]
    fn a_kernel_that_takes_no_more_for_now_is_asked_again() {
        let files = files(false);
        let mut memory = vec![7; 4096 * 100];
        let mut pieces: Vec<Piece> = memory
            .chunks_mut(4096)
            .zip(0..)
            .map(|(chunk, index)| Piece {
                which: Which::Written,
                write: true,
                at: index * 4096,
                memory: chunk.as_mut_ptr(),
                len: chunk.len(),
            })
            .collect();
        let mut refusals = [libc::EAGAIN, libc::EBUSY, libc::EINTR].into_iter().cycle().take(9);
        let done = files.rings.with(|ring| {
            let wait = |ring: &mut IoUring| match refusals.next() {
                Some(code) => Err(io::Error::from_raw_os_error(code)),
                None => ring.submit_and_wait(1),
            };
            // SAFETY: the chunks are apart and outlive the call.
            unsafe { files.by_ring(ring, &mut pieces, wait) }
        });
        // Not every kernel has io_uring.
        if let Ok(done) = done {
            done.expect("a ring").expect("written");
            assert_eq!(refusals.next(), None, "it was refused as often as it was to be");
            assert!(pieces.iter().all(|piece| piece.len == 0));
        }
        assert!(!passes(&io::Error::from_raw_os_error(libc::EBADF)));
    }

    #[test]
    fn what_cannot_be_sent_past_the_page_cache_goes_through_it_all_of_it() {
        let files = files(true);
        let invalid = || Err(io::Error::from_raw_os_error(libc::EINVAL));
        let mut memory = vec![0u8; 4096];
        let mut piece = Piece {
            which: Which::Written,
            write: true,
            at: 0,
            memory: memory.as_mut_ptr(),
            len: memory.len(),
        };
        // Several that were under way at once.
        for _ in 0..3 {
            files
                .moved(&mut piece, true, invalid())
                .expect("it is to be sent once more");
        }
        assert!(!files.fd(&piece).1, "through the page cache");
        let error = files
            .moved(&mut piece, false, invalid())
            .expect_err("it was not sent past it");
        assert_eq!(error.raw_os_error(), Some(libc::EINVAL));
    }

    #[test]
    fn the_end_of_a_file_is_an_error_and_all_is_forgotten_on_request() {
        for plain in [false, true] {
            let mut files = files(plain);
            let mut byte = [7; 4096];
            let mut piece = |which, write, at| Piece {
                which,
                write,
                at,
                memory: byte.as_mut_ptr(),
                len: 4096,
            };
            for which in [Which::Image, Which::Written] {
                let mut beyond = [piece(which, false, BYTES)];
                // SAFETY: the memory outlives the call.
                let error = unsafe { files.transfer(&mut beyond) }.expect_err("beyond the end");
                assert!(error.to_string().contains("end of file"), "{error}");
            }
            let mut write = [piece(Which::Written, true, 0)];
            // SAFETY: the memory outlives the call.
            unsafe { files.transfer(&mut write) }.expect("written");
            files.renew(BYTES).expect("forgotten");
            let mut read = [piece(Which::Written, false, 0)];
            // SAFETY: the memory outlives the call.
            unsafe { files.transfer(&mut read) }.expect("read");
            assert_eq!(byte, [0; 4096]);
        }
    }
}
