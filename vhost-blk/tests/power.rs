//! Power cuts, marks and hang-ups over a real ring of the real binary.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::time::{Duration, Instant};

use common::helpers::stats;
use common::{DeviceProcess, Driver, SOON, UNSUPP, WHILE};
use vhost::VhostBackend;
use vhost_blk::control::{Command, Reply};
use vhost_blk::trace::{self, Record};

/// A stop that waits for a request that is being done takes longer.
const STOP_MAX: Duration = Duration::from_secs(5);

fn tell(device: &DeviceProcess, command: &Command) -> Reply {
    device.control().call(command).expect("the device obeys")
}

/// Reads a page; the byte that fills it.
fn read(driver: &mut Driver, sector: u64) -> u8 {
    let slot = driver.read(sector, 4096);
    let used = driver.done();
    assert_eq!((used.slot, used.status), (slot, 0));
    let bytes = driver.bytes(slot, 4096);
    assert!(bytes.iter().all(|byte| *byte == bytes[0]), "half a page");
    bytes[0]
}

fn write(driver: &mut Driver, sector: u64, fill: u8) {
    driver.write(sector, &[fill; 4096]);
    assert_eq!(driver.done().status, 0);
}

fn flush(driver: &mut Driver) {
    driver.queue(4, 0, 0, false);
    driver.kick();
    assert_eq!(driver.done().status, 0);
}

#[test]
fn a_cut_keeps_what_was_flushed_and_nobody_is_answered() {
    let device = DeviceProcess::start(&["--rule", "cut write nth=3 name=power"]);
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 1);
    flush(&mut driver);
    write(&mut driver, 0, 2);
    driver.write(8, &[3; 4096]);
    assert!(driver.next_used(WHILE).is_none(), "the write that met the cut");
    driver.read(0, 4096);
    assert!(driver.next_used(WHILE).is_none(), "and what came after it");
    // What was out is never answered, but a driver that begins anew is.
    assert_eq!(tell(&device, &Command::Power), Reply::Released { requests: 2 });
    assert!(driver.next_used(WHILE).is_none());
    drop(driver);
    let mut driver = Driver::connect(&device);
    assert_eq!((read(&mut driver, 0), read(&mut driver, 8)), (1, 0));
    let records = trace::read(&device.path("trace")).expect("trace");
    let cut = records.iter().find_map(|record| match record {
        Record::Cut {
            rule, volatile, lost, ..
        } => Some((rule.clone(), *volatile, *lost)),
        _ => None,
    });
    assert_eq!(cut, Some((Some("power".to_owned()), 2, 2)));
}

#[test]
fn a_flush_that_meets_the_cut_makes_nothing_durable() {
    let device = DeviceProcess::start(&["--rule", "cut flush"]);
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 1);
    driver.queue(4, 0, 0, false);
    driver.kick();
    assert!(driver.next_used(WHILE).is_none());
    tell(&device, &Command::Power);
    drop(driver);
    let mut driver = Driver::connect(&device);
    assert_eq!(read(&mut driver, 0), 0);
}

#[test]
fn a_cut_by_command_loses_what_it_is_told_to() {
    let device = DeviceProcess::start(&["--history", "1M"]);
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 1);
    let cut = |lose: &str| Command::Cut {
        lose: Some(lose.to_owned()),
        torn: None,
        seed: 1,
    };
    let kept = tell(&device, &cut("none"));
    assert_eq!(
        kept,
        Reply::Cut {
            volatile: 1,
            lost: 0,
            torn_bytes: None
        }
    );
    tell(&device, &Command::Power);
    assert_eq!(read(&mut driver, 0), 1, "nothing was out, so the same driver goes on");
    let refused = device
        .control()
        .call(&cut("nothing"))
        .expect_err("a bad word")
        .to_string();
    assert!(refused.contains("expected all, some or none"), "{refused}");
}

#[test]
fn a_dropped_or_early_flush_makes_nothing_durable() {
    for rule in ["drop flush", "early flush for=3600s"] {
        let device = DeviceProcess::start(&["--rule", rule, "--rule", "cut read"]);
        let mut driver = Driver::connect(&device);
        write(&mut driver, 0, 1);
        flush(&mut driver);
        driver.read(0, 4096);
        assert!(driver.next_used(WHILE).is_none());
        tell(&device, &Command::Clear);
        tell(&device, &Command::Power);
        drop(driver);
        let mut driver = Driver::connect(&device);
        assert_eq!(read(&mut driver, 0), 0, "{rule}");
    }
}

#[test]
fn without_a_write_cache_nothing_is_volatile() {
    let device = DeviceProcess::start(&["--no-flush", "--rule", "cut read"]);
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 1);
    driver.read(0, 4096);
    assert!(driver.next_used(WHILE).is_none());
    tell(&device, &Command::Clear);
    tell(&device, &Command::Power);
    drop(driver);
    let mut driver = Driver::connect(&device);
    assert_eq!(read(&mut driver, 0), 1);
}

#[test]
fn back_to_a_mark() {
    let device = DeviceProcess::start(&["--history", "1M"]);
    let mut driver = Driver::connect(&device);
    let mark = |name: &str| Command::Mark { name: name.to_owned() };
    let back = |name: &str| Command::Rollback {
        to: Some(name.to_owned()),
    };
    write(&mut driver, 0, 1);
    tell(&device, &mark("one"));
    driver.range(13, 0, 8);
    assert_eq!(driver.done().status, 0);
    tell(&device, &mark("two"));
    write(&mut driver, 0, 3);
    tell(&device, &back("two"));
    assert_eq!(read(&mut driver, 0), 0);
    tell(&device, &back("one"));
    assert_eq!(read(&mut driver, 0), 1);
    let refused = device.control().call(&back("two")).expect_err("it is gone").to_string();
    assert!(refused.contains("known marks: one"), "{refused}");
    tell(&device, &Command::Rollback { to: None });
    assert_eq!(read(&mut driver, 0), 0);
}

/// Waits until the device has hung up, while the driver is still there.
fn until_hung_up(device: &DeviceProcess) {
    let deadline = Instant::now() + SOON;
    loop {
        match tell(device, &Command::Stats) {
            Reply::Stats(stats) if !stats.connected => return,
            _ => assert!(Instant::now() < deadline, "the device never hung up"),
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_hang_up_is_answered_by_a_new_connection() {
    let device = DeviceProcess::start(&["--rule", "disconnect write nth=2"]);
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 1);
    driver.write(8, &[2; 4096]);
    assert!(driver.next_used(WHILE).is_none());
    until_hung_up(&device);
    drop(driver);
    let mut driver = Driver::connect(&device);
    assert_eq!((read(&mut driver, 0), read(&mut driver, 8)), (1, 0));
    tell(&device, &Command::Disconnect);
    until_hung_up(&device);
    drop(driver);
    let mut driver = Driver::connect(&device);
    driver.read(0, 4096);
    assert_eq!(driver.next_used(SOON).expect("an answer").status, 0);
}

#[test]
fn without_power_a_chain_that_is_no_request_is_not_answered_either() {
    let device = DeviceProcess::start(&[]);
    let mut driver = Driver::connect(&device);
    tell(
        &device,
        &Command::Cut {
            lose: None,
            torn: None,
            seed: 0,
        },
    );
    // No known type, and a length that is none.
    driver.ask(99, 0, 512, true);
    driver.ask(1, 0, 100, false);
    driver.read(0, 4096);
    assert_eq!(driver.next_used(WHILE), None);
    assert_eq!((stats(&device).malformed, stats(&device).outstanding), (2, 1));
    // A stop does not wait for them.
    let before = Instant::now();
    let base = driver.frontend.get_vring_base(0).expect("base");
    assert!(before.elapsed() < STOP_MAX, "nobody will answer them");
    assert_eq!((base, driver.unseen()), (3, 0));
    driver.resume_ring(base);
    tell(&device, &Command::Power);
    driver.ask(99, 0, 512, true);
    assert_eq!(driver.done().status, UNSUPP, "with power it is");
}
