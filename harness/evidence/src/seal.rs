//! Whether the evidence is whole: each stream from its beginning to its end, and the console as the guest saw its log.
//!
//! Files are checked on loading, by hashes. What is checked here holds for the value as well: the guest says how many
//! events it sent and hashes them, the device numbers its marks, and the guest reads its kernel's log by itself, so a
//! console that was cut is noticed although nobody knows what was lost.

mod console;
mod events;
mod log;
mod trace;

use verdict::{Judgement, Stage};

use crate::bundle::EvidenceBundle;
use crate::context::Clocks;
use crate::parts::Ending;

/// What of the evidence is missing, if anything is.
pub(crate) fn broken(evidence: &EvidenceBundle) -> Option<Judgement> {
    let lost = || {
        let part = evidence.lost.first()?;
        Some(format!("{}: {}", part.part, part.why))
    };
    let finished = evidence.ending == Ending::Finished;
    lost()
        .or_else(|| events::gap(evidence, finished))
        .or_else(|| trace::gap(evidence))
        .or_else(|| log::gap(evidence, finished))
        .or_else(|| console::gap(evidence))
        .or_else(|| clocks(evidence).filter(|_| finished))
        .map(|what| Judgement::broken(Stage::Evidence, what))
}

/// Whether the guest's events are whole, and its kernel said that it had overwritten its log before anybody read it:
/// then the kernel's own words are on the console, but nobody knows whether all of them are.
pub(crate) fn overran(evidence: &EvidenceBundle) -> bool {
    let finished = evidence.ending == Ending::Finished;
    evidence.lost.is_empty()
        && events::gap(evidence, finished).is_none()
        && trace::gap(evidence).is_none()
        && log::overran(evidence)
}

/// Without the clocks' offsets a fault that came after a report would excuse it.
fn clocks(evidence: &EvidenceBundle) -> Option<String> {
    let Clocks { guest, log, device } = evidence.clocks;
    let all = [("the guest", guest), ("the kernel's log", log), ("the device", device)];
    let (clock, _) = all.into_iter().find(|(_, offset)| offset.is_none())?;
    Some(format!("nothing is known of the clock of {clock}"))
}

#[cfg(test)]
mod tests;
