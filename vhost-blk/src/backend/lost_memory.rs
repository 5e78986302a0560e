//! Guest memory whose file the front end has cut off: who touches it gets SIGBUS, which ends a process. Here the place
//! gets a page of zeros instead, and the connection is ended as soon as that is seen.
//!
//! Only memory that front ends gave is treated so. A fault anywhere else, as in a golden image that was cut off, ends
//! the process as ever.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::{io, ptr};

use vm_memory::{GuestMemoryBackend, GuestMemoryRegion, MmapRegion};
use vmm_sys_util::signal::register_signal_handler;

use crate::request::chain::Mem;

/// Most mappings that are watched at once: as many slots for memory as a front end has (the crate underneath says 509),
/// while as many of before are in use by requests, and more.
const RANGES_MAX: usize = 2048;
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

/// A mapping that is watched as long as this lives.
#[derive(Debug)]
pub(super) struct Watched {
    /// Its place in the table.
    index: usize,
}

impl Watched {
    /// Watches one mapping.
    ///
    /// # Errors
    /// Too many are watched.
    pub(super) fn mapping(region: &MmapRegion) -> io::Result<Watched> {
        Watched::new(region.as_ptr() as usize, region.size())
    }

    fn new(begin: usize, bytes: usize) -> io::Result<Watched> {
        let take = |range: &Range| {
            let taken = range
                .begin
                .compare_exchange(0, TAKEN, Ordering::AcqRel, Ordering::Relaxed);
            taken.is_ok()
        };
        let Some((index, range)) = RANGES.iter().enumerate().find(|(_, range)| take(range)) else {
            return Err(io::Error::new(
                io::ErrorKind::QuotaExceeded,
                format!("a region of memory more than can be watched: expected at most {RANGES_MAX} that are in use"),
            ));
        };
        range.end.store(begin.saturating_add(bytes), Ordering::Release);
        range.begin.store(begin, Ordering::Release);
        Ok(Watched { index })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(range) = RANGES.get(self.index) {
            range.end.store(0, Ordering::Release);
            range.begin.store(0, Ordering::Release);
        }
    }
}

/// Address and size of a mapping.
type Mapping = (usize, usize);

/// The guest's memory as it changes: each mapping is watched once, and as long as somebody can touch it.
#[derive(Debug, Default)]
pub(super) struct WatchedMemory {
    /// What the guest's memory was, and is now, as far as it is in use: requests keep what they were made with.
    memories: Vec<(Weak<Mem>, Vec<Mapping>)>,
    watched: BTreeMap<Mapping, Watched>,
}

impl WatchedMemory {
    /// From here on the guest's memory is this.
    ///
    /// # Errors
    /// Too many mappings are in use.
    pub(super) fn update(&mut self, mem: &Arc<Mem>) -> io::Result<()> {
        let mappings = mem
            .iter()
            .map(|region| (region.as_ptr() as usize, region.len() as usize));
        self.memories.retain(|(mem, _)| mem.strong_count() > 0);
        self.memories.push((Arc::downgrade(mem), mappings.collect()));
        let in_use = self.memories.iter().flat_map(|(_, mappings)| mappings);
        let in_use: BTreeSet<Mapping> = in_use.copied().collect();
        self.watched.retain(|mapping, _| in_use.contains(mapping));
        for mapping in in_use {
            if let Entry::Vacant(place) = self.watched.entry(mapping) {
                place.insert(Watched::new(mapping.0, mapping.1)?);
            }
        }
        Ok(())
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
pub(crate) fn guard() -> io::Result<()> {
    register_signal_handler(libc::SIGBUS, on_bus_error).map_err(|error| io::Error::from_raw_os_error(error.errno()))
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
        // SAFETY: the page is one of a mapping that stays as long as it is watched, and nobody but raw copies through
        // pointers looks at it.
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
