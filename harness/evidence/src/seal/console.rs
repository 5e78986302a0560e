//! The console against the guest's own reading of its kernel's log.
//!
//! What the kernel prints is in both, in the same order. The console has more: time stamps, and what the firmware and
//! programs write. So every record that the console was to show must be there, after those before it.

use guest_wire::printable;

use super::log;
use crate::bundle::EvidenceBundle;

/// The console's level on the command line of every test machine.
const CONSOLE_LEVEL: u8 = 7;

const LACKS: &str = "the console lacks a message that the guest has in its kernel's log";

/// The first record that the console lacks.
pub(super) fn gap(evidence: &EvidenceBundle) -> Option<String> {
    let level = level(evidence);
    let mut lines = evidence.console.lines().map(printable);
    for piece in log::pieces(evidence) {
        let records = piece.records.iter().filter(|record| record.level < level);
        for (seq, text) in records.flat_map(|record| record.text.lines().map(|text| (record.seq, text))) {
            let wanted = printable(text);
            if !wanted.is_empty() && !lines.any(|line| line.ends_with(&wanted)) {
                return Some(format!("{LACKS} (record {seq}): {text}"));
            }
        }
        let numbers = (0..).map(|at| piece.first.saturating_add(at));
        let digests = numbers.zip(&piece.digests).filter(|(_, digest)| digest.level < level);
        for (seq, wanted) in digests.flat_map(|(seq, digest)| digest.lines.iter().map(move |line| (seq, line))) {
            if !lines.any(|line| wanted.ends(&line)) {
                return Some(format!("{LACKS} (record {seq})"));
            }
        }
    }
    None
}

/// The level that the console had when the job began. Whoever lowers it, before or in the job, cuts the console.
fn level(evidence: &EvidenceBundle) -> u8 {
    let counters = evidence.counters().map(|(before, _)| before);
    counters
        .and_then(|counters| counters.console_level)
        .unwrap_or(CONSOLE_LEVEL)
        .max(CONSOLE_LEVEL)
}
