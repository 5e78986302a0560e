//! The used ring: entries first, then the index, then the driver is told.
//!
//! The crate underneath moves the index with every entry. Here several entries become visible at once, which saves the
//! driver's core a cache miss an entry and makes "does the driver want to know" one question a batch (virtio 1.2, 2.7.8
//! and 2.7.10).

use std::num::Wrapping;
use std::sync::atomic::{Ordering, fence};

use virtio_bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{Queue as VirtQueue, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use crate::request::chain::Mem;

/// Bytes of `flags` and `idx` before a ring's entries.
const HEADER_BYTES: u64 = 4;
/// Bytes of an entry of the used ring.
const USED_BYTES: u64 = 8;
/// Bytes of an entry of the available ring.
const AVAIL_BYTES: u64 = 2;

/// An address that is none, when it overflows.
fn at(base: u64, offset: u64) -> GuestAddress {
    GuestAddress(base.saturating_add(offset))
}

/// Writes an entry after `unpublished` others that the driver does not see yet.
///
/// # Errors
/// The ring lies outside the guest's memory.
pub(super) fn put(
    queue: &VirtQueue,
    mem: &Mem,
    unpublished: u16,
    head: u16,
    written: u32,
) -> Result<(), GuestMemoryError> {
    let slot = queue.next_used().wrapping_add(unpublished) % queue.size();
    let mut entry = [0; USED_BYTES as usize];
    let (id, len) = entry.split_at_mut(4);
    id.copy_from_slice(&u32::from(head).to_le_bytes());
    len.copy_from_slice(&written.to_le_bytes());
    mem.write_slice(
        &entry,
        at(queue.used_ring(), HEADER_BYTES + u64::from(slot) * USED_BYTES),
    )
}

/// Shows the driver the entries that it does not see yet; whether it wants to be told.
///
/// # Errors
/// The ring lies outside the guest's memory.
pub(super) fn publish(queue: &mut VirtQueue, mem: &Mem, unpublished: u16) -> Result<bool, GuestMemoryError> {
    let new = Wrapping(queue.next_used()) + Wrapping(unpublished);
    mem.store(new.0.to_le(), at(queue.used_ring(), 2), Ordering::Release)?;
    queue.set_next_used(new.0);
    // The index is written before it is read what the driver wants: it does the same the other way round.
    fence(Ordering::SeqCst);
    if !queue.event_idx_enabled() {
        let flags: u16 = mem.load(at(queue.avail_ring(), 0), Ordering::Relaxed)?;
        return Ok(u32::from(u16::from_le(flags)) & VRING_AVAIL_F_NO_INTERRUPT == 0);
    }
    let event_at = HEADER_BYTES + u64::from(queue.size()) * AVAIL_BYTES;
    let event: u16 = mem.load(at(queue.avail_ring(), event_at), Ordering::Relaxed)?;
    // As `vring_need_event` has it.
    Ok((new - Wrapping(u16::from_le(event)) - Wrapping(1)).0 < unpublished)
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a panic here is the test's failure")]
mod tests {
    use super::*;

    const AVAIL: u64 = 0x1000;
    const USED: u64 = 0x2000;

    fn ring(event_idx: bool) -> (VirtQueue, Mem) {
        let mem = Mem::from_ranges(&[(GuestAddress(0), 0x4000)]).expect("memory");
        let mut queue = VirtQueue::new(4).expect("a queue");
        queue
            .try_set_avail_ring_address(GuestAddress(AVAIL))
            .expect("an address");
        queue.try_set_used_ring_address(GuestAddress(USED)).expect("an address");
        queue.set_event_idx(event_idx);
        (queue, mem)
    }

    fn index(mem: &Mem) -> u16 {
        mem.read_obj(GuestAddress(USED + 2)).expect("the index")
    }

    #[test]
    fn entries_are_seen_together_and_in_order() {
        let (mut queue, mem) = ring(false);
        queue.set_next_used(u16::MAX);
        put(&queue, &mem, 0, 2, 7).expect("put");
        put(&queue, &mem, 1, 1, 9).expect("put");
        assert_eq!(index(&mem), 0, "nothing is seen yet");
        assert!(publish(&mut queue, &mem, 2).expect("publish"));
        assert_eq!((index(&mem), queue.next_used()), (1, 1));
        let entry = |slot: u64| -> (u32, u32) {
            let at = USED + 4 + 8 * slot;
            let id = mem.read_obj(GuestAddress(at)).expect("id");
            (id, mem.read_obj(GuestAddress(at + 4)).expect("len"))
        };
        assert_eq!((entry(3), entry(0)), ((2, 7), (1, 9)));
    }

    #[test]
    fn the_driver_is_told_when_it_wants_to_know() {
        let (mut queue, mem) = ring(false);
        mem.write_obj(1u16, GuestAddress(AVAIL)).expect("flags");
        assert!(!publish(&mut queue, &mem, 1).expect("publish"));
        let (mut queue, mem) = ring(true);
        let wants_after = |event: u16| mem.write_obj(event, GuestAddress(AVAIL + 4 + 8)).expect("event");
        wants_after(2);
        assert!(!publish(&mut queue, &mem, 2).expect("publish"), "0 and 1 are there");
        assert!(publish(&mut queue, &mem, 1).expect("publish"), "2 is");
        wants_after(4);
        assert!(publish(&mut queue, &mem, 3).expect("publish"), "3, 4 and 5 are");
        assert!(!publish(&mut queue, &mem, 1).expect("publish"), "it was told already");
    }

    #[test]
    fn a_ring_outside_the_memory_is_an_error() {
        let (mut queue, mem) = ring(true);
        queue.try_set_used_ring_address(GuestAddress(!3)).expect("an address");
        assert!(put(&queue, &mem, 3, 0, 0).is_err());
        assert!(publish(&mut queue, &mem, 1).is_err());
    }
}
