//! What the kernel counted of its own failures against what its log shows.

use guest_wire::Counters;
use klog::{KernelReport, Kind};
use verdict::{Cause, FailureKind, Judgement};

use crate::bundle::EvidenceBundle;
use crate::reports::{Reports, cause};

/// The flags of `/proc/sys/kernel/tainted` that only a failure sets, with what each says.
const TAINTS: [(u32, FailureKind, &str); 4] = [
    (5, FailureKind::Crash, "a bad page"),
    (7, FailureKind::Crash, "an oops"),
    (9, FailureKind::Warning, "a warning"),
    (14, FailureKind::Crash, SOFT_LOCKUP),
];
const SOFT_LOCKUP: &str = "a soft lockup";

/// Something of which the kernel counted more.
#[derive(Debug, PartialEq, Eq)]
struct Risen {
    kind: FailureKind,
    what: String,
    /// By how much, at least.
    by: u64,
}

/// A failure that the kernel counted and of which its log says nothing. Asked once no report in the log is a failure:
/// what is left there is what rules or the host brought about.
pub(super) fn failure(evidence: &EvidenceBundle, log: &Reports) -> Option<Judgement> {
    let (before, after) = evidence.counters()?;
    let Risen { kind, what, .. } = risen(before, after)
        .into_iter()
        .find(|risen| risen.by > shown(risen, log))?;
    Some(Judgement::fail(
        kind,
        None,
        format!("the kernel counted {what}, and its log shows none that would be a failure"),
    ))
}

/// How many reports that are no failure may have been counted there.
fn shown(risen: &Risen, log: &Reports) -> u64 {
    // A file system's message about an error may have a `WARN()` in it, and then has its stack.
    let warned = |report: &&KernelReport| cause(report.kind) != Cause::Error && !report.frames.is_empty();
    let found = match risen.kind.cause() {
        Cause::Warning if risen.what != LOCKDEP => log.excused.iter().filter(warned).count(),
        Cause::Crash if risen.what == SOFT_LOCKUP => {
            let mut stolen = log.stolen.iter();
            stolen.any(|report| report.kind == Kind::SoftLockup).into()
        }
        _ => 0,
    };
    found as u64
}

const LOCKDEP: &str = "a report of lockdep";

/// What went up, the worst first.
fn risen(before: &Counters, after: &Counters) -> Vec<Risen> {
    let rise = |before: Option<u64>, after: Option<u64>| Some(after?.saturating_sub(before?)).filter(|rise| *rise > 0);
    let one = |kind, what: &str| Risen {
        kind,
        what: what.to_owned(),
        by: 1,
    };
    let mut risen = Vec::new();
    if let Some(by) = rise(before.oopses, after.oopses) {
        let (kind, what) = (FailureKind::Crash, format!("{by} oopses"));
        risen.push(Risen { kind, what, by });
    }
    if let (Some(before), Some(after)) = (before.taint, after.taint) {
        let new = TAINTS.into_iter().filter(|(bit, ..)| (after & !before) >> bit & 1 == 1);
        risen.extend(new.map(|(_, kind, what)| one(kind, what)));
    }
    if let Some(by) = rise(before.warnings, after.warnings) {
        let (kind, what) = (FailureKind::Warning, format!("{by} warnings"));
        risen.push(Risen { kind, what, by });
    }
    if before.lockdep_on == Some(true) && after.lockdep_on == Some(false) {
        risen.push(one(FailureKind::Warning, LOCKDEP));
    }
    risen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_up_is_named_and_what_is_sticky_is_not() {
        let counters = |warnings, oopses, taint, lockdep_on| Counters {
            warnings: Some(warnings),
            oopses: Some(oopses),
            taint: Some(taint),
            lockdep_on: Some(lockdep_on),
            console_level: Some(7),
        };
        let quiet = counters(3, 1, 1 << 9, false);
        assert_eq!(risen(&quiet, &quiet), []);
        // An external module taints as well, and is no failure.
        assert_eq!(risen(&quiet, &counters(3, 1, 1 << 9 | 1 << 12, false)), []);
        let words = |before: &Counters, after: &Counters| -> Vec<String> {
            risen(before, after).into_iter().map(|risen| risen.what).collect()
        };
        assert_eq!(
            words(&counters(0, 0, 0, true), &counters(2, 1, 1 << 7 | 1 << 9, false)),
            ["1 oopses", "an oops", "a warning", "2 warnings", "a report of lockdep"]
        );
        // What a kernel does not count cannot go up.
        assert_eq!(words(&Counters::default(), &counters(2, 1, 1 << 7, false)), [""; 0]);
    }

    #[test]
    fn what_rules_and_the_host_bring_about_hides_nothing_else() {
        let report = |title: &str, stack: &str| klog::read(format!("{title}\n{stack}").as_bytes()).remove(0);
        let log = Reports {
            excused: vec![
                report("BTRFS error (device vda state A): Transaction 8 aborted (-EIO)", ""),
                report(
                    "XFS (vda): Internal error xfs_trans_cancel",
                    "Call Trace:\n f+0x1/0x2\n",
                ),
            ],
            stolen: vec![report("watchdog: BUG: soft lockup - CPU#0 stuck for 41s! [a:71]", "")],
            ..Reports::default()
        };
        let is_shown = |before: &Counters, after: &Counters| {
            risen(before, after).iter().all(|risen| risen.by <= shown(risen, &log))
        };
        let quiet = Counters {
            warnings: Some(0),
            oopses: Some(0),
            taint: Some(0),
            lockdep_on: Some(true),
            console_level: Some(7),
        };
        let with = |change: fn(&mut Counters)| {
            let mut after = quiet.clone();
            change(&mut after);
            is_shown(&quiet, &after)
        };
        assert!(with(|_| {}));
        assert!(with(|after| after.warnings = Some(1)) && !with(|after| after.warnings = Some(2)));
        assert!(!with(|after| after.oopses = Some(1)));
        assert!(with(|after| after.taint = Some(1 << 14)) && !with(|after| after.taint = Some(1 << 7)));
        assert!(!with(|after| after.lockdep_on = Some(false)));
    }
}
