//! What the device saw of a driver or of itself that must not be, whatever the guest says of it.

use verdict::{FailureKind, Judgement, Stage};
use vhost_blk_api::trace::{Record, RequestLine};

use crate::bundle::EvidenceBundle;
use crate::faults::Faults;

/// A driver that breaks the protocol: the guest's kernel does, for nobody else writes to the queues.
pub(super) fn failure(evidence: &EvidenceBundle) -> Option<Judgement> {
    evidence.trace.iter().find_map(|record| {
        let (place, queue, problem) = match record {
            Record::Malformed { queue, problem, .. } => ("malformed request", queue, problem),
            Record::QueueDead { queue, problem, .. } => ("dead queue", queue, problem),
            _ => return None,
        };
        Some(Judgement::fail(
            FailureKind::Error,
            Some(&format!("device: {place}")),
            format!("the device saw a {place} in queue {queue}: {problem}"),
        ))
    })
}

/// A device that failed by itself, or whose trace is not whole.
pub(super) fn broken(evidence: &EvidenceBundle, faults: &Faults) -> Option<Judgement> {
    let missed = evidence.trace.iter().find_map(|record| match record {
        Record::Missed { lines, .. } => Some(format!("{lines} lines of the device's trace are missing")),
        _ => None,
    });
    let stray = || faults.stray.first().map(stray);
    let why = missed.or_else(stray)?;
    Some(Judgement::broken(Stage::Device, why))
}

fn stray(request: &RequestLine) -> String {
    let submit = &request.submit;
    format!(
        "request {} ({} at sector {}, {} bytes) failed, and no rule made it",
        submit.seq, submit.op, submit.sector, submit.len
    )
}
