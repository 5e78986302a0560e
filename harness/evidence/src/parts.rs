//! The parts of a cell's evidence.

use guest_wire::Event;
use serde::{Deserialize, Serialize};

use crate::hang::Stall;

/// What the mark in the trace at which a case begins begins with; its name follows.
pub const BEGIN_MARK: &str = "begin-";
/// What the mark in the trace at which a case ends begins with; its name follows.
pub const END_MARK: &str = "end-";
/// Mark in the trace from which on the plan is in force.
pub const ARM_MARK: &str = "arm";
/// Mark in the trace at which the plan is taken off.
pub const DISARM_MARK: &str = "disarm";

/// The mark at which a case begins: its name, in the letters that a mark can have.
#[must_use]
pub fn begin_mark(case: &str) -> String {
    format!("{BEGIN_MARK}{}", case.replace('.', "-"))
}

/// The mark at which a case ends.
#[must_use]
pub fn end_mark(case: &str) -> String {
    format!("{END_MARK}{}", case.replace('.', "-"))
}

/// What ran in the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramKind {
    /// One of our tests: it says that it is armed and reports what it finds.
    Test,
    /// A user's own program: it need not say anything, and its exit code counts.
    Exec,
}

/// An event of the guest with its time of arrival since the job was sent, in milliseconds of host time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timed {
    /// Milliseconds since the job was sent.
    pub host_ms: u64,
    /// The guest's uptime in milliseconds.
    pub uptime_ms: u64,
    /// As the agent sent it.
    pub event: Event,
}

/// A rule's name and how often it fired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHits {
    /// As the plan names it, or `r1` and so on where the plan does not.
    pub name: String,
    /// In the rule language, as the device prints it.
    pub text: String,
    /// How often it fired.
    pub hits: u64,
}

/// What the kernel's console said between the end of what ran before and the beginning of the case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// To whom it belongs.
    pub owner: Owner,
    /// As it came.
    pub text: String,
}

/// Who ran before a case in its machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// Nobody: the text is that of the boot.
    Boot,
    /// The case of this name.
    Case(String),
}

/// A part of the evidence that there should be and that could not be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostPart {
    /// The name of its file, such as `trace.jsonl`.
    pub part: String,
    /// Why, for a person.
    pub why: String,
}

/// How QEMU ended by itself while a job was running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VmEnd {
    /// It exited with this code (0 after a guest's power-off, or after a reset or panic with `-no-reboot`).
    Exited(i32),
    /// Somebody else's signal ended it.
    Signalled(i32),
}

/// How the host stopped listening to a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fsck {
    /// Whether it found nothing wrong.
    pub clean: bool,
    /// Standard output and standard error, as they came.
    pub output: String,
}
