//! Rings of io_uring, for threads to take and give back. Made before the device enters its sandbox, after which no more
//! can be made: what a ring does is done outside seccomp, so these can read and write, and nothing else.

use std::io;
use std::sync::{Mutex, PoisonError};

use io_uring::register::Restriction;
use io_uring::{IoUring, opcode};

/// Pieces that are under way at once in one ring.
pub(super) const ENTRIES: u32 = 64;

/// Rings that nobody uses now.
#[derive(Default)]
pub(super) struct Rings {
    free: Mutex<Free>,
}

#[derive(Default)]
struct Free {
    rings: Vec<IoUring>,
    /// No more are made.
    sealed: bool,
}

impl std::fmt::Debug for Rings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rings").finish_non_exhaustive()
    }
}

impl Rings {
    /// Makes rings for this many threads at once, and no more from then on.
    ///
    /// # Errors
    /// This kernel has none, or gives none.
    pub(super) fn prepare(&self, threads: usize) -> io::Result<()> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.sealed = true;
        while free.rings.len() < threads {
            free.rings.push(make()?);
        }
        Ok(())
    }

    /// Does something with a ring; `None` if all are in use and no more are made.
    ///
    /// # Errors
    /// No ring can be made.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut IoUring) -> T) -> io::Result<Option<T>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let ring = match free.rings.pop() {
            None if free.sealed => return Ok(None),
            ring => ring,
        };
        drop(free);
        let mut ring = ring.map_or_else(make, Ok)?;
        let done = work(&mut ring);
        self.free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .rings
            .push(ring);
        Ok(Some(done))
    }
}

fn make() -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    let restricted = builder.setup_r_disabled().build(ENTRIES).and_then(|ring| {
        let mut only = [
            Restriction::sqe_op(opcode::Read::CODE),
            Restriction::sqe_op(opcode::Write::CODE),
        ];
        ring.submitter().register_restrictions(&mut only)?;
        ring.submitter().register_enable_rings()?;
        Ok(ring)
    });
    match restricted {
        // Before Linux 5.10.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => IoUring::new(ENTRIES),
        made => made,
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a panic here is the test's failure")]
mod tests {
    use io_uring::types::Fd;

    use super::*;

    #[test]
    fn a_ring_reads_and_writes_and_does_nothing_else() {
        let Ok(mut ring) = make() else { return };
        let mut byte = [0u8];
        let file = tempfile::tempfile().expect("a file");
        let fd = Fd(std::os::fd::AsRawFd::as_raw_fd(&file));
        let entries = [
            opcode::Write::new(fd, byte.as_ptr(), 1).build(),
            opcode::Read::new(fd, byte.as_mut_ptr(), 1).build(),
            opcode::Socket::new(libc::AF_INET, libc::SOCK_STREAM, 0).build(),
            opcode::Nop::new().build(),
        ];
        let results = entries.map(|entry| {
            // SAFETY: the memory outlives the wait for the entry's end.
            unsafe { ring.submission().push(&entry) }.expect("room");
            // What is not allowed fails before it is submitted, and comes to its end all the same.
            let _ = ring.submit_and_wait(1);
            ring.completion().next().map(|done| done.result())
        });
        assert_eq!(results, [Some(1), Some(1), Some(-libc::EACCES), Some(-libc::EACCES)]);
        assert!(
            ring.submitter().register_buffers_sparse(1).is_err(),
            "nor is more registered"
        );
    }

    #[test]
    fn after_they_are_prepared_no_more_are_made() {
        let rings = Rings::default();
        if rings.prepare(1).is_err() {
            return;
        }
        let inner = rings.with(|_| rings.with(|_| ()).expect("no ring has to be made"));
        assert_eq!(inner.expect("a ring"), Some(None), "the only one was in use");
        assert_eq!(rings.with(|_| ()).expect("a ring"), Some(()));
    }
}
