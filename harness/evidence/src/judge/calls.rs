//! System calls that must not fail on a healthy disk, and the end of programs that the kernel alone can have ended.
//!
//! A mount that says EIO, an umount that stays busy or a SIGBUS on a mapped page is the kernel's as long as no rule of
//! ours did anything that it could come from. After such a rule it is nobody's failure, and what cannot go on then is
//! not called broken either.

use guest_wire::{Event, Phase, PhaseOutcome};
use verdict::{FailureKind, Judgement};

use crate::bundle::EvidenceBundle;
use crate::faults::Faults;
use crate::parts::ProgramKind;

/// Errors by which a file system says that disk or metadata are wrong, or that it gave up because of that.
const OF_A_DISK: &[(&str, i32)] = &[("EIO", 5), ("EROFS", 30), ("EBADMSG", 74), ("EUCLEAN", 117)];

/// The signal for a page of a mapping that cannot be read in.
const SIGBUS: i32 = 7;

/// The first call that the kernel must not have failed.
pub(super) fn failure(evidence: &EvidenceBundle, faults: &Faults) -> Option<Judgement> {
    let mut note = None;
    for timed in &evidence.events {
        let found = match &timed.event {
            Event::PhaseStart { .. } => {
                note = None;
                None
            }
            Event::Note { text } => {
                note = Some(text.as_str());
                None
            }
            Event::PhaseEnd { phase, outcome } => busy(*phase, outcome).or_else(|| {
                let unhealthy = faults.any() || *phase == Phase::MountAgain;
                if unhealthy {
                    None
                } else {
                    refused(*phase, outcome).or_else(|| ended(evidence, *phase, outcome, note))
                }
            }),
            _ => None,
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

/// Whether a phase could not do its work because a file system had given up after a fault of ours: it says nothing.
pub(super) fn is_explained(phase: Phase, outcome: &PhaseOutcome, faults: &Faults) -> bool {
    phase == Phase::Leak && faults.any() && disk_error(outcome).is_some()
}

/// An umount that stays busy although all that used the file system is gone.
fn busy(phase: Phase, outcome: &PhaseOutcome) -> Option<Judgement> {
    let PhaseOutcome::Failed(what) = outcome else {
        return None;
    };
    (what == "umount: EBUSY").then(|| {
        Judgement::fail(
            FailureKind::Leak,
            Some("umount: EBUSY"),
            format!(
                "{}: the file system stays busy (EBUSY), though every process that used it is gone",
                phase.name()
            ),
        )
    })
}

/// A call of the agent's own that failed as it does on a bad disk.
fn refused(phase: Phase, outcome: &PhaseOutcome) -> Option<Judgement> {
    let errno = disk_error(outcome)?;
    let PhaseOutcome::Failed(what) = outcome else {
        return None;
    };
    Some(on_a_healthy_disk(phase, errno, what))
}

fn disk_error(outcome: &PhaseOutcome) -> Option<&'static str> {
    let PhaseOutcome::Failed(what) = outcome else {
        return None;
    };
    let (_, errno) = what.rsplit_once(": ")?;
    OF_A_DISK.iter().map(|(name, _)| *name).find(|name| *name == errno)
}

/// The end of one of our tests by an error of the disk's, or by a page of a mapping that did not come.
fn ended(evidence: &EvidenceBundle, phase: Phase, outcome: &PhaseOutcome, note: Option<&str>) -> Option<Judgement> {
    if evidence.kind != ProgramKind::Test {
        return None;
    }
    match outcome {
        PhaseOutcome::Signalled(SIGBUS) => Some(on_a_healthy_disk(
            phase,
            "SIGBUS",
            "a page of a mapped file could not be read in",
        )),
        PhaseOutcome::Exited(_) => {
            // As `test::main` in the guest says why it cannot go on.
            let note = note?;
            let (errno, _) = OF_A_DISK
                .iter()
                .find(|(_, number)| note.ends_with(&format!("(os error {number})")))?;
            Some(on_a_healthy_disk(phase, errno, note))
        }
        _ => None,
    }
}

fn on_a_healthy_disk(phase: Phase, errno: &str, what: &str) -> Judgement {
    let phase = phase.name();
    Judgement::fail(
        FailureKind::Error,
        Some(&format!("{phase}: {errno}")),
        format!("{phase}: {what}, on a disk on which nothing had failed"),
    )
}
