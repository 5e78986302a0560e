//! A trace and a standard error that take nothing any more: the device serves on, and says how much is missing.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::Stdio;

use common::helpers::stats;
use common::{DeviceProcess, Driver, command, spawn_ready};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use vhost_blk_api::control::Command;

/// A device of two queues with an image of 8 MiB that says what it has to say there.
fn device(stderr: impl FnOnce(&tempfile::TempDir) -> Stdio, args: &[&str]) -> DeviceProcess {
    let dir = tempfile::tempdir().expect("tempdir");
    let image = File::create(dir.path().join("image")).expect("image");
    image.set_len(8 << 20).expect("image");
    let stderr = stderr(&dir);
    let mut command = command(dir.path());
    let child = spawn_ready(command.args(["--num-queues", "2"]).args(args).stderr(stderr));
    DeviceProcess { dir, child }
}

/// From here on no file of the device's can be longer than its trace and so many bytes, as on a disk without more room.
/// Returns how long.
fn fill_disk(device: &DeviceProcess, room: u64) -> u64 {
    // It hands the trace to the kernel.
    stats(device);
    let max = device.path("trace").metadata().expect("a trace").len() + room;
    let limit = Rlimit {
        current: Some(max),
        maximum: getrlimit(Resource::Fsize).maximum,
    };
    prlimit(Some(Pid::from_child(&device.child)), Resource::Fsize, limit).expect("a limit");
    max
}

#[test]
fn a_standard_error_that_takes_nothing_keeps_no_device_from_its_start() {
    // It says there that it has no sandbox.
    let device = device(
        |_| Stdio::from(OpenOptions::new().write(true).open("/dev/full").expect("/dev/full")),
        &["--no-sandbox"],
    );
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
            Stdio::from(OpenOptions::new().append(true).open(path).expect("stderr"))
        },
        &[],
    );
    let mut driver = Driver::with_queues(&device, 2);
    driver.queues[0].write(8, &[1; 4096]);
    assert_eq!(driver.queues[0].done().status, 0);
    let max = fill_disk(&device, 10);
    for round in 0..20 {
        for queue in &mut driver.queues {
            queue.write(8, &[round; 4096]);
            assert_eq!(queue.done().status, 0, "round {round}");
        }
    }
    let now = stats(&device);
    assert_eq!((now.submitted, now.outstanding), (41, 0));
    let written = device.path("trace").metadata().expect("a trace").len();
    assert_eq!(written, max, "the trace was full");
}

#[test]
fn lines_that_find_no_room_up_to_the_end_are_told_of() {
    let mut device = device(|_| Stdio::piped(), &[]);
    let mut control = device.control();
    fill_disk(&device, 10);
    for number in 0..1000 {
        let mark = Command::Mark {
            name: format!("m{number}"),
        };
        control.call(&mark).expect("a mark");
    }
    control.call(&Command::Quit).expect("an answer");
    assert!(device.child.wait().expect("its end").success());
    let mut said = String::new();
    let mut stderr = device.child.stderr.take().expect("its standard error");
    stderr.read_to_string(&mut said).expect("its words");
    assert!(said.contains("vhost-blk: 1000 lines of the trace are lost"), "{said}");
}
