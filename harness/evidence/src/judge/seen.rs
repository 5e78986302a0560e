//! What a verdict is made from besides the bundle itself: the log's reports that count, and what rules did.

use klog::KernelReport;
use verdict::{Cause, FailureKind, Judgement, Stage};

use crate::bundle::EvidenceBundle;
use crate::faults::Faults;
use crate::parts::{Ending, Owner};
use crate::reports::{self, Reports};
use crate::times::Times;

/// Reports that are shown beside a verdict; the cell's `console.log` has all.
const REPORTS_SHOWN_MAX: usize = 8;

/// What is read out of a bundle once.
pub(super) struct Seen {
    pub(super) faults: Faults,
    pub(super) log: Reports,
    /// What the kernel said of a CPU that did not come back, if the guest is stalled: part of that, and no failure by
    /// itself.
    pub(super) lockups: Vec<KernelReport>,
    /// Reports of the time before the case, and whose time that was.
    before: Vec<KernelReport>,
    owner: Option<Owner>,
}

impl Seen {
    pub(super) fn of(evidence: &EvidenceBundle) -> Seen {
        let faults = Faults::of(&evidence.trace);
        let times = Times::of(&evidence.events, evidence.clocks);
        let mut log = reports::of_case(&evidence.kernel_log(), &faults, &times, &evidence.steal);
        let mut lockups = Vec::new();
        if matches!(&evidence.ending, Ending::Stalled(_)) && !evidence.went_on() {
            lockups = log
                .standing
                .extract_if(.., |report| reports::is_lockup(report))
                .collect();
        }
        let earlier = evidence.earlier.as_ref();
        Seen {
            before: earlier.map_or_else(Vec::new, |earlier| reports::before_case(&earlier.text)),
            owner: earlier.map(|earlier| earlier.owner.clone()),
            faults,
            log,
            lockups,
        }
    }

    /// The failure that the first report of a cause is.
    pub(super) fn report(&self, cause: Cause) -> Option<Judgement> {
        let kind = failure_kind(cause)?;
        let of_cause = |reports: &'_ [KernelReport]| {
            let mut reports = reports.iter();
            reports.find(|report| reports::cause(report.kind) == cause).cloned()
        };
        if let Some(report) = of_cause(&self.log.standing) {
            return Some(Judgement::fail(kind, report.place.as_deref(), in_place(&report)));
        }
        // A warning of the boot is for the reader, and one of the case before is that case's failure. A crash left
        // nothing to rely on.
        if cause != Cause::Crash {
            return None;
        }
        // Nobody counted what the host took from the guest by then, so a lockup that ended says nothing.
        let crashes: Vec<KernelReport> = self
            .before
            .iter()
            .filter(|report| !reports::is_lockup(report))
            .cloned()
            .collect();
        let report = of_cause(&crashes)?;
        let detail = format!("{}: {}", self.when(), in_place(&report));
        Some(Judgement::fail(kind, report.place.as_deref(), detail))
    }

    /// The failure that the worst report is: of a guest that never answered, only a crash. A warning of the boot does
    /// not keep a guest from answering, and a busy host may.
    pub(super) fn worst_report(&self, evidence: &EvidenceBundle) -> Option<Judgement> {
        let went_down = matches!(evidence.ending, Ending::VmGone(_));
        if !evidence.began() && !went_down {
            return self.report(Cause::Crash);
        }
        let causes = [
            Cause::Crash,
            Cause::Corruption,
            Cause::Leak,
            Cause::Warning,
            Cause::Error,
        ];
        causes.into_iter().find_map(|cause| self.report(cause))
    }

    /// A log with more reports than are looked at, of which those that are say nothing against the kernel.
    pub(super) fn not_all(&self) -> Option<Judgement> {
        let left_out = self.log.left_out;
        let detail = || format!("the kernel's log has {left_out} more reports of a kind than are looked at");
        (left_out > 0).then(|| Judgement::broken(Stage::Evidence, detail()))
    }

    fn when(&self) -> String {
        match &self.owner {
            Some(Owner::Case(case)) => format!("after the end of {case}, before this case began"),
            _ => "at boot".to_owned(),
        }
    }

    /// What a reader wants to know of the log.
    pub(super) fn lines(&self) -> Vec<String> {
        let line = |when: &str, report: &KernelReport| format!("{when}: {}: {}", report.kind, in_place(report));
        let standing = self.log.standing.iter().take(REPORTS_SHOWN_MAX);
        let mut lines: Vec<String> = standing.map(|report| line("kernel log", report)).collect();
        let when = self.when();
        let before = self.before.iter().take(REPORTS_SHOWN_MAX);
        lines.extend(before.map(|report| line(&when, report)));
        let excused = self.log.excused.iter().take(REPORTS_SHOWN_MAX);
        lines.extend(excused.map(|report| line("kernel log, as a rule must bring about", report)));
        let stolen = self.log.stolen.iter().take(REPORTS_SHOWN_MAX);
        lines.extend(stolen.map(|report| line("kernel log, as the host had no time for the guest", report)));
        let lockups = self.lockups.iter().take(REPORTS_SHOWN_MAX);
        lines.extend(lockups.map(|report| line("kernel log", report)));
        lines
    }
}

fn in_place(report: &KernelReport) -> String {
    match &report.place {
        Some(place) => format!("in {place}: {}", report.title),
        None => report.title.clone(),
    }
}

/// The failure of a cause; none for a hang, which is judged from samples: they know the phase.
fn failure_kind(cause: Cause) -> Option<FailureKind> {
    Some(match cause {
        Cause::Corruption => FailureKind::Corruption,
        Cause::Leak => FailureKind::Leak,
        Cause::Crash => FailureKind::Crash,
        Cause::Warning => FailureKind::Warning,
        Cause::Error => FailureKind::Error,
        Cause::Hang => return None,
    })
}
