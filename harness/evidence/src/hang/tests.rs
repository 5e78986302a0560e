//! Planted rows: each kind of hang, and what looks like one and is none.

use guest_wire::{Phase, Sample, Task};

use super::*;

fn host() -> HostView {
    HostView {
        submitted: 9,
        qemu_cpu_ms: 100,
        ..HostView::default()
    }
}

fn task(state: char, frames: &[&str]) -> Task {
    Task {
        tid: 70,
        watched: true,
        kthread: false,
        comm: "self-deadlock".into(),
        state,
        switches: 12,
        cpu_ms: 4,
        user_ms: 1,
        syscall: Vec::new(),
        stack: frames.iter().map(|frame| (*frame).to_owned()).collect(),
    }
}

fn kworker(state: char, frames: &[&str]) -> Task {
    Task {
        tid: 9,
        watched: false,
        kthread: true,
        comm: "kworker/u2:1+btrfs-endio-write".into(),
        ..task(state, frames)
    }
}

const BLOCKED: &[&str] = &["io_schedule", "folio_wait_bit_common", "btrfs_start_ordered_extent"];
const RING: &[&str] = &["schedule", "io_cqring_wait", "__do_sys_io_uring_enter", "do_syscall_64"];

/// Sixty samples of a blocked task on an idle guest, 15 s in all.
fn row(change: impl Fn(u64, &mut Sample, &mut HostView)) -> Vec<(Sample, HostView)> {
    (0..60)
        .map(|n| {
            let at = 1_000 + 250 * n;
            let mut sample = Sample {
                phase: Phase::Run,
                phase_ms: at,
                idle_ms: at,
                runnable: 1,
                inflight: [0, 0],
                ring_timers: 0,
                tasks: vec![task('D', BLOCKED)],
            };
            let mut host = HostView { host_ms: at, ..host() };
            change(n, &mut sample, &mut host);
            (sample, host)
        })
        .collect()
}

fn stall(row: &Row) -> Option<Stall> {
    match judge(row, 1)? {
        Finding::Stall(stall) => Some(stall),
        Finding::Held { .. } => None,
    }
}

fn kind(row: &Row) -> Option<(StallKind, String)> {
    stall(row).map(|stall| (stall.how, stall.place()))
}

#[test]
fn a_task_that_nothing_can_wake_is_hung() {
    let row = row(|_, _, _| {});
    assert_eq!(
        kind(&row),
        Some((StallKind::Blocked, "btrfs_start_ordered_extent".into()))
    );
    assert_eq!(kind(&row[..16]), None);
    assert!(kind(&row[..18]).is_some());
}

#[test]
fn a_clock_that_runs_too_fast_makes_no_hang() {
    // Eleven times as fast as the host's: what the guest takes for 15 s were 1.3 s.
    assert_eq!(kind(&row(|n, _, host| host.host_ms = 23 * n)), None);
    assert_eq!(kind(&row(|n, _, host| host.host_ms = 66 * n)), None);
    assert!(kind(&row(|n, _, host| host.host_ms = 69 * n)).is_some());
    // One that is too slow makes none either, but only later.
    assert!(kind(&row(|n, _, host| host.host_ms = 2_500 * n)).is_some());
    assert_eq!(kind(&row(|n, _, host| host.host_ms = 2_500 * n)[..16]), None);
}

#[test]
fn a_task_that_was_switched_to_is_alive() {
    assert_eq!(kind(&row(|n, sample, _| sample.tasks[0].switches += n / 10)), None);
}

#[test]
fn a_wait_for_a_request_that_looks_up_now_and_then_is_one_wait() {
    let turns = |frame: &'static str, inflight: u64, every: u64| {
        row(move |n, sample, _| {
            sample.inflight = [inflight, 0];
            sample.tasks[0] = task('D', &[frame, "vfs_read"]);
            sample.tasks[0].switches += n / every;
        })
    };
    assert_eq!(
        kind(&turns("submit_bio_wait", 1, 8)),
        Some((StallKind::LostCompletion, "vfs_read".into()))
    );
    assert!(kind(&turns("__iomap_dio_rw", 0, 8)).is_some());
    assert_eq!(kind(&turns("submit_bio_wait", 1, 1)), None, "it does something");
    assert_eq!(kind(&turns("f", 0, 8)), None);
}

#[test]
fn a_request_at_the_device_may_still_wake_it() {
    assert_eq!(judge(&row(|_, _, host| host.outstanding = 1), 1), None);
    assert!(judge(&row(|_, _, host| host.submitted += 9), 1).is_some());
    assert_eq!(judge(&row(|n, _, host| host.submitted = n / 10), 1), None);
}

#[test]
fn a_guest_with_work_to_do_is_slow_and_not_hung() {
    assert_eq!(judge(&row(|_, sample, _| sample.runnable = 2), 1), None);
    let half = |burnt_ms: u64| {
        row(move |n, sample, host| {
            sample.idle_ms /= 2;
            host.qemu_cpu_ms = burnt_ms * n;
        })
    };
    assert_eq!(judge(&half(125), 1), None);
    assert_eq!(judge(&half(40), 1), None);
}

#[test]
fn what_the_host_took_was_not_work() {
    let starved = |idle_ms: u64, samples: u64| {
        let mut row = row(move |n, sample, host| {
            sample.idle_ms = idle_ms * n;
            host.qemu_cpu_ms = 20 * n;
        });
        row.truncate(usize::try_from(samples).unwrap_or(0));
        judge(&row, 1)
    };
    // Half of its time is idle, and QEMU used next to none.
    assert!(starved(125, 60).is_some());
    // The four seconds that a row must have are those that the guest had.
    assert_eq!(starved(125, 20), None);
    assert!(starved(230, 20).is_some());
    assert_eq!(starved(60, 49), None);
    // Another task wanted to run and was not let: then the guest is not idle.
    assert_eq!(starved(10, 60), None);
}

#[test]
fn idle_time_is_counted_over_all_cpus() {
    // One of two works.
    assert_eq!(judge(&row(|n, _, host| host.qemu_cpu_ms = 250 * n), 2), None);
    let both = |n: u64, sample: &mut Sample, host: &mut HostView| {
        sample.idle_ms *= 2;
        host.qemu_cpu_ms = 250 * n;
    };
    assert!(judge(&row(both), 2).is_some());
}

#[test]
fn a_stop_of_the_machine_begins_a_new_row() {
    let stopped = row(|n, sample, host| {
        // Stopped for 40 s just before the tenth sample; the guest's clock went on, and so did its idle time.
        if n >= 10 {
            host.pauses = 1;
            sample.phase_ms += 40_000;
            sample.idle_ms += 40_000;
        }
    });
    assert_eq!(kind(&stopped[..20]), None);
    assert!(kind(&stopped[..28]).is_some());
}

#[test]
fn sleeps_that_end_by_what_another_does_are_none() {
    for frame in ["wait_for_vfork_done", "handle_userfault", "msleep"] {
        assert_eq!(
            kind(&row(|_, sample, _| sample.tasks[0] = task('D', &["schedule", frame]))),
            None,
            "{frame}"
        );
    }
}

#[test]
fn a_sleep_that_a_program_asked_for_is_none() {
    for frame in [
        "hrtimer_nanosleep",
        "do_sys_poll",
        "futex_wait",
        "pipe_read",
        "do_wait",
        "unix_stream_read_generic",
    ] {
        let sleeps = row(|_, sample, _| {
            sample.tasks[0] = task('S', &["schedule", frame, "do_syscall_64"]);
            sample.tasks.push(kworker('D', BLOCKED));
        });
        assert_eq!(kind(&sleeps), None, "{frame}");
    }
    // Without a blocked thread of the kernel, what the stack does not explain is none either.
    assert_eq!(
        kind(&row(|_, sample, _| sample.tasks[0] = task('S', &["schedule", "f"]))),
        None
    );
}

#[test]
fn a_wait_for_an_io_that_will_never_come() {
    let ring = |flags: u64, timers: u32| {
        row(move |_, sample, _| {
            sample.tasks[0] = task('S', RING);
            sample.tasks[0].syscall = vec![426, 3, 0, 1, flags, 0, 8];
            sample.ring_timers = timers;
        })
    };
    assert_eq!(kind(&ring(1, 0)), Some((StallKind::Asleep, "io_uring_enter".into())));
    assert_eq!(kind(&ring(0, 0)), None, "it waits for nothing");
    assert_eq!(kind(&ring(1, 0)[..40]), None, "it takes 10 s");
    assert_eq!(kind(&ring(1, 1)), None, "a request for a time-out may wake it");
    assert_eq!(kind(&ring(1 | EXT_ARG_FLAG, 0)), None, "it may have set itself a time");
    let aio = |timeout: u64| {
        row(move |_, sample, _| {
            sample.tasks[0] = task('S', &["schedule", "read_events", "do_io_getevents"]);
            sample.tasks[0].syscall = vec![208, 0x7f00, 1, 1, 0x7ffe, timeout, 0];
        })
    };
    assert_eq!(kind(&aio(0)), Some((StallKind::Asleep, "io_getevents".into())));
    assert_eq!(kind(&aio(0x7ffe)), None);
}

const EXT_ARG_FLAG: u64 = 8;

#[test]
fn a_request_that_is_in_flight_only_in_the_guest_was_lost() {
    let lost = row(|_, sample, _| sample.inflight = [0, 1]);
    assert_eq!(
        kind(&lost),
        Some((StallKind::LostCompletion, "btrfs_start_ordered_extent".into()))
    );
    assert_eq!(kind(&lost[..30]), None, "it takes 8 s");
    assert_eq!(kind(&row(|n, sample, _| sample.inflight = [0, 1 + n / 10])), None);
    assert_eq!(
        judge(
            &row(|_, sample, host| {
                sample.inflight = [0, 1];
                host.outstanding = 1;
            }),
            1
        ),
        None
    );
    let asleep = row(|_, sample, _| {
        sample.inflight = [1, 0];
        sample.tasks[0] = task('S', RING);
        sample.tasks[0].syscall = vec![426, 3, 0, 1, 1, 0, 8];
    });
    assert_eq!(
        kind(&asleep),
        Some((StallKind::LostCompletion, "io_uring_enter".into()))
    );
    // A program that sleeps meanwhile has not been let down yet.
    let sleeps = row(|_, sample, _| {
        sample.inflight = [1, 0];
        sample.tasks[0] = task('S', &["schedule", "hrtimer_nanosleep"]);
    });
    assert_eq!(kind(&sleeps), None);
}

#[test]
fn what_we_keep_from_being_answered_is_no_hang() {
    let held = |outstanding: u64, inflight: u64, by: Option<&str>| {
        let by = by.map(str::to_owned);
        row(move |_, sample, host| {
            sample.inflight = [0, inflight];
            host.outstanding = outstanding;
            host.kept_by.clone_from(&by);
        })
    };
    let by_rule = Some(Finding::Held {
        rule: "stuck".into(),
        phase: Phase::Run,
    });
    assert_eq!(judge(&held(1, 1, Some("stuck")), 1), by_rule);
    assert_eq!(judge(&held(0, 1, Some("stuck")), 1), by_rule);
    // Nobody waits for a request: what is blocked is blocked by something else.
    assert!(kind(&held(0, 0, Some("stuck"))).is_some_and(|(kind, _)| kind == StallKind::Blocked));
    assert_eq!(judge(&held(1, 1, None), 1), None);
}

#[test]
fn threads_of_the_kernel_that_are_blocked_stand_behind() {
    let behind = row(|n, sample, _| {
        sample.tasks.push(kworker('D', &["schedule", "lock_extent_bits"]));
        // One that moves is no cause.
        let mut moves = kworker('D', &["f"]);
        (moves.tid, moves.switches) = (10, n);
        sample.tasks.push(moves);
    });
    let found = stall(&behind).unwrap();
    assert_eq!((found.how, found.behind.len()), (StallKind::Blocked, 1));
    assert!(
        found
            .grounds()
            .iter()
            .any(|line| line.contains("btrfs-endio-write: schedule < lock_extent_bits"))
    );
    let waits = row(|_, sample, _| {
        sample.tasks[0] = task('S', &["schedule", "btrfs_wait_somewhere"]);
        sample.tasks.push(kworker('D', &["schedule", "lock_extent_bits"]));
    });
    assert_eq!(kind(&waits), Some((StallKind::KernelThread, "lock_extent".into())));
}

fn spin(user_step: u64, system_step: u64, burnt_step: u64) -> Vec<(Sample, HostView)> {
    row(move |n, sample, host| {
        sample.tasks[0] = task('R', &["asm_sysvec_apic_timer_interrupt", "loops", "caller"]);
        sample.tasks[0].user_ms = user_step * n;
        sample.tasks[0].cpu_ms = (user_step + system_step) * n;
        sample.runnable = 2;
        host.qemu_cpu_ms = burnt_step * n;
    })
}

#[test]
fn burning_cpu_in_the_kernel_counts_by_the_cpu_time_of_qemu() {
    assert_eq!(kind(&spin(0, 250, 250)), None);
    assert_eq!(
        kind(&spin(0, 1_000, 1_000)),
        Some((StallKind::Spinning, "loops".into()))
    );
}

#[test]
fn user_time_is_no_hang() {
    assert_eq!(kind(&spin(1_000, 0, 1_000)), None);
    // A program that calls the kernel over and over.
    assert_eq!(kind(&spin(50, 950, 1_000)), None);
}

#[test]
fn a_thread_of_the_kernel_that_spins_is_named() {
    let spins = row(|n, sample, host| {
        let mut worker = kworker('R', &["loops_in_the_worker"]);
        worker.cpu_ms = 1_000 * n;
        sample.tasks.push(worker);
        sample.runnable = 2;
        host.qemu_cpu_ms = 1_000 * n;
    });
    let found = stall(&spins).unwrap();
    assert_eq!(
        (found.how, found.place().as_str()),
        (StallKind::Spinning, "loops_in_the_worker")
    );
    assert!(found.headline().starts_with("kworker/u2:1"), "{}", found.headline());
}

fn looks(change: impl Fn(u64, &mut Look)) -> Vec<Look> {
    (0..64)
        .map(|n| {
            let mut look = Look {
                vcpu_ms: 500 * n,
                outstanding: 0,
                submitted: 9,
                pauses: 0,
                cpus: vec![CpuLook {
                    is_kernel: true,
                    is_halted: false,
                    frames: ["delay_tsc", "loops", "caller"].map(String::from).to_vec(),
                }],
            };
            change(n, &mut look);
            look
        })
        .collect()
}

#[test]
fn a_kernel_that_lets_nothing_else_run() {
    let found = |row: &[Look]| starved(row, Phase::Umount).map(|stall| stall.place());
    assert_eq!(found(&looks(|_, _| {})).as_deref(), Some("loops"));
    assert_eq!(found(&looks(|_, _| {})[..60]), None, "not enough CPU time");
    assert_eq!(
        found(&looks(|n, look| look.vcpu_ms = n)),
        None,
        "an idle or stopped guest"
    );
    assert_eq!(found(&looks(|_, look| look.cpus[0].is_kernel = false)), None);
    assert_eq!(found(&looks(|n, look| look.cpus[0].is_kernel = n % 10 != 0)), None);
    assert_eq!(found(&looks(|_, look| look.cpus[0].is_halted = true)), None);
    assert_eq!(found(&looks(|n, look| look.submitted = n / 40)), None);
    assert_eq!(found(&looks(|n, look| look.pauses = n / 40)), None);
    assert_eq!(found(&looks(|_, look| look.outstanding = 1)), None);
}

#[test]
fn a_thread_that_reaps_what_another_will_ask_for_is_patient() {
    let reaper = |other: &[&str]| {
        let mut reaper = task('S', RING);
        reaper.syscall = vec![426, 3, 0, 1, 1, 0, 0];
        let other = Task {
            tid: 71,
            ..task('S', other)
        };
        vec![reaper, other]
    };
    let beside = |other: &'static [&'static str]| kind(&row(move |_, sample, _| sample.tasks = reaper(other)));
    assert_eq!(beside(&["hrtimer_nanosleep", "do_syscall_64"]), None);
    // One that waits for the reaper itself does not wake it.
    let hung = Some((StallKind::Asleep, "io_uring_enter".to_owned()));
    assert_eq!(beside(&["futex_wait", "do_syscall_64"]), hung);
}
