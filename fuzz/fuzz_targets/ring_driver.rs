//! The driver of the `ring` target: its memory, and its side of a queue.

use std::fs::File;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use vhost_blk_api::payload::Tag;
use vhost_blk::request::chain::Mem;
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};

use crate::Input;

pub const QUEUES: usize = 2;
/// Entries of a ring: four descriptors a slot.
pub const SIZE: u16 = 32;
const SLOTS: usize = 8;

/// Bytes of a queue's rings and slots.
const QUEUE_BYTES: u64 = 0x1_0000;
const MEMORY_BYTES: u64 = QUEUES as u64 * QUEUE_BYTES;
const AVAIL: u64 = 0x400;
const USED: u64 = 0x800;
const FIRST_SLOT: u64 = 0x1000;
const SLOT_BYTES: u64 = 0x1000;
// In a slot: the header, then these.
const STATUS: u64 = 0x10;
const RANGE: u64 = 0x20;
const TABLE: u64 = 0x40;
const DATA: u64 = 0x200;

const NEXT: u16 = 1;
const WRITABLE: u16 = 2;
const INDIRECT: u16 = 4;
/// What the driver puts where a status goes.
const NO_STATUS: u8 = 0xEE;

/// A file that nobody else can see.
pub fn anonymous_file() -> File {
    let path = std::env::temp_dir().join(format!("bioscope-fuzz-{}-{:p}", std::process::id(), &NO_STATUS));
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&path)
        .expect("a file");
    // It stays open.
    std::fs::remove_file(&path).expect("removed");
    file
}

/// The guest's memory: one for all inputs, as to map it takes longer than to clear what is used of it.
pub struct Memory {
    file: File,
    all: Mem,
}

impl Memory {
    pub fn get() -> &'static Memory {
        static MEMORY: OnceLock<Memory> = OnceLock::new();
        MEMORY.get_or_init(|| {
            let file = anonymous_file();
            file.set_len(MEMORY_BYTES).expect("memory");
            let all = mapped(&file, MEMORY_BYTES);
            Memory { file, all }
        })
    }

    pub fn all(&self) -> Mem {
        self.all.clone()
    }

    /// The first bytes of it, as the front end gives it that takes the rest away.
    pub fn first(&self, bytes: u64) -> Mem {
        mapped(&self.file, bytes.min(MEMORY_BYTES))
    }

    fn put<T: vm_memory::ByteValued>(&self, value: T, at: u64) {
        self.all.write_obj(value, GuestAddress(at)).expect("it is in memory");
    }
}

fn mapped(file: &File, bytes: u64) -> Mem {
    let file = file.try_clone().expect("a descriptor");
    let range = (GuestAddress(0), bytes as usize, Some(FileOffset::new(file, 0)));
    GuestMemoryMmap::from_ranges_with_files([range]).expect("memory")
}

/// What the driver has in a slot.
#[derive(Clone, Copy, Default)]
struct Slot {
    out: bool,
    /// The device will never give it back.
    lost: bool,
    /// Whether it is a good request.
    good: bool,
    /// Where in the available ring it is, counted from the ring's start.
    place: u16,
}

/// The driver's side of a queue.
pub struct Ring {
    base: u64,
    avail: u16,
    seen: u16,
    slots: [Slot; SLOTS],
    pub is_running: bool,
    /// The driver has lied: what comes back is its own fault.
    pub is_wild: bool,
    /// It has sent what is no request: that may have been written to where others are.
    is_tainted: bool,
    /// The used index that must stay as it is.
    pub frozen: Option<u16>,
    /// Power cuts that were over as it was started.
    pub cuts: u64,
    /// Heads that came back in all, while it was not wild.
    pub back: u64,
}

impl Ring {
    pub fn new(queue: usize) -> Ring {
        Ring {
            base: queue as u64 * QUEUE_BYTES,
            avail: 0,
            seen: 0,
            slots: [Slot::default(); SLOTS],
            is_running: false,
            is_wild: false,
            is_tainted: false,
            frozen: None,
            cuts: 0,
            back: 0,
        }
    }

    /// Descriptor table, available ring, used ring.
    pub fn addrs(queue: usize) -> [u64; 3] {
        [0, AVAIL, USED].map(|offset| queue as u64 * QUEUE_BYTES + offset)
    }

    /// Fresh, as after a reset.
    pub fn empty(&mut self, memory: &Memory, cuts: u64) {
        let zeros = [0; FIRST_SLOT as usize];
        memory
            .all
            .write_slice(&zeros, GuestAddress(self.base))
            .expect("it is in memory");
        let queue = (self.base / QUEUE_BYTES) as usize;
        *self = Ring {
            cuts,
            back: self.back,
            ..Ring::new(queue)
        };
    }

    pub fn none_is_lost(&mut self) {
        self.slots.iter_mut().for_each(|slot| slot.lost = false);
    }

    pub fn used(&self, memory: &Memory) -> u16 {
        let at = GuestAddress(self.base + USED + 2);
        memory.all.load(at, Ordering::Acquire).expect("it is in memory")
    }

    fn slot_at(&self, slot: usize) -> u64 {
        self.base + FIRST_SLOT + slot as u64 * SLOT_BYTES
    }

    fn publish(&mut self, memory: &Memory, head: u16) {
        memory.put(head, self.base + AVAIL + 4 + 2 * u64::from(self.avail % SIZE));
        self.avail = self.avail.wrapping_add(1);
        self.lie_about_index(memory, self.avail);
    }

    fn take_slot(&mut self, good: bool) -> Option<usize> {
        let slot = self.slots.iter().position(|slot| !slot.out)?;
        self.slots[slot] = Slot {
            out: true,
            lost: false,
            good,
            place: self.avail,
        };
        Some(slot)
    }

    /// Puts a good request into the ring, if there is room.
    pub fn send(&mut self, memory: &Memory, input: &mut Input<'_>) -> Option<()> {
        let (form, place) = (input.byte()?, input.byte()?);
        let Some(slot) = self.take_slot(true) else {
            return Some(());
        };
        let kind = [0u32, 1, 1, 4, 8, 11, 13, 99][usize::from(form & 7)];
        let (sectors, split, indirect) = (u64::from(form >> 3 & 3), form & 0x20 != 0, form & 0x40 != 0);
        let at = self.slot_at(slot);
        memory.put(kind, at);
        // Some lie beyond the disk.
        memory.put(u64::from(place & 0x7F) * 9 / 8, at + 8);
        memory.put(NO_STATUS, at + STATUS);
        let data = match kind {
            0 => Some((DATA, sectors * 512, WRITABLE)),
            1 => Some((DATA, sectors * 512, 0)),
            8 => Some((DATA, 20, WRITABLE)),
            11 | 13 => Some((RANGE, 16, 0)),
            _ => None,
        };
        if place & 0x80 != 0 {
            let header = Tag { tag: 7, page: 0 }.header();
            memory
                .all
                .write_slice(&header, GuestAddress(at + DATA))
                .expect("it is in memory");
        }
        memory.put(u64::from(place & 0x7F), at + RANGE);
        memory.put(sectors as u32, at + RANGE + 8);
        memory.put(u32::from(form >> 7), at + RANGE + 12);
        let mut chain = vec![(at, 16, 0)];
        match data {
            Some((offset, bytes, flags)) if split && bytes > 1 => {
                chain.push((at + offset, bytes / 2 - 1, flags));
                chain.push((at + offset + bytes / 2 - 1, bytes - bytes / 2 + 1, flags));
            }
            Some((offset, bytes, flags)) if bytes > 0 => chain.push((at + offset, bytes, flags)),
            _ => {}
        }
        chain.push((at + STATUS, 1, WRITABLE));
        let head = slot as u16 * 4;
        let (table, first) = if indirect { (at + TABLE, 0) } else { (self.base, head) };
        let last = chain.len() - 1;
        for (index, (addr, bytes, flags)) in chain.iter().enumerate() {
            let place = first + index as u16;
            let more = if index < last { NEXT } else { 0 };
            describe(memory, table, place, (*addr, *bytes as u32, flags | more, place + 1));
        }
        if indirect {
            let table = (at + TABLE, chain.len() as u32 * 16, INDIRECT, 0);
            describe(memory, self.base, head, table);
        }
        self.publish(memory, head);
        Some(())
    }

    /// Puts four descriptors as the input has them into the ring; whether they may be anywhere in memory.
    pub fn send_raw(&mut self, memory: &Memory, input: &mut Input<'_>) -> Option<bool> {
        let Some(slot) = self.take_slot(false) else {
            return Some(false);
        };
        self.is_tainted = true;
        let (at, head) = (self.slot_at(slot), slot as u16 * 4);
        let mut anywhere = false;
        for index in 0..4 {
            let (flags, next) = (input.byte().unwrap_or(0), input.byte().unwrap_or(0));
            let (addr, bytes) = (input.short().unwrap_or(0), input.short().unwrap_or(0));
            let (addr, bytes) = match flags >> 6 {
                0 | 1 => (at + u64::from(addr & 0xFFF), u32::from(bytes & 0x3FF)),
                2 => (u64::from(addr) << 40, u32::from(bytes) << 12),
                _ => {
                    anywhere = true;
                    (u64::from(addr) << 1, u32::from(bytes))
                }
            };
            let next = u16::from(next) % (SIZE + 4);
            describe(
                memory,
                self.base,
                head + index,
                (addr, bytes, u16::from(flags & 7), next),
            );
        }
        self.publish(memory, head);
        Some(anywhere)
    }

    pub fn lie_about_index(&self, memory: &Memory, index: u16) {
        let at = GuestAddress(self.base + AVAIL + 2);
        memory.all.store(index, at, Ordering::Release).expect("it is in memory");
    }

    pub fn lie_about_head(&mut self, memory: &Memory, head: u16) {
        self.publish(memory, head);
    }

    /// Takes what came back.
    pub fn look(&mut self, memory: &Memory) {
        let used = self.used(memory);
        if let Some(frozen) = self.frozen {
            assert!(used == frozen || self.is_wild, "something came after the end");
        }
        if self.is_wild {
            return;
        }
        while self.seen != used {
            let entry = self.base + USED + 4 + 8 * u64::from(self.seen % SIZE);
            let word = |at| -> u32 { memory.all.read_obj(GuestAddress(at)).expect("it is in memory") };
            let (head, bytes) = (word(entry), word(entry + 4));
            self.seen = self.seen.wrapping_add(1);
            self.back += 1;
            let index = head as usize / 4;
            let known = self.slots.get_mut(index).filter(|_| head % 4 == 0);
            let slot = known.unwrap_or_else(|| panic!("head {head} was never sent"));
            assert!(slot.out && !slot.lost, "head {head} is not out");
            slot.out = false;
            if slot.good && !self.is_tainted {
                let at = self.slot_at(index) + STATUS;
                let status: u8 = memory.all.read_obj(GuestAddress(at)).expect("it is in memory");
                assert!(status <= 2, "status {status}");
                assert!((1..=3 * 512 + 1).contains(&bytes), "{bytes} bytes written");
            }
        }
    }

    /// The ring stopped before this entry of the available ring: all before it is back, unless the power or the
    /// connection went.
    pub fn stopped(&mut self, base: u16, went: bool) {
        self.is_running = false;
        self.frozen = Some(self.seen);
        if self.is_wild {
            self.frozen = None;
            return;
        }
        assert!(base <= self.avail, "it took more than there was");
        for slot in self.slots.iter_mut().filter(|slot| slot.out && slot.place < base) {
            assert!(went || slot.lost, "it did not come back before the stop");
            slot.lost = true;
        }
    }
}

fn describe(memory: &Memory, table: u64, place: u16, (addr, bytes, flags, next): (u64, u32, u16, u16)) {
    let at = table + 16 * u64::from(place);
    memory.put(addr, at);
    memory.put(bytes, at + 8);
    memory.put(flags, at + 12);
    memory.put(next, at + 14);
}
