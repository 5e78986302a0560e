//! What the kernel did wrong.

use guest_wire::{Event, ExecTime, FindingCause, Phase, PhaseOutcome, WhenOver};
use verdict::{FailureKind, Judgement, console};

use crate::bundle::EvidenceBundle;
use crate::parts::{Ending, ProgramKind};

/// The oracle that reports success although the device was to fail.
const LOST_ERROR: &str = "lost-error";
/// The oracle that compares what is on disk.
const DATA: &str = "data";

/// Lines of a file system check that are shown; the cell's `fsck.log` has all.
const COMPLAINTS_MAX: usize = 12;

/// What the kernel did wrong, worst first.
pub(super) fn failure(evidence: &EvidenceBundle) -> Option<Judgement> {
    let reports = console::reports(&evidence.console);
    let report = |kind: FailureKind| {
        let first = reports.iter().find(|report| report.cause == kind.cause())?;
        let place = first.place.as_deref();
        let within = place.map(|place| format!("in {place}: ")).unwrap_or_default();
        Some(Judgement::fail(kind, place, format!("{within}{}", first.line)))
    };
    report(FailureKind::Crash)
        .or_else(|| hang(evidence))
        .or_else(|| finding(evidence, FindingCause::Corruption))
        .or_else(|| fsck(evidence))
        .or_else(|| mount_again(evidence))
        .or_else(|| finding(evidence, FindingCause::Leak))
        .or_else(|| finding(evidence, FindingCause::Error))
        .or_else(|| exec_outcome(evidence))
        .or_else(|| report(FailureKind::Warning))
}

fn hang(evidence: &EvidenceBundle) -> Option<Judgement> {
    let Ending::Stalled(stall) = &evidence.ending else {
        return None;
    };
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

fn fsck(evidence: &EvidenceBundle) -> Option<Judgement> {
    let fsck = evidence.fsck.as_ref().filter(|fsck| !fsck.clean)?;
    let complaints = complaints(&fsck.output);
    let first = complaints.first().or(fsck.output.lines().last().as_ref()).copied();
    let mut judgement = Judgement::fail(
        FailureKind::Corruption,
        Some("file system check"),
        format!("file system check: {}", first.unwrap_or("not clean").trim()),
    );
    let lines = complaints.iter().take(COMPLAINTS_MAX);
    judgement
        .evidence
        .extend(lines.map(|line| format!("check: {}", line.trim())));
    Some(judgement)
}

/// The lines of a checker's output that complain rather than report progress; those that only count what others say
/// come last.
fn complaints(output: &str) -> Vec<&str> {
    let telling = |line: &&str| {
        let lower = line.to_lowercase();
        [
            "error", "mismatch", "bad", "corrupt", "wrong", "invalid", "missing", "would",
        ]
        .iter()
        .any(|word| lower.contains(word))
    };
    let sums_up = |line: &str| line.ends_with("error(s) found") || line.starts_with("ERROR: errors found in ");
    let (sums, mut complaints): (Vec<&str>, Vec<&str>) =
        output.lines().filter(telling).partition(|line| sums_up(line.trim()));
    complaints.extend(sums);
    complaints
}

/// A file system that mounted before the write and does not after it is damaged.
fn mount_again(evidence: &EvidenceBundle) -> Option<Judgement> {
    match evidence.outcome(Phase::MountAgain) {
        Some(PhaseOutcome::Failed(what)) => Some(Judgement::fail(
            FailureKind::Corruption,
            Some("mount again"),
            format!("cannot be mounted again: {what}"),
        )),
        _ => None,
    }
}

/// A user's own program fails by its exit code; one of our tests never does, it reports findings.
fn exec_outcome(evidence: &EvidenceBundle) -> Option<Judgement> {
    if evidence.kind != ProgramKind::Exec {
        return None;
    }
    match evidence.outcome(Phase::Run) {
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
