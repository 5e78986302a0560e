//! A small, real vhost-user front end and virtio driver, and a device process to talk to.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

pub mod helpers;
pub mod reconnect;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use vhost::vhost_user::message::{VhostUserConfigFlags, VhostUserProtocolFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vhost_blk::control::Client;
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryMmap};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::EventFd;

/// Longest wait for anything that should happen at once.
pub const SOON: Duration = Duration::from_secs(20);
/// A wait for what must not happen.
pub const WHILE: Duration = Duration::from_millis(150);

pub const IOERR: u8 = 1;
pub const UNSUPP: u8 = 2;
/// What the driver puts where the status goes.
pub const NO_STATUS: u8 = 0xEE;

const MEM_BYTES: u64 = 16 << 20;
const USER_BASE: u64 = 0x7000_0000_0000;
const DESC: u64 = 0x1000;
const AVAIL: u64 = 0x2000;
const USED: u64 = 0x3000;
const HEADERS: u64 = 0x10_0000;
const STATUSES: u64 = 0x18_0000;
const DATA: u64 = 0x20_0000;
const DATA_STRIDE: u64 = 0x1_0000;
pub const QUEUE_SIZE: u16 = 64;
const NEXT: u16 = 1;
const WRITABLE: u16 = 2;

/// A device process with an image of 8 MiB, ended when dropped.
pub struct DeviceProcess {
    pub dir: tempfile::TempDir,
    pub child: Child,
}

impl DeviceProcess {
    pub fn start(args: &[&str]) -> DeviceProcess {
        let dir = tempfile::tempdir().expect("tempdir");
        let image = dir.path().join("image");
        File::create(&image)
            .and_then(|file| file.set_len(8 << 20))
            .expect("image");
        let child = spawn(dir.path(), args);
        DeviceProcess { dir, child }
    }

    /// Starts another process in the same place.
    pub fn restart(&mut self, args: &[&str]) {
        self.child = spawn(self.dir.path(), args);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn control(&self) -> Client {
        Client::connect(&self.path("control"), SOON).expect("control")
    }
}

impl Drop for DeviceProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the binary and waits until it listens.
fn spawn(dir: &Path, args: &[&str]) -> Child {
    let mut child = command(dir).args(args).stdout(Stdio::piped()).spawn().expect("spawn");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout"))
        .read_line(&mut line)
        .expect("ready line");
    assert_eq!(line, "ready\n");
    child
}

/// The binary with the arguments that every test wants.
pub fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vhost-blk"));
    command.arg("--die-with-parent");
    for (option, name) in [
        ("--socket", "socket"),
        ("--control", "control"),
        ("--trace", "trace"),
        ("--image", "image"),
    ] {
        command.arg(option).arg(dir.join(name));
    }
    command
}

/// A driver with one queue.
pub struct Driver {
    pub frontend: Frontend,
    pub mem: GuestMemoryMmap<()>,
    kick: EventFd,
    call: EventFd,
    call_poll: Epoll,
    avail: u16,
    seen: u16,
    next_slot: u16,
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

impl Driver {
    pub fn connect(device: &DeviceProcess) -> Driver {
        let file = File::from(rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).expect("memfd"));
        file.set_len(MEM_BYTES).expect("set_len");
        let offset = FileOffset::new(file.try_clone().expect("clone"), 0);
        let mem = GuestMemoryMmap::from_ranges_with_files([(GuestAddress(0), MEM_BYTES as usize, Some(offset))])
            .expect("mem");
        let mut frontend = Frontend::connect(device.path("socket"), 1).expect("connect");
        frontend.set_owner().expect("owner");
        let features = frontend.get_features().expect("features");
        // Without the event index every completion signals, which is what a test wants to see.
        frontend.set_features(features & !(1 << 29)).expect("features");
        let protocol = frontend.get_protocol_features().expect("protocol features");
        let wanted =
            VhostUserProtocolFeatures::CONFIG | VhostUserProtocolFeatures::MQ | VhostUserProtocolFeatures::REPLY_ACK;
        frontend
            .set_protocol_features(protocol & wanted)
            .expect("protocol features");
        frontend
            .set_mem_table(&[VhostUserMemoryRegionInfo {
                guest_phys_addr: 0,
                memory_size: MEM_BYTES,
                userspace_addr: USER_BASE,
                mmap_offset: 0,
                mmap_handle: file.as_raw_fd(),
            }])
            .expect("memory table");
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
        let mut driver = Driver {
            frontend,
            mem,
            kick: event(),
            call,
            call_poll,
            avail: 0,
            seen: 0,
            next_slot: 0,
            sent: 0,
        };
        driver.start_ring();
        driver
    }

    /// Starts an empty ring, as a driver does after a reset.
    pub fn start_ring(&mut self) {
        let zeros = vec![0; (HEADERS - DESC) as usize];
        self.mem.write_slice(&zeros, GuestAddress(DESC)).expect("zero");
        (self.avail, self.seen, self.next_slot) = (0, 0, 0);
        self.resume_ring(0);
    }

    /// Starts a stopped ring where it was, as after a pause.
    pub fn resume_ring(&mut self, base: u32) {
        let config = VringConfigData {
            queue_max_size: QUEUE_SIZE,
            queue_size: QUEUE_SIZE,
            flags: 0,
            desc_table_addr: USER_BASE + DESC,
            used_ring_addr: USER_BASE + USED,
            avail_ring_addr: USER_BASE + AVAIL,
            log_addr: None,
        };
        self.frontend.set_vring_num(0, QUEUE_SIZE).expect("num");
        self.frontend.set_vring_addr(0, &config).expect("addr");
        self.frontend
            .set_vring_base(0, u16::try_from(base).expect("16 bits"))
            .expect("base");
        self.frontend.set_vring_call(0, &self.call).expect("call");
        self.frontend.set_vring_kick(0, &self.kick).expect("kick");
        self.frontend.set_vring_enable(0, true).expect("enable");
    }

    pub fn config(&mut self, offset: u32, len: u32) -> Vec<u8> {
        let buf = vec![0; len as usize];
        let flags = VhostUserConfigFlags::WRITABLE;
        self.frontend.get_config(offset, len, flags, &buf).expect("config").1
    }

    pub fn set_config(&mut self, offset: u32, bytes: &[u8]) {
        let flags = VhostUserConfigFlags::WRITABLE;
        self.frontend.set_config(offset, flags, bytes).expect("config");
    }

    /// Where a request's data is.
    pub fn data(&self, slot: u16) -> GuestAddress {
        GuestAddress(DATA + u64::from(slot) * DATA_STRIDE)
    }

    pub fn put_desc(&self, index: u16, addr: u64, len: u32, flags: u16, next: u16) {
        let at = |offset: u64| GuestAddress(DESC + 16 * u64::from(index) + offset);
        self.mem.write_obj(addr, at(0)).expect("desc");
        self.mem.write_obj(len, at(8)).expect("desc");
        self.mem.write_obj(flags, at(12)).expect("desc");
        self.mem.write_obj(next, at(14)).expect("desc");
    }

    /// Puts a request into the ring without telling the device; returns its slot.
    pub fn queue(&mut self, kind: u32, sector: u64, len: u32, to_guest: bool) -> u16 {
        let slot = self.next_slot;
        self.next_slot += 1;
        let header = HEADERS + 16 * u64::from(slot);
        let status = STATUSES + u64::from(slot);
        self.mem.write_obj(kind, GuestAddress(header)).expect("header");
        self.mem.write_obj(sector, GuestAddress(header + 8)).expect("header");
        self.mem.write_obj(NO_STATUS, GuestAddress(status)).expect("status");
        let first = slot * 3;
        self.put_desc(first, header, 16, NEXT, first + if len == 0 { 2 } else { 1 });
        let direction = if to_guest { WRITABLE } else { 0 };
        self.put_desc(first + 1, self.data(slot).0, len, NEXT | direction, first + 2);
        self.put_desc(first + 2, status, 1, WRITABLE, 0);
        self.publish(first);
        slot
    }

    /// Puts a head into the available ring.
    pub fn publish(&mut self, head: u16) {
        let entry = AVAIL + 4 + 2 * u64::from(self.avail % QUEUE_SIZE);
        self.mem.write_obj(head, GuestAddress(entry)).expect("avail");
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
            .store(index, GuestAddress(AVAIL + 2), std::sync::atomic::Ordering::Release)
            .expect("index");
    }

    pub fn kick(&self) {
        self.kick.write(1).expect("kick");
    }

    pub fn write(&mut self, sector: u64, data: &[u8]) -> u16 {
        let slot = self.next_slot;
        self.mem.write_slice(data, self.data(slot)).expect("data");
        self.queue(1, sector, data.len() as u32, false);
        self.kick();
        slot
    }

    pub fn read(&mut self, sector: u64, len: u32) -> u16 {
        let slot = self.next_slot;
        self.mem
            .write_slice(&vec![0x55; len as usize], self.data(slot))
            .expect("data");
        self.queue(0, sector, len, true);
        self.kick();
        slot
    }

    /// Sends a discard (11) or write-zeroes (13) of one range.
    pub fn range(&mut self, kind: u32, sector: u64, sectors: u32) -> u16 {
        let mut range = [0; 16];
        range[..8].copy_from_slice(&sector.to_le_bytes());
        range[8..12].copy_from_slice(&sectors.to_le_bytes());
        let data = self.data(self.next_slot);
        self.mem.write_slice(&range, data).expect("data");
        let slot = self.queue(kind, 0, 16, false);
        self.kick();
        slot
    }

    /// The status byte of a request as it stands now.
    pub fn mem_status(&self, slot: u16) -> u8 {
        self.mem
            .read_obj(GuestAddress(STATUSES + u64::from(slot)))
            .expect("status")
    }

    pub fn bytes(&self, slot: u16, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.mem.read_slice(&mut bytes, self.data(slot)).expect("data");
        bytes
    }

    /// Entries of the used ring that were not looked at yet.
    pub fn unseen(&self) -> u16 {
        let index: u16 = self
            .mem
            .load(GuestAddress(USED + 2), std::sync::atomic::Ordering::Acquire)
            .expect("used index");
        index.wrapping_sub(self.seen)
    }

    /// The next entry of the used ring, waiting as long as `timeout`.
    pub fn next_used(&mut self, timeout: Duration) -> Option<Used> {
        loop {
            let index: u16 = self
                .mem
                .load(GuestAddress(USED + 2), std::sync::atomic::Ordering::Acquire)
                .expect("used index");
            if index != self.seen {
                let entry = USED + 4 + 8 * u64::from(self.seen % QUEUE_SIZE);
                self.seen = self.seen.wrapping_add(1);
                let head: u32 = self.mem.read_obj(GuestAddress(entry)).expect("id");
                let slot = head as u16 / 3;
                return Some(Used {
                    slot,
                    len: self.mem.read_obj(GuestAddress(entry + 4)).expect("len"),
                    status: self
                        .mem
                        .read_obj(GuestAddress(STATUSES + u64::from(slot)))
                        .expect("status"),
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
