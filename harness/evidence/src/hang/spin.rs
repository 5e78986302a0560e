//! Tasks that burn CPU in the kernel and get nowhere.
//!
//! Such a task is always runnable, is never in user space, and no request reaches the device, for more CPU time than
//! any case needs by orders of magnitude, measured on QEMU's own threads. A program that loops in user space, or calls
//! the kernel over and over, has user time that grows.

use guest_wire::{Sample, Task};

use super::place;
use super::row::{HostView, Row, SAMPLES_MIN};
use super::stall::{Stall, StallKind};

/// CPU time that QEMU must have burnt over a row, in milliseconds.
const SPIN_CPU_MS: u64 = 40_000;
/// Share of the CPU time in the row that the task must have had in the kernel, in percent.
const KERNEL_PERCENT_MIN: u64 = 80;
/// Time in user space that a row may have, in milliseconds: a tick or two, as it is counted.
const USER_MS_MAX: u64 = 20;

pub(super) fn judge(row: &Row) -> Option<Stall> {
    let (last, _) = row.last()?;
    let suspects = last
        .tasks
        .iter()
        .filter(|task| task.state == 'R' && (task.watched || task.kthread));
    suspects.into_iter().find_map(|task| spins(row, task))
}

fn spins(row: &Row, task: &Task) -> Option<Stall> {
    let (last, last_host) = row.last()?;
    let of = |sample: &Sample| sample.tasks.iter().find(|other| other.tid == task.tid).cloned();
    let tail: Vec<(&Sample, &HostView, Task)> = row
        .iter()
        .rev()
        .map_while(|(sample, host)| {
            let then = of(sample).filter(|then| then.state == 'R')?;
            let same = sample.phase == last.phase
                && host.outstanding == 0
                && host.submitted == last_host.submitted
                && host.pauses == last_host.pauses;
            same.then_some((sample, host, then))
        })
        .collect();
    let (first, first_host, then) = tail.last()?;
    let burnt_ms = last_host.qemu_cpu_ms.saturating_sub(first_host.qemu_cpu_ms);
    let user_ms = task.user_ms.saturating_sub(then.user_ms);
    let cpu_ms = task.cpu_ms.saturating_sub(then.cpu_ms);
    if tail.len() < SAMPLES_MIN
        || burnt_ms < SPIN_CPU_MS
        || user_ms > USER_MS_MAX
        || cpu_ms.saturating_sub(user_ms).saturating_mul(100) < burnt_ms.saturating_mul(KERNEL_PERCENT_MIN)
    {
        return None;
    }
    let span_ms = last.phase_ms.saturating_sub(first.phase_ms);
    let stacks: Vec<&[String]> = tail.iter().map(|(_, _, task)| task.stack.as_slice()).collect();
    Some(Stall {
        stack: place::common(&stacks),
        ..Stall::of(last.phase, StallKind::Spinning, task, span_ms, tail.len())
    })
}
