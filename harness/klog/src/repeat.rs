//! Messages that are in a log a second time: a program printed the kernel's log on the console.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::line::Line;

/// Openings that are remembered; more than the reports that are kept.
const OPENINGS_MAX: usize = 20_000;

/// What tells a message from its repetition. The clock of a log does not go back, but for a moment where CPUs print at
/// once, and in a log of two boots; there the same message does not come at the same microsecond, unless the clock has
/// not begun to run.
#[derive(Default)]
pub(crate) struct Repeats {
    latest_us: Option<u64>,
    /// Whether the last time stamp was older than one before it.
    is_behind: bool,
    /// Whether an opening was repeated since.
    is_quoting: bool,
    /// Time and hash of the openings.
    openings: BTreeSet<(u64, u64)>,
}

impl Repeats {
    /// Takes a line's time.
    pub(crate) fn see(&mut self, line: &Line<'_>) {
        let Some(time_us) = line.time_us else {
            return;
        };
        match self.latest_us {
            Some(latest) if time_us < latest => self.is_behind = true,
            Some(latest) if time_us == latest => {}
            _ => {
                self.latest_us = Some(time_us);
                self.is_behind = false;
                self.is_quoting = false;
            }
        }
    }

    /// Whether a line that opens a report, or continues one, was there before.
    pub(crate) fn has_opened(&mut self, line: &Line<'_>) -> bool {
        let Some(time_us) = line.time_us else {
            return false;
        };
        let mut hasher = DefaultHasher::new();
        line.text.hash(&mut hasher);
        let opening = (time_us, hasher.finish());
        if self.is_behind && time_us > 0 && self.openings.contains(&opening) {
            self.is_quoting = true;
            return true;
        }
        // What the console did not have is read whole.
        self.is_quoting = false;
        if self.openings.len() < OPENINGS_MAX {
            self.openings.insert(opening);
        }
        false
    }

    /// Whether a line belongs to what is printed again.
    pub(crate) fn quotes(&self, line: &Line<'_>) -> bool {
        self.is_quoting && line.time_us.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::parse;

    #[test]
    fn only_what_comes_again_at_its_own_time_is_a_repetition() {
        let mut repeats = Repeats::default();
        let mut opens = |text: &str| {
            let line = parse(text);
            repeats.see(&line);
            repeats.has_opened(&line)
        };
        assert!(!opens("[    5.000001] a"));
        // A clock that stands still.
        assert!(!opens("[    5.000001] a"));
        assert!(!opens("[    5.000009] b"));
        assert!(!opens("[    5.000002] a"));
        assert!(opens("[    5.000001] a"));
        assert!(opens("[    5.000009] b"));
        assert!(!opens("a") && !opens("a"));
        assert!(!opens("[    6.000000] a"));
        assert!(!opens("[    6.000000] a"));
        // Twice a boot.
        assert!(!opens("[    0.000000] a"));
        assert!(!opens("[    0.000000] a"));
    }
}
