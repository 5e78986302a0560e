//! What is left on the disk: the host's check of it, and whether it can be mounted once more.

use guest_wire::{Event, Phase, PhaseOutcome};
use verdict::{FailureKind, Judgement, Verdict};

use crate::bundle::EvidenceBundle;
use crate::checker::{complaints, place};
use crate::faults::Faults;

/// Lines of a file system check that are shown; the cell's `fsck.log` has all.
const COMPLAINTS_MAX: usize = 12;

/// What the host's checker found on an image that was not in use any more.
pub(super) fn fsck(evidence: &EvidenceBundle, faults: &Faults) -> Option<Judgement> {
    let fsck = evidence.fsck.as_ref()?;
    if faults.spoilt_by.is_some() || fsck.clean || fsck.unable.is_some() || is_mounted(evidence) {
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
pub(super) fn mount_again(evidence: &EvidenceBundle, faults: &Faults) -> Option<Judgement> {
    match evidence.outcome(Phase::MountAgain) {
        Some(PhaseOutcome::Failed(what)) if faults.spoilt_by.is_none() => Some(Judgement::fail(
            FailureKind::Corruption,
            Some("mount again"),
            format!("cannot be mounted again: {what}"),
        )),
        _ => None,
    }
}

/// What is wrong with a disk on which a rule left other content than was written: it says nothing of the kernel.
pub(super) fn spoilt(evidence: &EvidenceBundle, faults: &Faults) -> Option<Judgement> {
    let rule = faults.spoilt_by.as_ref()?;
    let healthy = Faults::default();
    let found = fsck(evidence, &healthy).or_else(|| mount_again(evidence, &healthy))?;
    let says = format!(
        "{}; the rule {rule} left other content on the disk than was written",
        found.detail()
    );
    Some(Judgement::new(Verdict::Inconclusive, says).with_grounds(false, found.evidence))
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
