//! What a person is told.

use super::{Bench, Driver};
use crate::search::{Conclusion, End};
use crate::signature::Comparison;

impl<B: Bench> Driver<'_, B> {
    /// The progress line.
    pub(super) fn tell(&self, name: &str, showed: &Comparison, ms: u64, known: bool) {
        let what = match showed {
            Comparison::Same => "fails".to_owned(),
            Comparison::Pass => "passes".to_owned(),
            Comparison::Other(other) => format!("fails in another way, which says nothing of the change: {other}"),
            Comparison::Untestable(reason) => format!("says nothing: {reason}"),
        };
        let left = self.search.outlook().map_or_else(String::new, |outlook| {
            let ends_done = self.search.observed(self.ends.1).tally.runs() > 0 && self.state().pinned.is_some();
            if !ends_done {
                return "; the ends come first".to_owned();
            }
            format!(
                "; {} left, about {} and {}{}",
                host::words::counted(outlook.candidates, "candidate"),
                host::words::counted(outlook.left.builds as usize, "kernel"),
                host::words::counted(outlook.left.runs as usize, "run"),
                if outlook.left.or_more { " or more" } else { "" },
            )
        });
        let run = self.state().runs.0;
        let name = short(name);
        let time = if known {
            "known from an earlier bisection".to_owned()
        } else {
            format!("{:.1} s", ms as f64 / 1000.0)
        };
        self.bench.say(&format!("run {run}: {name} {what} ({time}){left}"));
    }
}

/// A name as a person writes it: a commit by its first letters.
#[must_use]
pub fn short(name: &str) -> &str {
    let is_commit = name.len() == 40 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_commit { &name[..12] } else { name }
}

/// A conclusion in a line.
#[must_use]
pub fn describe(conclusion: &Conclusion, names: &[String]) -> String {
    let name = |item: &usize| names.get(*item).map_or("none", |name| short(name));
    match conclusion {
        Conclusion::Found { item, probability } => format!("{} ({})", name(item), percent(*probability)),
        Conclusion::Among { items, probability } => {
            let items: Vec<&str> = items.iter().map(|(item, _)| name(item)).collect();
            format!("one of {} ({})", items.join(", "), percent(*probability))
        }
        Conclusion::BadEndPasses { passed, rate_below } => format!(
            "the bad end passed {passed} times and never failed: if it fails at all, then (with 95 %) in less than {} of its runs",
            percent(*rate_below)
        ),
        Conclusion::GoodEndFails { probability } => format!("the good end fails, too ({})", percent(*probability)),
        Conclusion::EndUntestable(End::Bad) => "the bad end cannot be tested".to_owned(),
        Conclusion::EndUntestable(End::Good) => "the good end cannot be tested".to_owned(),
        Conclusion::Contradiction => {
            "no single change explains the runs: what fails and what passes do not lie apart in this range".to_owned()
        }
    }
}

/// A probability for a person: never 100 %, for none is.
#[must_use]
pub fn percent(probability: f64) -> String {
    let percent = probability * 100.0;
    if percent > 99.99 {
        "more than 99.99 %".to_owned()
    } else if percent >= 99.0 {
        format!("{percent:.2} %")
    } else {
        format!("{percent:.1} %")
    }
}
