//! Kernels that report something, and die of it or not.

use verdict::Cause;

use super::speaker::Speaking;
use super::{assert_fails, speaker::with_speaker};

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn an_oops_that_kills_the_program_is_a_crash() {
    let ended = with_speaker("speak null-write", &[]);
    assert_fails(&ended, Cause::Crash, "say_null_write", "NULL pointer dereference");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn an_oops_that_kills_the_agent_is_a_crash() {
    let ended = with_speaker("speak oops-parent then stop", &[]);
    assert_fails(&ended, Cause::Crash, "oops_in_parent", "NULL pointer dereference");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_warning_is_what_it_was_if_the_kernel_panics_for_it() {
    let speaking = Speaking::new();
    let ended = speaking.chaos("speak warn", &[]);
    assert_fails(&ended, Cause::Warning, "say_warn", "");
    let ended = speaking.chaos("set kernel/panic_on_warn 1 then speak warn", &[]);
    assert_fails(&ended, Cause::Warning, "say_warn", "");
}

/// The case has ended well, and has been judged, before the kernel says it.
#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_warning_after_the_last_case_is_that_cases() {
    let ended = with_speaker("speak at-power-off warn then exit 0", &[]);
    assert_fails(&ended, Cause::Warning, "say_warn", "");
}
