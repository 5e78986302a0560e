//! Evidence that is not whole, made so by what runs: a console that the kernel no longer writes, a counter that rises
//! without a report, files that are gone.

use std::path::Path;

use verdict::Cause;
use verdict::results::Cell;

use crate::bed::{KERNEL, Rig, chaos, text};

fn run(rig: &Rig, what: &str) -> (i32, Cell) {
    let output = rig.test(&["--kernel", KERNEL, "--fs", "ext4", "--exec", &chaos(what)]);
    let cells = rig.cells();
    assert_eq!(cells.len(), 1, "{}", text(&output));
    (output.status.code().expect("an exit code"), cells[0].clone())
}

/// `judge --json` over a directory: exit code, verdict, whether it differs.
fn judge(rig: &Rig, dir: &Path) -> (i32, serde_json::Value) {
    let dir = dir.to_string_lossy();
    let output = rig
        .bioscope(&["judge", "--json", &dir])
        .output()
        .expect("bioscope runs");
    let json: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
    (output.status.code().expect("an exit code"), json["cells"][0].clone())
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_console_that_was_silenced_is_broken() {
    let (code, cell) = run(&Rig::new(), "silence");
    assert_eq!((code, cell.verdict().word()), (2, "broken"), "{}", cell.detail());
    let detail = cell.detail();
    assert!(
        detail.starts_with("evidence: the console lacks a message that the guest has in its kernel's log"),
        "{detail}"
    );
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_counter_that_rises_without_a_report_fails() {
    let (code, cell) = run(&Rig::new(), "taint");
    assert_eq!(
        (code, cell.verdict().word(), cell.verdict().cause()),
        (1, "fail", Some(Cause::Warning)),
        "{}",
        cell.detail()
    );
    assert_eq!(
        cell.detail(),
        "the kernel counted a warning, and its log shows none that would be a failure"
    );
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn what_is_judged_again_gets_the_same_verdict_until_a_file_is_gone() {
    let rig = Rig::new();
    let (code, cell) = run(&rig, "exit 0");
    assert_eq!((code, cell.verdict().word()), (0, "pass"), "{}", cell.detail());
    let latest = rig.dir.path().join("latest");
    let (code, judged) = judge(&rig, &latest);
    assert_eq!(
        (code, &judged["verdict"], &judged["differs"]),
        (0, &"pass".into(), &false.into())
    );
    std::fs::remove_file(cell.dir.join("trace.jsonl")).expect("the trace");
    let (code, judged) = judge(&rig, &latest);
    assert_eq!(
        (code, &judged["verdict"], &judged["stored"]["verdict"]),
        (2, &"broken".into(), &"pass".into())
    );
    // Nothing of the cell is left but that the run had it.
    std::fs::remove_dir_all(&cell.dir).expect("the cell's directory");
    let (code, judged) = judge(&rig, &latest);
    assert_eq!(
        (code, &judged["verdict"], &judged["case"]),
        (2, &"broken".into(), &"exec".into())
    );
}
