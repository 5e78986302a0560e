//! Handing over to the harness, in a clone that is not the one that xtask was compiled in: a program that tells what
//! it was given stands in for the harness.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::xtask;

/// Prints what it was started with, and ends with the code that its last argument says.
const HARNESS: &str = r#"fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    for name in ["BIOSCOPE_ROOT", "BIOSCOPE_TARGET"] {
        println!("{name}={}", std::env::var(name).unwrap());
    }
    println!("here={}", std::env::current_dir().unwrap().display());
    println!("pid={}", std::process::id());
    println!("args={args:?}");
    let code = args.last().and_then(|code| code.parse().ok());
    std::process::exit(code.unwrap_or(0));
}
"#;

/// A clone with nothing but the harness's stand-in.
fn clone_at(root: &Path) {
    for (file, text) in [
        ("Cargo.toml", "[workspace]\nresolver = \"3\"\nmembers = [\"harness\"]\n"),
        ("kernels.toml", ""),
        ("xtask/Cargo.toml", ""),
        (
            "harness/Cargo.toml",
            "[package]\nname = \"harness\"\nedition = \"2024\"\n\n[[bin]]\nname = \"bioscope\"\npath = \"main.rs\"\n",
        ),
        ("harness/main.rs", HARNESS),
    ] {
        let file = root.join(file);
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        std::fs::write(file, text).expect("a file");
    }
}

/// `cargo xtask` in the clone, as cargo starts us, with the person in this directory.
fn command(root: &Path, here: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(xtask());
    command
        .args(args)
        .current_dir(here)
        .env("CARGO_MANIFEST_DIR", root.join("xtask"))
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("BIOSCOPE_ROOT");
    command
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(!text.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_copied_or_moved_clone_works_on_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let top = dir.path().canonicalize().expect("the directory");
    let (first, second) = (top.join("first"), top.join("second"));
    clone_at(&first);
    let output = command(&first, &top, &["store", "list", "7"])
        .output()
        .expect("xtask runs");
    let said = lines(&output);
    assert_eq!(output.status.code(), Some(7), "{said:?}");
    assert_eq!(said[0], format!("BIOSCOPE_ROOT={}", first.display()));
    assert_eq!(said[1], format!("BIOSCOPE_TARGET={}", first.join("target").display()));
    // The person is where they are.
    assert_eq!(said[2], format!("here={}", top.display()));
    assert_eq!(said[4], r#"args=["store", "list", "7"]"#);

    let copied = Command::new("cp").arg("-a").args([&first, &second]).status();
    assert!(copied.expect("cp runs").success());
    std::fs::remove_dir_all(&first).expect("the first goes");
    let said = lines(&command(&second, &second, &["--help"]).output().expect("xtask runs"));
    assert_eq!(said[0], format!("BIOSCOPE_ROOT={}", second.display()));
    assert_eq!(said[1], format!("BIOSCOPE_TARGET={}", second.join("target").display()));
    assert_eq!(said[4], r#"args=["--help"]"#);
    // Started by hand, of which cargo says nothing: the clone that it is called from, for our own is elsewhere.
    let by_hand = top.join("xtask");
    std::fs::copy(xtask(), &by_hand).expect("a copy");
    let mut command = Command::new(&by_hand);
    command
        .current_dir(second.join("harness"))
        .env_remove("CARGO_MANIFEST_DIR");
    let said = lines(&command.env_remove("CARGO_TARGET_DIR").output().expect("xtask runs"));
    assert_eq!(said[0], format!("BIOSCOPE_ROOT={}", second.display()));
    assert_eq!(said[4], "args=[]");
    let mut command = Command::new(&by_hand);
    let output = command.current_dir(&top).env_remove("CARGO_MANIFEST_DIR").output();
    let output = output.expect("xtask runs");
    assert_eq!(output.status.code(), Some(66));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        said,
        "error: this is not run from a clone of bioscope: run `cargo xtask` in one\n"
    );
}

#[test]
fn the_harness_takes_the_place_of_xtask_so_that_signals_reach_it() {
    let dir = tempfile::tempdir().expect("a directory");
    clone_at(dir.path());
    let mut command = command(dir.path(), dir.path(), &["doctor"]);
    let child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("xtask runs");
    let pid = child.id();
    let said = lines(&child.wait_with_output().expect("it ends"));
    assert_eq!(said[3], format!("pid={pid}"));
}

#[test]
fn bad_usage_of_our_own_commands_is_64() {
    let here = PathBuf::from(".");
    for args in [&["fuzz", "--seconds", "0"][..], &["tidy", "--what"], &["fuzz", "rign"]] {
        let mut command = Command::new(xtask());
        let output = command.args(args).current_dir(&here).output().expect("xtask runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{args:?}: {said}");
        assert!(said.starts_with("error: "), "{said}");
    }
}

#[test]
fn a_host_without_a_tool_is_69_and_says_what_brings_it() {
    let dir = tempfile::tempdir().expect("a directory");
    clone_at(dir.path());
    for (args, expected) in [
        (&["tidy"][..], "error: this machine lacks git: `apt-get install"),
        (&["test"], "error: this machine lacks cargo: rustup brings it"),
        (&["store", "list"], "error: this machine lacks cargo: rustup brings it"),
        (&["selftest"], "error: this machine lacks cargo: rustup brings it"),
    ] {
        let mut command = command(dir.path(), dir.path(), args);
        let output = command.env("PATH", "/nonexistent").output().expect("xtask runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(69), "{args:?}: {said}");
        assert!(said.starts_with(expected), "{args:?}: {said}");
    }
}
