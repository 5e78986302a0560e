//! The closed forms against definitions that are slow and plain.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::{Belief, Direction, Model};
use crate::history::History;
use crate::made_up;
use crate::rate::{RatePrior, Tally};

const PRIOR: RatePrior = RatePrior {
    always: 0.3,
    alpha: 2.0,
    beta: 1.5,
};

/// The runs of items of a range.
fn of_range(mut runs: BTreeMap<usize, Tally>, items: usize) -> BTreeMap<usize, Tally> {
    runs.retain(|item, tally| *item < items && tally.runs() > 0);
    runs
}

fn tallies() -> impl Strategy<Value = Tally> {
    (0..4_u32, 0..6_u32).prop_map(|(failed, passed)| Tally { failed, passed })
}

fn directions() -> impl Strategy<Value = Direction> {
    prop_oneof![Just(Direction::Regression), Just(Direction::Fix)]
}

/// Probability of each hypothesis by adding up over rates, run by run.
fn by_definition(model: &Model, prior: &[f64], runs: &BTreeMap<usize, Tally>) -> Option<Vec<f64>> {
    const STEPS: u32 = 2000;
    let density = |rate: f64| rate.powf(PRIOR.alpha - 1.0) * (1.0 - rate).powf(PRIOR.beta - 1.0);
    let rates: Vec<(f64, f64)> = (0..STEPS)
        .map(|n| (f64::from(n) + 0.5) / f64::from(STEPS))
        .map(|rate| (rate, density(rate)))
        .collect();
    let whole: f64 = rates.iter().map(|(_, density)| density).sum();
    let spread = rates
        .iter()
        .map(|(rate, density)| (*rate, (1.0 - PRIOR.always) * density / whole));
    let rates: Vec<(f64, f64)> = spread.chain([(1.0, PRIOR.always)]).collect();
    let likelihood = |hypothesis: usize, rate: f64| {
        let mut product = 1.0;
        for (item, tally) in runs {
            let changed = hypothesis < model.history.items() && model.history.contains(*item, hypothesis);
            let bad = changed == (model.direction == Direction::Regression);
            let fails = if bad { rate } else { model.false_failure };
            product *= fails.powi(tally.failed as i32) * (1.0 - fails).powi(tally.passed as i32);
        }
        product
    };
    let weights: Vec<f64> = prior
        .iter()
        .enumerate()
        .map(|(hypothesis, prior)| {
            prior
                * rates
                    .iter()
                    .map(|(rate, part)| part * likelihood(hypothesis, *rate))
                    .sum::<f64>()
        })
        .collect();
    let total: f64 = weights.iter().sum();
    (total > 0.0).then(|| weights.iter().map(|weight| weight / total).collect())
}

fn close(a: f64, b: f64, within: f64) -> bool {
    (a - b).abs() <= within
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn probabilities_are_those_of_the_definition(
        history in made_up::histories(2..14),
        direction in directions(),
        false_failure in prop_oneof![Just(0.0), Just(0.05)],
        weights in vec(prop_oneof![Just(0.0), 0.1..3.0_f64], 14),
        weighted: bool,
        runs in btree_map(0..14_usize, tallies(), 0..6),
    ) {
        let items = history.items();
        let runs = of_range(runs, items);
        let mut weights = weights[..items].to_vec();
        weights[items - 1] += 1.0;
        let history = if weighted { history.with_weights(weights.clone()).expect("weights") } else { history };
        let model = Model::new(history, direction, PRIOR, false_failure, 0.1);

        let total: f64 = if weighted { weights[1..].iter().sum() } else { items as f64 - 1.0 };
        let of = |item: usize| 0.9 * if weighted { weights[item] } else { 1.0 } / total;
        let mut prior: Vec<f64> = (0..items).map(of).collect();
        prior[0] = 0.0;
        prior.push(0.0);
        prior[if direction == Direction::Regression { 0 } else { items }] = 0.1;

        let belief = Belief::new(&model, &runs);
        let wanted = by_definition(&model, &prior, &runs);
        prop_assert_eq!(belief.is_some(), wanted.is_some());
        if let (Some(belief), Some(wanted)) = (belief, wanted) {
            for (hypothesis, wanted) in wanted.iter().enumerate() {
                let found = belief.probability(hypothesis);
                prop_assert!(close(found, *wanted, 1e-4), "{hypothesis}: {found} for {wanted}");
            }
            let bits: f64 = wanted.iter().filter(|p| **p > 0.0).map(|p| -p * p.log2()).sum();
            prop_assert!(close(belief.entropy(), bits, 1e-3), "{} bits for {bits}", belief.entropy());
            let best = wanted.iter().copied().fold(0.0, f64::max);
            prop_assert!(close(belief.best().1, best, 1e-4));
            // What a run tells is what it takes off the entropy, on average.
            for item in 0..items {
                let after = |failed: bool| {
                    let mut then = runs.clone();
                    let tally = then.entry(item).or_default();
                    if failed { tally.failed += 1 } else { tally.passed += 1 }
                    Belief::new(&model, &then).map_or(0.0, |belief| belief.entropy())
                };
                let fails = belief.fails(item);
                let mean = if fails > 0.0 { fails * after(true) } else { 0.0 }
                    + if fails < 1.0 { (1.0 - fails) * after(false) } else { 0.0 };
                let gain = belief.entropy() - mean;
                prop_assert!(close(belief.gain(item), gain, 1e-6), "{item}: {} for {gain}", belief.gain(item));
            }
        }
    }

    #[test]
    fn a_line_is_a_history_like_any_other(
        items in 2..60_usize,
        direction in directions(),
        false_failure in prop_oneof![Just(0.0), Just(0.02)],
        runs in btree_map(0..60_usize, tallies(), 0..8),
        closed in vec(any::<bool>(), 60),
    ) {
        let runs = of_range(runs, items);
        let history = History::linear(items).expect("a line");
        let line = Model::new(history, direction, RatePrior::default(), false_failure, 0.05);
        let sets = Model::new(History::line_of_sets(items), direction, RatePrior::default(), false_failure, 0.05);
        let (line, sets) = (Belief::new(&line, &runs), Belief::new(&sets, &runs));
        prop_assert_eq!(line.is_some(), sets.is_some());
        let (Some(line), Some(sets)) = (line, sets) else { return Ok(()) };
        for hypothesis in 0..=items {
            prop_assert!(close(line.probability(hypothesis), sets.probability(hypothesis), 1e-9));
        }
        for item in 0..items {
            prop_assert!(close(line.bad(item), sets.bad(item), 1e-9));
            prop_assert!(close(line.gain(item), sets.gain(item), 1e-9));
            prop_assert!(close(line.fails(item), sets.fails(item), 1e-9));
        }
        prop_assert!(close(line.best().1, sets.best().1, 1e-9));
        prop_assert!(close(line.entropy(), sets.entropy(), 1e-6));
        // The few items that a line proposes hold the best of all.
        for open in [&(|_: usize| true) as &dyn Fn(usize) -> bool, &|item: usize| !closed[item]] {
            let most = |proposals: Vec<usize>| proposals.into_iter().map(|item| line.gain(item)).fold(0.0, f64::max);
            prop_assert!(close(most(line.proposals(open)), most(sets.proposals(open)), 1e-9));
            let (mut of_line, mut of_sets) = (line.sets(open), sets.sets(open));
            of_line.retain(|(_, mass)| *mass > 0.0);
            for (set, _) in &mut of_line {
                set.retain(|hypothesis| line.probability(*hypothesis) > 0.0);
            }
            of_line.retain(|(set, _)| set.len() > 1);
            of_line.sort_by(|a, b| a.0.cmp(&b.0));
            of_sets.sort_by(|a, b| a.0.cmp(&b.0));
            prop_assert_eq!(of_line.len(), of_sets.len());
            for ((a, p), (b, q)) in of_line.iter().zip(&of_sets) {
                prop_assert_eq!(a, b);
                prop_assert!(close(*p, *q, 1e-9));
            }
        }
        let (middle, count) = line.middle(&|_| true);
        let (of_sets, as_many) = sets.middle(&|_| true);
        prop_assert_eq!(count, as_many);
        if count > 1 {
            prop_assert_eq!(middle, of_sets);
        }
    }
}
