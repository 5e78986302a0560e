//! What the guest of a soak and its host say to each other.
//!
//! The host sends one [`Order`] a line over the second serial port and gets [`SoakReport`]s until [`SoakReport::End`].

use serde::{Deserialize, Serialize};

/// The guest's fio.
pub const FIO: &str = "/usr/bin/fio";
/// The disk that fio writes to, without a file system.
pub const DISK: &str = "/dev/vda";

/// From the host: one a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Order {
    /// Runs fio with this job file, and zeroes ranges (`BLKZEROOUT`) beside it; [`SoakReport::End`] follows when all of
    /// it has ended.
    Run {
        /// The job file's text.
        jobs: String,
        /// Ranges to zero beside fio, one after another.
        zero: Vec<Range>,
    },
    /// Asks the kernel for the stacks of all blocked tasks (sysrq-w), on the console.
    DumpBlocked,
    /// Powers the guest off.
    PowerOff,
}

/// Bytes of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Range {
    /// Where they begin.
    pub offset: u64,
    /// How many they are.
    pub len: u64,
}

/// From the guest: one a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum SoakReport {
    /// The disk is there and orders are taken.
    Ready,
    /// Nothing can be done.
    Unfit {
        /// What the guest lacks, for a person.
        reason: String,
    },
    /// A block does not hold what fio wrote.
    Mismatch {
        /// Place and length of what fio verifies as one.
        block: Range,
        /// The first byte that differs, from the block's begin.
        first: u64,
    },
    /// A request of fio's, or a range that was to be zeroed, failed.
    Failed {
        /// fio's word for the operation (`read`, `write`, `sync`, `datasync`, `trim`), or `zero`.
        op: String,
        /// What was asked for; without length for a flush.
        range: Range,
        /// The error, as it was said.
        error: String,
    },
    /// A job's part of fio's summary.
    Job(Job),
    /// A line of fio's that is none of these.
    Said {
        /// As fio printed it, without the line end.
        line: String,
    },
    /// An order was done.
    End {
        /// fio's exit code or signal, in words.
        how: String,
    },
}

/// A job's part of fio's summary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The job's name in the job file.
    pub name: String,
    /// Reads that fio counts as done.
    pub reads: u64,
    /// Writes that fio counts as done.
    pub writes: u64,
    /// Trims (`BLKDISCARD`) that fio counts as done.
    pub trims: u64,
    /// Flushes done.
    pub syncs: u64,
    /// Requests that failed, blocks that differ included.
    pub errors: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_both_ways() {
        let order = Order::Run {
            jobs: "[a]\nrw=read\n".into(),
            zero: vec![Range { offset: 0, len: 512 }],
        };
        let line = serde_json::to_string(&order).unwrap();
        assert_eq!(
            line,
            r#"{"do":"run","jobs":"[a]\nrw=read\n","zero":[{"offset":0,"len":512}]}"#
        );
        assert_eq!(serde_json::from_str::<Order>(&line).unwrap(), order);
    }
}
