//! What a device has done so far, as `stats` tells it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::op::Op;

/// Counters since the device started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// Requests submitted, by operation.
    pub requests: BTreeMap<Op, u64>,
    /// Requests submitted, of all operations together.
    pub submitted: u64,
    /// Requests completed, the dropped ones included.
    pub completed: u64,
    /// Requests submitted and not completed.
    pub outstanding: u64,
    /// Those of them that a rule makes wait.
    pub held: u64,
    /// Requests completed with an error, injected or not.
    pub errors: u64,
    /// Requests dropped because their guest is gone.
    pub dropped: u64,
    /// Chains that were no requests.
    pub malformed: u64,
    /// Bytes moved between guest memory and disk.
    pub bytes: u64,
    /// Front ends connected so far.
    pub connections: u64,
    /// Whether one is connected now.
    pub connected: bool,
    /// Power cuts so far.
    #[serde(default)]
    pub cuts: u64,
    /// Whether the power is off now.
    #[serde(default)]
    pub dark: bool,
    /// The first request that was another one than in the trace that is replayed.
    #[serde(default)]
    pub diverged_at: Option<u64>,
    /// Requests of the trace that is replayed that have not come as they did there; none without a replay.
    #[serde(default)]
    pub replay_left: Option<u64>,
    /// Lines of the trace that its file did not take.
    #[serde(default)]
    pub trace_lost: u64,
    /// What keeps the device from what it does not need: `landlock` with its version, `seccomp`, both or `none`.
    #[serde(default)]
    pub sandbox: String,
    /// Time since the device started.
    pub uptime_ms: u64,
}
