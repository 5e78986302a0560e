//! The reports of the kernel's log that count.

use verdict::{Cause, FailureKind, Judgement, console};

use crate::bundle::EvidenceBundle;
use crate::faults::Faults;

/// A report that no fault of ours excuses.
pub(super) struct Standing {
    pub(super) cause: Cause,
    place: Option<String>,
    title: String,
}

/// The reports that stand, in the log's order.
pub(super) fn standing(evidence: &EvidenceBundle, _faults: &Faults) -> Vec<Standing> {
    console::reports(&evidence.console)
        .into_iter()
        .map(|report| Standing {
            cause: report.cause,
            place: report.place,
            title: report.line,
        })
        .collect()
}

/// The failure that the first report of a cause is.
pub(super) fn first(reports: &[Standing], cause: Cause) -> Option<Judgement> {
    let kind = match cause {
        Cause::Corruption => FailureKind::Corruption,
        Cause::Leak => FailureKind::Leak,
        Cause::Crash => FailureKind::Crash,
        Cause::Warning => FailureKind::Warning,
        Cause::Error => FailureKind::Error,
        // A hang is judged from samples, which know the phase.
        Cause::Hang => return None,
    };
    let report = reports.iter().find(|report| report.cause == cause)?;
    let place = report.place.as_deref();
    let within = place.map(|place| format!("in {place}: ")).unwrap_or_default();
    Some(Judgement::fail(kind, place, format!("{within}{}", report.title)))
}

/// The failure that the worst report is.
pub(super) fn worst(reports: &[Standing]) -> Option<Judgement> {
    [
        Cause::Crash,
        Cause::Corruption,
        Cause::Leak,
        Cause::Warning,
        Cause::Error,
    ]
    .into_iter()
    .find_map(|cause| first(reports, cause))
}
