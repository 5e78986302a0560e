//! The real program in its sandbox: every thread of it, what it says, where it may write.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Stdio};

use vhost_blk_api::control::{Client, Command, Reply};

use crate::common::helpers::stats;
use crate::common::{DeviceProcess, Driver, SOON, command};

pub const TRIALS: &[(&str, fn())] = &[
    ("every thread of a device is in the sandbox", every_thread),
    ("no sandbox, on request", no_sandbox),
    ("exports go where they may and nowhere else", exports),
    ("a directory for exports that there is not", bad_export_dir),
];

/// What the kernel says of a thread; nothing of one that has ended meanwhile.
fn status_of(task: &Path, field: &str) -> Option<String> {
    let status = std::fs::read_to_string(task.join("status")).ok()?;
    let value = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Some(value.expect(field).trim().to_owned())
}

/// The values of this field that the threads of a process have, without repetition, and how many threads there are.
fn of_threads(child: &Child, field: &str) -> (Vec<String>, usize) {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("its threads");
    let mut values: Vec<String> = tasks
        .flatten()
        .filter_map(|task| status_of(&task.path(), field))
        .collect();
    let count = values.len();
    values.sort();
    values.dedup();
    (values, count)
}

fn every_thread() {
    for storage in ["memory", "file"] {
        let device = DeviceProcess::start(&["--storage", storage, "--num-queues", "4"]);
        let mut driver = Driver::with_queues(&device, 2);
        let slot = driver.write(0, &[1; 4096]);
        assert_eq!(driver.done().slot, slot);
        let sandbox = stats(&device).sandbox;
        assert!(sandbox.contains("landlock") || sandbox.contains("seccomp"), "{sandbox}");
        let (seccomp, threads) = of_threads(&device.child, "Seccomp");
        // Main, quit, timer, control, relay, the crate's, a queue each.
        assert!(threads >= 10, "{threads} threads");
        if sandbox.contains("seccomp") {
            assert_eq!(seccomp, ["2"], "{storage}");
        }
        assert_eq!(of_threads(&device.child, "NoNewPrivs").0, ["1"], "{storage}");
    }
}

/// Starts the program by itself, for what it says on stderr; its directory and its client, too.
fn start(args: &[&str]) -> (tempfile::TempDir, Child, Client) {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("image"), [0; 8192]).expect("an image");
    let mut child = command(dir.path())
        .args(args)
        .current_dir("/")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a process");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("its output"))
        .read_line(&mut line)
        .expect("a line");
    assert_eq!(line, "ready\n");
    let client = Client::connect(&dir.path().join("control"), SOON).expect("a client");
    (dir, child, client)
}

/// Ends it in order; what it said on stderr.
fn end(mut child: Child, client: &mut Client) -> String {
    assert_eq!(client.call(&Command::Quit).expect("an answer"), Reply::Done);
    assert!(child.wait().expect("its end").success());
    let mut said = String::new();
    child
        .stderr
        .take()
        .expect("stderr")
        .read_to_string(&mut said)
        .expect("text");
    said
}

fn sandbox_of(client: &mut Client) -> String {
    match client.call(&Command::Stats).expect("an answer") {
        Reply::Stats(stats) => stats.sandbox,
        other => panic!("{other:?}"),
    }
}

fn no_sandbox() {
    let (_dir, child, mut client) = start(&["--no-sandbox"]);
    assert_eq!(sandbox_of(&mut client), "none");
    // As the process that started it.
    let own = status_of(Path::new("/proc/self"), "Seccomp").expect("a process");
    assert_eq!(of_threads(&child, "Seccomp").0, [own]);
    let elsewhere = tempfile::tempdir().expect("a directory");
    let path = elsewhere.path().join("out");
    client.call(&Command::export(path)).expect("an export");
    assert_eq!(
        end(child, &mut client),
        "vhost-blk: runs without a sandbox (--no-sandbox)\n"
    );
}

fn exports() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    let there = elsewhere.path().canonicalize().expect("a directory");
    for named in [false, true] {
        let option = ["--export-dir", there.to_str().expect("UTF-8")];
        let mut args = vec!["--history", "1M"];
        args.extend(option.into_iter().filter(|_| named));
        let (dir, child, mut client) = start(&args);
        let sandbox = sandbox_of(&mut client);
        let here = dir.path().canonicalize().expect("a directory");
        let (allowed, forbidden) = if named { (&there, &here) } else { (&here, &there) };
        let commands = |dir: &Path| {
            let path = dir.join("out");
            [Command::export(path.clone()), Command::ExportLog { path }]
        };
        for command in commands(allowed) {
            client.call(&command).expect("an export");
        }
        for command in commands(forbidden) {
            let answer = client.call(&command);
            if !sandbox.contains("landlock") {
                answer.expect("nothing keeps it from that");
                continue;
            }
            let refused = answer.expect_err("a refusal").to_string();
            let reason = format!(
                "Permission denied (os error 13): the sandbox lets this device write only below {}: \
                 name a file there, or start the device with `--export-dir {}`",
                allowed.display(),
                forbidden.display()
            );
            assert!(refused.ends_with(&reason), "{refused}\n{reason}");
        }
        assert!(allowed.join("out").exists());
        assert_eq!(forbidden.join("out").exists(), !sandbox.contains("landlock"));
        let said = end(child, &mut client);
        assert_eq!(
            sandbox.contains("landlock"),
            !said.contains("this kernel has no landlock"),
            "{said}"
        );
        // Its sockets are gone all the same.
        assert!(!dir.path().join("socket").exists() && !dir.path().join("control").exists());
    }
}

fn bad_export_dir() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("image"), [0; 8192]).expect("an image");
    for (name, why) in [
        ("missing", "expected a directory that exists"),
        ("image", "not a directory"),
    ] {
        let output = command(dir.path())
            .arg("--export-dir")
            .arg(dir.path().join(name))
            .output()
            .expect("a process");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains("--export-dir") && said.contains(why), "{said}");
        assert!(!dir.path().join("socket").exists());
    }
}
