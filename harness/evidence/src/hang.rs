//! Whether a guest that does not go on is hung, on evidence and never on the clock alone.
//!
//! - [`judge`] looks at a row of samples of the agent's. A watched task that sleeps, and that nothing is left to wake
//!   ([`still`]); a task that burns CPU in the kernel ([`spin`]).
//! - [`starved`] looks at a row of the host's own looks at the CPUs, for a guest whose agent does not get to run.
//! - [`place`] names where a stack is stuck, in words that stay the same from run to run and over versions.
//!
//! What keeps a hang from being seen where there is none: user time is no hang; a sleep that a program asked for is
//! none, whatever it sleeps on, unless it is for an I/O; a request that the device has may still be answered; a machine
//! that was stopped begins a new row.

mod place;
mod spin;
mod starved;
mod still;

#[cfg(test)]
mod tests;

use guest_wire::{Phase, Sample, Task};
use serde::{Deserialize, Serialize};

pub use starved::{CpuLook, Look, starved};

/// Samples that a row must have at least.
const SAMPLES_MIN: usize = 8;
/// CPU time that QEMU must have burnt over a row of spinning samples, in milliseconds.
const SPIN_CPU_MS: u64 = 40_000;

/// What the host knows about the device and QEMU at the moment of a sample.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostView {
    /// Requests that the device has and has not completed.
    pub outstanding: u64,
    /// Requests that ever reached the device.
    pub submitted: u64,
    /// What of ours keeps requests from ever being answered, if something does: the name of a rule, or a command.
    pub kept_by: Option<String>,
    /// CPU time that QEMU has used, in milliseconds.
    pub qemu_cpu_ms: u64,
    /// How often the host has stopped the guest so far.
    pub pauses: u64,
}

/// What a row of samples shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// A guest that will never go on.
    Stall(Stall),
    /// A guest that waits for a request that we keep from being answered.
    Held {
        /// The name of the rule, or the command.
        rule: String,
        /// The phase that does not end.
        phase: Phase,
    },
}

/// In which way a guest does not go on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StallKind {
    /// A watched task is in uninterruptible sleep, and nothing is left that could wake it.
    #[default]
    Blocked,
    /// A watched task waits for an I/O in a sleep that a signal would end, and nothing is left that could wake it.
    Asleep,
    /// A request is in flight in the guest that the device answered long ago.
    LostCompletion,
    /// A watched task sleeps while a thread of the kernel is blocked.
    KernelThread,
    /// A task burns CPU in the kernel, and no request comes of it.
    Spinning,
    /// The kernel burns CPU, and nothing else gets to run.
    Starved,
}

/// A guest that will never go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stall {
    /// The phase that does not end.
    pub phase: Phase,
    /// In which way.
    #[serde(default)]
    pub how: StallKind,
    /// The task's name.
    pub comm: String,
    /// Its stack, innermost first.
    pub stack: Vec<String>,
    /// How long the same picture was seen: in milliseconds of guest time, of CPU time for a guest that is starved.
    pub span_ms: u64,
    pub(crate) samples: usize,
    /// Threads of the kernel that were blocked all the while.
    #[serde(default)]
    pub behind: Vec<Behind>,
}

/// A thread of the kernel behind a stall.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behind {
    /// Its name; that of a worker has its work queue's in it.
    pub comm: String,
    /// Its stack, innermost first.
    pub stack: Vec<String>,
}

/// A row of samples of one phase, oldest first, each with the host's view at its arrival.
pub type Row = [(Sample, HostView)];

/// Judges a row of samples, of a guest with so many CPUs.
#[must_use]
pub fn judge(row: &Row, cpus: u32) -> Option<Finding> {
    still::judge(row, cpus).or_else(|| spin::judge(row).map(Finding::Stall))
}

impl Stall {
    fn of(phase: Phase, how: StallKind, task: &Task, span_ms: u64, samples: usize) -> Stall {
        Stall {
            phase,
            how,
            comm: task.comm.clone(),
            stack: task.stack.clone(),
            span_ms,
            samples,
            behind: Vec::new(),
        }
    }

    pub(crate) fn burns_cpu(&self) -> bool {
        matches!(self.how, StallKind::Spinning | StallKind::Starved)
    }

    /// The innermost function that names the place rather than the way of sleeping or spinning.
    pub(crate) fn place(&self) -> String {
        let of = match (self.how, self.behind.first()) {
            (StallKind::KernelThread, Some(behind)) => &behind.stack,
            _ => &self.stack,
        };
        place::of(of)
    }

    /// What the task does, for a headline.
    pub(crate) fn headline(&self) -> String {
        let (comm, place) = (&self.comm, self.place());
        match (self.how, self.behind.first()) {
            (StallKind::Blocked, _) => format!("{comm} blocked for ever at {place}"),
            (StallKind::Asleep, _) => format!("{comm} waits for ever for an I/O at {place}"),
            (StallKind::LostCompletion, _) => {
                format!("{comm} waits at {place} for a request that the device has answered: its completion was lost")
            }
            (StallKind::KernelThread, Some(behind)) => format!(
                "{comm} waits at {} for a thread of the kernel: {} blocked for ever at {place}",
                place::of(&self.stack),
                behind.comm
            ),
            (StallKind::KernelThread, None) => format!("{comm} waits at {place} for a thread of the kernel"),
            (StallKind::Spinning, _) => format!("{comm} spins in the kernel at {place}"),
            (StallKind::Starved, _) => format!("{comm} spins in the kernel at {place}, and nothing else gets to run"),
        }
    }

    /// What was seen, for a reader who doubts it.
    pub(crate) fn grounds(&self) -> Vec<String> {
        let seconds = f64::from(u32::try_from(self.span_ms).unwrap_or(u32::MAX)) / 1000.0;
        let samples = self.samples;
        let mut lines = vec![match self.how {
            StallKind::Blocked | StallKind::Asleep | StallKind::KernelThread => format!(
                "{samples} samples over {seconds:.1} s of guest time with the same picture, guest idle, nothing \
                 outstanding at the device"
            ),
            StallKind::LostCompletion => format!(
                "{samples} samples over {seconds:.1} s of guest time with the same picture, guest idle, a request in \
                 flight in the guest, nothing outstanding at the device"
            ),
            StallKind::Spinning => {
                format!("{samples} samples over {seconds:.1} s of guest time, all in the kernel, no new request")
            }
            StallKind::Starved => format!(
                "{samples} looks at the CPU over {seconds:.1} s of its time, nearly all in the kernel, no word of the \
                 agent and no new request"
            ),
        }];
        lines.push(format!("stack: {}", self.stack.join(" < ")));
        for Behind { comm, stack } in &self.behind {
            lines.push(format!("kernel thread {comm}: {}", stack.join(" < ")));
        }
        lines
    }
}
