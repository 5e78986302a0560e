//! Guest memory whose file the front end has cut off: who touches it gets SIGBUS, which ends a process. Here the place gets a page of zeros instead, and the
//! connection is ended as soon as that is seen.
//!
//! Only memory that front ends gave is treated so. A fault anywhere else, as in a golden image that was cut off, ends the process as ever.

use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use vm_memory::{GuestMemoryBackend, GuestMemoryRegion, MmapRegion};
use vmm_sys_util::signal::register_signal_handler;

use crate::request::Mem;

/// Most mappings that are watched at once; faults in others end the process.
const RANGES_MAX: usize = 256;
const PAGE_BYTES: usize = 4096;
/// A range that is taken, but not in force.
const TAKEN: usize = 1;

struct Range {
    /// 0 while it is free.
    begin: AtomicUsize,
    end: AtomicUsize,
}

// Statics, because a signal handler must reach them.
static RANGES: [Range; RANGES_MAX] = [const {
    Range {
        begin: AtomicUsize::new(0),
        end: AtomicUsize::new(0),
    }
}; RANGES_MAX];
static LOST: AtomicU64 = AtomicU64::new(0);

/// Mappings that are watched as long as this lives.
#[derive(Debug, Default)]
pub(super) struct Watched(Vec<usize>);

impl Watched {
    /// Watches the guest's memory.
    pub(super) fn memory(mem: &Mem) -> Watched {
        let mut watched = Watched::default();
        for region in mem.iter() {
            watched.add(region.as_ptr() as usize, region.len() as usize);
        }
        watched
    }

    /// Watches one mapping.
    pub(super) fn mapping(region: &MmapRegion) -> Watched {
        let mut watched = Watched::default();
        watched.add(region.as_ptr() as usize, region.size());
        watched
    }

    fn add(&mut self, begin: usize, bytes: usize) {
        let take = |range: &Range| {
            let taken = range
                .begin
                .compare_exchange(0, TAKEN, Ordering::AcqRel, Ordering::Relaxed);
            taken.is_ok()
        };
        let Some((index, range)) = RANGES.iter().enumerate().find(|(_, range)| take(range)) else {
            return;
        };
        range.end.store(begin.saturating_add(bytes), Ordering::Release);
        range.begin.store(begin, Ordering::Release);
        self.0.push(index);
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        for range in self.0.iter().filter_map(|index| RANGES.get(*index)) {
            range.end.store(0, Ordering::Release);
            range.begin.store(0, Ordering::Release);
        }
    }
}

/// How many pages were lost so far.
pub(super) fn count() -> u64 {
    LOST.load(Ordering::Acquire)
}

/// From here on front ends that cut their memory off end nothing but their connection.
///
/// # Errors
/// The system takes no handler.
pub(crate) fn guard() -> std::io::Result<()> {
    register_signal_handler(libc::SIGBUS, on_bus_error)
        .map_err(|error| std::io::Error::from_raw_os_error(error.errno()))
}

/// Safe in a signal handler: it reads atomics and makes system calls, no more.
extern "C" fn on_bus_error(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the kernel gives a handler with SA_SIGINFO a valid one.
    let info = unsafe { &*info };
    // SAFETY: with SIGBUS there is an address.
    let at = unsafe { info.si_addr() } as usize;
    let is_in = |range: &Range| {
        let (begin, end) = (range.begin.load(Ordering::Acquire), range.end.load(Ordering::Acquire));
        begin > TAKEN && (begin..end).contains(&at)
    };
    if RANGES.iter().any(is_in) {
        let page = ptr::without_provenance_mut(at & !(PAGE_BYTES - 1));
        let (access, kind) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
        );
        // SAFETY: the page is one of a mapping that stays as long as it is watched, and nobody but raw copies through pointers looks at it.
        let mapped = unsafe { libc::mmap(page, PAGE_BYTES, access, kind, -1, 0) };
        if mapped == page {
            LOST.fetch_add(1, Ordering::AcqRel);
            return;
        }
    }
    // Not ours: the access is tried again, and ends the process.
    // SAFETY: the default action is always valid.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
}
