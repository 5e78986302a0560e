//! The sequential search for the first changed item of a range: which item to run next, and when to stop.
//!
//! Everything follows from the probability of each item as the change, given all runs so far (`belief` has it
//! in closed form, the unknown failure rate integrated out). A step takes the run that tells most about the change for
//! its cost: the expected information in bits over the cost of a run, and of a build where the item is not built yet.
//! That is Ben-Or's and Hassidim's search with noise of an unknown strength and on one side only. Where every run of a
//! bad item fails it halves the range as `git bisect` does; where few do, it runs items that are bad with a probability
//! below one half, and runs built ones again while that is the cheaper information. The search stops when an item is
//! probable enough that the result is wrong with the probability `error` at most; since the rate is integrated out and
//! not estimated, that covers a misjudged rate, too.
//!
//! Builds do not all cost the same (`price`): of items that tell nearly as much the cheapest is built.
//!
//! Both ends come first. The bad end has to fail some times (`calibration_failures`), which is also the first measure
//! of the rate. The good end has to pass once, unless it costs much more than what lies between: then an item that
//! passes will do. That it is bad nevertheless stays a hypothesis with a probability, so how often it is run is decided
//! like for any other item.
//!
//! An item that cannot be tested is set aside. Items next to it are then less likely to be chosen, the more of them
//! were set aside in a row and the nearer they are, since what breaks a build breaks a row of commits. Where the first
//! changed item lies between items that cannot be tested, the result is a set.
//!
//! No choice is random: the same observations always lead to the same next step.
//!
//! What is assumed, and not checked: there is one change, it is not undone within the range, and all bad items fail
//! equally often.

mod outlook;
mod price;
mod result;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use super::belief::Direction;
use super::belief::{Belief, Model};
use super::history::History;
use super::rate::Tally;
pub use price::Price;
pub(crate) use price::PriceList;
pub use result::{Conclusion, End, Next, Observed, Outlook, Played, RunOutcome, Step};
pub use settings::{Config, ConfigError};

/// The part of the error that the search allows itself. A probability is right on average over failure rates as they
/// are believed at the start; at a single rate, where luck at the bad end misleads, more results are wrong than it
/// says. The simulation shows that with this part every rate stays within the whole.
const ERROR_SHARE: f64 = 0.3;
/// Runs that an end is given before failures of another kind set it aside, since without the ends there is no search.
const END_RUNS_MIN: u32 = 4;
/// An item that keeps the worst case of a plain bisection is taken if it tells this part of the most that any would.
const MIDDLE_WORTH: f64 = 0.97;
/// Information in bits below which a run is not worth its while.
const GAIN_MIN: f64 = 1e-12;

/// Runs that are looked ahead over to find the next build.
#[cfg(test)]
const AHEAD_RUNS: u32 = 8;

/// What was observed of a range so far, and the choice of the next run from it.
#[derive(Debug, Clone)]
pub struct Search {
    model: Arc<Model>,
    config: Config,
    observed: BTreeMap<usize, Observed>,
    built: BTreeSet<usize>,
    /// Items that are not run any more.
    aside: BTreeSet<usize>,
    /// What items cost that are not built, as a part of what one costs that is made from nothing.
    prices: BTreeMap<usize, f64>,
}

impl Search {
    /// A search over a range of which nothing is known.
    ///
    /// # Errors
    /// A setting makes no sense.
    pub fn new(history: History, config: Config) -> Result<Search, ConfigError> {
        config.check()?;
        let model = Model::new(
            history,
            config.direction,
            config.rate,
            config.false_failure,
            config.doubt,
        );
        Ok(Search {
            model: Arc::new(model),
            config,
            observed: BTreeMap::new(),
            built: BTreeSet::new(),
            aside: BTreeSet::new(),
            prices: BTreeMap::new(),
        })
    }

    /// Says that an item is built, so that it costs a run only. Items that were run are.
    pub(crate) fn built(&mut self, item: usize) {
        self.built.insert(item);
    }

    /// Takes in what came of a run.
    pub fn observe(&mut self, item: usize, outcome: RunOutcome) {
        debug_assert!(item < self.model.history.items(), "item {item} is in the range");
        let observed = self.observed.entry(item).or_default();
        match outcome {
            RunOutcome::Failed => observed.tally.failed += 1,
            RunOutcome::Passed => observed.tally.passed += 1,
            RunOutcome::Other => observed.other += 1,
            RunOutcome::Untestable => observed.untestable = true,
        }
        let observed = *observed;
        if outcome != RunOutcome::Untestable {
            self.built.insert(item);
        }
        let runs = observed.tally.runs() + observed.other;
        let (bad_end, good_end) = self.model.ends();
        let enough = if item == bad_end || item == good_end {
            END_RUNS_MIN
        } else {
            1
        };
        if observed.untestable || runs >= enough && observed.other * 2 >= runs {
            self.aside.insert(item);
        } else {
            self.aside.remove(&item);
        }
    }

    /// What was observed of an item.
    #[must_use]
    pub(crate) fn observed(&self, item: usize) -> Observed {
        self.observed.get(&item).copied().unwrap_or_default()
    }

    /// Whether an item is not run any more.
    #[must_use]
    pub(crate) fn is_set_aside(&self, item: usize) -> bool {
        self.aside.contains(&item)
    }

    /// What to do next.
    #[must_use]
    pub(crate) fn step(&self) -> Step {
        let (bad_end, good_end) = self.model.ends();
        if self.is_set_aside(bad_end) {
            return Step::Done(Conclusion::EndUntestable(End::Bad));
        }
        let at_bad_end = self.observed(bad_end).tally;
        if at_bad_end.failed == 0 && at_bad_end.passed >= self.config.give_up_after {
            return Step::Done(Conclusion::BadEndPasses {
                passed: at_bad_end.passed,
                // (1 - rate)^passed = 5 %.
                rate_below: 1.0 - (0.05_f64.ln() / f64::from(at_bad_end.passed)).exp(),
            });
        }
        let Some(belief) = Belief::new(&self.model, &self.runs()) else {
            return Step::Done(Conclusion::Contradiction);
        };
        if at_bad_end.failed < self.config.calibration_failures && at_bad_end.runs() < self.config.give_up_after {
            return self.run(&belief, bad_end);
        }
        if self.is_set_aside(good_end) {
            return Step::Done(Conclusion::EndUntestable(End::Good));
        }
        let at_good_end = self.observed(good_end).tally;
        if at_good_end.runs() == 0 && !self.is_dear(good_end) {
            return self.run(&belief, good_end);
        }
        match self.conclusion(&belief) {
            Some(Conclusion::GoodEndFails { .. }) if at_good_end.failed == 0 => self.run(&belief, good_end),
            Some(conclusion) => Step::Done(conclusion),
            None => self
                .choose(&belief)
                .map_or_else(|| Step::Done(self.undecided(&belief)), |item| self.run(&belief, item)),
        }
    }

    /// What is to be run next but one, whether the next run fails or passes: the items that are worth building ahead
    /// where a core is idle, with the probability that each is wanted.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn ahead(&self) -> Vec<(usize, f64)> {
        let Step::Run(next) = self.step() else {
            return Vec::new();
        };
        let Some(belief) = Belief::new(&self.model, &self.runs()) else {
            return Vec::new();
        };
        let fails = belief.fails(next.item);
        let mut ahead: Vec<(usize, f64)> = Vec::new();
        for (outcome, probability) in [(RunOutcome::Failed, fails), (RunOutcome::Passed, 1.0 - fails)] {
            // More runs of what is built may come first; they are taken to go the same way.
            let mut then = self.clone();
            then.observe(next.item, outcome);
            let mut step = then.step();
            for _ in 0..AHEAD_RUNS {
                let Step::Run(after) = step else { break };
                if after.build {
                    break;
                }
                let likely = if after.bad > 0.5 {
                    RunOutcome::Failed
                } else {
                    RunOutcome::Passed
                };
                then.observe(after.item, likely);
                step = then.step();
            }
            if let Step::Run(after) = step
                && after.build
                && probability > 0.0
            {
                match ahead.iter_mut().find(|(item, _)| *item == after.item) {
                    Some((_, sum)) => *sum += probability,
                    None => ahead.push((after.item, probability)),
                }
            }
        }
        ahead.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        ahead
    }

    /// Probability of each item as the first changed one, and last that none is. None if no single change explains the
    /// runs.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn probabilities(&self) -> Option<Vec<f64>> {
        let belief = Belief::new(&self.model, &self.runs())?;
        Some(
            (0..=self.model.history.items())
                .map(|h| belief.probability(h))
                .collect(),
        )
    }

    /// Says that two items are the same, for instance since they come out of the build alike, so that no change between
    /// them is the one that is looked for. Runs of the one then say as much of the other.
    pub fn identical(&mut self, item: usize, other: usize) {
        self.all_identical([(item, other)]);
    }

    /// The same of many pairs: in a long range most commits do not reach the build.
    pub fn all_identical(&mut self, pairs: impl IntoIterator<Item = (usize, usize)>) {
        let model = Arc::make_mut(&mut self.model);
        let mut is_out = vec![false; model.hypotheses()];
        for (item, other) in pairs {
            for hypothesis in model.history.between(item, other) {
                is_out[hypothesis] = true;
            }
        }
        model.rule_out(|hypothesis| is_out[hypothesis]);
    }

    fn runs(&self) -> BTreeMap<usize, Tally> {
        self.observed
            .iter()
            .filter(|(_, observed)| observed.tally.runs() > 0)
            .map(|(item, observed)| (*item, observed.tally))
            .collect()
    }

    fn run(&self, belief: &Belief<'_>, item: usize) -> Step {
        Step::Run(Next {
            item,
            bad: belief.bad(item),
            gain: belief.gain(item),
            build: !self.built.contains(&item),
        })
    }

    /// The hypothesis that the end which should be good is bad.
    fn good_end_bad(&self) -> usize {
        match self.config.direction {
            Direction::Regression => 0,
            Direction::Fix => self.model.history.items(),
        }
    }

    fn conclusion(&self, belief: &Belief<'_>) -> Option<Conclusion> {
        let enough = self.enough();
        let (best, probability) = belief.best();
        let good_end_bad = self.good_end_bad();
        if probability >= enough {
            return Some(if best == good_end_bad {
                Conclusion::GoodEndFails { probability }
            } else {
                Conclusion::Found {
                    item: best,
                    probability,
                }
            });
        }
        if self.aside.is_empty() {
            return None;
        }
        let sets = belief.sets(&|item| !self.is_set_aside(item));
        let (set, probability) = sets.into_iter().next()?;
        (probability >= enough && !set.contains(&good_end_bad)).then(|| among(belief, set, enough))
    }

    /// The probability at which the search stops.
    fn enough(&self) -> f64 {
        1.0 - self.config.error * ERROR_SHARE
    }

    /// The smallest set that is probable enough, when no run could tell more.
    fn undecided(&self, belief: &Belief<'_>) -> Conclusion {
        let all = (0..=self.model.history.items()).collect();
        among(belief, all, self.enough())
    }

    /// The item whose next run tells most for its cost.
    fn choose(&self, belief: &Belief<'_>) -> Option<usize> {
        let open = |item: usize| !self.is_set_aside(item);
        let worth = |item: usize| belief.gain(item) * self.testable(item) / self.cost(item);
        let mut items = belief.proposals(&open);
        items.extend(self.prices.keys().filter(|item| open(**item)));
        let least = self.least_gain(belief, &items);
        items.retain(|item| self.built.contains(item) || belief.gain(*item) * self.testable(*item) >= least);
        let mut best: Option<(usize, f64)> = None;
        for item in items {
            let worth = worth(item);
            if best.is_none_or(|(_, most)| worth > most) {
                best = Some((item, worth));
            }
        }
        let (item, most) = best?;
        if belief.gain(item) < GAIN_MIN {
            return None;
        }
        let untouched = |item: usize| open(item) && !self.observed.contains_key(&item);
        let (middle, _) = belief.middle(&untouched);
        Some(
            middle
                .filter(|middle| worth(*middle) >= most * MIDDLE_WORTH)
                .unwrap_or(item),
        )
    }

    /// How probable it seems that an item can be tested, by the items near it that could not.
    fn testable(&self, item: usize) -> f64 {
        if self.aside.is_empty() || self.observed(item).tally.runs() > 0 {
            return 1.0;
        }
        let below = row(self.observed.range(..item).rev(), item, self);
        let above = row(self.observed.range(item + 1..), item, self);
        below * above
    }
}

/// The factor by which items that were set aside in a row beside an item, with none between that could be tested, make
/// it less testable.
fn row<'a>(beside: impl Iterator<Item = (&'a usize, &'a Observed)>, item: usize, search: &Search) -> f64 {
    let mut nearest = None;
    let mut count = 0_u32;
    for (other, _) in beside {
        if !search.is_set_aside(*other) {
            break;
        }
        nearest.get_or_insert(other.abs_diff(item));
        count += 1;
    }
    nearest.map_or(1.0, |distance| {
        let distance = distance as f64;
        distance / (distance + f64::from(count))
    })
}

/// The smallest part of a set that has enough probability, oldest first.
fn among(belief: &Belief<'_>, set: Vec<usize>, enough: f64) -> Conclusion {
    let mut items: Vec<(usize, f64)> = set.into_iter().map(|item| (item, belief.probability(item))).collect();
    items.sort_by(|(a, p), (b, q)| q.total_cmp(p).then(a.cmp(b)));
    let whole: f64 = items.iter().map(|(_, probability)| probability).sum();
    let mut probability = 0.0;
    // What is left out must not take more than a thousandth of the probability that is asked for.
    let wanted = enough.min(whole).max(whole * 0.999);
    let kept = items.iter().position(|(_, part)| {
        probability += part;
        probability >= wanted
    });
    items.truncate(kept.map_or(items.len(), |last| last + 1));
    items.sort_unstable_by_key(|(item, _)| *item);
    Conclusion::Among { items, probability }
}
