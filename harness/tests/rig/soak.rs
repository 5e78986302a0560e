//! A soak with real VMs: what rules do is explained, and what they did not do is found.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::bed::{KERNEL, RUN_WITHIN, find, text};

/// A soak in a directory of its own.
fn soak(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(crate::clone::bioscope());
    command
        .args(["soak", "--kernel", KERNEL, "--offline", "--accel", "tcg"])
        .args(args)
        .env("BIOSCOPE_RUNS", dir)
        .env("TMPDIR", dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn summary(dir: &Path) -> Value {
    let text = std::fs::read(dir.join("latest/soak.json")).expect("soak.json");
    serde_json::from_slice(&text).expect("json")
}

/// Soaks for so many rounds, of which all is explained and noticed; what it came to.
fn explained(rounds: u64, args: &[&str]) -> Value {
    let dir = tempfile::tempdir().expect("a directory");
    let output: Output = soak(dir.path(), args).output().expect("bioscope runs");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let summary = summary(dir.path());
    let number = |key: &str| summary[key].as_u64().expect("a number");
    assert_eq!(
        (number("rounds"), number("findings"), number("broke_off")),
        (rounds, 0, 0),
        "{summary:#}"
    );
    assert!(number("requests") > 1000, "{summary:#}");
    assert_eq!(number("noticed"), number("silent"), "{summary:#}");
    summary
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn rounds_of_random_rules_are_explained() {
    let summary = explained(3, &["--seed", "20261125", "--first-round", "23", "--rounds", "3"]);
    // What these rounds do: hundreds of requests meet a rule, and dozens of blocks differ by one.
    assert!(summary["explained"].as_u64() > Some(0), "{summary:#}");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn rounds_on_a_disk_in_a_file_are_explained() {
    let summary = explained(2, &["--seed", "20261126", "--rounds", "2", "--storage", "file"]);
    assert_eq!(summary["storage"], "file");
}

/// The device's control socket, once the soak has one.
fn control(dir: &Path) -> PathBuf {
    let deadline = Instant::now() + RUN_WITHIN;
    while Instant::now() < deadline {
        if let Some(socket) = find(dir, "control.sock").pop() {
            return socket;
        }
        // A process of somebody else's cannot be awaited, only looked for.
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the soak has no device");
}

/// Tells the device something, and gives back what it answers from then on.
fn tell(socket: &Path, command: &str) -> BufReader<UnixStream> {
    let deadline = Instant::now() + RUN_WITHIN;
    let mut stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    stream.set_read_timeout(Some(RUN_WITHIN)).expect("a time limit");
    writeln!(stream, "{command}").expect("the device listens");
    BufReader::new(stream)
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn what_no_rule_did_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let rule = "delay write for=1ms p=0.01 limit=5";
    let running = soak(dir.path(), &["--seed", "3", "--rounds", "1", "--rule", rule])
        .spawn()
        .expect("bioscope runs");
    // Behind the soak's back the disk becomes what it was before fio wrote, when nothing is in flight: fio has read all
    // and is to read once more.
    let socket = control(dir.path());
    let mut trace = tell(&socket, r#"{"cmd":"subscribe"}"#);
    let mut line = String::new();
    while !line.contains(r#""name":"checking""#) {
        line.clear();
        assert_ne!(trace.read_line(&mut line).expect("the trace"), 0, "the device ended");
    }
    let mut answer = String::new();
    tell(&socket, r#"{"cmd":"rollback"}"#)
        .read_line(&mut answer)
        .expect("an answer");
    assert!(answer.contains(r#""ok":true"#), "{answer}");
    drop(trace);
    let output = running.wait_with_output().expect("bioscope ends");
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("and no rule explains it"), "{said}");
    let again =
        format!("reproduce cargo xtask soak --kernel {KERNEL} --seed 3 --first-round 1 --rounds 1 --rule '{rule}'");
    assert!(said.contains(&again), "{said}");
    let summary = summary(dir.path());
    assert!(summary["findings"].as_u64() > Some(100), "{summary:#}");
    // The evidence stays.
    assert_eq!(find(dir.path(), "trace.jsonl").len(), 1);
    assert_eq!(find(dir.path(), "round-1.json").len(), 1);
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_soak_that_is_interrupted_tells_what_it_came_to() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut running = soak(dir.path(), &["--seed", "3", "--minutes", "600"])
        .spawn()
        .expect("bioscope runs");
    let mut said = BufReader::new(running.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("round 2: ") {
        line.clear();
        assert_ne!(said.read_line(&mut line).expect("what it says"), 0, "it ended");
    }
    let pid = Pid::from_child(&running);
    rustix::process::kill_process(pid, Signal::INT).expect("a signal");
    // What it says from here on must not keep it from ending.
    let rest = std::thread::spawn(move || std::io::read_to_string(said));
    let output = running.wait_with_output().expect("bioscope ends");
    assert_eq!(output.status.code(), Some(130), "{}", text(&output));
    let table = text(&output);
    assert!(
        table.contains("2 rounds in") && table.contains("--seed 3 --first-round 3 goes on with it"),
        "{table}"
    );
    let summary = summary(dir.path());
    assert_eq!(
        (&summary["rounds"], &summary["broke_off"]),
        (&Value::from(2), &Value::from(0)),
        "{summary:#}"
    );
    drop(rest.join());
}
