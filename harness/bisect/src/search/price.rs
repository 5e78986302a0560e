//! What builds cost: much or little, by what lies between an item and what was built last.
//!
//! A range is seldom even: a change of one header makes everything anew, and twenty others make one object each. So of
//! two items that tell nearly as much, the one that is nearer to what is there is built.

use std::collections::BTreeMap;

use super::{RunOutcome, Search, Step};
use crate::belief::Belief;

/// An item is built for its price if it tells this part of the most that any would: of a range that every run halves, a
/// part between one in seven and six in seven.
const NEARLY: f64 = 0.6;
/// The end that should pass is run like any other item if it costs this many times as much as one of those.
const DEAR: f64 = 2.0;

/// What making an item costs, as a part of making it from nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Where the least has to be made.
    pub nearest: f64,
    /// Where the last one was made.
    pub last: f64,
}

/// Prices of items, until something is made.
#[derive(Debug, Default)]
pub(crate) struct PriceList {
    pub(crate) known: BTreeMap<usize, Price>,
    /// Nobody knows any, before something is made.
    pub(crate) is_silent: bool,
}

impl PriceList {
    /// Something was made: all may cost less now, or more.
    pub(crate) fn forget(&mut self) {
        *self = PriceList::default();
    }
}

impl Search {
    /// Says what items that are not built cost; all others cost as much as one that is made from nothing.
    pub(crate) fn set_prices(&mut self, prices: impl IntoIterator<Item = (usize, f64)>) {
        self.prices = prices.into_iter().collect();
    }

    /// Items that are not built and of which one may come next, if their prices are such: no more than `most`.
    #[must_use]
    pub(crate) fn promising(&self, most: usize) -> Vec<usize> {
        let Some(belief) = Belief::new(&self.model, &self.runs()) else {
            return Vec::new();
        };
        let is_line = self.model.history.sets().is_none();
        // One that cannot be the change tells what the one before it does.
        let may_come = |item: &usize| self.may_be_built(*item) && belief.probability(*item) > 0.0;
        let items = (0..self.model.history.items()).filter(may_come);
        let mut promising: Vec<(usize, f64)> = items
            .map(|item| (item, belief.gain(item) * self.testable(item)))
            .collect();
        let best = promising.iter().map(|(_, gain)| *gain).fold(0.0, f64::max);
        promising.retain(|(_, gain)| *gain > 0.0 && *gain >= best * NEARLY);
        if promising.len() > most {
            if is_line {
                let step = promising.len() as f64 / most as f64;
                promising = (0..most).map(|nth| promising[(nth as f64 * step) as usize]).collect();
            } else {
                promising.sort_by(|(_, a), (_, b)| b.total_cmp(a));
                promising.truncate(most);
            }
        }
        let (_, good_end) = self.model.ends();
        let mut items: Vec<usize> = promising.into_iter().map(|(item, _)| item).collect();
        if self.may_be_built(good_end) && !items.contains(&good_end) {
            items.push(good_end);
        }
        items
    }

    /// The item that would be built next if all cost the same; none if that is not a build. The end that should pass
    /// would have been the second, so from the third on it was built and passed.
    #[must_use]
    pub(crate) fn regardless_of_price(&self) -> Option<usize> {
        let mut search = self.clone();
        search.prices.clear();
        let (bad_end, good_end) = self.model.ends();
        if self.built.iter().any(|item| *item != bad_end) && self.observed(good_end).tally.runs() == 0 {
            search.observe(good_end, RunOutcome::Passed);
        }
        match search.step() {
            Step::Run(next) if next.build => Some(next.item),
            _ => None,
        }
    }

    /// Whether the end that should pass costs so much more than an item that tells much that it has to wait.
    pub(crate) fn is_dear(&self, good_end: usize) -> bool {
        let least = self.prices.iter().filter(|(item, _)| **item != good_end);
        let least = least.map(|(item, _)| self.cost(*item)).fold(f64::INFINITY, f64::min);
        self.prices.contains_key(&good_end) && self.cost(good_end) >= least * DEAR
    }

    /// What a run of an item costs, its build with it.
    pub(super) fn cost(&self, item: usize) -> f64 {
        if self.built.contains(&item) {
            return self.config.run_cost;
        }
        let price = self.prices.get(&item).copied().unwrap_or(1.0);
        self.config.build_cost * price + self.config.run_cost
    }

    /// What an item has to tell to be built, as far as prices are known.
    pub(super) fn least_gain(&self, belief: &Belief<'_>, items: &[usize]) -> f64 {
        if self.prices.is_empty() {
            return 0.0;
        }
        let gains = items.iter().filter(|item| !self.built.contains(item));
        let most = gains
            .map(|item| belief.gain(*item) * self.testable(*item))
            .fold(0.0, f64::max);
        most * NEARLY
    }

    fn may_be_built(&self, item: usize) -> bool {
        !self.built.contains(&item) && !self.is_set_aside(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::belief::Direction;
    use crate::history::History;
    use crate::search::{Conclusion, Config};

    /// The cost of a build in runs.
    const BUILD_COST: f64 = 30.0;
    /// What an item costs next to what it makes anew, where an item of the range makes everything anew.
    const LITTLE: f64 = 0.05;

    fn part(at: usize, item: usize, jump: usize) -> f64 {
        if (at < jump) == (item < jump) { LITTLE } else { 1.0 }
    }

    /// Plays a search over a line with places to build in, as the prices say if there are two; the wholes that were
    /// built, how many builds those were, and the items in their order.
    fn play(last: usize, jump: usize, change: usize, direction: Direction, places: usize) -> (f64, Vec<usize>) {
        let config = Config {
            direction,
            build_cost: BUILD_COST,
            ..Config::default()
        };
        let mut search = Search::new(History::linear(last + 1).expect("a line"), config).expect("a good configuration");
        let mut at: Vec<usize> = Vec::new();
        let (mut cost, mut built) = (0.0, Vec::new());
        loop {
            let nearest = |item: usize| at.iter().map(|at| part(*at, item, jump)).fold(1.0, f64::min);
            if places > 1 && !at.is_empty() {
                let priced: Vec<_> = search
                    .promising(16)
                    .into_iter()
                    .map(|item| (item, nearest(item)))
                    .collect();
                search.set_prices(priced);
            }
            let next = match search.step() {
                Step::Run(next) => next,
                Step::Done(Conclusion::Found { item, .. }) => {
                    assert_eq!(item, change, "{last}, {jump}, {direction:?}");
                    return (cost, built);
                }
                Step::Done(other) => panic!("{other:?}"),
            };
            if next.build {
                cost += nearest(next.item);
                built.push(next.item);
                let place = (0..at.len())
                    .min_by(|a, b| part(at[*a], next.item, jump).total_cmp(&part(at[*b], next.item, jump)));
                match place {
                    Some(place) if nearest(next.item) < 0.5 || at.len() == places => at[place] = next.item,
                    _ => at.push(next.item),
                }
            }
            let is_bad = (next.item >= change) == (direction == Direction::Regression);
            search.observe(next.item, if is_bad { RunOutcome::Failed } else { RunOutcome::Passed });
        }
    }

    #[test]
    fn what_is_near_comes_first_and_no_more_wholes_are_made_than_there_are_sides() {
        let (mut with, mut without, mut builds) = (0.0, 0.0, (0, 0));
        for direction in [Direction::Regression, Direction::Fix] {
            for jump in [1, 3, 16, 20, 39] {
                for change in 1..=40 {
                    let (cost, built) = play(40, jump, change, direction, 2);
                    // One on each side, and what is next to them.
                    assert!(
                        cost <= 2.0 + 9.0 * LITTLE,
                        "{jump}, {change}, {direction:?}: {cost}, {built:?}"
                    );
                    with += cost;
                    builds.0 += built.len();
                    let (cost, built) = play(40, jump, change, direction, 1);
                    without += cost;
                    builds.1 += built.len();
                }
            }
        }
        assert!(with < without * 0.75, "{with} to {without}");
        assert!(builds.0 * 10 <= builds.1 * 11, "{builds:?}");
    }

    #[test]
    fn the_far_end_need_not_be_built_if_the_change_is_on_this_side() {
        // The bad end is the new one; the change lies between the jump and it.
        let (cost, built) = play(40, 3, 30, Direction::Regression, 2);
        assert!(!built.contains(&0), "{built:?}");
        assert!(cost < 1.6, "{cost}");
        // All cost the same to a search that knows no prices: both ends come first.
        let (_, built) = play(40, 3, 30, Direction::Regression, 1);
        assert_eq!(built[..2], [40, 0]);
    }

    #[test]
    fn a_change_that_is_not_there_is_found_out_all_the_same() {
        // All fail, the end that should pass as well, which costs a whole build.
        let mut search = Search::new(History::linear(41).expect("a line"), Config::default()).expect("a configuration");
        search.observe(40, RunOutcome::Failed);
        loop {
            let prices: Vec<_> = search
                .promising(16)
                .into_iter()
                .map(|item| (item, part(40, item, 1)))
                .collect();
            search.set_prices(prices);
            match search.step() {
                Step::Run(next) => search.observe(next.item, RunOutcome::Failed),
                Step::Done(conclusion) => {
                    assert!(matches!(conclusion, Conclusion::GoodEndFails { .. }), "{conclusion:?}");
                    break;
                }
            }
        }
    }

    #[test]
    fn a_failure_now_and_then_is_found_as_surely_as_without_prices() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut right = 0;
        for _ in 0..200 {
            let (change, jump) = (rng.usize(1..=40), rng.usize(1..=40));
            let config = Config {
                build_cost: BUILD_COST,
                ..Config::default()
            };
            let mut search = Search::new(History::linear(41).expect("a line"), config).expect("a good configuration");
            let mut at = 40;
            loop {
                let promising = search.promising(16);
                search.set_prices(promising.into_iter().map(|item| (item, part(at, item, jump))));
                match search.step() {
                    Step::Run(next) => {
                        at = next.item;
                        let fails = next.item >= change && rng.f64() < 0.4;
                        search.observe(next.item, if fails { RunOutcome::Failed } else { RunOutcome::Passed });
                    }
                    Step::Done(conclusion) => {
                        right += u32::from(matches!(conclusion, Conclusion::Found { item, .. } if item == change));
                        break;
                    }
                }
            }
        }
        assert!(right >= 197, "{right} of 200");
    }

    #[test]
    fn what_is_left_is_foretold_with_prices_too() {
        // As it was with real kernels: 29 of 503 commits reach the build, and one of them makes everything anew.
        let reach = [
            21, 22, 62, 64, 170, 177, 178, 179, 181, 183, 196, 203, 219, 233, 272, 277, 313, 319, 320, 340, 356, 383,
            399, 408, 439, 461, 463, 493, 500,
        ];
        let config = Config {
            direction: Direction::Fix,
            build_cost: BUILD_COST,
            ..Config::default()
        };
        let mut search = Search::new(History::linear(504).expect("a line"), config).expect("a good configuration");
        for item in (1..504).filter(|item| !reach.contains(item)) {
            search.identical(item, item - 1);
        }
        for _ in 0..3 {
            search.observe(0, RunOutcome::Failed);
        }
        let promising = search.promising(48);
        search.set_prices(promising.into_iter().map(|item| (item, part(0, item, 277))));
        assert!(search.is_dear(503));
        let Step::Run(next) = search.step() else {
            panic!("no step")
        };
        assert_eq!(next.item, 233, "the middle of what reaches the build, on this side");
        search.observe(233, RunOutcome::Failed);
        // 15 commits, and the end that was not run: it is bad no more probably than if all 503 reached the build.
        let outlook = search.outlook().expect("an outlook");
        assert!((4..=6).contains(&outlook.left.builds), "{outlook:?}");
        let belief = Belief::new(&search.model, &search.runs()).expect("an explanation");
        assert!(belief.bad(503) < 0.12, "{}", belief.bad(503));
    }

    #[test]
    fn no_more_items_are_priced_than_is_said() {
        let mut search =
            Search::new(History::linear(10_000).expect("a line"), Config::default()).expect("a configuration");
        search.observe(9_999, RunOutcome::Failed);
        let promising = search.promising(48);
        assert!(promising.len() <= 49, "{}", promising.len());
        assert!(promising.contains(&0), "the other end may be dear");
        // They lie all over the part that tells nearly as much as the middle.
        assert!(
            promising.iter().any(|item| (1_500..3_000).contains(item)),
            "{promising:?}"
        );
        assert!(
            promising.iter().any(|item| (7_000..8_600).contains(item)),
            "{promising:?}"
        );
    }
}
