//! What will be wanted next, whatever a run shows.

use super::{Bench, Driver};
use crate::search::{Next, RunOutcome, Step};

/// Runs of one item that are thought ahead: some passes may be wanted before another item is.
const RUNS: usize = 10;

impl<B: Bench> Driver<'_, B> {
    /// The items that are not made and that the search will want after this step, the likelier one first: one if the
    /// item fails, and one if it passes.
    pub(super) fn expected(&self, next: &Next) -> Vec<usize> {
        let outcomes = if next.bad > 0.5 {
            [RunOutcome::Failed, RunOutcome::Passed]
        } else {
            [RunOutcome::Passed, RunOutcome::Failed]
        };
        let mut expected = Vec::new();
        for outcome in outcomes {
            let mut search = self.search.clone();
            for _ in 0..RUNS {
                search.observe(next.item, outcome);
                match search.step() {
                    Step::Run(then) if !self.made.contains_key(&then.item) => {
                        if !expected.contains(&then.item) {
                            expected.push(then.item);
                        }
                        break;
                    }
                    Step::Run(then) if then.item == next.item => {}
                    _ => break,
                }
            }
        }
        expected
    }
}
