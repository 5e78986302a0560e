//! What a guest becomes that does not go on: by our rules, by the kernel, or by the host.
#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use guest_wire::{Counters, Event, ExecTime, Phase, PhaseOutcome, WhenOver};
use vhost_blk_api::trace::Record;

use super::judge;
use crate::bundle::EvidenceBundle;
use crate::hang::{Behind, Stall, StallKind};
use crate::parts::{Ending, ProgramKind, Timed};
use crate::steal::StealPoint;
use crate::testing::Sketch;

fn line(bundle: &EvidenceBundle) -> String {
    let judgement = judge(bundle);
    let failure = judgement.verdict.failure();
    let place = failure.and_then(|failure| failure.place.clone()).unwrap_or_default();
    format!("{} [{place}] {}", judgement.verdict, judgement.detail())
}

fn stalled(how: StallKind, frames: &[&str]) -> Sketch {
    let stack = |frames: &[&str]| frames.iter().map(|frame| (*frame).to_owned()).collect();
    Sketch {
        ending: Ending::Stalled(Stall {
            phase: Phase::Umount,
            how,
            comm: "init".to_owned(),
            stack: stack(frames),
            span_ms: 12_000,
            samples: 40,
            behind: vec![Behind {
                comm: "kworker/0:1+f".to_owned(),
                stack: stack(&["schedule", "in_the_worker"]),
            }],
        }),
        ..Sketch::healthy(ProgramKind::Test)
    }
}

#[test]
fn what_waits_for_a_dead_queue_is_not_to_blame() {
    let dead = Record::QueueDead {
        t_us: 2_000_000,
        queue: 0,
        problem: "the driver went back".to_owned(),
    };
    let hung = stalled(StallKind::LostCompletion, &["schedule", "io_schedule"]);
    assert_eq!(
        line(&hung.device(vec![dead]).bundle()),
        "fail [device: dead queue] the device saw a dead queue in queue 0: the driver went back"
    );
}

#[test]
fn a_guest_that_goes_on_does_not_hang() {
    for outcome in [PhaseOutcome::Done, PhaseOutcome::Skipped] {
        let mut bundle = stalled(StallKind::Blocked, &["schedule", "ext4_put_super"]).bundle();
        assert!(line(&bundle).starts_with("fail [umount: ext4_put_super]"));
        let mut last = bundle.events.last().unwrap().clone();
        last.event = Event::PhaseEnd {
            phase: Phase::Umount,
            outcome,
        };
        bundle.events.push(last);
        assert_eq!(
            line(&bundle),
            "broken [] harness: in umount, the guest was taken for stalled and went on when it was asked for its stacks"
        );
    }
}

#[test]
fn each_kind_of_hang_is_named() {
    let frames = &["schedule", "io_schedule", "ext4_put_super"];
    for (how, expected) in [
        (
            StallKind::Blocked,
            "fail [umount: ext4_put_super] in umount, init blocked for ever at ext4_put_super",
        ),
        (
            StallKind::Asleep,
            "fail [umount: ext4_put_super] in umount, init waits for ever for an I/O at ext4_put_super",
        ),
        (
            StallKind::LostCompletion,
            "fail [umount: ext4_put_super] in umount, init waits at ext4_put_super for a request that the device has \
             answered: its completion was lost",
        ),
        (
            StallKind::KernelThread,
            "fail [umount: in_the_worker] in umount, init waits at ext4_put_super for a thread of the kernel: \
             kworker/0:1+f blocked for ever at in_the_worker",
        ),
        (
            StallKind::Spinning,
            "fail [umount: ext4_put_super] in umount, init spins in the kernel at ext4_put_super",
        ),
        (
            StallKind::Starved,
            "fail [umount: ext4_put_super] in umount, init spins in the kernel at ext4_put_super, and nothing else \
             gets to run",
        ),
    ] {
        assert_eq!(line(&stalled(how, frames).bundle()), expected);
    }
}

const LOCKUP: &[&str] = &[
    "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [umount:70]",
    "CPU: 0 PID: 70 Comm: umount Tainted: G           O       6.12.117 #1",
    "RIP: 0010:in_a_module_loaded_later+0x12/0x40 [late]",
    "Call Trace:",
    " <TASK>",
    " its_caller+0x7/0x20 [late]",
    " </TASK>",
];

fn says(mut sketch: Sketch, lines: &[&str]) -> Sketch {
    for line in lines {
        sketch = sketch.says(40.0, line);
    }
    sketch
}

#[test]
fn what_the_kernel_says_of_a_spin_is_part_of_it() {
    let spins = says(stalled(StallKind::Starved, &["delay_tsc", "vfs_write"]), LOCKUP);
    let found = line(&spins.bundle());
    assert!(
        found.starts_with("fail [umount: in_a_module_loaded_later] in umount, init spins"),
        "{found}"
    );
    // A report of which the stack did not come leaves the place that the host found.
    let spins = says(stalled(StallKind::Starved, &["delay_tsc", "vfs_write"]), &LOCKUP[..1]);
    let found = line(&spins.bundle());
    assert!(found.starts_with("fail [umount: vfs_write] "), "{found}");
    // A CPU that came back is another matter.
    let came_back = line(&says(Sketch::healthy(ProgramKind::Test), LOCKUP).bundle());
    assert!(came_back.starts_with("fail [in_a_module_loaded_later] "), "{came_back}");
    assert!(came_back.contains("soft lockup"), "{came_back}");
}

#[test]
fn a_host_that_had_no_time_is_no_fault_of_the_kernels() {
    let stopped = |stolen_ms: u64| EvidenceBundle {
        // The kernel's clock is that of the host in these cells.
        steal: vec![
            StealPoint::default(),
            StealPoint {
                host_ms: 39_000,
                run_ms: 1_000,
                stolen_ms,
            },
        ],
        ..says(Sketch::healthy(ProgramKind::Test), LOCKUP).bundle()
    };
    let found = line(&stopped(30_000));
    assert_eq!(found, "pass [] every oracle was content");
    let evidence = judge(&stopped(30_000)).evidence.join("\n");
    assert!(evidence.contains("as the host had no time for the guest"), "{evidence}");
    assert!(line(&stopped(0)).starts_with("fail "));
    // The kernel has counted it as well.
    let mut counted = stopped(30_000);
    let taint = |taint| {
        Event::Counters(Counters {
            taint: Some(taint),
            ..Counters::default()
        })
    };
    let timed = |event| Timed {
        event,
        ..counted.events[0].clone()
    };
    let (before, after) = (timed(taint(0)), timed(taint(1 << 14)));
    counted.events.insert(1, before);
    counted.events.insert(2, after);
    assert!(!line(&counted).contains("soft lockup"), "{}", line(&counted));
    let hung = "INFO: task overlap:70 blocked for more than 4 seconds.";
    let hung = |steal| EvidenceBundle {
        steal,
        ..says(Sketch::healthy(ProgramKind::Test), &[hung]).bundle()
    };
    assert!(line(&hung(stopped(30_000).steal)).starts_with("pass "));
    assert!(line(&hung(Vec::new())).starts_with("fail "));
}

#[test]
fn what_a_rule_keeps_is_said_to_be_that() {
    let held = Sketch {
        ending: Ending::Held {
            rule: "the rule r1 (`hang write nth=1`)".to_owned(),
            phase: Phase::Umount,
        },
        ..Sketch::healthy(ProgramKind::Exec)
    };
    assert_eq!(
        line(&held.bundle()),
        "inconclusive [] in umount, the guest waits for a request that the rule r1 (`hang write nth=1`) keeps from \
         being answered"
    );
}

#[test]
fn a_program_that_runs_for_as_long_as_it_may() {
    let ended = |then| {
        let time = ExecTime { limit_ms: 2_500, then };
        line(
            &Sketch::healthy(ProgramKind::Exec)
                .end(Phase::Run, &PhaseOutcome::TimeUp(time))
                .bundle(),
        )
    };
    assert_eq!(ended(WhenOver::Pass), "pass [] every oracle was content");
    assert_eq!(
        ended(WhenOver::Error),
        "fail [time] the program did not end within 2.5 s"
    );
}
