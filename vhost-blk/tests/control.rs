//! The control socket of the real program: who can use it, and how many.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use common::{DeviceProcess, SOON};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use vhost_blk_api::control::{CLIENTS_MAX, Client, Command, Reply};

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
    let mut child = std::process::Command::new(common::clone::vhost_blk())
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

/// Connects and asks for the trace; the connection that it comes over.
fn subscriber(device: &DeviceProcess) -> UnixStream {
    let mut stream = UnixStream::connect(device.path("control")).expect("connect");
    stream.write_all(b"{\"cmd\":\"subscribe\"}\n").expect("a line");
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).expect("an answer");
    assert!(answer.contains("done"), "{answer}");
    stream
}

fn threads(device: &DeviceProcess) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", device.child.id()));
    tasks.expect("a process").count()
}

#[test]
fn subscribers_that_leave_while_nothing_happens_leave_nothing() {
    let device = DeviceProcess::start(&[]);
    let before = threads(&device);
    for _ in 0..3 {
        let subscribers: Vec<UnixStream> = (0..CLIENTS_MAX / 2).map(|_| subscriber(&device)).collect();
        assert!(threads(&device) > before);
        drop(subscribers);
        let deadline = Instant::now() + SOON;
        while threads(&device) > before {
            assert!(Instant::now() < deadline, "{} threads, not {before}", threads(&device));
            std::thread::yield_now();
        }
    }
    // One that has nothing more to say listens still.
    let stream = subscriber(&device);
    stream.shutdown(std::net::Shutdown::Write).expect("it is connected");
    let mark = Command::Mark {
        name: "heard".to_owned(),
    };
    device.control().call(&mark).expect("a mark");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).expect("a line");
    assert!(line.contains("heard"), "{line}");
}

#[test]
fn one_client_too_many_is_told_so() {
    let device = DeviceProcess::start(&[]);
    let mut clients: Vec<Client> = (0..CLIENTS_MAX).map(|_| device.control()).collect();
    for client in &mut clients {
        client.call(&Command::List).expect("an answer");
    }
    let error = device.control().call(&Command::List).expect_err("a refusal");
    assert!(
        error.to_string().starts_with("64 clients are connected already"),
        "{error}"
    );
    clients.pop();
    // The device notices soon.
    let deadline = Instant::now() + SOON;
    while let Err(error) = device.control().call(&Command::List) {
        assert!(Instant::now() < deadline, "{error}");
        std::thread::yield_now();
    }
    clients[0].call(&Command::List).expect("the others are served");
}

#[test]
fn without_descriptors_clients_and_front_ends_wait_and_it_is_said_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let image = File::create(dir.path().join("image")).expect("an image");
    image.set_len(8 << 20).expect("an image");
    let stderr = dir.path().join("stderr");
    let mut command = common::command(dir.path());
    let child = common::spawn_ready(command.stderr(File::create(&stderr).expect("a file")));
    let device = DeviceProcess { dir, child };
    let pid = Pid::from_child(&device.child);
    let limit = |current| {
        let limit = Rlimit {
            current: Some(current),
            maximum: getrlimit(Resource::Nofile).maximum,
        };
        prlimit(Some(pid), Resource::Nofile, limit).expect("a limit");
    };
    let said = |what: &str| {
        let said = std::fs::read_to_string(&stderr).expect("its words");
        said.lines().filter(|line| line.contains(what)).count()
    };
    const WORDS: [&str; 2] = ["cannot take a control client", "cannot accept a front end"];
    limit(3);
    let mut client = Client::connect(&device.path("control"), SOON).expect("connect");
    let front = UnixStream::connect(device.path("socket")).expect("connect");
    let deadline = Instant::now() + SOON;
    while WORDS.iter().any(|words| said(words) == 0) {
        assert!(Instant::now() < deadline, "it never said so");
        std::thread::yield_now();
    }
    // Time for a flood.
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(WORDS.map(said), [1, 1]);
    limit(1024);
    client.call(&Command::List).expect("it is served at last");
    drop(front);
    common::Driver::connect(&device);
}

#[test]
fn it_may_have_as_many_descriptors_as_the_system_allows() {
    let dir = tempfile::tempdir().expect("a directory");
    let image = File::create(dir.path().join("image")).expect("an image");
    image.set_len(8 << 20).expect("an image");
    let device = common::command(dir.path());
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", "ulimit -S -n 100 && exec \"$@\"", "sh"]);
    let child = common::spawn_ready(limited.arg(device.get_program()).args(device.get_args()));
    let device = DeviceProcess { dir, child };
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", device.child.id())).expect("its limits");
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let numbers: Vec<&str> = line.expect("a limit").split_whitespace().skip(3).take(2).collect();
    assert_eq!(numbers[0], numbers[1], "{limits}");
}
