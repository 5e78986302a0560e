//! What does not end: user space is no hang, and what a rule keeps is said to be that.

use std::time::{Duration, Instant};

use verdict::Cause;
use verdict::results::Cell;

use crate::bed::{KERNEL, Rig, chaos, text};

/// Runs `chaos WHAT` with these flags; the exit code and the one cell.
fn run(what: &str, flags: &[&str]) -> (i32, Cell) {
    let rig = Rig::new();
    let program = chaos(what);
    let args = ["--kernel", KERNEL, "--fs", "btrfs", "--exec", &program];
    let output = rig.test(&[&args[..], flags].concat());
    let cells = rig.cells();
    assert_eq!(cells.len(), 1, "{}", text(&output));
    rig.assert_nothing_left();
    (output.status.code().expect("an exit code"), cells[0].clone())
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_program_that_runs_on_is_what_was_asked_for() {
    for what in ["sleep 200", "stop", "writes"] {
        let (code, cell) = run(what, &["--exec-time", "3s"]);
        assert_eq!((code, cell.verdict().word()), (0, "pass"), "{what}: {}", cell.detail());
    }
    let (code, cell) = run("sleep 200", &["--exec-time", "3s,error"]);
    assert_eq!(
        (code, cell.verdict().word(), cell.verdict().cause()),
        (1, "fail", Some(Cause::Error)),
        "{}",
        cell.detail()
    );
    assert_eq!(cell.detail(), "the program did not end within 3 s");
    // One that ends by itself is none of these.
    let (code, cell) = run("exit 0", &["--exec-time", "3s,error"]);
    assert_eq!((code, cell.verdict().word()), (0, "pass"), "{}", cell.detail());
}

/// Longer than it takes to call a spin in the kernel one.
#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn user_time_is_no_hang() {
    for what in ["spin", "calls"] {
        let (code, cell) = run(what, &["--exec-time", "70s"]);
        assert_eq!((code, cell.verdict().word()), (0, "pass"), "{what}: {}", cell.detail());
    }
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn what_a_rule_keeps_from_being_answered_is_inconclusive() {
    for (what, rule) in [
        ("aio", "hang read sectors=0..8"),
        ("ring", "hang read sectors=0..8"),
        ("writes", "cut write nth=5"),
        ("writes", "hang write nth=5"),
    ] {
        let started = Instant::now();
        let (_, cell) = run(what, &["--rule", rule]);
        assert_eq!(cell.verdict().word(), "inconclusive", "{what}: {}", cell.detail());
        let detail = cell.detail();
        assert!(detail.contains("the rule r1") && detail.contains(rule), "{detail}");
        assert!(
            started.elapsed() < Duration::from_secs(120),
            "it waited for the time limit"
        );
    }
}
