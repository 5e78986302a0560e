//! A small, real vhost-user front end and virtio driver, and a device process to talk to.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

pub mod clone;
pub mod helpers;
pub mod queue;
pub mod reconnect;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::{Deref, DerefMut};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use queue::QUEUE_BYTES;
use vhost::vhost_user::message::{VhostUserConfigFlags, VhostUserProtocolFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vhost_blk_api::control::Client;
use vm_memory::{FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

pub use queue::{QUEUE_SIZE, Queue, Used};

/// Longest wait for anything that should happen at once.
pub const SOON: Duration = Duration::from_secs(20);
/// A wait for what must not happen.
pub const WHILE: Duration = Duration::from_millis(150);

pub const IOERR: u8 = 1;
pub const UNSUPP: u8 = 2;
/// Most queues that a driver has memory for.
pub const QUEUES_MAX: usize = 4;
const MEM_BYTES: u64 = QUEUES_MAX as u64 * QUEUE_BYTES;
const USER_BASE: u64 = 0x7000_0000_0000;

/// A device process with an image of 8 MiB, ended when dropped.
pub struct DeviceProcess {
    pub dir: tempfile::TempDir,
    pub child: Child,
}

impl DeviceProcess {
    pub fn start(args: &[&str]) -> DeviceProcess {
        DeviceProcess::with_image(&[], args)
    }

    /// The image begins with these bytes.
    pub fn with_image(bytes: &[u8], args: &[&str]) -> DeviceProcess {
        DeviceProcess::with_disk(bytes, 8 << 20, args)
    }

    /// The same, of this size.
    pub fn with_disk(bytes: &[u8], disk_bytes: u64, args: &[&str]) -> DeviceProcess {
        let dir = tempfile::tempdir().expect("tempdir");
        let image = dir.path().join("image");
        std::fs::write(&image, bytes).expect("image");
        let image = File::options().write(true).open(&image).expect("image");
        image.set_len(disk_bytes).expect("image");
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
    spawn_ready(command(dir).args(args))
}

/// Starts a device by any command line and waits until it listens.
pub fn spawn_ready(command: &mut Command) -> Child {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("spawn");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout"))
        .read_line(&mut line)
        .expect("ready line");
    assert_eq!(line, "ready\n");
    child
}

/// The binary with the arguments that every test wants.
pub fn command(dir: &Path) -> Command {
    let mut command = Command::new(clone::vhost_blk());
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

/// A driver: a front end's connection and queues. What is asked of the driver itself is asked of its first queue.
pub struct Driver {
    pub frontend: Frontend,
    pub queues: Vec<Queue>,
}

impl Deref for Driver {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        &self.queues[0]
    }
}

impl DerefMut for Driver {
    fn deref_mut(&mut self) -> &mut Queue {
        &mut self.queues[0]
    }
}

impl Driver {
    /// With one queue.
    pub fn connect(device: &DeviceProcess) -> Driver {
        Driver::with_queues(device, 1)
    }

    /// With several queues, as many as the device was started with (`--num-queues`).
    pub fn with_queues(device: &DeviceProcess, count: usize) -> Driver {
        let mut driver = Driver::stopped(device, count, VhostUserProtocolFeatures::empty());
        for index in 0..count {
            driver.start_queue(index);
        }
        driver
    }

    /// With these features of the protocol, too, and no ring that runs.
    pub fn stopped(device: &DeviceProcess, count: usize, more: VhostUserProtocolFeatures) -> Driver {
        assert!(count <= QUEUES_MAX, "there is no memory for {count} queues");
        let mem = memory();
        Driver {
            frontend: handshake(device, &mem, more),
            queues: (0..count).map(|index| Queue::new(&mem, index)).collect(),
        }
    }

    /// Starts an empty ring, as a driver does after a reset.
    pub fn start_ring(&mut self) {
        self.start_queue(0);
    }

    /// The same, for a queue.
    pub fn start_queue(&mut self, index: usize) {
        self.queues[index].clear();
        self.resume_queue(index, 0);
    }

    /// Starts a stopped ring where it was, as after a pause.
    pub fn resume_ring(&mut self, base: u32) {
        self.resume_queue(0, base);
    }

    /// The same, for a queue.
    pub fn resume_queue(&mut self, index: usize, base: u32) {
        self.frontend.set_vring_num(index, QUEUE_SIZE).expect("num");
        self.place_queue(index, index);
        let Driver { frontend, queues } = self;
        let queue = &queues[index];
        let base = u16::try_from(base).expect("16 bits");
        frontend.set_vring_base(index, base).expect("base");
        frontend.set_vring_call(index, &queue.call).expect("call");
        frontend.set_vring_kick(index, &queue.kick).expect("kick");
        frontend.set_vring_enable(index, true).expect("enable");
    }

    /// Tells the device that a queue's ring is where this one's is: its own, or another.
    pub fn place_queue(&self, index: usize, place: usize) {
        let [desc, avail, used] = self.queues[place].rings().map(|addr| USER_BASE + addr);
        let config = VringConfigData {
            queue_max_size: QUEUE_SIZE,
            queue_size: QUEUE_SIZE,
            flags: 0,
            desc_table_addr: desc,
            used_ring_addr: used,
            avail_ring_addr: avail,
            log_addr: None,
        };
        self.frontend.set_vring_addr(index, &config).expect("addr");
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
}

/// Guest memory that another process can map.
pub fn memory() -> GuestMemoryMmap<()> {
    let file = File::from(rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).expect("memfd"));
    file.set_len(MEM_BYTES).expect("set_len");
    let range = (GuestAddress(0), MEM_BYTES as usize, Some(FileOffset::new(file, 0)));
    GuestMemoryMmap::from_ranges_with_files([range]).expect("mem")
}

/// Connects and gives the device the guest's memory; with these features of the protocol beside those that every driver
/// here wants.
pub fn handshake(device: &DeviceProcess, mem: &GuestMemoryMmap<()>, more: VhostUserProtocolFeatures) -> Frontend {
    let mut frontend = Frontend::connect(device.path("socket"), QUEUES_MAX as u64).expect("connect");
    frontend.set_owner().expect("owner");
    let features = frontend.get_features().expect("features");
    // Without the event index every completion signals, which is what a test wants to see.
    frontend.set_features(features & !(1 << 29)).expect("features");
    let protocol = frontend.get_protocol_features().expect("protocol features");
    let wanted =
        VhostUserProtocolFeatures::CONFIG | VhostUserProtocolFeatures::MQ | VhostUserProtocolFeatures::REPLY_ACK | more;
    assert!(protocol.contains(wanted), "{protocol:?}");
    frontend.set_protocol_features(wanted).expect("protocol features");
    set_memory(&frontend, mem, MEM_BYTES);
    frontend
}

/// Gives the device the first bytes of the guest's memory.
pub fn set_memory(frontend: &Frontend, mem: &GuestMemoryMmap<()>, bytes: u64) {
    let region = mem.iter().next().expect("memory");
    let file = region.file_offset().expect("a file").file();
    let region = VhostUserMemoryRegionInfo {
        guest_phys_addr: 0,
        memory_size: bytes,
        userspace_addr: USER_BASE,
        mmap_offset: 0,
        mmap_handle: file.as_raw_fd(),
    };
    frontend.set_mem_table(&[region]).expect("memory table");
}
