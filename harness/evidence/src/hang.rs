//! Whether a guest that does not go on is hung, on evidence and never on the clock alone.
//!
//! A hang is a row of samples in all of which the watched task sleeps uninterruptibly with the same stack and has not
//! been switched to in between, while nothing in the guest wants to run, the CPUs were idle for nearly all of that
//! guest time, and neither the guest's block layer nor the device has a request outstanding: then nothing is left that
//! could wake it. On a slow machine tasks are runnable, switch, or wait for requests, and samples come late, which only
//! makes the judgement later.
//!
//! A spin is the other way never to go on: the watched task burns CPU inside the kernel with no request reaching the
//! device, for more CPU time than any case needs by orders of magnitude, measured on QEMU's own threads.

use guest_wire::{Phase, Sample, Task};
use serde::{Deserialize, Serialize};

/// Guest time that a row of samples must span, in milliseconds.
const SPAN_MS: u64 = 4_000;
/// Samples that the row must have at least.
const SAMPLES_MIN: usize = 8;
/// Share of the guest's CPU time in the row that must be idle, in percent.
const IDLE_PERCENT_MIN: u64 = 80;
/// CPU time that QEMU must have burnt over a row of spinning samples, in milliseconds.
const SPIN_CPU_MS: u64 = 40_000;

/// What the host knows about the device and QEMU at the moment of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostView {
    /// Requests that the device has and has not completed.
    pub outstanding: u64,
    /// Requests that ever reached the device.
    pub submitted: u64,
    /// CPU time that QEMU has used, in milliseconds.
    pub qemu_cpu_ms: u64,
}

/// A guest that will never go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// The phase that does not end.
    pub phase: Phase,
    /// The task's name.
    pub comm: String,
    /// Its stack, innermost first.
    pub stack: Vec<String>,
    /// How long the same picture was seen, in milliseconds of guest time.
    pub span_ms: u64,
    pub(crate) samples: usize,
    /// Whether it burns CPU instead of sleeping.
    pub spinning: bool,
}

/// Judges a row of samples of one phase, oldest first, each with the host's view at its arrival.
#[must_use]
pub fn judge(row: &[(Sample, HostView)], cpus: u32) -> Option<Stall> {
    blocked(row, cpus).or_else(|| spinning(row))
}

/// The tail of the row during which the blocked task did not move at all.
fn blocked(row: &[(Sample, HostView)], cpus: u32) -> Option<Stall> {
    let (last, _) = row.last()?;
    let task = last.tasks.iter().find(|task| task.watched && task.state == 'D')?;
    let tail: Vec<_> = row
        .iter()
        .rev()
        .take_while(|(sample, host)| {
            sample.phase == last.phase && quiet(sample, host) && sample.tasks.iter().any(|other| other == task)
        })
        .collect();
    let (first, _) = tail.last()?;
    let span_ms = last.phase_ms.saturating_sub(first.phase_ms);
    let idle_ms = last.idle_ms.saturating_sub(first.idle_ms);
    let idle_enough = idle_ms * 100 >= span_ms * u64::from(cpus) * IDLE_PERCENT_MIN;
    (tail.len() >= SAMPLES_MIN && span_ms >= SPAN_MS && idle_enough)
        .then(|| stall(last, task, span_ms, tail.len(), false))
}

/// Nothing runs and nothing is in flight, so nothing can be on its way to wake the task.
fn quiet(sample: &Sample, host: &HostView) -> bool {
    // The sampler itself is the one runnable task.
    sample.runnable <= 1 && sample.inflight == [0, 0] && host.outstanding == 0
}

/// The tail of the row in which the task was always on the CPU in the kernel and the device heard nothing.
fn spinning(row: &[(Sample, HostView)]) -> Option<Stall> {
    let (last, last_host) = row.last()?;
    let task = last
        .tasks
        .iter()
        .find(|task| task.watched && task.state == 'R' && !task.stack.is_empty())?;
    let tail: Vec<_> = row
        .iter()
        .rev()
        .take_while(|(sample, host)| {
            sample.phase == last.phase
                && host.outstanding == 0
                && host.submitted == last_host.submitted
                && sample
                    .tasks
                    .iter()
                    .any(|other| other.tid == task.tid && other.state == 'R')
        })
        .collect();
    let (first, first_host) = tail.last()?;
    let burnt_ms = last_host.qemu_cpu_ms.saturating_sub(first_host.qemu_cpu_ms);
    let span_ms = last.phase_ms.saturating_sub(first.phase_ms);
    (tail.len() >= SAMPLES_MIN && burnt_ms >= SPIN_CPU_MS).then(|| stall(last, task, span_ms, tail.len(), true))
}

fn stall(last: &Sample, task: &Task, span_ms: u64, samples: usize, spinning: bool) -> Stall {
    Stall {
        phase: last.phase,
        comm: task.comm.clone(),
        stack: task.stack.clone(),
        span_ms,
        samples,
        spinning,
    }
}

impl Stall {
    /// The innermost frame that names the place rather than the way of sleeping.
    pub(crate) fn place(&self) -> &str {
        const WAYS_OF_SLEEPING: &[&str] = &[
            "schedule",
            "io_schedule",
            "__schedule",
            "folio_wait_bit_common",
            "__folio_lock",
            "wait_on_page_bit",
            "wait_on_page_bit_common",
            "__lock_page",
            "rwsem_down_read_slowpath",
            "rwsem_down_write_slowpath",
            "bit_wait_io",
            "__wait_on_bit",
            "wait_for_completion",
            "__wait_for_common",
            "schedule_timeout",
            "schedule_preempt_disabled",
            "folio_wait_bit",
            "__wait_on_buffer",
            "out_of_line_wait_on_bit",
        ];
        let frame = self
            .stack
            .iter()
            .find(|frame| !WAYS_OF_SLEEPING.contains(&frame.as_str()));
        frame.or(self.stack.first()).map_or("?", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: HostView = HostView {
        outstanding: 0,
        submitted: 9,
        qemu_cpu_ms: 100,
    };

    fn task() -> Task {
        Task {
            tid: 70,
            watched: true,
            comm: "self-deadlock".into(),
            state: 'D',
            switches: 12,
            cpu_ms: 3,
            stack: ["io_schedule", "folio_wait_bit_common", "btrfs_start_ordered_extent"]
                .map(String::from)
                .to_vec(),
        }
    }

    fn row(change: impl Fn(usize, &mut Sample, &mut HostView)) -> Vec<(Sample, HostView)> {
        (0..20)
            .map(|n| {
                let at = 1_000 + 250 * n as u64;
                let mut sample = Sample {
                    phase: Phase::Run,
                    phase_ms: at,
                    idle_ms: at,
                    runnable: 1,
                    inflight: [0, 0],
                    tasks: vec![task()],
                };
                let mut host = HOST;
                change(n, &mut sample, &mut host);
                (sample, host)
            })
            .collect()
    }

    #[test]
    fn a_task_that_nothing_can_wake_is_hung() {
        let stall = judge(&row(|_, _, _| {}), 1).expect("a hang");
        assert_eq!(
            (stall.place(), stall.phase, stall.spinning),
            ("btrfs_start_ordered_extent", Phase::Run, false)
        );
        assert!(stall.span_ms >= SPAN_MS);
    }

    #[test]
    fn a_short_row_is_no_hang() {
        assert_eq!(judge(&row(|_, _, _| {})[..10], 1), None);
    }

    #[test]
    fn a_task_that_was_switched_to_is_alive() {
        assert_eq!(
            judge(&row(|n, sample, _| sample.tasks[0].switches += n as u64 / 10), 1),
            None
        );
    }

    #[test]
    fn a_request_at_the_device_may_still_wake_it() {
        assert_eq!(judge(&row(|_, _, host| host.outstanding = 1), 1), None);
        assert_eq!(judge(&row(|_, sample, _| sample.inflight = [0, 1]), 1), None);
    }

    #[test]
    fn a_guest_with_work_to_do_is_slow_and_not_hung() {
        assert_eq!(judge(&row(|_, sample, _| sample.runnable = 2), 1), None);
        assert_eq!(judge(&row(|_, sample, _| sample.idle_ms /= 2), 1), None);
    }

    #[test]
    fn idle_time_is_counted_over_all_cpus() {
        assert_eq!(judge(&row(|_, _, _| {}), 2), None);
        assert!(judge(&row(|_, sample, _| sample.idle_ms *= 2), 2).is_some());
    }

    #[test]
    fn a_sleep_that_can_be_interrupted_is_no_hang() {
        assert_eq!(judge(&row(|_, sample, _| sample.tasks[0].state = 'S'), 1), None);
    }

    #[test]
    fn burning_cpu_in_the_kernel_counts_by_the_cpu_time_of_qemu_alone() {
        let spin = |step_ms: u64| {
            row(move |n, sample, host| {
                sample.tasks[0].state = 'R';
                sample.runnable = 2;
                host.qemu_cpu_ms = step_ms * n as u64;
            })
        };
        assert_eq!(judge(&spin(250), 1), None);
        assert!(judge(&spin(3_000), 1).is_some_and(|stall| stall.spinning));
    }
}
