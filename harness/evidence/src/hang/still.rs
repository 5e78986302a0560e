//! Tasks that sleep and that nothing is left to wake.
//!
//! All of this must hold over a row of samples: the task is asleep with the same stack and was not switched to in
//! between; nothing else in the guest wants to run, and the CPUs were idle for nearly all of the time that the host let
//! them have; and the device has no request outstanding. On a slow machine tasks are runnable, switch, or wait for
//! requests, and samples come late, which only makes the judgement later.
//!
//! A task in uninterruptible sleep waits for the kernel. One in a sleep that a signal ends may wait for whatever its
//! program asked for, so it only counts if its stack says that it waits for an I/O and it has set itself no time, or if
//! a thread of the kernel is blocked all the while.

use guest_wire::{Sample, Task};

use super::place;
use super::row::{Finding, HostView, Row, SAMPLES_MIN, span_ms};
use super::stall::{Behind, Stall, StallKind};

/// Share of the time that the guest's CPUs had in the row that must be idle, in percent.
const IDLE_PERCENT_MIN: u64 = 80;

/// Uninterruptible sleeps that end by what a program or a timer does.
const ENDED_BY_OTHERS: &[&str] = &[
    "wait_for_vfork_done",
    "handle_userfault",
    "msleep",
    "__refrigerator",
    "coredump_wait",
    "coredump_task_exit",
];
/// Sleeps for a request that look up now and then (`blk_wait_io`, `blk_io_schedule`, which may be inlined).
const WAITS_IN_TURNS: &[&str] = &[
    "blk_io_schedule",
    "blk_wait_io",
    "blk_execute_rq",
    "submit_bio_wait",
    "__blkdev_direct_IO_simple",
    "__blkdev_direct_IO",
    "__iomap_dio_rw",
    "iomap_dio_rw",
    "dio_await_one",
    "dio_await_completion",
    "__blockdev_direct_IO",
];
/// They do so every two seconds with the timeout that we set.
const TURN_MS: u64 = 1_000;
/// System calls that wait for a completion: of libaio, and of io_uring. Their functions may be inlined into each other.
const IO_GETEVENTS: u64 = 208;
const IO_PGETEVENTS: u64 = 333;
const IO_URING_ENTER: u64 = 426;
/// Sleeps that a program asked for: for a time, for another program, for a person.
const PATIENT: &[&str] = &[
    "hrtimer_nanosleep",
    "do_nanosleep",
    "common_nsleep",
    "do_sys_poll",
    "do_poll",
    "do_select",
    "core_sys_select",
    "poll_schedule_timeout",
    "ep_poll",
    "do_epoll_wait",
    "do_futex",
    "futex_wait",
    "futex_wait_queue",
    "pipe_read",
    "pipe_write",
    "anon_pipe_read",
    "anon_pipe_write",
    "wait_for_partner",
    "do_wait",
    "do_sigtimedwait",
    "do_sys_pause",
    "sigsuspend",
    "unix_stream_read_generic",
    "unix_stream_recvmsg",
    "sock_recvmsg",
    "n_tty_read",
    "timerfd_read",
    "eventfd_read",
    "signalfd_read",
    "inotify_read",
    "fanotify_read",
    "devkmsg_read",
    "do_semtimedop",
    "do_msgrcv",
    "locks_lock_inode_wait",
    "fcntl_setlk",
    "do_signal_stop",
    "ptrace_stop",
];

/// Sleeps that end by themselves.
const FOR_A_TIME: &[&str] = &["hrtimer_nanosleep", "do_nanosleep", "common_nsleep"];

/// `IORING_ENTER_GETEVENTS`: the call waits.
const GETEVENTS: u64 = 1;
/// `IORING_ENTER_EXT_ARG`: the call brings a time along, or a mask of signals; the agent cannot tell which.
const EXT_ARG: u64 = 8;

/// What the tail of a row must be like for a kind of stall.
struct Wanted {
    how: StallKind,
    /// Time that the tail must span, in milliseconds.
    span_ms: u64,
}

/// The first watched task that does not move and that nothing can move.
pub(super) fn judge(row: &Row, cpus: u32) -> Option<Finding> {
    let (last, _) = row.last()?;
    let watched = last.tasks.iter().filter(|task| task.watched);
    watched.into_iter().find_map(|task| stuck(row, task, cpus))
}

fn stuck(row: &Row, task: &Task, cpus: u32) -> Option<Finding> {
    let (last, last_host) = row.last()?;
    let wanted = wanted(last, last_host, task)?;
    let tail: Vec<&(Sample, HostView)> = row
        .iter()
        .rev()
        .take_while(|(sample, host)| {
            let asleep = |other: &Task| still_asleep(last, task, sample, other);
            sample.phase == last.phase
                && same(last_host, host)
                && alike(last, sample)
                && sample.tasks.iter().any(asleep)
        })
        .collect();
    let span_ms = span_ms(tail.last()?, row.last()?);
    let idle_enough = is_idle(tail.last()?, row.last()?, wanted.span_ms, cpus);
    if tail.len() < SAMPLES_MIN || span_ms < wanted.span_ms || !idle_enough {
        return None;
    }
    if let Some(rule) = kept(last, last_host) {
        return Some(Finding::Held {
            rule,
            phase: last.phase,
        });
    }
    let mut stall = Stall::of(last.phase, wanted.how, task, span_ms, tail.len());
    stall.behind = behind(last, &tail);
    (wanted.how != StallKind::KernelThread || !stall.behind.is_empty()).then_some(Finding::Stall(stall))
}

/// Whether the CPUs did next to nothing from one sample to another.
///
/// A guest on a busy host takes long for the agent's own work, and is idle for little of the time that passes by its
/// clock. So what QEMU used counts, too: the CPUs must have been idle for nearly all of what they were not kept from,
/// and that must be as long as the row has to be.
fn is_idle(first: &(Sample, HostView), last: &(Sample, HostView), wanted_ms: u64, cpus: u32) -> bool {
    let cpus = u64::from(cpus);
    let idle_ms = last.0.idle_ms.saturating_sub(first.0.idle_ms);
    let enough_of = |ms: u64| idle_ms.saturating_mul(100) >= ms.saturating_mul(IDLE_PERCENT_MIN);
    // Both by the guest's clock.
    let passed_ms = last.0.phase_ms.saturating_sub(first.0.phase_ms).saturating_mul(cpus);
    let had_ms = idle_ms.saturating_add(last.1.qemu_cpu_ms.saturating_sub(first.1.qemu_cpu_ms));
    enough_of(passed_ms) || (enough_of(had_ms) && had_ms >= wanted_ms.saturating_mul(cpus))
}

/// What a task could be stuck in, from its last sample; none for one that may still be woken.
fn wanted(last: &Sample, host: &HostView, task: &Task) -> Option<Wanted> {
    let kept = kept(last, host).is_some();
    // What the device has, it may answer.
    if host.outstanding > 0 && !kept {
        return None;
    }
    let wants = |how, span_ms| Some(Wanted { how, span_ms });
    let sleep = sleep(last, task)?;
    if last.inflight != [0, 0] {
        // The interrupt may be on its way, so this takes longer.
        return (sleep != Sleep::Other).then_some(Wanted {
            how: StallKind::LostCompletion,
            span_ms: if kept { 4_000 } else { 8_000 },
        });
    }
    match sleep {
        Sleep::Blocked => wants(StallKind::Blocked, 4_000),
        Sleep::ForIo if kept => wants(StallKind::Asleep, 4_000),
        // That one may ask for the I/O, or do what it waits for, when its time is up.
        Sleep::ForIo if another_goes_on(last, task) => None,
        Sleep::ForIo => wants(StallKind::Asleep, 10_000),
        Sleep::Other if kept => None,
        Sleep::Other => wants(StallKind::KernelThread, 10_000),
    }
}

/// Whether another watched task sleeps for a time, and goes on by itself.
fn another_goes_on(last: &Sample, task: &Task) -> bool {
    let for_a_time = |other: &Task| {
        let mut frames = other.stack.iter().map(|frame| place::plain(frame));
        other.state == 'S' && frames.any(|frame| FOR_A_TIME.contains(&frame))
    };
    let mut others = last.tasks.iter().filter(|other| other.watched && other.tid != task.tid);
    others.any(for_a_time)
}

/// Whether a task has slept since an earlier sample: with the same stack, and without having been switched to.
fn still_asleep(last: &Sample, task: &Task, sample: &Sample, then: &Task) -> bool {
    if task == then {
        return true;
    }
    // A wait for a request ends twice in each hung task timeout, to keep that quiet, and begins again.
    let waits_in_turns = last.inflight != [0, 0]
        || task
            .stack
            .iter()
            .any(|frame| WAITS_IN_TURNS.contains(&place::plain(frame)));
    let turns_max = 1 + last.phase_ms.saturating_sub(sample.phase_ms) / TURN_MS;
    let turns = task.switches.saturating_sub(then.switches);
    let of = |task: &Task| (task.tid, task.state, task.syscall.clone(), task.stack.clone());
    waits_in_turns && turns <= turns_max && of(task) == of(then)
}

/// What of ours keeps a request that the guest waits for.
fn kept(sample: &Sample, host: &HostView) -> Option<String> {
    let waits = host.outstanding > 0 || sample.inflight != [0, 0];
    host.kept_by.clone().filter(|_| waits)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sleep {
    Blocked,
    ForIo,
    /// It ends by a signal, and its stack does not say what it is for.
    Other,
}

/// How a task sleeps; none for one that does not, or that sleeps as its program wants.
fn sleep(sample: &Sample, task: &Task) -> Option<Sleep> {
    let in_one_of = |names: &[&str]| {
        let mut frames = task.stack.iter().map(|frame| place::plain(frame));
        frames.any(|frame| names.contains(&frame))
    };
    let argument = |at: usize| task.syscall.get(at).copied();
    match task.state {
        'D' => (!in_one_of(ENDED_BY_OTHERS)).then_some(Sleep::Blocked),
        // These have their time-out in the fifth argument.
        'S' if matches!(argument(0), Some(IO_GETEVENTS | IO_PGETEVENTS)) => {
            (argument(5) == Some(0)).then_some(Sleep::ForIo)
        }
        // This one has its flags in the fourth.
        'S' if argument(0) == Some(IO_URING_ENTER) => {
            let untimed = argument(4).is_some_and(|flags| flags & (GETEVENTS | EXT_ARG) == GETEVENTS);
            (untimed && sample.ring_timers == 0).then_some(Sleep::ForIo)
        }
        'S' => (!task.stack.is_empty() && !in_one_of(PATIENT)).then_some(Sleep::Other),
        _ => None,
    }
}

/// Nothing runs, and the guest's block layer has the same in flight.
fn alike(last: &Sample, sample: &Sample) -> bool {
    // The sampler itself is the one runnable task.
    sample.runnable <= 1 && sample.inflight == last.inflight && sample.ring_timers == last.ring_timers
}

/// The device heard nothing and answered nothing, and the guest was not stopped.
fn same(last: &HostView, host: &HostView) -> bool {
    let of = |host: &HostView| (host.outstanding, host.submitted, host.kept_by.clone(), host.pauses);
    of(last) == of(host)
}

/// Threads of the kernel that were blocked in every sample.
fn behind(last: &Sample, tail: &[&(Sample, HostView)]) -> Vec<Behind> {
    let always = |task: &&Task| tail.iter().all(|(sample, _)| sample.tasks.contains(task));
    let blocked = last.tasks.iter().filter(|task| task.kthread && task.state == 'D');
    blocked
        .filter(always)
        .map(|task| Behind {
            comm: task.comm.clone(),
            stack: task.stack.clone(),
        })
        .collect()
}
