//! The decision itself. Pure: the same evidence always gives the same verdict.
//!
//! The order of the questions is the order of trust. First whether the rig held (a broken rig says nothing about the
//! kernel), then what the kernel did wrong, worst first, then whether the thing under test happened at all. Only what
//! comes through all of that is a pass; there is no path to a pass from silence.

mod calls;
mod counted;
mod device;
mod image;
mod kernel;
mod rig;
mod seen;
mod supporting;
mod unfinished;

#[cfg(test)]
mod hang_tests;
#[cfg(test)]
mod tests;

use verdict::{Judgement, Verdict};

use crate::armed;
use crate::bundle::EvidenceBundle;
use crate::seal;
use seen::Seen;

/// The verdict on a cell with its grounds, from its evidence alone.
#[must_use]
pub fn judge(evidence: &EvidenceBundle) -> Judgement {
    let unmet = armed::unmet(evidence);
    let seen = Seen::of(evidence);
    let mut judgement = rig::gone(evidence)
        .or_else(|| device::broken(&seen.faults))
        .or_else(|| rig::broken(evidence).map(|broken| seen.worst_report(evidence).unwrap_or(broken)))
        .or_else(|| {
            // A kernel that reports in a loop is no less bad for that.
            let flood = || seen.worst_report(evidence).filter(|_| seal::overran(evidence));
            seal::broken(evidence).map(|broken| flood().unwrap_or(broken))
        })
        .or_else(|| kernel::failure(evidence, &seen))
        .or_else(|| counted::failure(evidence, &seen.log))
        .or_else(|| seen.not_all())
        .or_else(|| image::spoilt(evidence, &seen.faults))
        .or_else(|| unfinished::unfinished(evidence, &seen.faults))
        .unwrap_or_else(|| match &unmet[..] {
            [] => Judgement::new(Verdict::Pass, "every oracle was content"),
            [first, ..] => Judgement::new(Verdict::Inconclusive, first),
        });
    judgement.armed = unmet.is_empty() && evidence.began();
    let headline = judgement.detail();
    let lines = seen.lines().into_iter().filter(|line| !line.ends_with(&headline));
    judgement.evidence.extend(supporting::output(evidence));
    judgement.evidence.extend(lines);
    judgement.evidence.extend(supporting::lines(evidence));
    if judgement.verdict != Verdict::Inconclusive {
        judgement
            .evidence
            .extend(unmet.into_iter().map(|line| format!("not armed: {line}")));
    }
    judgement
}
