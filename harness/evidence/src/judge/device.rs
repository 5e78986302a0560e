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

/// A device that failed a request by itself.
pub(super) fn broken(faults: &Faults) -> Option<Judgement> {
    let stray = stray(faults.stray.first()?);
    Some(Judgement::broken(Stage::Device, stray))
}

fn stray(request: &RequestLine) -> String {
    let submit = &request.submit;
    format!(
        "request {} ({} at sector {}, {} bytes) failed, and no rule made it",
        submit.seq, submit.op, submit.sector, submit.len
    )
}
