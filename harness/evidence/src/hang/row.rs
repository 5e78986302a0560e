//! A row of samples with what the host knew at each, and what it can show.

use guest_wire::{Phase, Sample};
use serde::{Deserialize, Serialize};

use super::stall::Stall;

/// Samples that a row must have at least.
pub(super) const SAMPLES_MIN: usize = 8;

/// What the host knows about the device and QEMU at the moment of a sample.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostView {
    /// Requests that the device has and has not completed.
    pub outstanding: u64,
    /// Requests that ever reached the device.
    pub submitted: u64,
    /// What of ours keeps requests from ever being answered, if something does: the name of a rule, or a command.
    pub kept_by: Option<String>,
    /// The host's clock, in milliseconds since the job was sent.
    pub host_ms: u64,
    /// CPU time that QEMU has used, in milliseconds.
    pub qemu_cpu_ms: u64,
    /// How often the host has stopped the guest so far.
    pub pauses: u64,
}

/// How long it is from one sample to another: by the guest's clock or by the host's, whichever says less.
pub(super) fn span_ms(first: &(Sample, HostView), last: &(Sample, HostView)) -> u64 {
    let guest_ms = last.0.phase_ms.saturating_sub(first.0.phase_ms);
    guest_ms.min(last.1.host_ms.saturating_sub(first.1.host_ms))
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

/// A row of samples of one phase, oldest first, each with the host's view at its arrival.
pub type Row = [(Sample, HostView)];
