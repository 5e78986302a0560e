//! What the program says in the end of rules that did nothing.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::io::Read;
use std::process::Stdio;

use common::{DeviceProcess, Driver, command, spawn_ready};
use rustix::process::{Pid, Signal, kill_process};
use vhost_blk_api::control::{Command, Reply};

/// A device whose complaints can be read.
fn start(args: &[&str]) -> DeviceProcess {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("image"), vec![0; 1 << 20]).expect("an image");
    let child = spawn_ready(command(dir.path()).args(args).stderr(Stdio::piped()));
    DeviceProcess { dir, child }
}

/// Waits for the device's end; what it said.
fn said(device: &mut DeviceProcess) -> String {
    let mut said = String::new();
    let mut stderr = device.child.stderr.take().expect("its complaints");
    stderr.read_to_string(&mut said).expect("text");
    assert_eq!(device.child.wait().expect("its end").code(), Some(0));
    said
}

fn tell(device: &DeviceProcess, command: &Command) -> Reply {
    device.control().call(command).expect("an answer")
}

const RULES: [&str; 6] = [
    "--rule",
    "fail write nth=3 name=third",
    "--rule",
    "drop flush",
    "--rule",
    "delay write for=1us name=slow",
];

fn three_rules() -> DeviceProcess {
    let device = start(&RULES);
    let mut driver = Driver::connect(&device);
    for _ in 0..2 {
        driver.write(0, &[1; 512]);
        assert_eq!(driver.done().status, 0);
    }
    device
}

#[test]
fn told_to_quit_it_names_them() {
    let mut device = three_rules();
    assert_eq!(tell(&device, &Command::Quit), Reply::Done);
    insta::assert_snapshot!(said(&mut device), @r"
    vhost-blk: 2 rules never fired:
      third: fail write nth=3 name=third (2 requests looked like its trigger)
      r2: drop flush (no request looked like its trigger)
    ");
}

#[test]
fn ended_by_a_signal_it_names_them_and_those_that_were_taken_off() {
    let mut device = three_rules();
    let rules = vec!["fail read name=read".to_owned()];
    assert_eq!(tell(&device, &Command::Plan { seed: 1, rules }), Reply::Done);
    tell(
        &device,
        &Command::Remove {
            rule: "read".to_owned(),
        },
    );
    tell(&device, &Command::Clear);
    tell(
        &device,
        &Command::Add {
            rule: "fail discard".to_owned(),
        },
    );
    kill_process(Pid::from_child(&device.child), Signal::TERM).expect("SIGTERM");
    insta::assert_snapshot!(said(&mut device), @r"
    vhost-blk: 4 rules never fired:
      third: fail write nth=3 name=third (2 requests looked like its trigger)
      r2: drop flush (no request looked like its trigger)
      read: fail read name=read (no request looked like its trigger)
      r2: fail discard (no request looked like its trigger)
    ");
}

#[test]
fn a_rule_that_fired_is_no_news() {
    let mut device = start(&["--once", "--rule", "fail write"]);
    let mut driver = Driver::connect(&device);
    driver.write(0, &[1; 512]);
    assert_eq!(driver.done().status, 1);
    drop(driver);
    assert_eq!(said(&mut device), "");
    let mut device = start(&["--once", "--rule", "fail read"]);
    drop(Driver::connect(&device));
    assert_eq!(
        said(&mut device),
        "vhost-blk: 1 rule never fired:\n  r1: fail read (no request looked like its trigger)\n"
    );
}

#[test]
fn a_great_many_are_counted() {
    let mut device = start(&[]);
    for _ in 0..3 {
        let rules = (0..50).map(|number| format!("fail read nth={}", number + 1)).collect();
        tell(&device, &Command::Plan { seed: 1, rules });
    }
    tell(&device, &Command::Quit);
    let said = said(&mut device);
    assert!(
        said.starts_with("vhost-blk: 150 rules never fired:\n  r1: fail read nth=1 (no"),
        "{said}"
    );
    assert!(said.ends_with("\n  and 50 more\n"), "{said}");
    assert_eq!(said.lines().count(), 102);
}
