//! Front ends that break the vhost-user protocol: messages too long, cut short, out of place or wrong in themselves,
//! and records of requests in flight that are none. The device hangs up or says no, keeps nothing of theirs, and serves
//! the next good front end.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Instant;

use common::helpers::{page, stats, submitted};
use common::{DeviceProcess, Driver, SOON};
use vhost::VhostBackend;
use vhost_blk_api::control::Command;
use vhost_blk_api::trace::{self, Record};
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::sock_ctrl_msg::ScmSocket;

/// Requests of the specification, and some beyond.
const REQUESTS: std::ops::RangeInclusive<u32> = 0..=45;
const GET_FEATURES: u32 = 1;
const SET_OWNER: u32 = 3;
const SET_MEM_TABLE: u32 = 5;
const SET_VRING_NUM: u32 = 8;
const SET_VRING_ADDR: u32 = 9;
const SET_VRING_BASE: u32 = 10;
const GET_VRING_BASE: u32 = 11;
const SET_VRING_KICK: u32 = 12;
const SET_VRING_CALL: u32 = 13;
const SET_VRING_ENABLE: u32 = 18;
const GET_CONFIG: u32 = 24;
const GET_INFLIGHT_FD: u32 = 31;
const SET_INFLIGHT_FD: u32 = 32;
const VERSION: u32 = 1;

/// What is held is a write of this tag.
const HELD: u64 = 9;
const RULE: &str = "hold write payload=tag:9 until=release max=300s";

fn header(request: u32, flags: u32, bytes: u32) -> Vec<u8> {
    [request, flags, bytes]
        .iter()
        .flat_map(|word| word.to_ne_bytes())
        .collect()
}

fn message(request: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = header(request, VERSION, body.len() as u32);
    bytes.extend_from_slice(body);
    bytes
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// Index and number of a queue's message.
fn queue(index: u32, number: u32) -> Vec<u8> {
    [index, number].iter().flat_map(|word| word.to_ne_bytes()).collect()
}

/// A memory table of regions: guest address, size, the front end's address, offset in the file.
fn table(count: u32, regions: &[[u64; 4]]) -> Vec<u8> {
    let mut body = words(&[u64::from(count)]);
    regions.iter().for_each(|region| body.extend(words(region)));
    body
}

/// What a process has open.
fn descriptors(device: &DeviceProcess) -> usize {
    let dir = PathBuf::from(format!("/proc/{}/fd", device.child.id()));
    std::fs::read_dir(dir).expect("proc").count()
}

/// Says all that it has to say, and waits for the device to hang up.
fn say(mut stream: &UnixStream, bytes: &[u8], fds: &[RawFd]) {
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    // The device may have hung up in the middle of it.
    if fds.is_empty() {
        let _ = stream.write_all(bytes);
    } else {
        let _ = stream.send_with_fds(&[bytes], fds);
    }
    let _ = stream.shutdown(Shutdown::Write);
    let mut answers = Vec::new();
    match stream.read_to_end(&mut answers) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        Err(error) => panic!("it does not hang up: {error}"),
    }
}

/// A good front end is served, and nothing is left of those before it.
fn serves(device: &DeviceProcess, after: &str) {
    let mut driver = Driver::connect(device);
    let write = driver.write(64, &page(1, 0, 7));
    let read = driver.read(64, 4096);
    assert_eq!(driver.order(2), [(write, 0), (read, 0)], "after {after}");
    assert_eq!(driver.bytes(read, 4096), page(1, 0, 7), "after {after}");
    let deadline = Instant::now() + SOON;
    loop {
        // It is counted soon after the driver knows of it.
        let stats = stats(device);
        if (stats.outstanding, stats.held) == (0, 0) {
            return;
        }
        assert!(Instant::now() < deadline, "after {after}: {stats:?}");
        std::thread::yield_now();
    }
}

#[test]
fn messages_that_are_none() {
    let device = DeviceProcess::start(&[]);
    serves(&device, "nothing");
    let before = descriptors(&device);
    let file = File::open("/dev/null").expect("/dev/null");
    let many = [file.as_raw_fd(); 40];
    let some = &many[..1];
    let cases: [(&str, Vec<u8>, &[RawFd]); 16] = [
        ("no word", Vec::new(), &[]),
        ("a part of a header", header(SET_OWNER, VERSION, 0)[..5].to_vec(), &[]),
        ("a part of a body", header(SET_VRING_NUM, VERSION, 8), &[]),
        (
            "a body that begins",
            message(SET_VRING_NUM, &[0; 8])[..15].to_vec(),
            &[],
        ),
        ("a body of 4 GiB", header(GET_FEATURES, VERSION, u32::MAX), &[]),
        ("a body too long", message(GET_FEATURES, &[0; 5000]), &[]),
        ("zeros", vec![0; 100], &[]),
        ("ones", vec![0xFF; 100], &[]),
        ("no version", header(GET_FEATURES, 0, 0), &[]),
        ("another version", header(GET_FEATURES, 2, 0), &[]),
        ("an answer", header(GET_FEATURES, VERSION | 4, 0), &[]),
        ("descriptors for nothing", header(GET_FEATURES, VERSION, 0), &many[..8]),
        (
            "more descriptors than there can be",
            header(GET_FEATURES, VERSION, 0),
            &many,
        ),
        (
            "a descriptor with a part of a header",
            header(SET_VRING_KICK, VERSION, 8)[..3].to_vec(),
            some,
        ),
        ("a kick that is no event", message(SET_VRING_KICK, &words(&[0])), some),
        (
            "a half message after a good one",
            [header(GET_FEATURES, VERSION, 0), vec![1; 3]].concat(),
            &[],
        ),
    ];
    for (name, bytes, fds) in &cases {
        let stream = UnixStream::connect(device.path("socket")).expect("connect");
        say(&stream, bytes, fds);
        drop(stream);
        serves(&device, name);
    }
    for request in REQUESTS {
        for body in [vec![], vec![0xFF; 8], vec![0; 64], vec![0xFF; 300]] {
            let stream = UnixStream::connect(device.path("socket")).expect("connect");
            say(&stream, &message(request, &body), some);
        }
    }
    serves(&device, "every request with a body that is not its own");
    // What belonged to the last connection but one may go a little later.
    let deadline = Instant::now() + SOON;
    while descriptors(&device) > before {
        assert!(
            Instant::now() < deadline,
            "{} descriptors, {before} before",
            descriptors(&device)
        );
        std::thread::yield_now();
    }
}

/// A connection in good order, of which one request is held, and its socket.
fn held(device: &DeviceProcess) -> (Driver, UnixStream) {
    let mut driver = Driver::connect(device);
    let sent = stats(device).submitted;
    driver.write(0, &page(HELD, 0, 1));
    submitted(device, sent + 1);
    // SAFETY: the front end lives while its descriptor is copied.
    let front = unsafe { BorrowedFd::borrow_raw(driver.frontend.as_raw_fd()) };
    let stream = UnixStream::from(front.try_clone_to_owned().expect("a descriptor"));
    (driver, stream)
}

/// A message: what it is called, its bytes, and the descriptors that go with it.
type Case<'fds> = (&'static str, Vec<u8>, &'fds [RawFd]);

/// Where the front end has its memory.
const BASE: u64 = 0x7000_0000_0000;

/// Messages about rings.
fn about_rings<'fds>(one: &'fds [RawFd]) -> Vec<Case<'fds>> {
    let nothing: &[RawFd] = &[];
    let (base, mib) = (BASE, 1 << 20);
    vec![
        ("garbage", vec![0xA5; 64], nothing),
        ("a ring of no entries", message(SET_VRING_NUM, &queue(0, 0)), nothing),
        (
            "a ring of too many entries",
            message(SET_VRING_NUM, &queue(0, 0xFFFF)),
            nothing,
        ),
        ("a ring of 65 entries", message(SET_VRING_NUM, &queue(0, 65)), nothing),
        (
            "a queue that is not there",
            message(SET_VRING_NUM, &queue(200, 64)),
            nothing,
        ),
        (
            "a base beyond 16 bits",
            message(SET_VRING_BASE, &queue(0, 0x1_0000)),
            nothing,
        ),
        ("a base for no queue", message(GET_VRING_BASE, &queue(77, 0)), nothing),
        (
            "enabling no queue",
            message(SET_VRING_ENABLE, &queue(u32::MAX, 1)),
            nothing,
        ),
        ("enabling by 7", message(SET_VRING_ENABLE, &queue(0, 7)), nothing),
        (
            "rings outside memory",
            message(SET_VRING_ADDR, &words(&[0, 1, 2, 3, 4])),
            nothing,
        ),
        (
            "rings at odd addresses",
            message(SET_VRING_ADDR, &words(&[0, base + 1, base + 3, base + 5, 0])),
            nothing,
        ),
        (
            "rings at the end of memory",
            {
                let end = base + 16 * mib;
                message(SET_VRING_ADDR, &words(&[0, end - 16, end - 4, end - 2, 0]))
            },
            nothing,
        ),
        ("a kick that is memory", message(SET_VRING_KICK, &words(&[0])), one),
        ("a call that is memory", message(SET_VRING_CALL, &words(&[0])), one),
        (
            "a kick without a descriptor",
            message(SET_VRING_KICK, &words(&[0])),
            nothing,
        ),
        ("a kick by polling", message(SET_VRING_KICK, &words(&[0x100])), nothing),
    ]
}

/// Messages about memory.
fn about_memory<'fds>(one: &'fds [RawFd], no_memory: &'fds [RawFd]) -> Vec<Case<'fds>> {
    let nothing: &[RawFd] = &[];
    let (base, mib) = (BASE, 1 << 20);
    let region = [0, mib, base, 0];
    vec![
        ("no memory", message(SET_MEM_TABLE, &table(0, &[])), nothing),
        (
            "memory without a descriptor",
            message(SET_MEM_TABLE, &table(1, &[region])),
            nothing,
        ),
        (
            "a thousand regions",
            message(SET_MEM_TABLE, &table(1000, &[region])),
            one,
        ),
        (
            "regions that are not told",
            message(SET_MEM_TABLE, &table(2, &[region])),
            one,
        ),
        (
            "memory of no size",
            message(SET_MEM_TABLE, &table(1, &[[0, 0, base, 0]])),
            one,
        ),
        (
            "memory of all sizes",
            message(SET_MEM_TABLE, &table(1, &[[0, u64::MAX, base, 0]])),
            one,
        ),
        (
            "memory beyond its file",
            message(SET_MEM_TABLE, &table(1, &[[0, 64 * mib, base, 0]])),
            one,
        ),
        (
            "memory at an odd place of its file",
            message(SET_MEM_TABLE, &table(1, &[[0, mib, base, 5]])),
            one,
        ),
        (
            "memory past all addresses",
            message(SET_MEM_TABLE, &table(1, &[[u64::MAX - 5, mib, base, 0]])),
            one,
        ),
        (
            "memory that cannot be mapped",
            message(SET_MEM_TABLE, &table(1, &[region])),
            no_memory,
        ),
    ]
}

/// Messages about the configuration and about requests in flight.
fn about_records<'fds>(one: &'fds [RawFd], no_memory: &'fds [RawFd]) -> Vec<Case<'fds>> {
    let nothing: &[RawFd] = &[];
    vec![
        ("a configuration without end", message(GET_CONFIG, &[0xFF; 12]), nothing),
        (
            "a record without a descriptor",
            message(SET_INFLIGHT_FD, &words(&[4096, 0, 0x40_0001])),
            nothing,
        ),
        (
            "a record of too many queues",
            message(SET_INFLIGHT_FD, &words(&[4096, 0, 0x40_FFFF])),
            one,
        ),
        (
            "a record of no entries",
            message(SET_INFLIGHT_FD, &words(&[4096, 0, 1])),
            one,
        ),
        (
            "a record past its file",
            message(SET_INFLIGHT_FD, &words(&[4096, 1 << 40, 0x40_0001])),
            one,
        ),
        (
            "a record past all files",
            message(SET_INFLIGHT_FD, &words(&[u64::MAX, u64::MAX, 0x40_0001])),
            one,
        ),
        (
            "a record in no memory",
            message(SET_INFLIGHT_FD, &words(&[4096, 0, 0x40_0001])),
            no_memory,
        ),
        (
            "asking for a record of too many queues",
            message(GET_INFLIGHT_FD, &words(&[0, 0, 0x40_FFFF])),
            nothing,
        ),
    ]
}

#[test]
fn messages_in_the_middle_of_a_good_connection() {
    let device = DeviceProcess::start(&["--rule", RULE]);
    let guest = common::memory();
    let memory = guest
        .iter()
        .next()
        .and_then(|region| region.file_offset())
        .expect("a file")
        .file()
        .as_raw_fd();
    let null = File::open("/dev/null").expect("/dev/null");
    let (one, no_memory) = ([memory], [null.as_raw_fd()]);
    let cases = [
        about_rings(&one),
        about_memory(&one, &no_memory),
        about_records(&one, &no_memory),
    ];
    for (name, bytes, fds) in cases.iter().flatten() {
        let (driver, stream) = held(&device);
        // What it has lost of its memory it must not look for.
        driver.kick();
        say(&stream, bytes, fds);
        drop((driver, stream));
        serves(&device, name);
    }
}

#[test]
fn records_full_of_garbage() {
    let device = DeviceProcess::start(&["--rule", RULE]);
    // Patterns that make flags, numbers and heads of all kinds; those with a good version look as if the device had
    // written them.
    let patterns: [fn(usize) -> u8; 6] = [
        |_| 0xFF,
        |_| 1,
        |at| at as u8,
        |at| (at * 7 % 251) as u8,
        |at| u8::from(at % 16 == 0),
        |at| if at % 16 < 8 { 1 } else { (at / 16) as u8 },
    ];
    for (number, pattern) in patterns.iter().enumerate() {
        for version in [None, Some([1u8, 0, 64, 0])] {
            let (mut driver, record) = Driver::connect_with_record(&device);
            let sent = stats(&device).submitted;
            driver.write(0, &page(HELD, 0, 1));
            submitted(&device, sent + 1);
            let file = record.file();
            let mut garbage: Vec<u8> = (0..file.metadata().expect("its size").len() as usize)
                .map(pattern)
                .collect();
            if let Some(version) = version {
                garbage[8..12].copy_from_slice(&version);
            }
            file.write_all_at(&garbage, 0).expect("garbage");
            driver.reconnect(&device, &record);
            // Whatever it makes of that, it lives, and what it takes it gives back.
            driver.frontend.get_features().expect("an answer");
            drop(driver);
            serves(&device, &format!("garbage {number} {version:?}"));
        }
    }
}

#[test]
fn memory_whose_file_is_cut_off() {
    let device = DeviceProcess::start(&["--rule", RULE]);
    // All of it, and all but the rings.
    for left in [0, 2 << 20] {
        let (mut driver, mut stream) = held(&device);
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        if left > 0 {
            driver.queue(1, 8, 4096, false);
        }
        let region = driver.mem.iter().next().and_then(|region| region.file_offset());
        region.expect("a file").file().set_len(left).expect("it is cut off");
        // The device looks there; we do not. It says once that the queue is dead, however often it is called.
        for _ in 0..100 {
            driver.kick();
            std::thread::yield_now();
        }
        assert_eq!(stream.read(&mut [0]).expect("it hangs up"), 0);
        drop((driver, stream));
        serves(&device, "memory that is gone");
    }
    device.control().call(&Command::FlushTrace).expect("the device lives");
    let records = trace::read(&device.path("trace")).expect("the trace");
    let died = records
        .iter()
        .filter(|record| matches!(record, Record::QueueDead { .. }))
        .count();
    assert_eq!(died, 2);
}
