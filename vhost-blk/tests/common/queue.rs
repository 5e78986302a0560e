//! One queue of a driver: puts requests into its ring and takes completions out.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

use std::os::fd::AsRawFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::EventFd;

use super::SOON;

/// What the driver puts where the status goes.
pub const NO_STATUS: u8 = 0xEE;
pub const QUEUE_SIZE: u16 = 64;
/// Requests that a queue has room for; each has its own descriptors, header, status byte and data.
pub const SLOTS: u16 = QUEUE_SIZE / 3;
/// Guest memory of one queue: its rings and all its requests.
pub const QUEUE_BYTES: u64 = 4 << 20;

const DESC: u64 = 0x1000;
const AVAIL: u64 = 0x2000;
const USED: u64 = 0x3000;
const HEADERS: u64 = 0x10_0000;
const STATUSES: u64 = 0x18_0000;
const DATA: u64 = 0x20_0000;
const DATA_STRIDE: u64 = 0x1_0000;
const NEXT: u16 = 1;
const WRITABLE: u16 = 2;

/// One queue of a driver.
pub struct Queue {
    pub mem: GuestMemoryMmap<()>,
    /// Where its part of guest memory begins.
    base: u64,
    pub(super) kick: EventFd,
    pub(super) call: EventFd,
    call_poll: Epoll,
    avail: u16,
    seen: u16,
    pub(super) next_slot: u16,
    /// Slots whose request the device has.
    out: [bool; SLOTS as usize],
    /// Requests put into the ring since the driver connected.
    pub sent: u64,
}

/// One entry of the used ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// Which request.
    pub slot: u16,
    /// Bytes that the device says it wrote.
    pub len: u32,
    /// The status byte.
    pub status: u8,
}

impl Queue {
    pub fn new(mem: &GuestMemoryMmap<()>, index: usize) -> Queue {
        let event = || EventFd::new(libc::EFD_NONBLOCK).expect("eventfd");
        let call = event();
        let call_poll = Epoll::new().expect("epoll");
        call_poll
            .ctl(
                ControlOperation::Add,
                call.as_raw_fd(),
                EpollEvent::new(EventSet::IN, 0),
            )
            .expect("epoll");
        Queue {
            mem: mem.clone(),
            base: index as u64 * QUEUE_BYTES,
            kick: event(),
            call,
            call_poll,
            avail: 0,
            seen: 0,
            next_slot: 0,
            out: [false; SLOTS as usize],
            sent: 0,
        }
    }

    /// Guest addresses of the descriptor table, the available and the used ring.
    pub fn rings(&self) -> [u64; 3] {
        [DESC, AVAIL, USED].map(|offset| self.base + offset)
    }

    fn at(&self, offset: u64) -> GuestAddress {
        GuestAddress(self.base + offset)
    }

    /// Empties the ring, as a driver does after a reset.
    pub(super) fn clear(&mut self) {
        let zeros = vec![0; (HEADERS - DESC) as usize];
        self.mem.write_slice(&zeros, self.at(DESC)).expect("zero");
        (self.avail, self.seen, self.next_slot) = (0, 0, 0);
        self.out = [false; SLOTS as usize];
    }

    /// The used ring's index as the device last wrote it.
    pub fn used_index(&self) -> u16 {
        self.mem.load(self.at(USED + 2), Ordering::Acquire).expect("used index")
    }

    /// Slots whose request the device has, in their order.
    pub fn out(&self) -> Vec<u16> {
        (0..SLOTS).filter(|slot| self.out[usize::from(*slot)]).collect()
    }

    /// The slot of the next request: one that the device does not have.
    pub fn free_slot(&mut self) -> u16 {
        let free = (0..SLOTS).map(|more| (self.next_slot + more) % SLOTS);
        let free = free.into_iter().find(|slot| !self.out[usize::from(*slot)]);
        self.next_slot = free.expect("the device has a request in each slot");
        self.next_slot
    }

    /// Where a request's data is.
    pub fn data(&self, slot: u16) -> GuestAddress {
        self.at(DATA + u64::from(slot) * DATA_STRIDE)
    }

    pub fn put_desc(&self, index: u16, addr: u64, len: u32, flags: u16, next: u16) {
        let at = |offset: u64| self.at(DESC + 16 * u64::from(index) + offset);
        self.mem.write_obj(addr, at(0)).expect("desc");
        self.mem.write_obj(len, at(8)).expect("desc");
        self.mem.write_obj(flags, at(12)).expect("desc");
        self.mem.write_obj(next, at(14)).expect("desc");
    }

    /// Puts a request into the ring without telling the device; returns its slot.
    pub fn queue(&mut self, kind: u32, sector: u64, len: u32, to_guest: bool) -> u16 {
        let slot = self.free_slot();
        self.out[usize::from(slot)] = true;
        self.next_slot = (slot + 1) % SLOTS;
        let (header, status) = (self.header_at(slot).0, self.status_at(slot).0);
        self.put_header(slot, kind, sector);
        let first = slot * 3;
        self.put_desc(first, header, 16, NEXT, first + if len == 0 { 2 } else { 1 });
        let direction = if to_guest { WRITABLE } else { 0 };
        self.put_desc(first + 1, self.data(slot).0, len, NEXT | direction, first + 2);
        self.put_desc(first + 2, status, 1, WRITABLE, 0);
        self.publish(first);
        slot
    }

    /// Writes a request's header, and takes what its status byte says away.
    pub fn put_header(&self, slot: u16, kind: u32, sector: u64) {
        let header = self.header_at(slot).0;
        self.mem.write_obj(kind, GuestAddress(header)).expect("header");
        self.mem.write_obj(sector, GuestAddress(header + 8)).expect("header");
        self.mem.write_obj(NO_STATUS, self.status_at(slot)).expect("status");
    }

    /// Puts a head into the available ring.
    pub fn publish(&mut self, head: u16) {
        let entry = self.at(AVAIL + 4 + 2 * u64::from(self.avail % QUEUE_SIZE));
        self.mem.write_obj(head, entry).expect("avail");
        self.avail = self.avail.wrapping_add(1);
        self.set_avail_index(self.avail);
        self.sent += 1;
    }

    /// Puts a discard or write-zeroes range where a request's data is.
    pub fn put_range(&self, slot: u16, sector: u64, sectors: u32, flags: u32) {
        let at = |offset| GuestAddress(self.data(slot).0 + offset);
        self.mem.write_obj(sector, at(0)).expect("range");
        self.mem.write_obj(sectors, at(8)).expect("range");
        self.mem.write_obj(flags, at(12)).expect("range");
    }

    pub fn set_avail_index(&self, index: u16) {
        self.mem
            .store(index, self.at(AVAIL + 2), Ordering::Release)
            .expect("index");
    }

    pub fn kick(&self) {
        self.kick.write(1).expect("kick");
    }

    pub fn write(&mut self, sector: u64, data: &[u8]) -> u16 {
        let slot = self.free_slot();
        self.mem.write_slice(data, self.data(slot)).expect("data");
        self.queue(1, sector, data.len() as u32, false);
        self.kick();
        slot
    }

    pub fn read(&mut self, sector: u64, len: u32) -> u16 {
        let slot = self.free_slot();
        self.mem
            .write_slice(&vec![0x55; len as usize], self.data(slot))
            .expect("data");
        self.queue(0, sector, len, true);
        self.kick();
        slot
    }

    /// Sends a request of any kind, its data as it is.
    pub fn ask(&mut self, kind: u32, sector: u64, len: u32, to_guest: bool) -> u16 {
        let slot = self.queue(kind, sector, len, to_guest);
        self.kick();
        slot
    }

    /// Sends a discard (11) or write-zeroes (13) of one range.
    pub fn range(&mut self, kind: u32, sector: u64, sectors: u32) -> u16 {
        let mut range = [0; 16];
        range[..8].copy_from_slice(&sector.to_le_bytes());
        range[8..12].copy_from_slice(&sectors.to_le_bytes());
        let slot = self.free_slot();
        let data = self.data(slot);
        self.mem.write_slice(&range, data).expect("data");
        self.queue(kind, 0, 16, false);
        self.kick();
        slot
    }

    /// The status byte of a request as it stands now.
    pub fn mem_status(&self, slot: u16) -> u8 {
        self.mem.read_obj(self.status_at(slot)).expect("status")
    }

    /// Where a request's header is.
    pub fn header_at(&self, slot: u16) -> GuestAddress {
        self.at(HEADERS + 16 * u64::from(slot))
    }

    /// Where its status byte is.
    pub fn status_at(&self, slot: u16) -> GuestAddress {
        self.at(STATUSES + u64::from(slot))
    }

    pub fn bytes(&self, slot: u16, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.mem.read_slice(&mut bytes, self.data(slot)).expect("data");
        bytes
    }

    /// Entries of the used ring that were not looked at yet.
    pub fn unseen(&self) -> u16 {
        self.used_index().wrapping_sub(self.seen)
    }

    /// The next entry of the used ring, waiting as long as `timeout`.
    pub fn next_used(&mut self, timeout: Duration) -> Option<Used> {
        loop {
            if self.unseen() > 0 {
                let entry = self.base + USED + 4 + 8 * u64::from(self.seen % QUEUE_SIZE);
                self.seen = self.seen.wrapping_add(1);
                let head: u32 = self.mem.read_obj(GuestAddress(entry)).expect("id");
                let slot = head as u16 / 3;
                if let Some(out) = self.out.get_mut(usize::from(slot)) {
                    *out = false;
                }
                return Some(Used {
                    slot,
                    len: self.mem.read_obj(GuestAddress(entry + 4)).expect("len"),
                    status: self.mem_status(slot),
                });
            }
            let limit_ms = timeout.as_millis() as i32;
            let mut events = [EpollEvent::default()];
            if self.call_poll.wait(limit_ms, &mut events).expect("epoll") == 0 {
                return None;
            }
            let _ = self.call.read();
        }
    }

    /// The next entry of the used ring; it must come soon.
    pub fn done(&mut self) -> Used {
        self.next_used(SOON).expect("a completion")
    }

    /// Slots and statuses of the next completions.
    pub fn order(&mut self, count: usize) -> Vec<(u16, u8)> {
        (0..count)
            .map(|_| self.done())
            .map(|used| (used.slot, used.status))
            .collect()
    }
}
