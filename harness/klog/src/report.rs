//! A report in a kernel's log.

use serde::{Deserialize, Serialize};

use crate::Kind;

/// A report in a kernel's log. All lines that tell of one event are one report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KernelReport {
    /// What it is of: that of its first line, whatever followed.
    pub kind: Kind,
    /// Its first line, without time stamp and caller mark.
    pub title: String,
    /// The function that it is about, without offset, module and the compiler's suffixes.
    pub place: Option<String>,
    /// Functions of its stack, innermost first, without guesses (`? `) and without those that only make the report.
    pub frames: Vec<String>,
    /// The number of its first line, from 1.
    pub line: usize,
    /// The CPU that it happened on.
    pub cpu: Option<u32>,
    /// The task that was running, as `comm/pid`.
    pub task: Option<String>,
    /// The flags of the kernel's taint, as they are printed: `G        W`.
    pub taint: Option<String>,
    /// Whether its end is missing: the log ends, or another report begins, before it is complete.
    pub truncated: bool,
    /// When its first line was printed, in microseconds of the guest's clock.
    #[serde(skip)]
    pub time_us: Option<u64>,
}
