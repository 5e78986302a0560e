//! Errors of a disk that no rule made: whose they are depends on who made them.

use verdict::Cause;

use super::speaker::{Speaking, with_speaker};
use super::{assert_broken, assert_fails, on_stock};
use crate::bed::Rig;

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
