//! Errors of a disk that no rule made: whose they are depends on who made them.

use std::fs::OpenOptions;

use verdict::Cause;

use super::speaker::{Speaking, with_speaker};
use super::{assert_broken, assert_fails, on_stock};
use crate::bed::{KERNEL, Rig, chaos, find, text};

/// A case whose setup writes a file, and whose run maps it and touches its first page.
const MAPS_A_FILE: &[&str] = &["--case", "partial-write"];

/// The device answers each of these requests with success, and the kernel makes an error of it.
#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn an_error_on_a_healthy_disk_is_the_kernels() {
    let speaking = Speaking::new();
    let ended = speaking.boot("fail vda reads");
    assert_fails(
        &ended,
        Cause::Error,
        "mount: EIO",
        "on a disk on which nothing had failed",
    );
    let ended = speaking.boot_for("fail vda tagged-writes", MAPS_A_FILE);
    assert_fails(&ended, Cause::Error, "setup: EIO", "Input/output error (os error 5)");
    let ended = speaking.boot_for("fail vda tagged-reads", MAPS_A_FILE);
    assert_fails(&ended, Cause::Error, "run: SIGBUS", "a page of a mapped file");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_driver_that_breaks_the_protocol_fails() {
    let speaking = Speaking::new();
    let ended = speaking.chaos("speak send-unknown vda then aio", &[]);
    assert_fails(
        &ended,
        Cause::Error,
        "device: malformed request",
        "unknown request type 9999",
    );
    // What waits for an answer of such a queue hangs, and the queue is what is to blame.
    let ended = speaking.chaos("speak kill-queue then exit 0", &[]);
    assert_fails(&ended, Cause::Error, "device: dead queue", "a dead queue in queue 0");
}

/// The device said where the disk ends.
#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_request_beyond_the_end_of_the_disk_fails() {
    let ended = with_speaker("speak send-beyond vda then aio", &[]);
    assert_fails(
        &ended,
        Cause::Error,
        "device: beyond the end",
        "which reaches beyond the end of the disk",
    );
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_program_that_loops_in_user_space_runs_into_the_limit() {
    let ended = on_stock(&Rig::new(), "btrfs", "spin", &[]);
    assert_broken(&ended, "harness:", "no end and no evidence of a hang");
}

/// The host counts what is on the console; here it is given a hole, which costs nobody time.
#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_guest_that_prints_without_end_is_ended() {
    let rig = Rig::new();
    let program = chaos("sleep 300");
    let child = rig.start(&[
        "--kernel",
        KERNEL,
        "--fs",
        "ext4",
        "--exec",
        &program,
        "--exec-time",
        "200s",
    ]);
    rig.until_in_the_run_phase();
    let consoles = find(&rig.dir.path().join("runs"), "console.log");
    assert_eq!(consoles.len(), 1, "{consoles:?}");
    let console = OpenOptions::new().append(true).open(&consoles[0]).expect("a console");
    console.set_len(130 << 20).expect("a hole");
    let output = child.wait_with_output().expect("bioscope ends");
    let cells = rig.cells();
    assert_eq!(cells.len(), 1, "{}", text(&output));
    rig.assert_nothing_left();
    let code = output.status.code().expect("an exit code");
    assert_broken(
        &(code, cells[0].clone()),
        "harness:",
        "printed more than 128 MiB on its console",
    );
}
