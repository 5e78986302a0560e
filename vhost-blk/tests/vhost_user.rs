//! The binary, spoken to as QEMU does: real sockets, real shared memory, real rings.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::process::Stdio;

use common::helpers::{page, stats, submitted};
use common::{DeviceProcess, Driver, IOERR, QUEUE_SIZE, UNSUPP, Used, WHILE, command};
use vhost::VhostBackend;
use vhost_blk_api::control::{Command, Reply};
use vhost_blk_api::trace::{self, Record, ReleasedBy};

#[test]
fn reads_what_was_written() {
    let device = DeviceProcess::start(&["--serial", "disk-7"]);
    let mut driver = Driver::connect(&device);
    assert_eq!(driver.config(0, 8), (8u64 << 20 >> 9).to_le_bytes());
    let write = driver.write(64, &page(1, 0, 0xAB));
    assert_eq!(
        driver.done(),
        Used {
            slot: write,
            len: 1,
            status: 0
        }
    );
    let read = driver.read(63, 8192);
    assert_eq!(
        driver.done(),
        Used {
            slot: read,
            len: 8193,
            status: 0
        }
    );
    let bytes = driver.bytes(read, 8192);
    assert_eq!(bytes[..512], [0; 512]);
    assert_eq!(bytes[512..4608], page(1, 0, 0xAB));
    driver.queue(4, 0, 0, false);
    driver.kick();
    assert_eq!(driver.done().status, 0, "flush");
    let id = driver.queue(8, 0, 20, true);
    driver.kick();
    assert_eq!(
        driver.done(),
        Used {
            slot: id,
            len: 21,
            status: 0
        }
    );
    assert_eq!(driver.bytes(id, 8), b"disk-7\0\0");
    for (kind, sector, len, status) in [
        (1, (8 << 20) / 512 - 1, 1024, IOERR),
        (0, u64::MAX, 512, IOERR),
        (77, 0, 0, UNSUPP),
    ] {
        let slot = driver.queue(kind, sector, len, kind == 0);
        driver.kick();
        assert_eq!(driver.done(), Used { slot, len: 1, status }, "type {kind} at {sector}");
    }
}

#[test]
fn faults_do_what_they_say() {
    let device = DeviceProcess::start(&[
        "--rule",
        "fail write payload=tag:1 nth=2",
        "--rule",
        "short write payload=tag:2 bytes=1k then=ioerr",
        "--rule",
        "short write payload=tag:3 bytes=1k then=ok",
        "--rule",
        "short read sectors=800..808 bytes=512 then=ok",
    ]);
    let mut driver = Driver::connect(&device);
    driver.write(0, &page(1, 0, 1));
    driver.write(8, &page(1, 1, 1));
    assert_eq!(driver.order(2), [(0, 0), (1, IOERR)]);
    driver.write(16, &page(2, 0, 2));
    driver.write(24, &page(3, 0, 3));
    assert_eq!(driver.order(2), [(2, IOERR), (3, 0)]);
    let read = driver.read(0, 4 * 4096);
    driver.done();
    let bytes = driver.bytes(read, 4 * 4096);
    assert_eq!(bytes[..4096], page(1, 0, 1));
    assert_eq!(bytes[4096..8192], [0; 4096], "a failed write leaves the disk alone");
    assert_eq!(bytes[8192..9216], page(2, 0, 2)[..1024], "torn");
    assert_eq!(bytes[9216..12288], [0; 3072]);
    assert_eq!(bytes[12288..13312], page(3, 0, 3)[..1024], "silently short");
    assert_eq!(bytes[13312..], [0; 3072]);
    let stale = driver.read(800, 4096);
    assert_eq!(
        driver.done(),
        Used {
            slot: stale,
            len: 513,
            status: 0
        }
    );
    assert_eq!(
        driver.bytes(stale, 4096)[512..],
        [0x55; 3584],
        "the rest is what the buffer held"
    );
}

#[test]
fn holds_and_windows_order_completions() {
    let device = DeviceProcess::start(&[
        "--rule",
        "hold write payload=tag:1.0 until=next(write payload=tag:1.1)",
        "--rule",
        "hold write payload=tag:2.0 until=done(write payload=tag:2.1)",
        "--rule",
        "fail write payload=tag:2.0",
        "--rule",
        "reorder write payload=tag:3 window=3 order=reverse max=60s",
    ]);
    let mut driver = Driver::connect(&device);
    driver.write(0, &page(1, 0, 1));
    assert_eq!(driver.next_used(WHILE), None, "held");
    driver.write(8, &page(1, 1, 1));
    assert_eq!(driver.order(2), [(0, 0), (1, 0)], "the first goes as the second comes");
    driver.write(16, &page(2, 0, 2));
    driver.write(24, &page(2, 1, 2));
    assert_eq!(
        driver.order(2),
        [(3, 0), (2, IOERR)],
        "the first goes when the second is done, and fails"
    );
    for sector in [32, 40, 48] {
        driver.write(sector, &page(3, 0, 3));
    }
    assert_eq!(driver.order(3), [(6, 0), (5, 0), (4, 0)]);
    assert_eq!(stats(&device).outstanding, 0);
    let lines = trace::requests(&trace::read(&device.path("trace")).expect("trace"));
    let timing = lines[0]
        .complete
        .as_ref()
        .and_then(|complete| complete.timing.as_ref())
        .expect("timing");
    assert_eq!(
        (timing.rule.as_str(), timing.released_by),
        ("r1", Some(ReleasedBy::Next))
    );
}

#[test]
fn only_what_is_moved_counts_as_moved() {
    let device = DeviceProcess::start(&[]);
    let mut driver = Driver::connect(&device);
    // What writes, reads, discards, makes zeros and asks for the serial number.
    driver.write(0, &[1; 4096]);
    driver.done();
    driver.read(0, 512);
    driver.done();
    for kind in [11, 13] {
        driver.range(kind, 0, 8192);
        assert_eq!(driver.done().status, 0);
    }
    driver.ask(8, 0, 20, true);
    assert_eq!(driver.done().len, 21);
    assert_eq!(stats(&device).bytes, 4096 + 512);
    let lines = trace::requests(&trace::read(&device.path("trace")).expect("trace"));
    let moved = lines.iter().filter_map(|line| Some(line.complete.as_ref()?.bytes));
    assert_eq!(moved.collect::<Vec<_>>(), [4096, 512, 0, 0, 0]);
}

#[test]
fn the_write_cache_is_the_drivers_to_switch() {
    let device = DeviceProcess::start(&[]);
    let mut driver = Driver::connect(&device);
    assert_eq!(driver.config(32, 1), [1]);
    for (offset, value, then) in [(32, 0, 0), (32, 7, 0), (0, 1, 0), (32, 1, 1)] {
        driver.set_config(offset, &[value]);
        assert_eq!(driver.config(32, 1), [then], "{value} at {offset}");
    }
    let device = DeviceProcess::start(&["--no-flush"]);
    assert_eq!(Driver::connect(&device).config(32, 1), [0]);
}

#[test]
fn a_read_only_disk_takes_no_writing_of_any_kind() {
    let device = DeviceProcess::start(&["--read-only"]);
    let mut driver = Driver::connect(&device);
    // A write, a discard and a write-zeroes of the first page; a driver that heeds the feature sends none of them.
    driver.write(0, &page(1, 0, 1));
    for kind in [11, 13] {
        let slot = driver.queue(kind, 0, 16, false);
        driver.put_range(slot, 0, 8, 0);
        driver.kick();
    }
    assert_eq!(driver.order(3), [(0, IOERR), (1, IOERR), (2, IOERR)]);
    let read = driver.read(0, 4096);
    assert_eq!(driver.done().status, 0);
    assert_eq!(driver.bytes(read, 4096), [0; 4096]);
}

#[test]
fn a_front_end_that_goes_leaves_a_device_for_the_next() {
    let device = DeviceProcess::start(&["--rule", "hold write nth=2 until=release max=300s"]);
    let mut driver = Driver::connect(&device);
    driver.write(0, &page(1, 0, 1));
    driver.done();
    driver.write(8, &page(1, 1, 1));
    submitted(&device, 2);
    let refused = device
        .control()
        .call(&Command::Rollback { to: None })
        .expect_err("outstanding")
        .to_string();
    assert!(
        refused.contains("1 requests are outstanding (1 of them held by rules)"),
        "{refused}"
    );
    drop(driver);
    let mut next = Driver::connect(&device);
    let read = next.read(0, 8192);
    next.done();
    assert_eq!(next.bytes(read, 4096), page(1, 0, 1), "the disk outlives its front end");
    assert_eq!(next.bytes(read, 8192)[4096..], [0; 4096]);
    assert_eq!(
        device
            .control()
            .call(&Command::Rollback { to: None })
            .expect("rollback"),
        Reply::Done
    );
    let read = next.read(0, 4096);
    next.done();
    assert_eq!(next.bytes(read, 4096), [0; 4096], "golden again");
    let now = stats(&device);
    assert_eq!((now.connections, now.dropped, now.outstanding), (2, 1, 0));
}

#[test]
fn a_lying_driver_kills_its_queue_and_nothing_else() {
    let device = DeviceProcess::start(&[]);
    let mut driver = Driver::connect(&device);
    // A chain that loops, one without status, a head twice; all get back what can be given back.
    driver.put_desc(60, 0x10_0000, 16, 1, 60);
    driver.publish(60);
    driver.kick();
    assert_eq!(driver.done().len, 0, "no status byte to write");
    // An index far ahead of the ring.
    driver.set_avail_index(QUEUE_SIZE * 3);
    driver.kick();
    assert_eq!(driver.next_used(WHILE), None);
    let records = trace::read(&device.path("trace")).expect("trace");
    assert!(records.iter().any(|record| matches!(record, Record::Malformed { .. })));
    assert!(records.iter().any(|record| matches!(record, Record::QueueDead { .. })));
    driver.frontend.get_vring_base(0).expect("base");
    driver.start_ring();
    driver.write(0, &page(1, 0, 1));
    assert_eq!(driver.done().status, 0, "a reset heals it");
}

#[test]
fn what_is_wrong_is_found_before_anything_starts() {
    let dir = tempfile::tempdir().expect("tempdir");
    let fail = |args: &[&str]| {
        let output = command(dir.path())
            .args(args)
            .stdout(Stdio::piped())
            .output()
            .expect("run");
        let names: Vec<_> = std::fs::read_dir(dir.path())
            .expect("dir")
            .flatten()
            .map(|e| e.file_name())
            .collect();
        assert!(
            !names.iter().any(|name| name == "socket" || name == "trace"),
            "nothing was made: {names:?}"
        );
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).replace(&dir.path().display().to_string(), "DIR"),
        )
    };
    let (code, message) = fail(&["--rule", "fail wriet"]);
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(message, @r#"
    vhost-blk: --rule:1:6: unknown operation `wriet`: expected one of read, write, flush, discard, write-zeroes, any, or key=value; did you mean `write`?
      |
    1 | fail wriet
      |      ^^^^^
    "#);
    let (code, message) = fail(&[]);
    assert_eq!(code, Some(66));
    insta::assert_snapshot!(message, @r#"vhost-blk: cannot use the image DIR/image: No such file or directory (os error 2)"#);
    let (code, message) = fail(&["--plan", "no/such/plan"]);
    assert_eq!(code, Some(66));
    insta::assert_snapshot!(message, @r#"vhost-blk: cannot read the plan no/such/plan: No such file or directory (os error 2)"#);
    let (code, message) = fail(&["--queue-size", "3"]);
    assert_eq!(code, Some(64));
    insta::assert_snapshot!(message, @r#"
    error: invalid value '3' for '--queue-size <N>': expected a power of two from 2 to 1024

    For more information, try '--help'.
    "#);
}

#[test]
fn ends_in_order() {
    let mut device = DeviceProcess::start(&["--rule", "hold any until=release max=300s"]);
    let mut driver = Driver::connect(&device);
    driver.write(0, &page(1, 0, 1));
    submitted(&device, 1);
    assert_eq!(device.control().call(&Command::Quit).expect("quit"), Reply::Done);
    assert_eq!(device.child.wait().expect("wait").code(), Some(0));
    assert!(
        !device.path("socket").exists() && !device.path("control").exists(),
        "its sockets are gone"
    );

    let mut device = DeviceProcess::start(&["--once"]);
    drop(Driver::connect(&device));
    assert_eq!(device.child.wait().expect("wait").code(), Some(0));

    let mut device = DeviceProcess::start(&[]);
    let pid = rustix::process::Pid::from_child(&device.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("SIGTERM");
    assert_eq!(device.child.wait().expect("wait").code(), Some(0));
    assert!(!device.path("socket").exists());
}

#[test]
fn a_socket_in_use_is_left_alone_and_a_stale_one_replaced() {
    let device = DeviceProcess::start(&[]);
    let second = command(device.dir.path()).stdout(Stdio::piped()).output().expect("run");
    assert_eq!(second.status.code(), Some(73));
    assert!(String::from_utf8_lossy(&second.stderr).contains("another process listens there"));
    drop(Driver::connect(&device));
    let mut device = device;
    device.child.kill().expect("SIGKILL");
    device.child.wait().expect("wait");
    assert!(device.path("socket").exists(), "a killed device leaves its socket");
    device.restart(&[]);
    drop(Driver::connect(&device));
}

#[test]
fn a_range_that_is_longer_than_is_offered_is_refused() {
    let device = DeviceProcess::with_disk(&[], 4 << 30, &[]);
    let mut driver = Driver::connect(&device);
    for (kind, offset) in [(11, 36), (13, 48)] {
        let most: [u8; 4] = driver.config(offset, 4).try_into().expect("4 bytes");
        let most = u32::from_le_bytes(most);
        assert_eq!(most, 1 << 21);
        for (sectors, status) in [(most, 0), (most + 1, IOERR)] {
            let slot = driver.range(kind, 0, sectors);
            assert_eq!(driver.order(1), [(slot, status)], "{sectors} sectors of type {kind}");
        }
    }
}
