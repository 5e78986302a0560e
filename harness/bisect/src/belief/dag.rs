//! The belief about a history with forks and merges: a weight for every commit, and sums over what each contains.

use std::collections::{BTreeMap, HashMap};

use fixedbitset::FixedBitSet;

use super::model::{Direction, Model, Sums};
use crate::rate::Tally;

/// The belief about a history that is not a line.
#[derive(Debug)]
pub(crate) struct Dag<'a> {
    pub(super) model: &'a Model,
    contains: &'a [FixedBitSet],
    /// By hypothesis.
    mass: Vec<f64>,
    /// Sums over the hypotheses that call an item changed, by item.
    changed: Vec<Sums>,
    all: Sums,
}

impl<'a> Dag<'a> {
    pub(crate) fn new(model: &'a Model, contains: &'a [FixedBitSet], runs: &BTreeMap<usize, Tally>) -> Option<Dag<'a>> {
        let all = runs.values().fold(Tally::default(), |sum, tally| sum.and(*tally));
        let mut of_changed = vec![Tally::default(); model.hypotheses()];
        for (item, tally) in runs {
            for hypothesis in contains[*item].ones() {
                of_changed[hypothesis] = of_changed[hypothesis].and(*tally);
            }
        }
        // Few of the hypotheses differ in what they say of the runs.
        let mut known: HashMap<Tally, (f64, f64)> = HashMap::new();
        let mut say = |changed: Tally| {
            *known.entry(changed).or_insert_with(|| {
                let (ln_likelihood, bad) = model.likelihood(changed, all);
                (ln_likelihood, model.rate.fails_next(bad))
            })
        };
        let said: Vec<(f64, f64)> = of_changed.into_iter().map(&mut say).collect();
        let weights: Vec<f64> = (0..model.hypotheses())
            .map(|h| model.prior(h).ln() + said[h].0)
            .collect();
        let most = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return None;
        }
        let total: f64 = weights.iter().map(|weight| (weight - most).exp()).sum();
        let mass: Vec<f64> = weights.iter().map(|weight| (weight - most).exp() / total).collect();
        let mut live = FixedBitSet::with_capacity(contains.len());
        let mut sums = vec![Sums::default(); model.hypotheses()];
        let mut all = Sums::default();
        for (hypothesis, mass) in mass.iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
            sums[hypothesis] = Sums::of(*mass, said[hypothesis].1);
            all.add(sums[hypothesis]);
            if hypothesis < contains.len() {
                live.insert(hypothesis);
            }
        }
        let changed = contains
            .iter()
            .map(|set| {
                let mut of_item = Sums::default();
                for hypothesis in set.intersection(&live) {
                    of_item.add(sums[hypothesis]);
                }
                of_item
            })
            .collect();
        Some(Dag {
            model,
            contains,
            mass,
            changed,
            all,
        })
    }

    pub(crate) fn probability(&self, hypothesis: usize) -> f64 {
        self.mass[hypothesis]
    }

    /// Sums over the hypotheses that call an item bad.
    pub(crate) fn bad(&self, item: usize) -> Sums {
        match self.model.direction {
            Direction::Regression => self.changed[item],
            Direction::Fix => self.all.less(self.changed[item]),
        }
    }

    pub(crate) fn middle(&self, open: &dyn Fn(usize) -> bool) -> (Option<usize>, usize) {
        let density = |hypothesis: usize| {
            let prior = self.model.prior(hypothesis);
            if prior > 0.0 {
                self.mass[hypothesis] / prior
            } else {
                0.0
            }
        };
        let items = self.contains.len();
        let most = (0..items).map(density).fold(0.0, f64::max);
        let mut live = FixedBitSet::with_capacity(items);
        live.extend((0..items).filter(|item| density(*item) > 0.0 && density(*item) * 2.0 >= most));
        let total = live.count_ones(..);
        let balance = |item: usize| {
            let inside = self.contains[item].intersection_count(&live);
            inside.min(total - inside)
        };
        let best = (0..items).filter(|item| open(*item)).map(|item| (balance(item), item));
        let best = best.max_by_key(|(balance, item)| (*balance, std::cmp::Reverse(*item)));
        (best.map(|(_, item)| item), total)
    }

    pub(crate) fn best(&self) -> (usize, f64) {
        let mut best = (0, 0.0);
        for (hypothesis, mass) in self.mass.iter().enumerate() {
            if *mass > best.1 {
                best = (hypothesis, *mass);
            }
        }
        best
    }

    pub(crate) fn entropy(&self) -> f64 {
        let bits = |mass: &f64| if *mass > 0.0 { -mass * mass.log2() } else { 0.0 };
        self.mass.iter().map(bits).sum()
    }

    pub(crate) fn sets(&self, open: &dyn Fn(usize) -> bool) -> Vec<(Vec<usize>, f64)> {
        let items = self.contains.len();
        // For each hypothesis the open items that contain it: two with the same are told apart by no run.
        let mut containers = vec![FixedBitSet::with_capacity(items); self.model.hypotheses()];
        for item in (0..items).filter(|item| open(*item)) {
            for hypothesis in self.contains[item].ones() {
                containers[hypothesis].insert(item);
            }
        }
        let mut alike: BTreeMap<FixedBitSet, Vec<usize>> = BTreeMap::new();
        for (hypothesis, containers) in containers.into_iter().enumerate() {
            if self.mass[hypothesis] > 0.0 {
                alike.entry(containers).or_default().push(hypothesis);
            }
        }
        alike
            .into_values()
            .filter(|set| set.len() > 1)
            .map(|set| {
                let mass = set.iter().map(|hypothesis| self.mass[*hypothesis]).sum();
                (set, mass)
            })
            .collect()
    }
}
