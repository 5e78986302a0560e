//! The load: a virtio-blk driver over vhost-user, without a virtual machine.

use std::error::Error;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::{Duration, Instant};

use memmap2::MmapMut;
use rustix::event::{PollFd, PollFlags};
use virtio_driver::{Completion, EventFd, VhostUser, VirtioBlkQueue, VirtioBlkTransport, VirtioFeatureFlags};

/// Entries of the ring; a request takes three.
const QUEUE_SIZE: u16 = 256;

/// One kind of load.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    pub name: &'static str,
    /// Whether it writes.
    pub writes: bool,
    /// Length of a request in bytes.
    pub len_bytes: usize,
    /// Requests in flight.
    pub depth: usize,
    /// What is asked of our device's speed over the other one's.
    pub goal: f64,
}

/// Requests a second of this load, at random places, against whoever serves the socket.
///
/// # Errors
/// It cannot be reached, or does not do what it is asked.
pub fn run(socket: &Path, disk_bytes: u64, load: Load, time: Duration) -> Result<f64, Box<dyn Error>> {
    let places = Places::new(disk_bytes, load.len_bytes as u64);
    let begin = Instant::now();
    requests(socket, load, places.take_while(|_| begin.elapsed() < time))
}

/// Goes over a whole disk once, to every place of the load's length: requests a second. Long ones go from the first
/// byte to the last, short ones all over the disk.
///
/// # Errors
/// As of [`run`].
pub fn run_over_all(socket: &Path, disk_bytes: u64, load: Load) -> Result<f64, Box<dyn Error>> {
    let len_bytes = load.len_bytes as u64;
    let count = disk_bytes / len_bytes;
    // Odd, and so in no common measure with a count that is a power of two.
    let stride = if load.len_bytes < 64 << 10 { 75_577 } else { 1 };
    requests(socket, load, (0..count).map(|index| index * stride % count * len_bytes))
}

/// Sends requests to these places, as many at once as the load says; requests a second.
fn requests(socket: &Path, load: Load, mut places: impl Iterator<Item = u64>) -> Result<f64, Box<dyn Error>> {
    let features = VirtioFeatureFlags::VERSION_1 | VirtioFeatureFlags::RING_EVENT_IDX;
    let path = socket.to_str().ok_or("a socket path that is not UTF-8")?;
    let mut transport: Box<VirtioBlkTransport> = Box::new(VhostUser::new(path, features.bits())?);
    let mut queue = VirtioBlkQueue::<usize>::setup_queues(&mut *transport, 1, QUEUE_SIZE)?
        .pop()
        .ok_or("no queue")?;
    let buffers_bytes = load.len_bytes * load.depth;
    let file = File::from(rustix::fs::memfd_create("buffers", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.set_len(buffers_bytes as u64)?;
    // SAFETY: the file is ours alone, and nobody truncates it. That the device writes there is what it is for.
    let mut buffers = unsafe { MmapMut::map_mut(&file)? };
    // Not zeros, which nobody need copy, and not what a rule looks for.
    buffers.fill(0x5A);
    transport.map_mem_region(buffers.as_ptr() as usize, buffers_bytes, file.as_raw_fd(), 0)?;
    queue.set_used_notif_enabled(true);
    let kick = transport.get_submission_notifier(0);
    let called = transport.get_completion_fd(0);

    // Whether there was a place left to go to.
    let mut submit = |queue: &mut VirtioBlkQueue<'_, usize>, slot: usize| {
        let Some(place) = places.next() else { return Ok(false) };
        let buffer = buffers
            .get_mut(slot * load.len_bytes..(slot + 1) * load.len_bytes)
            .ok_or("a slot that is none")?;
        if load.writes {
            queue.write(place, buffer, slot)?;
        } else {
            queue.read(place, buffer, slot)?;
        }
        Ok::<bool, Box<dyn Error>>(true)
    };
    let begin = Instant::now();
    let mut in_flight = 0;
    for slot in 0..load.depth {
        in_flight += usize::from(submit(&mut queue, slot)?);
    }
    if queue.avail_notif_needed() {
        kick.notify()?;
    }
    let mut done: u64 = 0;
    let mut freed = Vec::with_capacity(load.depth);
    while in_flight > 0 {
        wait(&called)?;
        loop {
            for Completion { context, ret } in queue.completions() {
                if ret != 0 {
                    return Err(format!("a request failed: {ret}").into());
                }
                freed.push(context);
            }
            if freed.is_empty() {
                break;
            }
            done += freed.len() as u64;
            in_flight -= freed.len();
            let before = in_flight;
            for slot in freed.drain(..) {
                in_flight += usize::from(submit(&mut queue, slot)?);
            }
            if in_flight > before && queue.avail_notif_needed() {
                kick.notify()?;
            }
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of seconds' requests")]
    Ok(done as f64 / begin.elapsed().as_secs_f64())
}

/// Waits for a call. Polled first, for the other side may have made the event one that does not block.
fn wait(called: &EventFd) -> std::io::Result<()> {
    let mut polled = [PollFd::new(called, PollFlags::IN)];
    rustix::event::poll(&mut polled, None)?;
    called.read().map(drop)
}

/// Where requests go: the same for every contender, and all over the disk.
struct Places {
    state: u64,
    count: u64,
    step: u64,
}

impl Places {
    fn new(disk_bytes: u64, len_bytes: u64) -> Places {
        Places {
            state: 1,
            count: disk_bytes / len_bytes,
            step: len_bytes,
        }
    }
}

impl Iterator for Places {
    type Item = u64;

    /// The next one (a linear congruential generator by Knuth: cheap, and spread well in its high bits).
    fn next(&mut self) -> Option<u64> {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Some((self.state >> 33) % self.count * self.step)
    }
}
