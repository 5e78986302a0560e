//! Guests that do not go on because of their kernel.

use verdict::Cause;
use verdict::results::Cell;

use super::assert_fails;
use super::speaker::{Speaking, with_speaker};

/// Asserts a hang of the run phase at a function.
#[track_caller]
fn assert_hangs(ended: &(i32, Cell), function: &str, says: &str) {
    assert_fails(ended, Cause::Hang, &format!("run: {function}"), says);
}

/// The guest has one CPU, and its agent gets no time: the host finds out by itself.
#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_spin_with_interrupts_on_is_a_hang() {
    let ended = with_speaker("speak spin", &[]);
    assert_hangs(&ended, "spin_for", "spins in the kernel");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_spin_with_interrupts_off_is_a_hang() {
    let ended = with_speaker("speak spin-irqs-off", &[]);
    assert_hangs(&ended, "spin_for", "spins in the kernel");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_spin_beside_which_the_agent_runs_is_a_hang() {
    let ended = with_speaker("speak spin-preemptible", &[]);
    assert_hangs(&ended, "spin_politely", "chaos spins in the kernel");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_lost_completion_is_a_hang() {
    let speaking = Speaking::new();
    for (how, call) in [("ring", "io_uring_enter"), ("aio", "io_getevents")] {
        let ended = speaking.chaos(&format!("speak lose-completion vda then {how}"), &[]);
        assert_hangs(&ended, call, "its completion was lost");
    }
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn an_io_that_nobody_knows_of_is_a_hang() {
    let speaking = Speaking::new();
    for (how, call) in [("ring", "io_uring_enter"), ("aio", "io_getevents")] {
        let ended = speaking.chaos(&format!("speak forget-bio vda then {how}"), &[]);
        assert_hangs(&ended, call, "waits for ever for an I/O");
    }
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_task_that_blocks_for_ever_is_a_hang() {
    let ended = with_speaker("speak block", &[]);
    assert_hangs(&ended, "say_block", "blocked for ever");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_kworker_that_blocks_is_a_hang_and_is_named() {
    let speaking = Speaking::new();
    let thread = "kworker/0:";
    // A sleep that a signal would end counts because of the thread, and is at its place.
    let ended = speaking.chaos("speak kworker-block then speak sleep", &[]);
    assert_hangs(&ended, "block_work_fn", thread);
    // A sleep that does not counts by itself.
    let ended = speaking.chaos("speak wait-kworker-block", &[]);
    assert_hangs(&ended, "say_wait_kworker_block", "blocked for ever");
    let grounds = ended.1.judgement.evidence.join("\n");
    assert!(
        grounds.contains(thread) && grounds.contains("block_work_fn"),
        "{grounds}"
    );
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_kworker_that_spins_is_a_hang() {
    let ended = with_speaker("speak wait-kworker-spin", &[]);
    assert_hangs(&ended, "spin_for", "spins in the kernel");
}
