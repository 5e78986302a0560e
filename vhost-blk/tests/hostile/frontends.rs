//! Front ends that vanish with requests out, come twice, or take memory away: nothing of theirs is kept, nothing is
//! written where it was, and the next is served.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use vhost::vhost_user::VhostUserFrontend;
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost::{VhostBackend, VhostUserMemoryRegionInfo};
use vhost_blk_api::control::{Command, Reply};
use vhost_blk_api::trace::{self, Record};
use vm_memory::{Bytes, GuestAddress};

use crate::common::helpers::{page, stats, submitted};
use crate::common::queue::{NO_STATUS, QUEUE_BYTES};
use crate::common::{DeviceProcess, Driver, SOON, WHILE, set_memory};
use crate::{serves, until};

/// Rules that keep a write of tag 9 waiting, each in another way.
const RULES: [&str; 5] = [
    "hold write payload=tag:9 until=release max=300s",
    "hang write payload=tag:9",
    "delay write payload=tag:9 for=300s",
    "reorder write payload=tag:9 window=9 order=reverse max=300s",
    "hold write payload=tag:9 until=done(flush) max=300s",
];

#[test]
fn a_front_end_that_vanishes_with_requests_out() {
    for rule in RULES {
        let device = DeviceProcess::start(&["--rule", rule]);
        let mut driver = Driver::with_queues(&device, 2);
        let mut held = Vec::new();
        for queue in &mut driver.queues {
            held.push(queue.write(0, &page(9, 0, 1)));
            held.push(queue.write(8, &page(9, 1, 1)));
        }
        submitted(&device, 4);
        let Driver { frontend, queues } = driver;
        drop(frontend);
        until(&device, |stats| !stats.connected && stats.outstanding == 0);
        let now = stats(&device);
        assert_eq!((now.held, now.dropped), (0, 4), "{rule}");
        // What would have let them go.
        let released = device
            .control()
            .call(&Command::Release { rule: None })
            .expect("release");
        assert_eq!(released, Reply::Released { requests: 0 });
        serves(&device);
        for (queue, slots) in queues.iter().zip(held.chunks(2)) {
            assert_eq!(queue.used_index(), 0, "{rule}: nothing comes late");
            for slot in slots {
                assert_eq!(queue.mem_status(*slot), NO_STATUS, "{rule}");
            }
        }
        // None of them was done.
        let mut driver = Driver::connect(&device);
        let read = driver.read(0, 8192);
        assert_eq!(driver.done().status, 0);
        assert_eq!(driver.bytes(read, 8192), [0; 8192], "{rule}");
    }
}

#[test]
fn a_front_end_that_vanishes_while_it_begins() {
    let device = DeviceProcess::start(&[]);
    for _ in 0..50 {
        // With all kinds of things half done: the memory is there, a ring is, both are.
        let mem = crate::common::memory();
        drop(crate::common::handshake(
            &device,
            &mem,
            VhostUserProtocolFeatures::empty(),
        ));
        let mut driver = Driver::connect(&device);
        driver.write(0, &page(1, 0, 1));
        drop(driver);
    }
    serves(&device);
    until(&device, |stats| stats.outstanding == 0);
}

#[test]
fn a_second_front_end_waits_for_the_first_to_go() {
    let device = DeviceProcess::start(&["--rule", RULES[0]]);
    let mut first = Driver::connect(&device);
    first.write(0, &page(9, 0, 1));
    submitted(&device, 1);
    std::thread::scope(|scope| {
        // It connects at once, and gets no answer as long as the first one is there.
        let second = scope.spawn(|| {
            let mut second = Driver::connect(&device);
            second.write(64, &page(1, 0, 2));
            second.done().status
        });
        for _ in 0..20 {
            let read = first.read(0, 512);
            let used = first.next_used(SOON).expect("the first one is served");
            assert_eq!((used.slot, used.status), (read, 0));
        }
        let now = stats(&device);
        assert_eq!((now.connections, now.held, now.dropped), (1, 1, 0));
        assert!(!second.is_finished());
        drop(first);
        assert_eq!(second.join().expect("no panic"), 0);
    });
    assert_eq!(stats(&device).dropped, 1, "what the first one had out");
    serves(&device);
}

#[test]
fn memory_that_shrinks_while_a_request_is_held() {
    // The rings stay and the request's data and status go; or all goes.
    for bytes in [0x18_0000, 0x1000] {
        let device = DeviceProcess::start(&["--rule", RULES[0]]);
        let mut driver = Driver::connect(&device);
        let held = driver.write(0, &page(9, 0, 1));
        submitted(&device, 1);
        set_memory(&driver.frontend, &driver.mem, bytes);
        // Messages are answered in their order.
        driver.frontend.get_features().expect("an answer");
        let released = device
            .control()
            .call(&Command::Release { rule: None })
            .expect("release");
        assert_eq!(released, Reply::Released { requests: 1 }, "it lives, and lets it go");
        if bytes > 0x1000 {
            // It was taken with the memory that was there then, and is done with that.
            assert_eq!(driver.done().slot, held);
        } else {
            assert_eq!(driver.next_used(WHILE), None, "there is no used ring any more");
        }
        // And a request after it, whose data lies outside.
        driver.write(8, &page(1, 0, 1));
        if bytes > 0x1000 {
            assert_eq!(driver.done().len, 0, "it has no status byte any more");
        } else {
            assert_eq!(driver.next_used(WHILE), None);
        }
        drop(driver);
        serves(&device);
        device.control().call(&Command::FlushTrace).expect("the device lives");
        let records = trace::read(&device.path("trace")).expect("the trace");
        let died: Vec<&str> = (records.iter())
            .filter_map(|record| match record {
                Record::QueueDead { problem, .. } => Some(problem.as_str()),
                _ => None,
            })
            .collect();
        let expected: &[&str] = match bytes {
            0x1000 => &["the used ring cannot be written"],
            _ => &[],
        };
        assert_eq!(died, expected, "{bytes:#x}");
    }
}

#[test]
fn memory_that_goes_while_the_ring_is_busy() {
    let device = DeviceProcess::start(&["--rule", "delay any for=0ms..1ms p=0.5"]);
    let mut driver = Driver::connect(&device);
    for round in 0..60u64 {
        let whole = crate::common::QUEUES_MAX as u64 * QUEUE_BYTES;
        for _ in 0..4 {
            if driver.out().len() < 8 {
                driver.write(8 * (round % 8), &page(1, round, 1));
            }
        }
        set_memory(
            &driver.frontend,
            &driver.mem,
            [0x1000, 0x20_0000, whole][round as usize % 3],
        );
        while driver.unseen() > 0 {
            driver.done();
        }
        // A ring that was given up begins anew.
        if round % 3 == 2 {
            driver.frontend.get_vring_base(0).expect("it stops");
            driver.start_ring();
        }
    }
    // Guest memory outside of its rings and requests was left alone.
    let mut rest = vec![1; 4096];
    driver
        .mem
        .read_slice(&mut rest, GuestAddress(3 * QUEUE_BYTES))
        .expect("memory");
    assert_eq!(rest, [0; 4096]);
    drop(driver);
    serves(&device);
}

#[test]
fn memory_in_very_many_regions_that_is_cut_off() {
    const REGIONS: u64 = 300;
    const ROUNDS: u64 = 8;
    const PAGE: u64 = 4096;
    const STRIDE: u64 = (ROUNDS + 1) * PAGE;
    let device = DeviceProcess::start(&[]);
    let mut driver = Driver::stopped(&device, 1, VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS);
    let file = File::from(rustix::fs::memfd_create("more", MemfdFlags::CLOEXEC).expect("memfd"));
    file.set_len(REGIONS * STRIDE).expect("set_len");
    let address = |number: u64| (1 << 32) + number * STRIDE;
    let region = |number: u64, round: u64| VhostUserMemoryRegionInfo {
        guest_phys_addr: address(number),
        memory_size: (round + 1) * PAGE,
        userspace_addr: 0x7100_0000_0000 + number * STRIDE,
        mmap_offset: number * STRIDE,
        mmap_handle: file.as_raw_fd(),
    };
    // More than are watched at once, were those that are gone watched on.
    for round in 0..ROUNDS {
        for number in 0..REGIONS {
            if round > 0 {
                let old = region(number, round - 1);
                driver.frontend.remove_mem_region(&old).expect("it goes");
            }
            driver
                .frontend
                .add_mem_region(&region(number, round))
                .expect("it comes");
        }
    }
    driver.start_ring();
    let ask = |driver: &mut Driver| {
        let slot = driver.queue(1, 8, 4096, false);
        driver.put_desc(slot * 3 + 1, address(REGIONS - 1), 4096, 1, slot * 3 + 2);
        driver.kick();
    };
    ask(&mut driver);
    assert_eq!(driver.done().status, 0);
    file.set_len(0).expect("it is cut off");
    ask(&mut driver);
    until(&device, |stats| !stats.connected);
    serves(&device);
}

/// Descriptors and threads of a device.
fn has(device: &DeviceProcess) -> (usize, usize) {
    let count = |what: &str| {
        let dir = std::fs::read_dir(format!("/proc/{}/{what}", device.child.id()));
        dir.expect("a process").count()
    };
    (count("fd"), count("task"))
}

#[test]
fn front_ends_for_which_there_are_no_descriptors_leave_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let image = File::create(dir.path().join("image")).expect("an image");
    image.set_len(8 << 20).expect("an image");
    let stderr = File::create_new(dir.path().join("stderr")).expect("a file");
    let mut command = crate::common::command(dir.path());
    let child = crate::common::spawn_ready(command.args(["--num-queues", "4"]).stderr(stderr));
    let device = DeviceProcess { dir, child };
    serves(&device);
    until(&device, |stats| !stats.connected);
    let pid = Some(Pid::from_child(&device.child));
    // What the first front end had may still be going: as it goes the mark sinks, and it never rises.
    let mut before = has(&device);
    let mut served = 0;
    for more in (2..80).step_by(3) {
        let hard = getrlimit(Resource::Nofile).maximum;
        let limit = |current| Rlimit { current, maximum: hard };
        prlimit(pid, Resource::Nofile, limit(Some((before.0 + more) as u64))).expect("a limit");
        let mut front = UnixStream::connect(device.path("socket")).expect("it connects");
        front.set_read_timeout(Some(SOON)).expect("a timeout");
        // GET_FEATURES, whose answer has 20 bytes; nothing comes if it is hung up on.
        let _ = front.write_all(&[1u32, 1, 0].map(u32::to_ne_bytes).concat());
        let answer = front.read(&mut [0; 20]).unwrap_or(0);
        served += usize::from(answer == 20);
        drop(front);
        prlimit(pid, Resource::Nofile, limit(Some(1024))).expect("a limit");
        before = settled(&device, before);
    }
    assert!(
        (1..26).contains(&served),
        "{served} were served: some with, some without enough"
    );
    serves(&device);
}

/// Waits until the device has no more than these descriptors and threads, and says how many it has.
fn settled(device: &DeviceProcess, most: (usize, usize)) -> (usize, usize) {
    let deadline = Instant::now() + SOON;
    loop {
        stats(device);
        let now = has(device);
        if now.0 <= most.0 && now.1 <= most.1 {
            return now;
        }
        assert!(Instant::now() < deadline, "{now:?} are left, not {most:?}");
        std::thread::yield_now();
    }
}

#[test]
fn a_front_end_that_says_nothing_can_be_hung_up_on_for_the_next_one() {
    let device = DeviceProcess::start(&[]);
    let mut silent = UnixStream::connect(device.path("socket")).expect("it connects");
    until(&device, |stats| stats.connected);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| {
            let mut second = Driver::connect(&device);
            second.write(64, &page(1, 0, 2));
            second.done().status
        });
        assert_eq!(device.control().call(&Command::Disconnect).expect("done"), Reply::Done);
        assert_eq!(silent.read(&mut [0]).expect("its end"), 0);
        assert_eq!(second.join().expect("no panic"), 0);
    });
}
