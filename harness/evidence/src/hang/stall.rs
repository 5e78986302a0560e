//! A guest that will never go on, and how that is said.

use guest_wire::{Phase, Task};
use serde::{Deserialize, Serialize};

use super::place;

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
    /// How long the same picture was seen: in milliseconds, of CPU time for a guest that is starved.
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

impl Stall {
    pub(super) fn of(phase: Phase, how: StallKind, task: &Task, span_ms: u64, samples: usize) -> Stall {
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
                "{samples} samples over {seconds:.1} s with the same picture, guest idle, nothing \
                 outstanding at the device"
            ),
            StallKind::LostCompletion => format!(
                "{samples} samples over {seconds:.1} s with the same picture, guest idle, a request in \
                 flight in the guest, nothing outstanding at the device"
            ),
            StallKind::Spinning => {
                format!("{samples} samples over {seconds:.1} s, all in the kernel, no new request")
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
