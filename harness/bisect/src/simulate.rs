//! Searches against made-up ranges: how often each way to bisect finds the right item, with how many runs and builds.

use std::collections::BTreeSet;

use fastrand::Rng;

use super::rivals::{self, Threshold};
use super::search::{Conclusion, RunOutcome, Search, Step};

/// A way to bisect.
#[derive(Debug, Clone)]
pub enum Method {
    /// Ours: a search that has not begun, over a line as long as the world's.
    Ours(Box<Search>),
    /// Plain halving: one run decides on an item.
    OneRun,
    /// syzkaller's rule.
    Syzkaller(Threshold),
    /// A search that knows the failure rate; the number is the error it allows itself, from 0 to 1.
    ToldTheRate(f64),
}

/// A made-up range: a line of items of which one is the first bad one, and bad ones fail with a rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct World {
    /// Items other than the old end.
    pub(crate) candidates: usize,
    pub(crate) first_bad: usize,
    /// How often a bad item fails.
    pub(crate) rate: f64,
}

/// What became of one search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trial {
    /// Whether it named the first bad item.
    pub(crate) right: bool,
    /// Whether it named one at all.
    pub(crate) decided: bool,
    /// Runs, those of the ends among them.
    pub(crate) runs: u32,
    /// Items that were run, the ends among them: each is a build.
    pub(crate) built: u32,
}

/// One search by a method.
#[must_use]
pub(crate) fn trial(method: &Method, world: World, rng: &mut Rng) -> Trial {
    let mut runs = 0;
    let mut built = BTreeSet::new();
    let mut fails = |item: usize| {
        runs += 1;
        built.insert(item);
        item >= world.first_bad && rng.f64() < world.rate
    };
    let found = match method {
        Method::Ours(search) => ours(search, &mut fails),
        Method::OneRun => rivals::one_run(world.candidates, &mut fails),
        Method::Syzkaller(threshold) => rivals::syzkaller(world.candidates, *threshold, &mut fails),
        Method::ToldTheRate(error) => rivals::told_the_rate(world.candidates, world.rate, *error, &mut fails),
    };
    Trial {
        right: found == Some(world.first_bad),
        decided: found.is_some(),
        runs,
        built: u32::try_from(built.len()).unwrap_or(u32::MAX),
    }
}

fn ours(fresh: &Search, fails: &mut dyn FnMut(usize) -> bool) -> Option<usize> {
    let mut search = fresh.clone();
    loop {
        match search.step() {
            Step::Run(next) => {
                let outcome = if fails(next.item) {
                    RunOutcome::Failed
                } else {
                    RunOutcome::Passed
                };
                search.observe(next.item, outcome);
            }
            Step::Done(Conclusion::Found { item, .. }) => return Some(item),
            Step::Done(_) => return None,
        }
    }
}

/// Many searches by one method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Score {
    /// Searches.
    pub(crate) trials: u32,
    /// Those that named the first bad item.
    pub(crate) right: u32,
    /// Those that named none.
    pub(crate) undecided: u32,
    /// Runs of all.
    pub(crate) runs: u64,
    /// Builds of all.
    pub(crate) built: u64,
}

impl Score {
    /// Plays this many searches; the first bad item is any of them.
    #[must_use]
    pub fn of(method: &Method, candidates: usize, rate: f64, trials: u32, seed: u64) -> Score {
        let mut rng = Rng::with_seed(seed);
        let mut score = Score::default();
        for _ in 0..trials {
            let world = World {
                candidates,
                first_bad: rng.usize(1..=candidates),
                rate,
            };
            let trial = trial(method, world, &mut rng);
            score.trials += 1;
            score.right += u32::from(trial.right);
            score.undecided += u32::from(!trial.decided);
            score.runs += u64::from(trial.runs);
            score.built += u64::from(trial.built);
        }
        score
    }

    /// Share of searches that named the first bad item.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        f64::from(self.right) / f64::from(self.trials.max(1))
    }

    /// The accuracy is at least this with a confidence, by Clopper and Pearson.
    #[must_use]
    pub fn accuracy_at_least(&self, confidence: f64) -> f64 {
        // The accuracy under which so few wrong ones are just improbable enough.
        let wrong = self.trials - self.right;
        crossing(|accuracy| at_most(wrong, self.trials, 1.0 - accuracy) < 1.0 - confidence)
    }

    /// The upper end to [`accuracy_at_least`](Score::accuracy_at_least), likewise by Clopper and Pearson.
    #[must_use]
    pub fn accuracy_at_most(&self, confidence: f64) -> f64 {
        crossing(|accuracy| at_most(self.right, self.trials, accuracy) > 1.0 - confidence)
    }

    /// Runs of a search on average, those of the ends among them.
    #[must_use]
    pub fn mean_runs(&self) -> f64 {
        self.runs as f64 / f64::from(self.trials.max(1))
    }

    /// Builds of a search.
    #[must_use]
    pub fn mean_built(&self) -> f64 {
        self.built as f64 / f64::from(self.trials.max(1))
    }
}

/// Where a condition that holds for low numbers ceases to hold, from 0 to 1.
fn crossing(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Probability of at most so many events in that many trials.
fn at_most(events: u32, trials: u32, probability: f64) -> f64 {
    if events >= trials {
        return 1.0;
    }
    let ln_choose = |k: u32| {
        let (n, k) = (f64::from(trials), f64::from(k));
        libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0)
    };
    let term = |k: u32| {
        (ln_choose(k) + f64::from(k) * probability.ln() + f64::from(trials - k) * (-probability).ln_1p()).exp()
    };
    (0..=events).map(term).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;
    use crate::search::Config;

    fn score(trials: u32, right: u32) -> Score {
        Score {
            trials,
            right,
            ..Score::default()
        }
    }

    #[test]
    fn the_bound_is_that_of_clopper_and_pearson() {
        // All of 299 right: 0.99^299 = 5 %.
        assert!((score(299, 299).accuracy_at_least(0.95) - 0.99).abs() < 1e-4);
        assert!((score(1000, 994).accuracy_at_least(0.95) - 0.98820).abs() < 1e-4);
        assert!(score(10, 0).accuracy_at_least(0.95) < 1e-9);
        // None of 299 right: likewise.
        assert!((score(299, 0).accuracy_at_most(0.95) - 0.01).abs() < 1e-4);
        assert!(score(10, 10).accuracy_at_most(0.99) > 1.0 - 1e-9);
    }

    #[test]
    fn one_seed_gives_one_score() {
        let history = History::linear(101).expect("a line");
        let ours = Method::Ours(Box::new(Search::new(history, Config::default()).expect("a search")));
        for method in [
            ours,
            Method::OneRun,
            Method::Syzkaller(Threshold::One),
            Method::ToldTheRate(0.01),
        ] {
            let play = |seed| Score::of(&method, 100, 0.5, 20, seed);
            assert_eq!(play(1), play(1));
            assert_ne!(play(1), play(2));
        }
    }

    #[test]
    fn everybody_is_right_where_bad_items_fail_always() {
        for candidates in [1, 2, 100] {
            let history = History::linear(candidates + 1).expect("a line");
            let ours = Method::Ours(Box::new(Search::new(history, Config::default()).expect("a search")));
            let rule = Method::Syzkaller(Threshold::TwoOrASixth);
            for method in [ours, Method::OneRun, rule, Method::ToldTheRate(0.01)] {
                assert_eq!(Score::of(&method, candidates, 1.0, 50, 3).right, 50);
            }
        }
    }
}
