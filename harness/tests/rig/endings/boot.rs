//! Kernels that die before the agent answers.

use verdict::Cause;

use super::speaker::Speaking;
use super::{assert_broken, assert_fails};

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_kernel_that_dies_at_boot_has_the_last_word() {
    let speaking = Speaking::new();
    let ended = speaking.boot("bug");
    assert_fails(
        &ended,
        Cause::Crash,
        "say_bug",
        "kernel BUG at drivers/misc/speaker/oops.c",
    );
    let ended = speaking.boot("no-init");
    assert_broken(&ended, "boot:", "Unable to mount root fs");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_kernel_that_never_answers_is_broken() {
    let ended = Speaking::new().boot("block");
    assert_broken(&ended, "boot:", "the guest never answered");
}
