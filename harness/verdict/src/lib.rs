//! Verdicts: what a cell showed, in the words of reports, `kernels.toml` and `results.json`.
//!
//! [`Verdict`], [`Cause`] and [`Judgement`] are a verdict with its grounds; [`results`] are cells and runs as they are stored;
//! [`console`] reads what a kernel's log reports.
//!
//! How a verdict is reached is the crate `evidence`'s business. This crate does no I/O but that of `cell.json`.

pub mod console;
pub mod results;

use std::fmt;

use guest_wire::Phase;

use serde::{Deserialize, Serialize};

/// What a cell showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The thing under test happened and every oracle was content.
    Pass,
    /// The kernel did something wrong.
    Fail,
    /// The thing under test never happened; says nothing about the kernel.
    Inconclusive,
    /// The case does not apply here.
    Skipped,
    /// Our own rig went wrong; says nothing about the kernel.
    Broken,
}

impl Verdict {
    /// The word used in reports, `kernels.toml` and `results.json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Skipped => "skipped",
            Verdict::Broken => "broken",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// In what way the kernel failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Data, size or metadata is not what the system calls promised.
    Corruption,
    /// A task will never go on.
    Hang,
    /// Something is held that nothing will let go.
    Leak,
    /// An oops, a BUG, a panic, a sanitizer's report.
    Crash,
    /// A WARN or a lock debugging report.
    Warning,
    /// A system call answered what it must not answer.
    Error,
}

impl Cause {
    /// The word used in reports, `kernels.toml` and `results.json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Cause::Corruption => "corruption",
            Cause::Hang => "hang",
            Cause::Leak => "leak",
            Cause::Crash => "crash",
            Cause::Warning => "warning",
            Cause::Error => "error",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// A verdict with its grounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The cause, for a failure.
    pub cause: Option<Cause>,
    /// For a hang: the phase that never ended.
    pub phase: Option<Phase>,
    /// One line: where and what; for `broken` the stage first.
    pub detail: String,
    /// Where a failure shows, in words that stay the same from run to run: the phase and the function of a hang, the function that a report names, the
    /// oracle of a finding, how a program ended. None if nothing is known of it.
    pub place: Option<String>,
    /// Whether the thing under test is known to have happened.
    pub armed: bool,
    /// More lines of evidence, most telling first.
    pub evidence: Vec<String>,
}
