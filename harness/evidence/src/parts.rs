//! What a verdict is decided on, and small questions about it.

use guest_wire::{Event, Outcome, Phase, Sample};
use vhost_blk_api::trace::{Record, RequestLine, requests};

use super::hang::Stall;
use crate::needs::Need;

/// What the mark in the trace at which a case begins begins with; its name follows.
pub const BEGIN_MARK: &str = "begin-";
/// Mark in the trace from which on the plan is in force.
pub const ARM_MARK: &str = "arm";
/// Mark in the trace at which the plan is taken off.
pub const DISARM_MARK: &str = "disarm";

/// An event of the guest with its time of arrival since the job was sent, in milliseconds of host time.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Timed {
    /// Milliseconds since the job was sent.
    pub host_ms: u64,
    /// The guest's uptime in milliseconds.
    pub uptime_ms: u64,
    /// The event.
    pub event: Event,
}

/// A rule's name and how often it fired.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RuleHits {
    /// Name of the rule.
    pub name: String,
    /// The rule's text.
    pub text: String,
    /// How often it fired.
    pub hits: u64,
}

/// How QEMU ended by itself while a job was running.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VmEnd {
    /// It exited with this code (0 after a guest's power-off, or after a reset or panic with `-no-reboot`).
    Exited(i32),
    /// Somebody else's signal ended it.
    Signalled(i32),
}

/// How the host stopped listening to a job.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The guest said that the job is over.
    Finished,
    /// A row of samples shows that the guest will never go on.
    Stalled(Stall),
    /// QEMU went away.
    VmGone(VmEnd),
    /// The device went away; how, for a person.
    DeviceGone(String),
    /// The agent says that the guest is not fit to run anything.
    Unfit(String),
    /// The guest never got as far as the agent.
    NoHello,
    /// Time ran out without evidence of a hang.
    OutOfTime {
        /// Seconds that were given.
        limit_s: u64,
    },
    /// Something in the harness itself failed.
    Harness(String),
}

/// What the host's own checker said of the image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fsck {
    /// Whether it found nothing wrong.
    pub clean: bool,
    /// Its output.
    pub output: String,
}

/// Everything known about a cell.
#[derive(Debug, Clone)]
pub struct Evidence<'a> {
    /// What the device must have seen for the cell to count.
    pub needs: &'a [Need],
    /// Whether this is a user's own program, which need not arm anything.
    pub exec: bool,
    /// How it ended.
    pub ending: Ending,
    /// The guest's events of this job.
    pub events: &'a [Timed],
    /// The device's trace of this job.
    pub trace: &'a [Record],
    /// The kernel's console from the job's beginning (from power-on if there was no beginning).
    pub console: &'a str,
    /// Hits of the plan's rules.
    pub rules: &'a [RuleHits],
    /// The host's file system check, if one was possible.
    pub fsck: Option<&'a Fsck>,
}

impl Evidence<'_> {
    /// Whether the guest accepted the job.
    #[must_use]
    pub fn began(&self) -> bool {
        self.events.iter().any(|timed| timed.event == Event::Begin)
    }

    /// How a phase ended, if it did.
    #[must_use]
    pub fn outcome(&self, wanted: Phase) -> Option<&Outcome> {
        self.events.iter().find_map(|timed| match &timed.event {
            Event::PhaseEnd { phase, outcome } if *phase == wanted => Some(outcome),
            _ => None,
        })
    }

    /// The phase that started last.
    #[must_use]
    pub fn last_phase(&self) -> Option<Phase> {
        self.events.iter().rev().find_map(|timed| match timed.event {
            Event::PhaseStart { phase } => Some(phase),
            _ => None,
        })
    }

    /// The agent's looks at the guest.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.events.iter().filter_map(|timed| match &timed.event {
            Event::Sample(sample) => Some(sample),
            _ => None,
        })
    }

    /// Requests that reached the device while the plan was in force: what the test's setup wrote carries the same tags.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestLine> {
        let Some(armed) = self.mark(ARM_MARK) else {
            return Vec::new();
        };
        let disarmed = self.mark(DISARM_MARK).unwrap_or(self.trace.len());
        requests(self.trace.get(armed..disarmed).unwrap_or_default())
    }

    /// Whether the trace shows that the plan (an empty one, too) was put in force.
    #[must_use]
    pub fn plan_in_force(&self) -> bool {
        self.mark(ARM_MARK).is_some()
    }

    fn mark(&self, wanted: &str) -> Option<usize> {
        self.trace
            .iter()
            .position(|record| matches!(record, Record::Mark { name, .. } if name == wanted))
    }
}
