//! What is left on the disk: the host's check of it, and whether it can be mounted once more.

use guest_wire::{Event, Phase, PhaseOutcome};
use verdict::{FailureKind, Judgement};

use crate::bundle::EvidenceBundle;
use crate::checker::{complaints, place};

/// Lines of a file system check that are shown; the cell's `fsck.log` has all.
const COMPLAINTS_MAX: usize = 12;

/// What the host's checker found on an image that was not in use any more.
pub(super) fn fsck(evidence: &EvidenceBundle) -> Option<Judgement> {
    let fsck = evidence.fsck.as_ref()?;
    if fsck.clean || fsck.unable.is_some() || is_mounted(evidence) {
        return None;
    }
    let complaints = complaints(&fsck.output);
    let first = complaints.first().copied().unwrap_or("not clean");
    let mut judgement = Judgement::fail(
        FailureKind::Corruption,
        Some(&format!("file system check: {}", place(first))),
        format!("file system check: {first}"),
    );
    let lines = complaints.iter().take(COMPLAINTS_MAX);
    judgement.evidence.extend(lines.map(|line| format!("check: {line}")));
    Some(judgement)
}

/// A file system that mounted before the write and does not after it is damaged.
pub(super) fn mount_again(evidence: &EvidenceBundle) -> Option<Judgement> {
    match evidence.outcome(Phase::MountAgain) {
        Some(PhaseOutcome::Failed(what)) => Some(Judgement::fail(
            FailureKind::Corruption,
            Some("mount again"),
            format!("cannot be mounted again: {what}"),
        )),
        _ => None,
    }
}

/// Whether the job ended with the file system still mounted: then its image is in the middle of something.
pub(super) fn is_mounted(evidence: &EvidenceBundle) -> bool {
    let mut mounted = false;
    for timed in &evidence.events {
        let Event::PhaseEnd { phase, outcome } = &timed.event else {
            continue;
        };
        mounted = match (phase, outcome) {
            (Phase::Mount | Phase::Remount | Phase::MountAgain, PhaseOutcome::Done) => true,
            (Phase::Remount, PhaseOutcome::Failed(what)) => what.starts_with("umount"),
            (Phase::Umount | Phase::LastUmount, PhaseOutcome::Done) => false,
            _ => mounted,
        };
    }
    mounted
}
