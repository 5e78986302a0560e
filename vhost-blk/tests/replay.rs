//! A trace's decisions made again by another device, over a real ring of the real binary.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::io::Read;
use std::path::Path;
use std::process::{Output, Stdio};

use common::{DeviceProcess, Driver, command};
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

/// How a run ends that is to end at once.
fn ends(command: &mut std::process::Command) -> Output {
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("spawn");
    // One that listens would not end.
    let mut word = [0; 6];
    let stdout = child.stdout.as_mut().expect("stdout");
    if stdout.read_exact(&mut word).is_ok() && word == *b"ready\n" {
        let _ = child.kill();
    }
    child.wait_with_output().expect("its end")
}

#[test]
fn a_trace_that_is_of_no_use_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("image"), vec![0; 1 << 20]).expect("an image");
    let file = dir.path().join("old");
    let refused = |text: &str| {
        std::fs::write(&file, text).expect("a trace");
        let output = ends(command(dir.path()).arg("--replay").arg(&file));
        let said = String::from_utf8(output.stderr).expect("text");
        let said = said.replace(&*dir.path().to_string_lossy(), "DIR");
        assert_eq!(output.status.code(), Some(65), "{said}");
        assert!(!dir.path().join("trace").exists(), "no trace was begun");
        said
    };
    let newer = "{\"ev\":\"start\",\"version\":2,\"when\":\"now\"}\n{\"ev\":\"new\"}\n";
    insta::assert_snapshot!(refused(newer), @"vhost-blk: the trace DIR/old has version 2: this vhost-blk reads version 1, use the one that wrote it");

    let output = ends(show(&file).arg("--summary"));
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("has version 2: this vhost-blk reads version 1"), "{said}");
    assert_eq!(output.status.code(), Some(65));
}

fn show(file: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vhost-blk"));
    command.arg("trace").arg(file);
    command
}
