//! `vhost-blk ctl`: a running device is told in words what to do.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use common::DeviceProcess;

/// What is said to the device in this directory, and the exit code.
fn ctl(dir: &Path, words: &[&str]) -> String {
    let output = Command::new(common::clone::vhost_blk())
        .args(["ctl", "control"])
        .args(words)
        .current_dir(dir)
        .output()
        .expect("the binary");
    let said = [output.stdout, output.stderr].concat();
    format!(
        "{}exit code {}",
        String::from_utf8_lossy(&said),
        output.status.code().expect("a code")
    )
}

#[test]
fn a_device_is_told_in_words() {
    let mut device = DeviceProcess::start(&["--history", "1M"]);
    let dir = device.dir.path().to_owned();
    let ctl = |words: &[&str]| ctl(&dir, words);
    assert_eq!(ctl(&["fail", "write", "limit=1"]), "rule r1 is in force\nexit code 0");
    assert_eq!(
        ctl(&["list"]),
        "r1              0 hits   0 held  fail write limit=1\nexit code 0"
    );
    assert_eq!(ctl(&["mark here"]), "done\nexit code 0");
    assert_eq!(
        ctl(&["resize", "16M", "--json"]),
        "{\"reply\":\"resized\",\"from\":8388608,\"bytes\":16777216,\"front_end\":\"none\"}\nexit code 0"
    );
    assert_eq!(
        ctl(&["cut", "now", "lose=all"]),
        "the power is off; 0 requests were not durable, 0 of them are lost; `power` or `rollback` ends it\nexit code 0"
    );
    assert_eq!(
        ctl(&["power"]),
        "the power is on; 0 requests are never answered\nexit code 0"
    );
    // A file is this command's, not the device's, which runs elsewhere.
    assert_eq!(ctl(&["export", "disk.raw"]), "exported 0 bytes of data\nexit code 0");
    assert_eq!(dir.join("disk.raw").metadata().expect("a file").len(), 16 << 20);
    assert_eq!(ctl(&["quit"]), "done\nexit code 0");
    assert!(device.child.wait().expect("its end").success());
    assert_eq!(
        ctl(&["list"]),
        "vhost-blk: cannot connect to the control socket control: No such file or directory (os error 2): is the \
         device running?\nexit code 69"
    );
}

#[test]
fn what_cannot_be_done_is_said() {
    let device = DeviceProcess::start(&[]);
    let ctl = |words: &[&str]| ctl(device.dir.path(), words);
    let bad = ctl(&["fial", "write"]);
    assert!(
        bad.starts_with("vhost-blk: bad rule: column 1: unknown action `fial`"),
        "{bad}"
    );
    assert!(bad.ends_with("exit code 64"), "{bad}");
    let unknown = ctl(&["remove", "r7"]);
    assert!(unknown.contains("r7") && unknown.ends_with("exit code 64"), "{unknown}");
    let nothing = ctl(&[]);
    assert!(
        nothing.contains("<RULE | COMMAND>") && nothing.ends_with("exit code 64"),
        "{nothing}"
    );
}

#[test]
fn the_trace_comes_until_the_device_ends() {
    let device = DeviceProcess::start(&[]);
    let mut child = Command::new(common::clone::vhost_blk())
        .args(["ctl", "control", "subscribe"])
        .current_dir(device.dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut next = || lines.next().map(|line| line.expect("a line"));
    assert!(next().expect("a heading").contains("latency  rules"));
    assert_eq!(ctl(device.dir.path(), &["mark", "heard"]), "done\nexit code 0");
    assert!(next().expect("the mark").ends_with("-- mark heard"));
    drop(device);
    assert_eq!(next(), None);
    let output = child.wait_with_output().expect("its end");
    assert_eq!(
        (output.status.code(), String::from_utf8_lossy(&output.stderr).trim()),
        (Some(0), "vhost-blk: the device has ended")
    );
}
