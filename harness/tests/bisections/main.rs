//! Short bisections over source, with kernels that are built and VMs: a history of commits, and a series of patches.
//!
//! `cargo nextest run --release --package harness --run-ignored only --profile rig -E 'binary(bisections)'` runs them.
//! Their build directories stay in the user's cache, so that a second time costs little; each bisection has a seed that
//! nobody had before, so that all its runs are its own.

#![allow(clippy::expect_used, reason = "a panic in a test's helper is the test's failure")]

#[path = "../common/clone.rs"]
mod clone;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::SystemTime;

use serde_json::Value;

fn bisect(dir: &Path, args: &[&str]) -> Output {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("a clock");
    let mut command = Command::new(clone::bioscope());
    command
        .current_dir(clone::root())
        .env("BIOSCOPE_RUNS", dir)
        .arg("bisect")
        .args(args);
    command
        .args(["--seed", &since.as_micros().to_string(), "--dir"])
        .arg(dir.join("b"));
    let output = command.output().expect("bioscope runs");
    // nextest shows it if the test fails.
    println!("{}", String::from_utf8_lossy(&output.stdout));
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn result(dir: &Path) -> Value {
    let text = std::fs::read(dir.join("b/report/result.json")).expect("result.json");
    serde_json::from_slice(&text).expect("json")
}

/// Items of the journal's entries of one sort, each once.
fn items(dir: &Path, sort: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(dir.join("b/journal.jsonl")).expect("a journal");
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let of_sort = lines.filter(|entry| entry["entry"] == sort);
    of_sort
        .filter_map(|entry| Some(entry["item"].as_str()?.to_owned()))
        .collect()
}

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(dir)
        .args(args)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {args:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A history of 40 commits of two source packages, the fix's among them and some more that reach the build. The same
/// one each time, where it was before.
fn history() -> PathBuf {
    let here = std::env::current_exe().expect("this program");
    let target = here.ancestors().nth(3).expect("target/debug/deps");
    let dir = target.join("tmp/history.git");
    // Its objects are those of the cache that it was made with.
    let is_whole = || {
        let mut check = Command::new("git");
        check
            .arg("-C")
            .arg(&dir)
            .args(["rev-list", "--objects", "--no-object-names", "old..new"]);
        check.output().is_ok_and(|output| output.status.success())
    };
    if is_whole() {
        return dir;
    }
    let _ = std::fs::remove_dir_all(&dir);
    let maker = here.ancestors().nth(2).expect("target").join("examples/history");
    let keep = [
        "fs/btrfs",
        "fs/sysfs",
        "fs/iomap",
        "kernel/futex",
        "kernel/events",
        "block",
        "init",
    ];
    let made = Command::new(&maker)
        .arg(&dir)
        .args(["--seed", "3", "--commits", "40", "--broken", "1"])
        .args(keep.iter().flat_map(|folder| ["--keep", folder]))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; cargo nextest makes the examples, too", maker.display()));
    assert!(made.status.success(), "{made:?}");
    dir
}

#[test]
#[ignore = "builds kernels and boots VMs; run by cargo xtask selftest"]
fn a_commit_of_a_history_is_found_with_few_builds() {
    let history = history();
    let dir = tempfile::tempdir().expect("a directory");
    let before = (
        git(&history, &["for-each-ref"]),
        git(&history, &["symbolic-ref", "HEAD"]),
    );
    let tree = history.to_string_lossy().into_owned();
    let args = [
        "--case",
        "partial-write",
        "--tree",
        &tree,
        "--bad",
        "old",
        "--good",
        "new",
    ];
    let config = ["--config", "tinyconfig", "--config", "base", "--config", "btrfs"];
    let output = bisect(dir.path(), &[&args[..], &config[..]].concat());
    assert_eq!(output.status.code(), Some(0));
    let result = result(dir.path());
    let found = result["first_changed"][0][0].as_str().expect("a commit").to_owned();
    let subject = git(&history, &["log", "-1", "--format=%s", &found]);
    assert!(subject.starts_with("fs/btrfs:"), "{subject}");
    assert!(result["probability"].as_f64().expect("a number") > 0.99, "{result:#}");

    // Both ends, and the logarithm of those that reach the build; of the others none is built.
    let commits: usize = git(&history, &["rev-list", "--count", "old..new"])
        .parse()
        .expect("a number");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let left_out = stderr
        .lines()
        .find_map(|line| line.split_once(" items change nothing that reaches the build"));
    let left_out: usize = left_out
        .and_then(|(counts, _)| counts.split(' ').next()?.parse().ok())
        .expect("how many are left out is said");
    let reaching = commits - left_out;
    assert!(left_out > commits / 2 && reaching > 4, "{left_out} of {commits}");
    let built = items(dir.path(), "building");
    assert!(
        built.len() as f64 <= 2.0 + (reaching as f64).log2().ceil(),
        "{reaching} reach it: {built:?}"
    );

    // git itself comes to the same commit by what the log says.
    let clone = dir.path().join("clone");
    git(
        dir.path(),
        &[
            "clone",
            "--quiet",
            "--shared",
            "--bare",
            &tree,
            &clone.to_string_lossy(),
        ],
    );
    let log = dir.path().join("b/report/bisect.log");
    let said = git(&clone, &["bisect", "replay", &log.to_string_lossy()]);
    assert!(said.contains(&format!("{found} is the first")), "{said}");

    let after = (
        git(&history, &["for-each-ref"]),
        git(&history, &["symbolic-ref", "HEAD"]),
    );
    assert!(before == after, "the repository was changed");
}

#[test]
#[ignore = "builds kernels and boots VMs; run by cargo xtask selftest"]
fn the_patch_of_a_series_that_breaks_it_is_found() {
    let dir = tempfile::tempdir().expect("a directory");
    let args = [
        "--case",
        "zero-progress",
        "--series",
        "kernels/patches/series-with-a-bug",
        "--base",
        "truth-f",
    ];
    let output = bisect(dir.path(), &args);
    assert_eq!(output.status.code(), Some(0));
    let result = result(dir.path());
    let found = result["first_changed"][0][0].as_str().expect("a patch");
    assert!(found.starts_with("0003-"), "{result:#}");
    let reverted = result["reverted"].as_str().unwrap_or_default();
    assert!(reverted.contains("0 of"), "{result:#}");
    // Every state was built, and the base.
    assert_eq!(items(dir.path(), "built").len(), 5);

    // Each side's patch makes of the base what was run; the script, moved elsewhere, shows the first failing and the
    // second passing.
    let moved = dir.path().join("elsewhere");
    std::fs::rename(dir.path().join("b/report"), &moved).expect("moved");
    let script = std::fs::read_to_string(moved.join("reproduce.sh")).expect("a script");
    let again: Vec<&str> = script.lines().filter(|line| line.starts_with("cargo ")).collect();
    for (command, side, code) in [(again[0], "bad", 1), (again[1], "good", 0)] {
        let words = command.strip_prefix("cargo xtask ").expect("a command of ours");
        assert!(
            words.ends_with(&format!("--patch \"$here\"/{side}/applied.patch")),
            "{command}"
        );
        let mut sh = Command::new("sh");
        sh.current_dir(clone::root())
            .env("BIOSCOPE_RUNS", dir.path().join("again"))
            .env("here", &moved)
            .args(["-c", &format!("{} {words}", clone::bioscope().display())]);
        let shown = sh.output().expect("sh runs");
        assert_eq!(shown.status.code(), Some(code), "{shown:?}");
    }
}
