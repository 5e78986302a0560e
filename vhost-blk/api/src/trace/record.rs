//! The records of a trace.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::op::Op;
use crate::payload::Tag;

/// Version of the trace's format, in its first line.
pub const VERSION: u32 = 1;

/// One line of a trace: a JSON object whose `ev` is the variant's name in kebab-case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ev", rename_all = "kebab-case")]
pub enum Record {
    /// The first line.
    Start {
        /// [`VERSION`] of the device that wrote the trace. A reader refuses any other.
        version: u32,
        /// The disk's size at the start; a `Resize` changes it.
        disk_bytes: u64,
        /// The plan's seed, from which all random choices follow; a `PlanSet` changes it.
        seed: u64,
    },
    /// A request came out of a ring.
    Submit(Submit),
    /// A request was finished, one way or another.
    Complete(Complete),
    /// A chain of descriptors that is no request; it was given back with an error where it had a status byte.
    Malformed {
        /// Microseconds since the device started.
        t_us: u64,
        /// Index of the virtqueue, from 0.
        queue: u16,
        /// One line for a person: "no status byte".
        problem: String,
    },
    /// A queue whose driver broke the protocol is not looked at any more until it is reset.
    QueueDead {
        /// Microseconds since the device started.
        t_us: u64,
        /// Index of the virtqueue, from 0.
        queue: u16,
        /// What the driver did.
        problem: String,
    },
    /// A name put here through the control socket.
    Mark {
        /// Microseconds since the device started.
        t_us: u64,
        /// As the `mark` command had it. Marks may share a name; the later one counts.
        name: String,
        /// Records that the trace was to have before this one, whether the file took them or not. Between two marks
        /// there must be so many records as these numbers differ.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        records: Option<u64>,
        /// Where the disk ends, in bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        disk_bytes: Option<u64>,
    },
    /// A rule came into force.
    RuleAdded {
        /// Microseconds since the device started.
        t_us: u64,
        /// As its text has it, or `r1` and so on.
        name: String,
        /// The rule as it is printed, which can be parsed again.
        text: String,
    },
    /// A rule was taken off and the requests that it held let go.
    RuleRemoved {
        /// Microseconds since the device started.
        t_us: u64,
        /// That of a `RuleAdded` before.
        name: String,
    },
    /// All rules were replaced; the new ones follow.
    PlanSet {
        /// Microseconds since the device started.
        t_us: u64,
        /// The seed from here on.
        seed: u64,
    },
    /// All rules were taken off and all held requests let go.
    Cleared {
        /// Microseconds since the device started.
        t_us: u64,
    },
    /// The disk is the golden image again, or what it was at a mark.
    Rollback {
        /// Microseconds since the device started.
        t_us: u64,
        /// The mark; `None` for the golden image.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// The disk is what a power cut at a mark would have left of it.
    Present {
        /// Microseconds since the device started.
        t_us: u64,
        /// The mark.
        at: String,
        /// How many requests were undecided at the mark.
        undecided: usize,
        /// The numbers of those that are there, in the order in which they lie upon each other.
        kept: Vec<usize>,
        /// The number of the one that is torn, and how many bytes of it are there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        torn: Option<(usize, u64)>,
    },
    /// The disk ends elsewhere.
    Resize {
        /// Microseconds since the device started.
        t_us: u64,
        /// What size it had, in bytes.
        from: u64,
        /// What size it has now, in bytes.
        bytes: u64,
    },
    /// The power went: nothing is answered any more.
    Cut {
        /// Microseconds since the device started.
        t_us: u64,
        /// The rule that did it; none for a command.
        rule: Option<String>,
        /// Sequence number of the request that triggered the cut; none for a command.
        seq: Option<u64>,
        /// Requests whose changes were not durable.
        volatile: usize,
        /// How many of them are lost wholly.
        lost: usize,
        /// Bytes of the last one that got to the disk, if it was torn.
        torn_bytes: Option<u64>,
    },
    /// The power came back.
    Power {
        /// Microseconds since the device started.
        t_us: u64,
    },
    /// The device hung up on the front end.
    HangUp {
        /// Microseconds since the device started.
        t_us: u64,
        /// The rule that did it; none for a command.
        rule: Option<String>,
    },
    /// A request was another one than in the trace that is replayed; from here on nothing is injected.
    Diverged {
        /// Microseconds since the device started.
        t_us: u64,
        /// Number of the request in this run, from 1.
        seq: u64,
        /// What came in the trace.
        expected: String,
        /// What came now.
        found: String,
    },
    /// Here lines are missing, which the file did not take, or one who listens did not.
    Missed {
        /// When the file took lines again; 0 for one who listens.
        #[serde(default)]
        t_us: u64,
        /// Lines in a row that are missing here.
        lines: u64,
    },
    /// A front end connected.
    Connect {
        /// Microseconds since the device started.
        t_us: u64,
        /// Number of the connection, from 1.
        connection: u64,
    },
    /// The front end is gone.
    Disconnect {
        /// Microseconds since the device started.
        t_us: u64,
        /// That of the `Connect` before.
        connection: u64,
    },
}

/// A request came out of a ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submit {
    /// The request's number.
    pub seq: u64,
    /// Microseconds since the device started.
    pub t_us: u64,
    /// Index of the virtqueue, from 0.
    pub queue: u16,
    /// Generation of that queue: every stop of the ring begins a new one.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// From the request's header.
    pub op: Op,
    /// First sector of 512 bytes.
    pub sector: u64,
    /// Length in bytes.
    pub len: u64,
    /// What a write's data begins with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<Tag>,
    /// Number of data buffers.
    pub segs: usize,
    /// Ranges of a discard or write-zeroes request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<RangeOnDisk>,
    /// Names of the rules applied to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

/// A request was finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Complete {
    /// The request's number.
    pub seq: u64,
    /// Microseconds since the device started.
    pub t_us: u64,
    /// What the guest was told.
    pub status: Status,
    /// Bytes moved between guest memory and disk.
    pub bytes: u64,
    /// Time since it was submitted.
    pub latency_us: u64,
    /// The rule that said when, and what let the request go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<TimingNote>,
    /// The rule that said how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeNote>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `VIRTIO_BLK_S_OK`.
    Ok,
    /// `VIRTIO_BLK_S_IOERR`.
    IoErr,
    /// `VIRTIO_BLK_S_UNSUPP`.
    Unsupp,
    /// The guest was told nothing: it is gone.
    Dropped,
}

impl Status {
    /// The status's word in the trace.
    #[must_use]
    #[inline]
    pub fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::IoErr => "ioerr",
            Status::Unsupp => "unsupp",
            Status::Dropped => "dropped",
        }
    }
}

/// Why a request did not complete at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimingNote {
    /// Name of the rule that made the request wait.
    pub rule: String,
    /// The rule's action as its first word: `hold`.
    pub action: String,
    /// What let the request go; `None` when it was dropped.
    pub released_by: Option<ReleasedBy>,
}

/// Why a request did not complete as the disk would have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeNote {
    /// Name of the rule that changed what the request did.
    pub rule: String,
    /// The rule's action as its first word: `short`.
    pub action: String,
    /// For `short`: how many bytes were to be moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// What let a request go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleasedBy {
    /// Its time had come.
    Time,
    /// The mark it waited for was made.
    Mark,
    /// The flush that ends its reorder window was submitted.
    Epoch,
    /// The request it waited for was submitted.
    Next,
    /// The request it waited for was completed.
    Done,
    /// Somebody said `release`.
    Release,
    /// The rule was taken off, or all were cleared or replaced.
    Clear,
    /// What it waited for did not come in time, or its reorder window was not full in time.
    #[serde(alias = "idle")]
    Max,
    /// Its reorder window was full.
    Window,
    /// Its ring was stopped: the virtual machine pauses, resets or ends.
    Stop,
}

impl ReleasedBy {
    /// The word in the trace.
    #[must_use]
    #[inline]
    pub(crate) fn name(self) -> &'static str {
        match self {
            ReleasedBy::Time => "time",
            ReleasedBy::Mark => "mark",
            ReleasedBy::Epoch => "epoch",
            ReleasedBy::Next => "next",
            ReleasedBy::Done => "done",
            ReleasedBy::Release => "release",
            ReleasedBy::Clear => "clear",
            ReleasedBy::Max => "max",
            ReleasedBy::Window => "window",
            ReleasedBy::Stop => "stop",
        }
    }
}

/// One range of a discard or write-zeroes request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeOnDisk {
    /// First sector of 512 bytes.
    pub sector: u64,
    /// Number of sectors of 512 bytes; no more than the device's limit for a range.
    pub sectors: u32,
    /// Flags; bit 0 is "may unmap".
    pub flags: u32,
}

impl RangeOnDisk {
    /// The sectors as a range; it ends at the largest number if it would end beyond.
    #[must_use]
    #[inline]
    pub fn sectors(&self) -> Range<u64> {
        self.sector..self.sector.saturating_add(u64::from(self.sectors))
    }
}
