//! Guests that do not go on because of their kernel.

use verdict::Cause;

use super::assert_fails;
use super::speaker::with_speaker;

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_spin_in_the_kernel_is_a_hang() {
    for word in ["spin", "spin-irqs-off", "spin-preemptible"] {
        let ended = with_speaker(&format!("speak {word}"), &[]);
        assert_fails(&ended, Cause::Hang, "spin_for", "spins in the kernel");
    }
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_spin_on_all_other_cpus_is_a_hang() {
    let ended = with_speaker("speak spin-others then stop", &[]);
    assert_fails(&ended, Cause::Hang, "spin_for", "spins in the kernel");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_lost_completion_is_a_hang() {
    let ended = with_speaker("speak lose-completion vda then ring", &[]);
    assert_fails(&ended, Cause::Hang, "io_cqring_wait", "its completion was lost");
    let ended = with_speaker("speak lose-completion vda then aio", &[]);
    assert_fails(&ended, Cause::Hang, "read_events", "its completion was lost");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn an_io_that_nobody_knows_of_is_a_hang() {
    let ended = with_speaker("speak forget-bio vda then ring", &[]);
    assert_fails(&ended, Cause::Hang, "io_cqring_wait", "waits for ever for an I/O");
    let ended = with_speaker("speak forget-bio vda then aio", &[]);
    assert_fails(&ended, Cause::Hang, "read_events", "waits for ever for an I/O");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_task_that_blocks_or_sleeps_for_ever_is_a_hang() {
    let ended = with_speaker("speak block", &[]);
    assert_fails(&ended, Cause::Hang, "say_block", "blocked for ever");
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_kworker_that_keeps_a_task_waiting_is_a_hang() {
    let ended = with_speaker("speak wait-kworker-block", &[]);
    assert_fails(&ended, Cause::Hang, "block_work_fn", "kworker");
    let ended = with_speaker("speak wait-kworker-spin", &[]);
    assert_fails(&ended, Cause::Hang, "spin_for", "");
}
