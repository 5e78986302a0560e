//! What the kernel did wrong.

use guest_wire::{Event, ExecTime, FindingCause, Phase, PhaseOutcome, WhenOver};
use verdict::{Cause, FailureKind, Judgement};

use super::seen::Seen;
use super::{calls, device, image};
use crate::bundle::EvidenceBundle;
use crate::parts::{Ending, ProgramKind};

/// The oracle that reports success although the device was to fail.
const LOST_ERROR: &str = "lost-error";
/// Exit code of a program that cannot test, as scripts for `git bisect run` have it.
pub(super) const CANNOT_TEST: i32 = 125;
/// The oracle that compares what is on disk.
const DATA: &str = "data";

/// What the kernel did wrong, worst first.
pub(super) fn failure(evidence: &EvidenceBundle, seen: &Seen) -> Option<Judgement> {
    let report = |cause| seen.report(cause);
    report(Cause::Crash)
        .or_else(|| device::dead_queue(evidence))
        .or_else(|| hang(evidence, seen))
        .or_else(|| finding(evidence, FindingCause::Corruption))
        .or_else(|| report(Cause::Corruption))
        .or_else(|| image::fsck(evidence, &seen.faults))
        .or_else(|| image::mount_again(evidence, &seen.faults))
        .or_else(|| finding(evidence, FindingCause::Leak))
        .or_else(|| report(Cause::Leak))
        .or_else(|| calls::failure(evidence, &seen.faults))
        .or_else(|| device::malformed(evidence))
        .or_else(|| device::beyond_end(&seen.faults))
        .or_else(|| finding(evidence, FindingCause::Error))
        .or_else(|| exec_outcome(evidence))
        .or_else(|| report(Cause::Warning))
        .or_else(|| report(Cause::Error))
}

fn hang(evidence: &EvidenceBundle, seen: &Seen) -> Option<Judgement> {
    let Ending::Stalled(stall) = &evidence.ending else {
        return None;
    };
    if evidence.went_on() {
        return None;
    }
    let mut stall = stall.clone();
    let lockup = seen.lockups.iter().find(|report| report.place.is_some());
    if let (true, Some(report)) = (stall.burns_cpu(), lockup) {
        // The kernel can unwind its stack, and knows the modules that were loaded since it booted.
        stall.stack = report.place.iter().chain(&report.frames).cloned().collect();
    }
    let phase = stall.phase.name();
    let kind = FailureKind::Hang { phase: stall.phase };
    let detail = format!("in {phase}, {}", stall.headline());
    let mut judgement = Judgement::fail(kind, Some(&format!("{phase}: {}", stall.place())), detail);
    judgement.evidence.extend(stall.grounds());
    Some(judgement)
}

fn finding(evidence: &EvidenceBundle, wanted: FindingCause) -> Option<Judgement> {
    // A test that was told of a device error that never came reports its success as a lost error; that is not the
    // kernel's.
    let faulted = evidence.rules.iter().any(|rule| rule.hits > 0);
    let found = evidence.events.iter().filter_map(|timed| match &timed.event {
        Event::Finding { oracle, .. } if oracle == LOST_ERROR && !faulted => None,
        Event::Finding { cause, oracle, detail } if *cause == wanted => Some((oracle, detail)),
        _ => None,
    });
    // What was read back tells a reader the most; among equals the first counts.
    let (oracle, detail) = found.min_by_key(|(oracle, _)| oracle.as_str() != DATA)?;
    let kind = match wanted {
        FindingCause::Corruption => FailureKind::Corruption,
        FindingCause::Leak => FailureKind::Leak,
        FindingCause::Error => FailureKind::Error,
    };
    Some(Judgement::fail(kind, Some(oracle), format!("{oracle}: {detail}")))
}

/// A user's own program fails by its exit code; one of our tests never does, it reports findings.
fn exec_outcome(evidence: &EvidenceBundle) -> Option<Judgement> {
    if evidence.kind != ProgramKind::Exec {
        return None;
    }
    match evidence.outcome(Phase::Run) {
        Some(PhaseOutcome::Exited(CANNOT_TEST)) => None,
        Some(PhaseOutcome::Exited(code)) => Some(Judgement::fail(
            FailureKind::Error,
            Some(&format!("exit code {code}")),
            format!("the program exited with code {code}"),
        )),
        Some(PhaseOutcome::Signalled(signal)) => Some(Judgement::fail(
            FailureKind::Error,
            Some(&format!("signal {signal}")),
            format!("the program was ended by signal {signal}"),
        )),
        Some(PhaseOutcome::TimeUp(ExecTime {
            limit_ms,
            then: WhenOver::Error,
        })) => Some(Judgement::fail(
            FailureKind::Error,
            Some("time"),
            format!("the program did not end within {} s", *limit_ms as f64 / 1000.0),
        )),
        _ => None,
    }
}
