//! A request that no rule meets, with its data in as many buffers as are offered, allocates nothing on its way through
//! the device: counted, over a row of requests.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use vhost_blk::config::Config;
use vhost_blk::device::Device;
use vhost_blk::device::state::{Arrival, Round};
use vhost_blk::disk::Disk;
use vhost_blk::request::chain::{Mem, parse};
use vhost_blk::request::completion::{Completion, Ring};
use vhost_blk::trace;
use vhost_blk_api::plan::Plan;
use virtio_queue::desc::RawDescriptor;
use virtio_queue::desc::split::Descriptor;
use virtio_queue::mock::MockSplitQueue;
use virtio_queue::{Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: all it does is to count and hand on to the system's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// A ring that takes completions and tells nobody.
struct Sink(AtomicU64);

impl Ring for Sink {
    fn index(&self) -> u16 {
        0
    }

    fn generation(&self) -> u64 {
        0
    }

    fn is_stopping(&self) -> bool {
        false
    }

    fn complete(&self, _generation: u64, _head: u16, effect: &mut dyn FnMut() -> u32) -> bool {
        effect();
        self.0.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn enter(&self, _generation: u64) -> bool {
        true
    }

    fn leave(&self) {}

    fn lose(&self, _generation: u64) {}

    fn publish(&self) {}
}

const REQUESTS: u64 = 2000;
const DATA: u64 = 0x10_0000;
const STATUS: u64 = DATA + 0x1000;

fn device(dir: &std::path::Path, rules: &[&str]) -> Device {
    let image = dir.join("image");
    File::create(&image)
        .and_then(|file| file.set_len(1 << 20))
        .expect("an image");
    let disk = Disk::open(&image, 512).expect("a disk");
    let started = Instant::now();
    let trace = trace::Writer::create(Some(&dir.join("trace")), started).expect("a trace");
    let rules = rules.iter().map(|rule| rule.parse().expect("a rule")).collect();
    Device::new(Config::default(), disk, trace, started, &Plan { seed: 1, rules })
}

/// Sends requests of this type, of so many pages in as many buffers, one after the other; returns the allocations that
/// they made.
fn allocations(device: &Device, kind: u32, buffers: u16) -> u64 {
    let mem = Arc::new(Mem::from_ranges(&[(GuestAddress(0), 16 << 20)]).expect("memory"));
    let driver = MockSplitQueue::new(&*mem, 256);
    let mut queue: Queue = driver.create_queue().expect("a queue");
    mem.write_obj(kind, GuestAddress(DATA)).expect("a header");
    mem.write_obj(8u64, GuestAddress(DATA + 8)).expect("a header");
    let direction = if kind == 0 { 2 } else { 0 };
    let data = (1..=buffers).map(|number| {
        // Not side by side: each is a buffer of its own.
        let at = DATA + u64::from(number) * 0x2000;
        Descriptor::new(at, 4096, 1 | direction, number + 1)
    });
    let header = Descriptor::new(DATA, 16, 1, 1);
    let status = Descriptor::new(STATUS, 1, 2, 0);
    let chain: Vec<RawDescriptor> = [header]
        .into_iter()
        .chain(data)
        .chain([status])
        .map(RawDescriptor::from)
        .collect();
    driver.build_desc_chain(&chain).expect("a chain");
    let sink = Arc::new(Sink(AtomicU64::new(0)));
    let mut arrivals = Vec::with_capacity(32);
    let mut round = Round::default();
    let mut send = || {
        queue.set_next_avail(0);
        let chain = queue.iter(Arc::clone(&mem)).expect("a ring").next().expect("a chain");
        let parsed = parse(0, chain, &mem);
        let ring = Arc::clone(&sink) as Arc<dyn Ring>;
        arrivals.push(Arrival {
            request: parsed.request,
            completion: Completion::new(ring, Arc::clone(&mem), 0, parsed.head, parsed.status),
        });
        device.submit(&mut arrivals, &mut round);
    };
    // The first ones fill what is kept.
    (0..100).for_each(|_| send());
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    (0..REQUESTS).for_each(|_| send());
    let made = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert_eq!(sink.0.load(Ordering::Relaxed), 100 + REQUESTS);
    let status: u8 = mem.read_obj(GuestAddress(STATUS)).expect("a status");
    assert_eq!(status, 0);
    made
}

// One test, for the count is the process's.
#[test]
fn requests_allocate_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let device = device(
        dir.path(),
        &[
            "fail write sectors=9999..10000",
            "delay any for=1ms payload=tag:7",
            "fail any queue=3",
        ],
    );
    for kind in [0, 1] {
        for buffers in [2, 7, 8, 32, 126] {
            assert_eq!(
                allocations(&device, kind, buffers),
                0,
                "request type {kind}, {buffers} buffers"
            );
        }
    }
    let rule = device.add_rule("drop write every=50").expect("a rule");
    assert!(
        allocations(&device, 1, 2) > 0,
        "{rule} was applied, and its name is told: that is seen here"
    );
}
