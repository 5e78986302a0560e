//! The console against the guest's own reading of its kernel's log.
//!
//! What the kernel prints is in both, in the same order. The console has more: time stamps, and what the firmware and
//! programs write. So every record that the console was to show must be there, after those before it.

use super::log;
use crate::bundle::EvidenceBundle;

/// The console's level on the command line of every test machine.
const CONSOLE_LEVEL: u8 = 7;

/// The first record that the console lacks.
pub(super) fn gap(evidence: &EvidenceBundle) -> Option<String> {
    let level = level(evidence);
    let mut lines = evidence.console.lines().map(printable);
    let shown = log::pieces(evidence)
        .flat_map(|piece| &piece.records)
        .filter(|record| record.level < level);
    for record in shown {
        for text in record.text.lines() {
            let wanted = printable(text);
            if !wanted.is_empty() && !lines.any(|line| line.ends_with(&wanted)) {
                return Some(format!(
                    "the console lacks a message that the guest has in its kernel's log (record {}): {text}",
                    record.seq
                ));
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

/// What of a line looks the same wherever it is read: blanks, control characters and bytes above ASCII do not.
fn printable(line: &str) -> String {
    line.chars().filter(char::is_ascii_graphic).collect()
}
