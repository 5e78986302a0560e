//! What does not end: user space is no hang, and what a rule keeps is said to be that.

use evidence::EvidenceBundle;
use verdict::Cause;
use verdict::results::Cell;

use crate::bed::{KERNEL, Rig, chaos, text};

/// Less than the time after which a job is given up, in milliseconds.
const LIMIT_MS: u64 = 120_000;

/// Runs `chaos WHAT` with these flags; the exit code and the one cell.
fn run(rig: &Rig, what: &str, flags: &[&str]) -> (i32, Cell) {
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
    let rig = Rig::new();
    for what in ["sleep 200", "stop", "writes"] {
        let (code, cell) = run(&rig, what, &["--exec-time", "3s"]);
        assert_eq!((code, cell.verdict().word()), (0, "pass"), "{what}: {}", cell.detail());
    }
    let (code, cell) = run(&rig, "sleep 200", &["--exec-time", "3s,error"]);
    assert_eq!(
        (code, cell.verdict().word(), cell.verdict().cause()),
        (1, "fail", Some(Cause::Error)),
        "{}",
        cell.detail()
    );
    assert_eq!(cell.detail(), "the program did not end within 3 s");
    // One that ends by itself is none of these.
    let (code, cell) = run(&rig, "exit 0", &["--exec-time", "3s,error"]);
    assert_eq!((code, cell.verdict().word()), (0, "pass"), "{}", cell.detail());
}

/// Longer than it takes to call a spin in the kernel one.
#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn user_time_is_no_hang() {
    let rig = Rig::new();
    for what in ["spin", "calls"] {
        let (code, cell) = run(&rig, what, &["--exec-time", "70s"]);
        assert_eq!((code, cell.verdict().word()), (0, "pass"), "{what}: {}", cell.detail());
    }
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn what_a_rule_keeps_from_being_answered_is_inconclusive() {
    let rig = Rig::new();
    for (what, rule) in [
        ("aio", "hang read sectors=0..8"),
        ("ring", "hang read sectors=0..8"),
        ("writes", "cut write nth=5"),
        ("writes", "hang write nth=5"),
    ] {
        let (_, cell) = run(&rig, what, &["--rule", rule]);
        assert_eq!(cell.verdict().word(), "inconclusive", "{what}: {}", cell.detail());
        let detail = cell.detail();
        assert!(detail.contains("the rule r1") && detail.contains(rule), "{detail}");
        assert!(job_ms(&cell) < LIMIT_MS, "{what}: it waited for the time limit");
    }
}

/// How long the job took by the host's clock. The boot before it may take any time.
fn job_ms(cell: &Cell) -> u64 {
    let bundle = EvidenceBundle::load(&cell.dir).expect("the evidence");
    bundle.events.last().expect("an event").host_ms
}
