//! What the device saw of a driver or of itself that must not be, whatever the guest says of it.

use verdict::{FailureKind, Judgement, Stage};
use vhost_blk_api::trace::{Record, RequestLine};

use crate::bundle::EvidenceBundle;
use crate::faults::Faults;

/// A driver that breaks the protocol: the guest's kernel does, for nobody else writes to the queues.
pub(super) fn malformed(evidence: &EvidenceBundle) -> Option<Judgement> {
    evidence.trace.iter().find_map(|record| match record {
        Record::Malformed { queue, problem, .. } => Some(failure("malformed request", *queue, problem)),
        _ => None,
    })
}

/// A driver that makes its queue unreadable. Whoever waits for an answer of such a queue hangs, so this is asked first.
pub(super) fn dead_queue(evidence: &EvidenceBundle) -> Option<Judgement> {
    evidence.trace.iter().find_map(|record| match record {
        Record::QueueDead { queue, problem, .. } => Some(failure("dead queue", *queue, problem)),
        _ => None,
    })
}

/// A driver that asks for what is beyond the end of the disk, which the device told it.
pub(super) fn beyond_end(faults: &Faults) -> Option<Judgement> {
    let submit = &faults.beyond_end.first()?.submit;
    Some(Judgement::fail(
        FailureKind::Error,
        Some("device: beyond the end"),
        format!(
            "the device saw request {} ({} at sector {}, {} bytes), which reaches beyond the end of the disk",
            submit.seq, submit.op, submit.sector, submit.len
        ),
    ))
}

fn failure(place: &str, queue: u16, problem: &str) -> Judgement {
    Judgement::fail(
        FailureKind::Error,
        Some(&format!("device: {place}")),
        format!("the device saw a {place} in queue {queue}: {problem}"),
    )
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
