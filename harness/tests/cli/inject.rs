//! `inject` with a device at its other end.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use vhost_blk::config::Config;
use vhost_blk::control;
use vhost_blk::device::Device;
use vhost_blk::disk::Disk;
use vhost_blk::trace::Writer;
use vhost_blk_api::plan::Plan;
use vhost_blk_api::trace::Record;

use super::place::Place;

/// A device without a front end, that answers at DIR/control.
fn device(place: &Place) -> Arc<Device> {
    let image = place.dir().join("image");
    std::fs::write(&image, [0; 65536]).unwrap();
    let started = Instant::now();
    let trace = Writer::create(None, started).unwrap();
    let disk = Disk::open(&image, 512).unwrap();
    let device = Arc::new(Device::new(Config::default(), disk, trace, started, &Plan::default()));
    let listener = UnixListener::bind(place.dir().join("control")).unwrap();
    let served = Arc::clone(&device);
    std::thread::spawn(move || control::serve(&listener, &served, || ()));
    device
}

fn subscribe(place: &Place, more: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let args = ["inject", "subscribe", "--control", "control"];
    let mut child = place
        .command(&[&args[..], more].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    (child, said)
}

fn line(said: &mut impl BufRead) -> String {
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[test]
fn a_disk_gets_another_size() {
    let place = Place::new();
    let device = device(&place);
    insta::assert_snapshot!(place.run(&["inject", "resize", "1M", "--control", "control"]), @"
    the disk has 1M now, it had 64k; no front end is connected
    exit code 0
    ");
    assert_eq!(device.disk().bytes(), 1 << 20);
    insta::assert_snapshot!(place.run(&["inject", "resize", "64k", "--json", "--control", "control"]), @r#"
    {"reply":"resized","from":1048576,"bytes":65536,"front_end":"none"}
    exit code 0
    "#);
    insta::assert_snapshot!(place.run(&["inject", "resize", "1000", "--control", "control"]), @"
    error: cannot resize: a disk of 1000 bytes: expected a multiple of its block size 512, and not 0
    exit code 64
    ");
    insta::assert_snapshot!(place.run(&["inject", "resize", "big"]), @"
    error: bad size `big`: `resize` takes the disk's new size in bytes, like 67108864, 65536k, 64M or 1G
    exit code 64
    ");
}

#[test]
fn a_trace_is_printed_as_it_comes_until_nobody_wants_it() {
    let place = Place::new();
    let device = device(&place);
    let (mut child, mut said) = subscribe(&place, &[]);
    // It listens when this is said.
    assert!(line(&mut said).contains("latency  rules"));
    device.mark("one");
    device.resize(1 << 20).unwrap();
    let lines = [line(&mut said), line(&mut said)].map(|line| line.split_once("-- ").unwrap().1.to_owned());
    assert_eq!(lines, ["mark one", "the disk has 1M now, it had 64k"]);
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(Signal::INT.as_raw()));

    let (mut child, said) = subscribe(&place, &[]);
    // Whoever reads goes before the line comes.
    let mut said = said;
    line(&mut said);
    drop(said);
    device.mark("two");
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn a_trace_is_given_as_it_is_written_for_programs() {
    let place = Place::new();
    let device = device(&place);
    let (mut child, mut said) = subscribe(&place, &["--json"]);
    // Nothing says when it listens: marks are made until one comes.
    let marking = Arc::clone(&device);
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let marks = std::thread::spawn(move || {
        while stopped.recv_timeout(std::time::Duration::from_millis(5)).is_err() {
            marking.mark("here");
        }
    });
    let record: Record = serde_json::from_str(&line(&mut said)).unwrap();
    assert!(matches!(record, Record::Mark { name, .. } if name == "here"));
    stop.send(()).unwrap();
    marks.join().unwrap();
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    child.wait().unwrap();
}
