//! Jobs that did not come to their end, or of whose end a part was not heard.

use guest_wire::{Event, Phase, PhaseOutcome};
use verdict::{Judgement, Stage, Verdict};

use super::calls;
use super::kernel::CANNOT_TEST;
use crate::bundle::EvidenceBundle;
use crate::faults::Faults;
use crate::parts::{Ending, ProgramKind};

/// A job that did not come to its end although the kernel did nothing that we can name.
pub(super) fn unfinished(evidence: &EvidenceBundle, faults: &Faults) -> Option<Judgement> {
    let phase = evidence.last_phase().map_or("begin", Phase::name);
    for timed in &evidence.events {
        if let Event::PhaseEnd { phase, outcome } = &timed.event {
            match outcome {
                PhaseOutcome::Exited(CANNOT_TEST) if evidence.kind == ProgramKind::Exec => {
                    let says = format!("the program says that it cannot test here (exit code {CANNOT_TEST})");
                    return Some(Judgement::new(Verdict::Inconclusive, says));
                }
                outcome if calls::is_explained(*phase, outcome, faults) => {}
                PhaseOutcome::Failed(what) => return Some(Judgement::broken(Stage::Phase(*phase), what)),
                PhaseOutcome::Exited(code) => {
                    return Some(Judgement::broken(
                        Stage::Test,
                        format!("{} exited with code {code}", phase.name()),
                    ));
                }
                PhaseOutcome::Signalled(signal) => {
                    return Some(Judgement::broken(
                        Stage::Test,
                        format!("{} was ended by signal {signal}", phase.name()),
                    ));
                }
                PhaseOutcome::Done | PhaseOutcome::Skipped | PhaseOutcome::TimeUp(_) => {}
            }
        }
    }
    match &evidence.ending {
        Ending::VmGone(_) => Some(Judgement::broken(Stage::Vm, format!("the guest went down in {phase}"))),
        Ending::OutOfTime { limit_s } => {
            let hint = if evidence.kind == ProgramKind::Exec && evidence.last_phase() == Some(Phase::Run) {
                "a program that does not end is ended with --exec-time, and one that is slow gets more time with \
                --case-limit"
            } else {
                "a slow machine or a sleeping program"
            };
            Some(Judgement::broken(
                Stage::Harness,
                format!("no end and no evidence of a hang within {limit_s} s, in {phase}; {hint}"),
            ))
        }
        Ending::Held { rule, phase } => Some(Judgement::new(
            Verdict::Inconclusive,
            format!(
                "in {}, the guest waits for a request that {rule} keeps from being answered",
                phase.name()
            ),
        )),
        Ending::Stalled(stall) if evidence.went_on() => Some(Judgement::broken(
            Stage::Harness,
            format!(
                "in {}, the guest was taken for stalled and went on when it was asked for its stacks",
                stall.phase.name()
            ),
        )),
        Ending::Finished => skipped(evidence)
            .or_else(|| gap(evidence))
            .or_else(|| unchecked(evidence)),
        _ => None,
    }
}

/// A program that says that it does not apply here leaves out what would follow.
fn skipped(evidence: &EvidenceBundle) -> Option<Judgement> {
    let phase = [Phase::Setup, Phase::Run]
        .into_iter()
        .find(|phase| evidence.outcome(*phase) == Some(&PhaseOutcome::Skipped))?;
    Some(Judgement::new(
        Verdict::Skipped,
        format!("{}: the program says that it does not apply here", phase.name()),
    ))
}

/// A finished job of which a phase is missing, or only half heard: an oracle that was not heard was not content.
fn gap(evidence: &EvidenceBundle) -> Option<Judgement> {
    const OF_TEST: &[Phase] = &[Phase::Setup, Phase::Remount, Phase::Verify];
    const OF_ALL: &[Phase] = &[
        Phase::Mount,
        Phase::Run,
        Phase::Umount,
        Phase::MountAgain,
        Phase::LastUmount,
    ];
    let of_test = if evidence.kind == ProgramKind::Exec {
        &[]
    } else {
        OF_TEST
    };
    if let Some(missing) = of_test
        .iter()
        .chain(OF_ALL)
        .find(|phase| evidence.outcome(**phase).is_none())
    {
        return Some(Judgement::broken(
            Stage::Guest,
            format!("no word of the end of {}, so nothing is known of it", missing.name()),
        ));
    }
    let mut open: Option<Phase> = None;
    for timed in &evidence.events {
        let ends = match &timed.event {
            Event::PhaseStart { phase } => open.replace(*phase),
            // The end of a phase that is not the open one is one whose beginning was not heard.
            Event::PhaseEnd { phase, .. } => (open.take() != Some(*phase)).then_some(*phase),
            _ => None,
        };
        if let Some(phase) = ends {
            return Some(Judgement::broken(
                Stage::Guest,
                format!("beginning and end of {} do not belong together", phase.name()),
            ));
        }
    }
    None
}

/// A finished job whose image nobody looked at.
fn unchecked(evidence: &EvidenceBundle) -> Option<Judgement> {
    let why = match &evidence.fsck {
        None => "the file system was not checked on the host".to_owned(),
        Some(fsck) => format!("the file system check says nothing: {}", fsck.unable.as_deref()?),
    };
    Some(Judgement::broken(Stage::Harness, why))
}
