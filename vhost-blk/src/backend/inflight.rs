//! Requests in flight, written down where they outlive this process and its connection.
//!
//! A front end that loses its device (it hung up, or was killed) starts the rings again with the next one. Where
//! requests complete out of order the used index does not say which of them are done; the area of shared memory that
//! the front end keeps for the device does. Its layout is that of the vhost-user specification ("Inflight I/O
//! tracking", split virtqueues): a region a queue, with an entry a descriptor.
//!
//! A ring that was stopped in order has nothing in flight; its region is then marked as unused, so that it cannot be
//! taken for that of another driver's ring. The front end could write there as well: nothing in it is trusted.

use std::fs::File;
use std::io;
use std::num::Wrapping;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use vm_memory::{AtomicInteger, FileOffset, MmapRegion, VolatileMemory};

/// A region's `version` while it is in use.
const VERSION: u16 = 1;
/// Bytes of a region before its entries.
const HEADER_BYTES: usize = 16;
/// Bytes of an entry.
const ENTRY_BYTES: usize = 16;
/// Regions begin at multiples of this many bytes.
const ALIGN_BYTES: usize = 64;

// Offsets in a region.
const VERSION_AT: usize = 8;
const DESC_NUM_AT: usize = 10;
const LAST_BATCH_HEAD_AT: usize = 12;
const USED_IDX_AT: usize = 14;
// Offsets in an entry.
const INFLIGHT_AT: usize = 0;
const NEXT_AT: usize = 6;
const COUNTER_AT: usize = 8;

/// The area for all queues.
#[derive(Debug)]
pub(super) struct Area {
    region: MmapRegion,
    num_queues: u16,
    queue_size: u16,
}

/// One queue's region, in use by a ring.
#[derive(Debug)]
pub(super) struct Tracker {
    area: Arc<Area>,
    base: usize,
    size: u16,
    counter: u64,
}

/// Bytes of one queue's region.
fn region_bytes(queue_size: u16) -> usize {
    (HEADER_BYTES + ENTRY_BYTES * usize::from(queue_size)).next_multiple_of(ALIGN_BYTES)
}

impl Area {
    /// A file for a new area, and its size in bytes. It cannot be made smaller, which would kill whoever has it mapped.
    ///
    /// # Errors
    /// The system gives no memory.
    pub(super) fn create(num_queues: u16, queue_size: u16) -> io::Result<(File, u64)> {
        let bytes = (region_bytes(queue_size) * usize::from(num_queues)) as u64;
        let file = memfd_create("vhost-blk-inflight", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let file = File::from(file);
        file.set_len(bytes)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Ok((file, bytes))
    }

    /// Where it is mapped.
    pub(super) fn mapping(&self) -> &MmapRegion {
        &self.region
    }

    /// Maps an area that the front end has kept.
    ///
    /// # Errors
    /// It is smaller than its queues need, or cannot be mapped.
    pub(super) fn map(file: File, offset: u64, bytes: u64, num_queues: u16, queue_size: u16) -> io::Result<Area> {
        let needed = region_bytes(queue_size) * usize::from(num_queues);
        let end = offset.checked_add(bytes);
        if queue_size == 0
            || bytes < needed as u64
            || end.is_none_or(|end| end > file.metadata().map_or(0, |m| m.size()))
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "an area of {bytes} bytes for {num_queues} queues of {queue_size}: expected at least {needed}, and as many in its file"
                ),
            ));
        }
        let region = MmapRegion::from_file(FileOffset::new(file, offset), needed).map_err(io::Error::other)?;
        Ok(Area {
            region,
            num_queues,
            queue_size,
        })
    }
}

impl Tracker {
    /// Takes a queue's region into use for a ring of this size, whose used index is this and of which the entries
    /// before `next` were taken. The heads that were in flight when an earlier ring ended without being stopped, in the
    /// order in which they came; `None` if none was before this one.
    pub(super) fn begin(
        area: &Arc<Area>,
        queue: u16,
        size: u16,
        used: u16,
        next: u16,
    ) -> Option<(Tracker, Option<Vec<u16>>)> {
        if queue >= area.num_queues || size > area.queue_size {
            return None;
        }
        let mut tracker = Tracker {
            area: Arc::clone(area),
            base: region_bytes(area.queue_size) * usize::from(queue),
            size,
            counter: 0,
        };
        let is_of_size = tracker.header(DESC_NUM_AT) == Some(size);
        let went_on = is_of_size && tracker.header(VERSION_AT) == Some(VERSION) && tracker.shown_since(used) <= size;
        let heads = went_on.then(|| tracker.recover(used));
        if !went_on {
            // A ring goes on that was stopped while the power was off: what was out then stays so until the driver
            // resets it.
            let unanswered = usize::from((Wrapping(next) - Wrapping(used)).0);
            if unanswered == 0 || !is_of_size || tracker.recover(used).len() != unanswered {
                (0..size).for_each(|head| tracker.set_inflight(head, false));
                tracker.counter = 0;
            }
            tracker.set_header(DESC_NUM_AT, size);
            tracker.set_header(USED_IDX_AT, used);
            tracker.set_header(VERSION_AT, VERSION);
        }
        Some((tracker, heads))
    }

    /// By how much the used index is ahead of what is written down here. No batch is larger than the ring: where it is
    /// more, the driver has reset its ring meanwhile, and what stands here are heads that it never gave to this one.
    fn shown_since(&self, used: u16) -> u16 {
        (Wrapping(used) - Wrapping(self.header(USED_IDX_AT).unwrap_or(used))).0
    }

    /// What is in flight, by its age.
    fn recover(&mut self, used: u16) -> Vec<u16> {
        // A batch that was shown to the driver, but not written off here.
        let shown = self.shown_since(used);
        if shown <= self.size {
            self.write_off(shown);
        }
        self.set_header(USED_IDX_AT, used);
        let mut heads: Vec<(u64, u16)> = (0..self.size)
            .filter(|head| self.entry::<AtomicU8>(*head, INFLIGHT_AT).is_some_and(|flag| flag == 1))
            .map(|head| (self.entry::<AtomicU64>(head, COUNTER_AT).unwrap_or(0), head))
            .collect();
        heads.sort_unstable();
        self.counter = heads.last().map_or(0, |(counter, _)| counter.wrapping_add(1));
        heads.into_iter().map(|(_, head)| head).collect()
    }

    /// A head came out of the available ring.
    pub(super) fn taken(&mut self, head: u16) {
        self.set_entry::<AtomicU64>(head, COUNTER_AT, self.counter);
        self.counter = self.counter.wrapping_add(1);
        self.set_inflight(head, true);
    }

    /// A head was put into the used ring, where the driver does not see it yet.
    pub(super) fn put(&mut self, head: u16) {
        let last = self.header(LAST_BATCH_HEAD_AT).unwrap_or(0);
        self.set_entry::<AtomicU16>(head, NEXT_AT, last);
        self.set_header(LAST_BATCH_HEAD_AT, head);
    }

    /// The driver sees the last so many heads that were put; the used index is this.
    pub(super) fn shown(&mut self, heads: u16, used: u16) {
        self.write_off(heads);
        self.set_header(USED_IDX_AT, used);
    }

    /// The ring was stopped in order: whatever is in flight still will never be answered, and this region tells
    /// nothing.
    pub(super) fn stopped(&self) {
        self.set_header(VERSION_AT, 0);
    }

    /// Notes that the last so many heads are in flight no more.
    fn write_off(&self, heads: u16) {
        let mut head = self.header(LAST_BATCH_HEAD_AT);
        for _ in 0..heads {
            let Some(this) = head.filter(|head| *head < self.size) else {
                return;
            };
            self.set_inflight(this, false);
            head = self.entry::<AtomicU16>(this, NEXT_AT);
        }
    }

    fn set_inflight(&self, head: u16, on: bool) {
        self.set_entry::<AtomicU8>(head, INFLIGHT_AT, u8::from(on));
    }

    fn header(&self, at: usize) -> Option<u16> {
        let value = self.area.region.get_atomic_ref::<AtomicU16>(self.base + at).ok()?;
        Some(u16::from_le(value.load(Ordering::Acquire)))
    }

    fn set_header(&self, at: usize, value: u16) {
        if let Ok(place) = self.area.region.get_atomic_ref::<AtomicU16>(self.base + at) {
            place.store(value.to_le(), Ordering::Release);
        }
    }

    fn place<T: AtomicInteger>(&self, head: u16, at: usize) -> Option<&T> {
        let in_range = head < self.size;
        let offset = self.base + HEADER_BYTES + ENTRY_BYTES * usize::from(head) + at;
        self.area.region.get_atomic_ref(offset).ok().filter(|_| in_range)
    }

    // Entries are in the machine's byte order: whoever goes on with them runs on the same machine.
    fn entry<T: AtomicInteger>(&self, head: u16, at: usize) -> Option<T::V> {
        self.place::<T>(head, at).map(|place| place.load(Ordering::Acquire))
    }

    fn set_entry<T: AtomicInteger>(&self, head: u16, at: usize, value: T::V) {
        if let Some(place) = self.place::<T>(head, at) {
            place.store(value, Ordering::Release);
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a panic here is the test's failure")]
mod tests {
    use super::*;

    fn area() -> Arc<Area> {
        let (file, bytes) = Area::create(2, 8).expect("memory");
        Arc::new(Area::map(file, 0, bytes, 2, 8).expect("an area"))
    }

    fn begin(area: &Arc<Area>, used: u16) -> (Tracker, Option<Vec<u16>>) {
        Tracker::begin(area, 1, 8, used, used).expect("a region")
    }

    #[test]
    fn a_new_area_tells_nothing() {
        assert_eq!(begin(&area(), 5).1, None);
    }

    #[test]
    fn what_was_in_flight_comes_back_in_the_order_in_which_it_came() {
        let area = area();
        let (mut tracker, _) = begin(&area, 0);
        for head in [6, 0, 3, 5] {
            tracker.taken(head);
        }
        tracker.put(0);
        tracker.shown(1, 1);
        let (mut tracker, heads) = begin(&area, 1);
        assert_eq!(heads, Some(vec![6, 3, 5]));
        tracker.taken(0);
        assert_eq!(begin(&area, 1).1, Some(vec![6, 3, 5, 0]), "and goes on from there");
    }

    #[test]
    fn a_batch_that_was_shown_and_not_written_off_is_done() {
        let area = area();
        let (mut tracker, _) = begin(&area, u16::MAX);
        for head in [1, 2, 3, 4] {
            tracker.taken(head);
        }
        tracker.put(3);
        tracker.put(1);
        assert_eq!(begin(&area, 1).1, Some(vec![2, 4]), "the driver's index says 2 more");
    }

    #[test]
    fn a_batch_that_was_put_and_not_shown_is_in_flight() {
        let area = area();
        let (mut tracker, _) = begin(&area, 7);
        for head in [1, 2] {
            tracker.taken(head);
        }
        tracker.put(2);
        assert_eq!(begin(&area, 7).1, Some(vec![1, 2]));
    }

    #[test]
    fn a_ring_that_was_stopped_leaves_nothing() {
        let area = area();
        let (mut tracker, _) = begin(&area, 0);
        tracker.taken(4);
        tracker.stopped();
        assert_eq!(begin(&area, 0).1, None);
        assert_eq!(begin(&area, 0).1, Some(Vec::new()), "nor does it come back later");
    }

    #[test]
    fn what_is_never_answered_is_in_flight_until_a_reset() {
        let area = area();
        let (mut tracker, _) = begin(&area, 0);
        for head in [4, 2, 6] {
            tracker.taken(head);
        }
        tracker.put(2);
        tracker.shown(1, 1);
        tracker.stopped();
        // It goes on after all three.
        let (mut tracker, heads) = Tracker::begin(&area, 1, 8, 1, 3).expect("a region");
        assert_eq!(heads, None, "nothing is taken again now");
        tracker.taken(2);
        assert_eq!(begin(&area, 1).1, Some(vec![4, 6, 2]));
        tracker.stopped();
        assert_eq!(begin(&area, 0).1, None);
        assert_eq!(begin(&area, 0).1, Some(Vec::new()), "it was reset");
    }

    #[test]
    fn a_record_is_not_taken_for_that_of_a_ring_that_was_reset_meanwhile() {
        let area = area();
        let (mut tracker, _) = begin(&area, 0);
        for head in [1, 2, 3] {
            tracker.taken(head);
        }
        tracker.put(2);
        tracker.shown(1, 1);
        // Its used index begins at 0 again.
        assert_eq!(begin(&area, 0).1, None);
        assert_eq!(begin(&area, 0).1, Some(Vec::new()), "nor does it come back later");
    }

    #[test]
    fn what_stands_in_the_area_is_not_trusted() {
        let area = area();
        let (mut tracker, _) = begin(&area, 0);
        tracker.taken(1);
        tracker.set_header(LAST_BATCH_HEAD_AT, 999);
        tracker.taken(999);
        tracker.put(999);
        tracker.shown(3, 3);
        assert_eq!(begin(&area, 3).1, Some(vec![1]));
        assert!(Tracker::begin(&area, 2, 8, 0, 0).is_none());
        assert!(Tracker::begin(&area, 0, 16, 0, 0).is_none());
        let (file, bytes) = Area::create(2, 8).expect("memory");
        let error = Area::map(file.try_clone().expect("a file"), 0, bytes, 3, 8).expect_err("too small");
        assert!(error.to_string().contains("for 3 queues of 8"), "{error}");
        assert!(Area::map(file, 64, bytes, 2, 8).is_err());
    }
}
