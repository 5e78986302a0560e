//! How a search will go on, as far as that can be told: it is played to its end as if what seems typical now were so.

use super::{Outlook, Played, RunOutcome, Search, Step};
use crate::belief::Belief;

/// Runs that are played at most: who has more before him does not want to know how many.
const RUNS_MAX: u32 = 300;
/// In a range with forks and merges a step takes time by the number of items, some 10 ms for 4,000: no more than this
/// many steps times items,
const STEPS_ITEMS: usize = 100_000;
/// but so many in any case.
const RUNS_MIN: u32 = 15;

impl Search {
    /// Where the search stands; none if no single change explains the runs.
    #[must_use]
    pub(crate) fn outlook(&self) -> Option<Outlook> {
        let belief = Belief::new(&self.model, &self.runs())?;
        let (_, candidates) = belief.middle(&|_| true);
        let (best, _) = belief.best();
        let rate = self.config.rate.after(self.model.bad_runs(best, &self.runs()));
        let history = &self.model.history;
        let most = if history.sets().is_none() {
            RUNS_MAX
        } else {
            u32::try_from(STEPS_ITEMS / history.items()).map_or(RUNS_MAX, |runs| runs.clamp(RUNS_MIN, RUNS_MAX))
        };
        Some(Outlook {
            candidates,
            entropy_bits: belief.entropy(),
            left: self.played(self.typical(&belief), rate.mean, most),
            rate,
        })
    }

    /// How it goes on if this is the first changed item, and bad items fail at this rate; no further than so many runs.
    #[must_use]
    pub fn played(&self, change: usize, rate: f64, most: u32) -> Played {
        let mut search = self.clone();
        let (mut runs, mut builds) = (0, 0);
        // Failures come as evenly as they can, beginning in the middle of a stretch.
        let mut due = 0.5;
        while runs < most
            && let Step::Run(next) = search.step()
        {
            runs += 1;
            builds += u32::from(next.build);
            let mut outcome = RunOutcome::Passed;
            if self.model.is_bad(next.item, change) {
                due += rate;
                if due >= 1.0 {
                    due -= 1.0;
                    outcome = RunOutcome::Failed;
                }
            }
            search.observe(next.item, outcome);
        }
        Played {
            runs,
            builds,
            or_more: runs == most,
        }
    }

    /// The hypothesis up to which, in the order of the range, half of what is believed lies.
    fn typical(&self, belief: &Belief<'_>) -> usize {
        let mut before = 0.0;
        let half = |hypothesis: &usize| {
            before += belief.probability(*hypothesis);
            before >= 0.5
        };
        (0..=self.model.history.items()).find(half).unwrap_or(belief.best().0)
    }
}
