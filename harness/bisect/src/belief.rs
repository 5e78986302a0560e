//! What is believed after some runs: the probability of each item as the change, and what one more run would tell.
//!
//! A hypothesis `h` is an item that is the change: exactly the items that contain it are changed. With `n` the new end
//! there are `n + 2` of them: 0 says that the old end is changed already, `n + 1` that not even the new end is. In a
//! regression the changed items are the bad ones, in the search for a fix the others; so the end that should be good
//! may be bad in one of the two outer hypotheses, and the other one has no probability, since the search does not begin
//! before the bad end has failed.
//!
//! A bad item fails with the rate that `RatePrior` integrates out, a good one with `false_failure`, which is 0 unless
//! the person says otherwise. So a hypothesis is as probable as its weight times the likelihood of all runs of the
//! items that it calls bad, and is out as soon as one that it calls good has failed.

mod dag;
mod line;
mod model;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::rate::Tally;
pub use model::Direction;
pub(crate) use model::Model;

/// What is believed after some runs.
#[derive(Debug)]
pub(super) enum Belief<'a> {
    Line(line::Line<'a>),
    Dag(dag::Dag<'a>),
}

impl<'a> Belief<'a> {
    /// None if no single change explains the runs.
    pub(crate) fn new(model: &'a Model, runs: &BTreeMap<usize, Tally>) -> Option<Belief<'a>> {
        Some(match model.history.sets() {
            None => Belief::Line(line::Line::new(model, runs)?),
            Some(sets) => Belief::Dag(dag::Dag::new(model, sets, runs)?),
        })
    }

    /// Probability that an item is the change; the last hypothesis is that none is.
    pub(crate) fn probability(&self, hypothesis: usize) -> f64 {
        match self {
            Belief::Line(line) => line.probability(hypothesis),
            Belief::Dag(dag) => dag.probability(hypothesis),
        }
    }

    /// Probability that an item is bad.
    pub(crate) fn bad(&self, item: usize) -> f64 {
        match self {
            Belief::Line(line) => line.bad(item).mass,
            Belief::Dag(dag) => dag.bad(item).mass,
        }
    }

    /// Bits that one run of an item would tell of the change.
    pub(crate) fn gain(&self, item: usize) -> f64 {
        match self {
            Belief::Line(line) => line.bad(item).gain(line.model.false_failure),
            Belief::Dag(dag) => dag.bad(item).gain(dag.model.false_failure),
        }
    }

    /// Probability that the next run of an item fails.
    #[cfg(test)]
    pub(crate) fn fails(&self, item: usize) -> f64 {
        let (bad, false_failure) = match self {
            Belief::Line(line) => (line.bad(item), line.model.false_failure),
            Belief::Dag(dag) => (dag.bad(item), dag.model.false_failure),
        };
        bad.fails + (1.0 - bad.mass).max(0.0) * false_failure
    }

    /// Items among which the best one to run is, as far as `open` allows them.
    pub(crate) fn proposals(&self, open: &dyn Fn(usize) -> bool) -> Vec<usize> {
        match self {
            Belief::Line(line) => line.proposals(open),
            Belief::Dag(dag) => (0..dag.model.history.items()).filter(|item| open(*item)).collect(),
        }
    }

    /// The item that halves those which are about as probable as the most probable one, as far as `open` allows; and
    /// how many these are.
    pub(crate) fn middle(&self, open: &dyn Fn(usize) -> bool) -> (Option<usize>, usize) {
        match self {
            Belief::Line(line) => line.middle(open),
            Belief::Dag(dag) => dag.middle(open),
        }
    }

    /// The most probable item, with its probability.
    pub(crate) fn best(&self) -> (usize, f64) {
        match self {
            Belief::Line(line) => line.best(),
            Belief::Dag(dag) => dag.best(),
        }
    }

    /// Entropy of the change in bits.
    pub(crate) fn entropy(&self) -> f64 {
        match self {
            Belief::Line(line) => line.entropy(),
            Belief::Dag(dag) => dag.entropy(),
        }
    }

    /// Hypotheses that no run of an open item could tell apart, with their probability; only sets of several, most
    /// probable first.
    pub(crate) fn sets(&self, open: &dyn Fn(usize) -> bool) -> Vec<(Vec<usize>, f64)> {
        let mut sets = match self {
            Belief::Line(line) => line.sets(open),
            Belief::Dag(dag) => dag.sets(open),
        };
        sets.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        sets
    }
}
