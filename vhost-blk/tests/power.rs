//! Power cuts, marks and hang-ups over a real ring of the real binary.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::time::{Duration, Instant};

use common::helpers::{cut, stats};
use common::{DeviceProcess, Driver, SOON, UNSUPP, WHILE};
use vhost::VhostBackend;
use vhost_blk_api::control::{Command, Reply};
use vhost_blk_api::trace::{self, Record};

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
    let kept = tell(&device, &cut(Some("none")));
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
        .call(&cut(Some("nothing")))
        .expect_err("a bad word")
        .to_string();
    assert!(refused.contains("expected all, some or none"), "{refused}");
}

#[test]
fn a_cut_of_which_nobody_knows_what_it_would_lose_is_refused() {
    let device = DeviceProcess::start(&[]);
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 1);
    let refused = device
        .control()
        .call(&cut(None))
        .expect_err("nothing is known")
        .to_string();
    assert!(refused.contains("start the device with --history"), "{refused}");
    assert_eq!(read(&mut driver, 0), 1, "the power is on");
    let kept = Reply::Cut {
        volatile: 0,
        lost: 0,
        torn_bytes: None,
    };
    assert_eq!(tell(&device, &cut(Some("none"))), kept);
    tell(&device, &Command::Power);
    assert_eq!(read(&mut driver, 0), 1);
}

#[test]
fn a_rollback_to_no_mark_leaves_the_power_off() {
    let device = DeviceProcess::start(&["--history", "1M"]);
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 1);
    let mark = |name: &str| Command::Mark { name: name.to_owned() };
    let back = |name: &str| Command::Rollback {
        to: Some(name.to_owned()),
    };
    tell(&device, &mark("there"));
    write(&mut driver, 0, 2);
    tell(&device, &cut(None));
    let refused = device
        .control()
        .call(&back("nowhere"))
        .expect_err("no mark")
        .to_string();
    assert!(refused.contains("known marks: there"), "{refused}");
    assert!(matches!(tell(&device, &Command::Stats), Reply::Stats(stats) if stats.dark));
    // A mark that lies before the cut, and after the last flush, is one to go back to.
    tell(&device, &back("there"));
    assert_eq!(read(&mut driver, 0), 1);
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

/// Has the driver take all features but these.
fn take_all_but(driver: &Driver, features: &[u32]) {
    let offered = driver.frontend.get_features().expect("features");
    let left = features.iter().fold(1 << 29, |bits, feature| bits | 1 << feature);
    driver.frontend.set_features(offered & !left).expect("features");
    // It is answered after that.
    driver.frontend.get_features().expect("features");
}

#[test]
fn a_driver_that_knows_of_no_write_cache_has_none() {
    const FLUSH: u32 = 9;
    const CONFIG_WCE: u32 = 11;
    let device = DeviceProcess::start(&["--history", "1M"]);
    // What a driver leaves, what it says of the cache where it can, and whether a completed write is there after a cut.
    for (left, writeback, durable) in [
        (&[][..], Some(1), false),
        (&[], Some(0), true),
        // A new connection, as of one driver that comes again: what it switched off is off.
        (&[], None, true),
        (&[], Some(1), false),
        (&[CONFIG_WCE], None, false),
        (&[FLUSH, CONFIG_WCE], None, true),
        (&[], None, false),
    ] {
        let mut driver = Driver::connect(&device);
        take_all_but(&driver, left);
        if let Some(on) = writeback {
            driver.set_config(32, &[on]);
            assert_eq!(driver.config(32, 1), [on]);
        }
        write(&mut driver, 0, 1);
        tell(&device, &cut(None));
        tell(&device, &Command::Power);
        let there = read(&mut driver, 0);
        assert_eq!(
            there == 1,
            durable,
            "without {left:?}, the cache switched {writeback:?}"
        );
        drop(driver);
        tell(&device, &Command::Rollback { to: None });
    }
}

#[test]
fn what_a_rule_makes_of_an_acknowledged_write_is_no_more_volatile_than_the_write() {
    // The bytes that are there after the cut: all, or all but a sector.
    for (rule, there) in [
        ("corrupt write zero=1", 4096 - 512),
        ("corrupt write misdirect=8", 0),
        ("short write bytes=1k then=ok", 1024),
        ("short write bytes=1k then=ioerr", 1024),
        ("delay write for=1ms", 4096),
    ] {
        let device = DeviceProcess::start(&["--no-flush", "--rule", rule, "--rule", "cut read"]);
        let mut driver = Driver::connect(&device);
        driver.write(0, &[1; 4096]);
        driver.done();
        driver.read(0, 4096);
        assert!(driver.next_used(WHILE).is_none());
        tell(&device, &Command::Clear);
        tell(&device, &Command::Power);
        drop(driver);
        let mut driver = Driver::connect(&device);
        let slot = driver.read(0, 8192);
        assert_eq!(driver.done().status, 0);
        let bytes = driver.bytes(slot, 8192);
        let ones = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == 1).count();
        let elsewhere = if there == 0 { 4096 } else { 0 };
        assert_eq!(
            (ones(&bytes[..4096]), ones(&bytes[4096..])),
            (there, elsewhere),
            "{rule}"
        );
    }
}

#[test]
fn a_write_in_flight_is_torn_without_a_write_cache_too() {
    let torn_at = |seed: &str| {
        let device = DeviceProcess::start(&["--no-flush", "--seed", seed, "--rule", "cut write nth=2 torn=512"]);
        let mut driver = Driver::connect(&device);
        write(&mut driver, 8, 7);
        driver.write(0, &[1; 4096]);
        assert!(driver.next_used(WHILE).is_none());
        tell(&device, &Command::Power);
        drop(driver);
        let mut driver = Driver::connect(&device);
        assert_eq!(read(&mut driver, 8), 7, "one that was completed is whole");
        let slot = driver.read(0, 4096);
        assert_eq!(driver.done().status, 0);
        let there = driver.bytes(slot, 4096).iter().filter(|byte| **byte == 1).count();
        let records = trace::read(&device.path("trace")).expect("trace");
        let cut = records.iter().find_map(|record| match record {
            Record::Cut {
                volatile, torn_bytes, ..
            } => Some((*volatile, *torn_bytes)),
            _ => None,
        });
        assert_eq!(cut, Some((1, Some(there as u64))), "seed {seed}");
        there
    };
    let torn = ["1", "2", "3"].map(torn_at);
    assert!(torn.iter().any(|bytes| (1..4096).contains(bytes)), "{torn:?}");
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
fn a_log_is_whole_whatever_bytes_a_rule_left() {
    for rule in [
        "corrupt write flip=3bit limit=1",
        "short write bytes=100 then=ioerr limit=1",
        "short write bytes=1000 then=ok limit=1",
    ] {
        let device = DeviceProcess::start(&["--history", "1M", "--rule", rule]);
        let mut driver = Driver::connect(&device);
        driver.write(0, &[1; 4096]);
        driver.done();
        flush(&mut driver);
        write(&mut driver, 8, 2);
        let path = device.path("log");
        let command = Command::ExportLog { path: path.clone() };
        let Reply::Logged { entries, .. } = tell(&device, &command) else {
            panic!("no log");
        };
        let log = std::fs::read(path).expect("the log");
        let word = |at: usize| u64::from_le_bytes(log[at..at + 8].try_into().expect("a word"));
        let (mut at, mut sectors) = (512, Vec::new());
        for _ in 0..entries {
            let (sector, count) = (word(at), word(at + 8));
            assert!(word(at + 16) < 16, "{rule}: flags of no entry");
            sectors.extend((count > 0).then_some((sector, count)));
            at += 512 * (1 + usize::try_from(count).expect("a count"));
        }
        assert_eq!(at, log.len(), "{rule}");
        let first = if rule.contains("short") {
            (0, if rule.contains("1000") { 2 } else { 1 })
        } else {
            (0, 8)
        };
        assert_eq!(sectors, [first, (8, 8)], "{rule}");
    }
}

#[test]
fn without_power_a_chain_that_is_no_request_is_not_answered_either() {
    let device = DeviceProcess::start(&[]);
    let mut driver = Driver::connect(&device);
    tell(&device, &cut(Some("none")));
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
