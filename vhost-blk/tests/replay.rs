//! A trace's decisions made again by another device, over a real ring of the real binary.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use common::{DeviceProcess, Driver};
use vhost_blk::control::{Command, Reply, Stats};
use vhost_blk::trace::{self, Record};

fn stats(device: &DeviceProcess) -> Stats {
    match device.control().call(&Command::Stats).expect("stats") {
        Reply::Stats(stats) => stats,
        other => panic!("{other:?}"),
    }
}

/// Writes and reads; what each write was told, and what is read.
fn work(driver: &mut Driver, first: u64) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut statuses = Vec::new();
    for page in first..first + 8 {
        driver.write(page * 8, &[1 + page as u8; 4096]);
        statuses.push(driver.done().status);
    }
    let mut pages = Vec::new();
    for page in first..first + 8 {
        let slot = driver.read(page * 8, 4096);
        assert_eq!(driver.done().status, 0);
        pages.push(driver.bytes(slot, 4096));
    }
    (statuses, pages)
}

#[test]
fn the_same_guest_meets_the_same_faults_and_another_is_told() {
    let first = DeviceProcess::start(&[
        "--seed",
        "7",
        "--rule",
        "fail write p=0.5",
        "--rule",
        "corrupt read flip=2bit p=0.5",
    ]);
    let seen = work(&mut Driver::connect(&first), 0);
    assert!(
        seen.0.contains(&0) && seen.0.contains(&common::IOERR),
        "the seed gives both"
    );
    stats(&first);
    let trace = first.path("trace");
    let trace = trace.to_string_lossy();
    let second = DeviceProcess::start(&["--replay", &trace]);
    let mut driver = Driver::connect(&second);
    assert!(work(&mut driver, 0) == seen);
    assert_eq!(stats(&second).diverged_at, None);
    drop(driver);

    let third = DeviceProcess::start(&["--replay", &trace]);
    let mut driver = Driver::connect(&third);
    let (statuses, _) = work(&mut driver, 1);
    assert!(
        statuses.iter().all(|status| *status == 0),
        "nothing is injected after it"
    );
    assert_eq!(stats(&third).diverged_at, Some(1));
    let records = trace::read(&third.path("trace")).expect("trace");
    let diverged = records.iter().find_map(|record| match record {
        Record::Diverged { expected, found, .. } => Some((expected.clone(), found.clone())),
        _ => None,
    });
    let (expected, found) = diverged.expect("it is in the trace");
    assert_eq!(
        (expected.as_str(), found.as_str()),
        ("write of 4096 bytes at sector 0", "write of 4096 bytes at sector 8")
    );
}

#[test]
fn a_rule_that_was_taken_off_is_another_than_the_next_of_its_name() {
    let work = |device: &DeviceProcess, between: &dyn Fn()| {
        let mut driver = Driver::connect(device);
        let mut seen = work(&mut driver, 0);
        between();
        seen.0.extend(work(&mut driver, 0).0);
        seen
    };
    let rule = |text: &str| text.to_owned();
    let first = DeviceProcess::start(&["--seed", "7", "--rule", "fail write name=x p=0.5"]);
    let seen = work(&first, &|| {
        let mut control = first.control();
        control.call(&Command::Remove { rule: rule("x") }).expect("it is off");
        let rule = rule("corrupt read flip=2bit name=x");
        control.call(&Command::Add { rule }).expect("another");
    });
    assert!(seen.0[8..].iter().all(|status| *status == 0));
    stats(&first);
    let trace = first.path("trace");
    let second = DeviceProcess::start(&["--replay", &trace.to_string_lossy()]);
    assert!(work(&second, &|| ()) == seen);
    assert_eq!(stats(&second).diverged_at, None);
}
