//! A trace and a standard error that take nothing any more: the device serves on, and says how much is missing.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::fs::{File, OpenOptions};
use std::process::Stdio;

use common::helpers::stats;
use common::{DeviceProcess, Driver, command, spawn_ready};
use rustix::process::{Pid, Resource, Rlimit};

/// A device of two queues with an image of 8 MiB that says what it has to say there.
fn device(stderr: impl FnOnce(&tempfile::TempDir) -> File, args: &[&str]) -> DeviceProcess {
    let dir = tempfile::tempdir().expect("tempdir");
    let image = File::create(dir.path().join("image")).expect("image");
    image.set_len(8 << 20).expect("image");
    let stderr = stderr(&dir);
    let mut command = command(dir.path());
    let child = spawn_ready(
        command
            .args(["--num-queues", "2"])
            .args(args)
            .stderr(Stdio::from(stderr)),
    );
    DeviceProcess { dir, child }
}

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("/dev/full")
}

#[test]
fn a_standard_error_that_takes_nothing_keeps_no_device_from_its_start() {
    // It says there that it has no sandbox.
    let device = device(|_| full(), &["--no-sandbox"]);
    let mut driver = Driver::connect(&device);
    driver.write(8, &[1; 4096]);
    assert_eq!(driver.done().status, 0);
}

#[test]
fn a_disk_that_is_full_of_trace_and_messages_stops_no_queue() {
    let device = device(
        |dir| {
            let path = dir.path().join("stderr");
            std::fs::write(&path, vec![b'\n'; 1 << 20]).expect("stderr");
            OpenOptions::new().append(true).open(path).expect("stderr")
        },
        &[],
    );
    let mut driver = Driver::with_queues(&device, 2);
    driver.queues[0].write(8, &[1; 4096]);
    assert_eq!(driver.queues[0].done().status, 0);
    // Files as large as that are full, as on a disk without room. (`stats` hands the trace to the kernel.)
    stats(&device);
    let written = device.path("trace").metadata().expect("a trace").len();
    let pid = Pid::from_child(&device.child);
    let limit = Rlimit {
        current: Some(written + 10),
        maximum: None,
    };
    rustix::process::prlimit(Some(pid), Resource::Fsize, limit).expect("a limit");
    for round in 0..20 {
        for queue in &mut driver.queues {
            queue.write(8, &[round; 4096]);
            assert_eq!(queue.done().status, 0, "round {round}");
        }
    }
    let now = stats(&device);
    assert_eq!((now.submitted, now.outstanding), (41, 0));
    let written = device.path("trace").metadata().expect("a trace").len();
    assert_eq!(Some(written), limit.current, "the trace was full");
}
