//! The progress line of a run.

use super::words::short;
use super::{Bench, Driver};
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
            let good_end_done = self.search.observed(self.ends.1).tally.runs() > 0 || self.search.is_dear(self.ends.1);
            let ends_done = good_end_done && self.state().pinned.is_some();
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
