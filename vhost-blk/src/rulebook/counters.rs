//! Counters of the rule book, and the rules that were removed without ever having been applied.

use std::fmt::Write as _;

use super::decide::Armed;

/// Most rules that were taken off before they fired of which names are kept.
const UNFIRED_MAX: usize = 100;

/// Counters since the plan came into force, and what is remembered of older plans.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Requests that were decided on.
    pub(super) ordinal: u64,
    /// Rules that were put in force.
    pub(super) rules_made: usize,
    unfired: Vec<Unfired>,
    /// How many more there were.
    more: usize,
}

/// A rule that was taken off and had never been applied.
#[derive(Debug)]
struct Unfired {
    name: String,
    text: String,
    seen: u64,
}

impl Counters {
    /// Counts from the beginning, for a new plan.
    pub(super) fn begin_plan(&mut self) {
        (self.ordinal, self.rules_made) = (0, 0);
    }

    /// Keeps in mind which rules that are taken off never fired.
    pub(super) fn take_off<'a>(&mut self, rules: impl IntoIterator<Item = &'a Armed>) {
        for armed in rules.into_iter().filter(|armed| armed.hits == 0) {
            if self.unfired.len() < UNFIRED_MAX {
                self.unfired.push(Unfired {
                    name: armed.name.clone(),
                    text: armed.rule.to_string(),
                    seen: armed.seen,
                });
            } else {
                self.more += 1;
            }
        }
    }

    /// What is to be said of rules that were taken off and never fired, for the last time; nothing if there are none.
    pub(super) fn never_fired(&mut self, is_replay: bool) -> Option<String> {
        let (rules, more) = (std::mem::take(&mut self.unfired), std::mem::take(&mut self.more));
        let count = rules.len() + more;
        if count == 0 {
            return None;
        }
        let mut said = format!("{count} {} never fired:", if count == 1 { "rule" } else { "rules" });
        for Unfired { name, text, seen } in rules {
            let seen = match seen {
                _ if is_replay => "in a replay nobody asks for its trigger".to_owned(),
                0 => "no request looked like its trigger".to_owned(),
                1 => "1 request looked like its trigger".to_owned(),
                seen => format!("{seen} requests looked like its trigger"),
            };
            // Writing to a string does not fail.
            let _ = write!(said, "\n  {name}: {text} ({seen})");
        }
        if more > 0 {
            let _ = write!(said, "\n  and {more} more");
        }
        Some(said)
    }
}
