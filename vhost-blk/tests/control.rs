//! The control socket of the real program: who can use it.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use common::{DeviceProcess, SOON};
use vhost_blk::control::{Client, Command, Reply};

#[test]
fn nobody_but_its_owner_can_use_it_and_a_missing_directory_is_made_so() {
    let device = DeviceProcess::start(&[]);
    let mode = |path: &std::path::Path| path.metadata().expect("a file").mode() & 0o777;
    assert_eq!(mode(&device.path("control")), 0o700);
    drop(device);

    let dir = tempfile::tempdir().expect("a directory");
    let image = dir.path().join("image");
    std::fs::write(&image, [0; 4096]).expect("an image");
    let socket = dir.path().join("made/for/control");
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_vhost-blk"))
        .arg("--die-with-parent")
        .args(["--image".as_ref(), image.as_os_str(), "--socket".as_ref()])
        .arg(dir.path().join("socket"))
        .arg("--control")
        .arg(&socket)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut ready = String::new();
    BufReader::new(child.stdout.take().expect("its output"))
        .read_line(&mut ready)
        .expect("a line");
    assert_eq!(ready, "ready\n");
    assert_eq!(mode(&dir.path().join("made")), 0o700);
    assert_eq!(mode(&dir.path().join("made/for")), 0o700);
    let mut client = Client::connect(&socket, SOON).expect("a client");
    assert_eq!(client.call(&Command::Quit).expect("an answer"), Reply::Done);
    assert!(child.wait().expect("its end").success());
    assert!(!socket.exists(), "it takes its socket away");
}
