//! What the kernel counted of its own failures against what its log shows.

use guest_wire::Counters;
use verdict::{Cause, FailureKind, Judgement};

use crate::bundle::EvidenceBundle;
use crate::reports::{Reports, cause};

/// The flags of `/proc/sys/kernel/tainted` that only a failure sets, with what each says.
const TAINTS: [(u32, FailureKind, &str); 4] = [
    (5, FailureKind::Crash, "a bad page"),
    (7, FailureKind::Crash, "an oops"),
    (9, FailureKind::Warning, "a warning"),
    (14, FailureKind::Crash, "a soft lockup"),
];

/// A failure that the kernel counted and of which its log says nothing.
pub(super) fn failure(evidence: &EvidenceBundle, log: &Reports) -> Option<Judgement> {
    let (before, after) = evidence.counters()?;
    let is_shown = |kind: FailureKind| {
        let mut reports = log.standing.iter().chain(&log.excused).chain(&log.stolen);
        // A file system's message or an oops may have a `WARN()` in it: it is one report of another kind. An error of
        // a request has none.
        reports.any(|report| match kind.cause() {
            Cause::Warning => cause(report.kind) != Cause::Error,
            counted => cause(report.kind) == counted,
        })
    };
    let (kind, what) = risen(before, after).into_iter().find(|(kind, _)| !is_shown(*kind))?;
    Some(Judgement::fail(
        kind,
        None,
        format!("the kernel counted {what}, and its log shows none"),
    ))
}

/// What went up, the worst first.
fn risen(before: &Counters, after: &Counters) -> Vec<(FailureKind, String)> {
    let rise = |before: Option<u64>, after: Option<u64>| Some(after?.saturating_sub(before?)).filter(|rise| *rise > 0);
    let mut risen = Vec::new();
    if let Some(oopses) = rise(before.oopses, after.oopses) {
        risen.push((FailureKind::Crash, format!("{oopses} oopses")));
    }
    if let (Some(before), Some(after)) = (before.taint, after.taint) {
        let new = TAINTS.into_iter().filter(|(bit, ..)| (after & !before) >> bit & 1 == 1);
        risen.extend(new.map(|(_, kind, what)| (kind, what.to_owned())));
    }
    if let Some(warnings) = rise(before.warnings, after.warnings) {
        risen.push((FailureKind::Warning, format!("{warnings} warnings")));
    }
    if before.lockdep_on == Some(true) && after.lockdep_on == Some(false) {
        risen.push((FailureKind::Warning, "a report of lockdep".to_owned()));
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
            risen(before, after).into_iter().map(|(_, what)| what).collect()
        };
        assert_eq!(
            words(&counters(0, 0, 0, true), &counters(2, 1, 1 << 7 | 1 << 9, false)),
            ["1 oopses", "an oops", "a warning", "2 warnings", "a report of lockdep"]
        );
        // What a kernel does not count cannot go up.
        assert_eq!(words(&Counters::default(), &counters(2, 1, 1 << 7, false)), [""; 0]);
    }
}
