//! The decision itself. Pure: the same evidence always gives the same verdict.
//!
//! The order of the questions is the order of trust. First whether the rig held (a broken rig says nothing about the
//! kernel), then what the kernel did wrong, worst first, then whether the thing under test happened at all. Only what
//! comes through all of that is a pass; there is no path to a pass from silence.

mod counted;
mod kernel;
mod rig;
mod supporting;
mod unfinished;

use verdict::{Judgement, Verdict};

use crate::armed;
use crate::bundle::EvidenceBundle;
use crate::seal;

/// The verdict on a cell with its grounds, from its evidence alone.
#[must_use]
pub fn judge(evidence: &EvidenceBundle) -> Judgement {
    let unmet = armed::unmet(evidence);
    let mut judgement = rig::broken(evidence)
        .or_else(|| seal::broken(evidence))
        .or_else(|| kernel::failure(evidence))
        .or_else(|| counted::failure(evidence))
        .or_else(|| unfinished::unfinished(evidence))
        .unwrap_or_else(|| match &unmet[..] {
            [] => Judgement::new(Verdict::Pass, "every oracle was content"),
            [first, ..] => Judgement::new(Verdict::Inconclusive, first),
        });
    judgement.armed = unmet.is_empty() && evidence.began();
    judgement.evidence.extend(supporting::lines(evidence));
    if judgement.verdict != Verdict::Inconclusive {
        judgement
            .evidence
            .extend(unmet.into_iter().map(|line| format!("not armed: {line}")));
    }
    judgement
}
