//! What is given before any run, and the sums that beliefs are made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::rate::{RatePrior, Tally};

/// Which state is the newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The new end is bad: the first bad item is looked for.
    Regression,
    /// The new end is good: the first good item is looked for.
    Fix,
}

/// What is given before any run.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) history: History,
    pub(crate) direction: Direction,
    pub(crate) rate: RatePrior,
    /// Probability that a good item fails with the pinned signature.
    pub(crate) false_failure: f64,
    /// Prior probability of each hypothesis; in all 1 at most.
    pub(super) prior: Vec<f64>,
    /// Sums of that over all hypotheses before each; one more than there are hypotheses.
    pub(super) before: Vec<f64>,
    /// Sums of p log2 p, likewise.
    pub(super) ordered: Vec<f64>,
    /// Items with a probability before each hypothesis, likewise.
    pub(super) possible: Vec<usize>,
}

impl Model {
    /// `doubt` is the probability that the end which should be good is bad.
    pub(crate) fn new(
        history: History,
        direction: Direction,
        rate: RatePrior,
        false_failure: f64,
        doubt: f64,
    ) -> Model {
        let total: f64 = (1..history.items()).map(|item| history.weight(item)).sum();
        let of = |hypothesis: usize| match (hypothesis, direction) {
            (0, Direction::Regression) => doubt,
            (0, Direction::Fix) => 0.0,
            (h, Direction::Fix) if h == history.items() => doubt,
            (h, _) if h == history.items() => 0.0,
            (h, _) => (1.0 - doubt) * history.weight(h) / total,
        };
        let prior = (0..=history.items()).map(of).collect();
        let mut model = Model {
            history,
            direction,
            rate,
            false_failure,
            prior,
            before: Vec::new(),
            ordered: Vec::new(),
            possible: Vec::new(),
        };
        model.sum_up();
        model
    }

    /// Takes the probability of hypotheses away, and gives it to the other items: that there are few of them makes it
    /// no more probable that the end which should be good is bad.
    pub(crate) fn rule_out(&mut self, which: impl Fn(usize) -> bool) {
        let items = 1..self.history.items();
        let before: f64 = self.prior[items.clone()].iter().sum();
        for hypothesis in 0..self.prior.len() {
            if which(hypothesis) {
                self.prior[hypothesis] = 0.0;
            }
        }
        let left: f64 = self.prior[items.clone()].iter().sum();
        if left > 0.0 {
            self.prior[items].iter_mut().for_each(|prior| *prior *= before / left);
        }
        self.sum_up();
    }

    fn sum_up(&mut self) {
        let (mut before, mut ordered, mut possible) = (vec![0.0], vec![0.0], vec![0]);
        let (mut mass, mut order, mut count) = (0.0, 0.0, 0);
        for (hypothesis, prior) in self.prior.iter().copied().enumerate() {
            if prior > 0.0 {
                mass += prior;
                order += prior * prior.log2();
                count += usize::from(hypothesis < self.history.items());
            }
            before.push(mass);
            ordered.push(order);
            possible.push(count);
        }
        (self.before, self.ordered, self.possible) = (before, ordered, possible);
    }

    /// The end that should be bad, and the one that should be good.
    pub(crate) fn ends(&self) -> (usize, usize) {
        match self.direction {
            Direction::Regression => (self.history.new_end(), 0),
            Direction::Fix => (0, self.history.new_end()),
        }
    }

    /// Hypotheses: one an item, and one beyond the new end.
    pub(crate) fn hypotheses(&self) -> usize {
        self.history.items() + 1
    }

    pub(super) fn prior(&self, hypothesis: usize) -> f64 {
        self.prior[hypothesis]
    }

    /// Logarithm of the likelihood of all runs, and the runs of bad items among them, for a hypothesis of which these
    /// runs were of changed items.
    pub(super) fn likelihood(&self, changed: Tally, all: Tally) -> (f64, Tally) {
        let unchanged = all.less(changed);
        let (bad, good) = match self.direction {
            Direction::Regression => (changed, unchanged),
            Direction::Fix => (unchanged, changed),
        };
        let of_good = if good.failed == 0 {
            f64::from(good.passed) * (-self.false_failure).ln_1p()
        } else {
            f64::from(good.failed) * self.false_failure.ln() + f64::from(good.passed) * (-self.false_failure).ln_1p()
        };
        (self.rate.ln_likelihood(bad) + of_good, bad)
    }

    /// Whether an item is bad under a hypothesis.
    pub(crate) fn is_bad(&self, item: usize, hypothesis: usize) -> bool {
        self.history.contains(item, hypothesis) == (self.direction == Direction::Regression)
    }

    /// The runs of items that are bad under a hypothesis.
    pub(crate) fn bad_runs(&self, hypothesis: usize, runs: &BTreeMap<usize, Tally>) -> Tally {
        runs.iter()
            .filter(|(item, _)| self.is_bad(**item, hypothesis))
            .fold(Tally::default(), |sum, (_, tally)| sum.and(*tally))
    }
}

/// Sums over hypotheses: their probability, that of a failure of a bad item, and the entropy of its run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sums {
    pub(super) mass: f64,
    pub(super) fails: f64,
    pub(super) entropy: f64,
}

impl Sums {
    pub(super) fn add(&mut self, other: Sums) {
        self.mass += other.mass;
        self.fails += other.fails;
        self.entropy += other.entropy;
    }

    pub(super) fn less(self, part: Sums) -> Sums {
        Sums {
            mass: (self.mass - part.mass).max(0.0),
            fails: (self.fails - part.fails).max(0.0),
            entropy: (self.entropy - part.entropy).max(0.0),
        }
    }

    pub(super) fn times(self, factor: f64) -> Sums {
        Sums {
            mass: self.mass * factor,
            fails: self.fails * factor,
            entropy: self.entropy * factor,
        }
    }

    /// Of hypotheses with this probability in all, under which a bad item fails with this probability.
    pub(super) fn of(mass: f64, fails: f64) -> Sums {
        Sums {
            mass,
            fails: mass * fails,
            entropy: mass * entropy(fails),
        }
    }

    /// Bits that a run of an item tells of the change, if these are the hypotheses that call it bad.
    pub(super) fn gain(self, false_failure: f64) -> f64 {
        let good = (1.0 - self.mass).max(0.0);
        let fails = self.fails + good * false_failure;
        (entropy(fails) - self.entropy - good * entropy(false_failure)).max(0.0)
    }
}

/// Entropy of a run that fails with this probability, in bits.
pub(crate) fn entropy(fails: f64) -> f64 {
    if fails <= 0.0 || fails >= 1.0 {
        return 0.0;
    }
    -(fails * fails.log2() + (1.0 - fails) * (1.0 - fails).log2())
}
