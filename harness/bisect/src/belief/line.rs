//! The belief about a line. All hypotheses between two neighbouring items that were run explain the runs alike, so
//! there are only as many different ones as items that were run, and a step costs that much, however long the line is.

use std::collections::BTreeMap;

use super::model::{Direction, Model, Sums, entropy};
use crate::rate::Tally;

/// Hypotheses that explain the runs alike: `first..=last`.
#[derive(Debug)]
struct Segment {
    first: usize,
    last: usize,
    /// Probability of them all, and of a failure under them.
    mass: f64,
    fails: f64,
    /// Sums over all earlier segments.
    before: Sums,
}

/// The belief about a line.
#[derive(Debug)]
pub(crate) struct Line<'a> {
    pub(super) model: &'a Model,
    segments: Vec<Segment>,
    all: Sums,
}

impl<'a> Line<'a> {
    pub(crate) fn new(model: &'a Model, runs: &BTreeMap<usize, Tally>) -> Option<Line<'a>> {
        let all = runs.values().fold(Tally::default(), |sum, tally| sum.and(*tally));
        let mut unchanged = Tally::default();
        let mut segments = Vec::with_capacity(runs.len() + 1);
        let mut weights = Vec::with_capacity(runs.len() + 1);
        let mut first = 0;
        let ends = runs.keys().copied().chain([model.hypotheses() - 1]);
        let tallies = runs.values().copied().chain([Tally::default()]);
        for (last, tally) in ends.zip(tallies) {
            let (ln_likelihood, bad) = model.likelihood(all.less(unchanged), all);
            weights.push((model.before[last + 1] - model.before[first]).ln() + ln_likelihood);
            segments.push(Segment {
                first,
                last,
                mass: 0.0,
                fails: model.rate.fails_next(bad),
                before: Sums::default(),
            });
            unchanged = unchanged.and(tally);
            first = last + 1;
        }
        let most = weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            return None;
        }
        let total: f64 = weights.iter().map(|weight| (weight - most).exp()).sum();
        let mut sums = Sums::default();
        for (segment, weight) in segments.iter_mut().zip(weights) {
            segment.mass = (weight - most).exp() / total;
            segment.before = sums;
            sums.add(Sums::of(segment.mass, segment.fails));
        }
        Some(Line {
            model,
            segments,
            all: sums,
        })
    }

    fn segment(&self, hypothesis: usize) -> &Segment {
        let at = self.segments.partition_point(|segment| segment.last < hypothesis);
        &self.segments[at.min(self.segments.len() - 1)]
    }

    /// Part of a segment's probability that its hypotheses up to and with one have.
    fn share(&self, segment: &Segment, upto: usize) -> f64 {
        let before = &self.model.before;
        let whole = before[segment.last + 1] - before[segment.first];
        if whole > 0.0 {
            (before[upto + 1] - before[segment.first]) / whole
        } else {
            0.0
        }
    }

    pub(crate) fn probability(&self, hypothesis: usize) -> f64 {
        let segment = self.segment(hypothesis);
        let before = &self.model.before;
        let whole = before[segment.last + 1] - before[segment.first];
        if whole > 0.0 {
            segment.mass * self.model.prior(hypothesis) / whole
        } else {
            0.0
        }
    }

    /// Sums over the hypotheses that call an item bad.
    pub(crate) fn bad(&self, item: usize) -> Sums {
        let segment = self.segment(item);
        let mut changed = segment.before;
        changed.add(Sums::of(segment.mass, segment.fails).times(self.share(segment, item)));
        match self.model.direction {
            Direction::Regression => changed,
            Direction::Fix => self.all.less(changed),
        }
    }

    /// Within a segment the gain is a concave function of the probability up to the item, so its best place has a
    /// closed form; what is proposed are the open items around these places, and some farther and farther off where
    /// items there are closed.
    pub(crate) fn proposals(&self, open: &dyn Fn(usize) -> bool) -> Vec<usize> {
        let new_end = self.model.history.new_end();
        let mut proposals = Vec::new();
        for segment in &self.segments {
            let ends_open = segment.last <= new_end && open(segment.last);
            if ends_open {
                proposals.push(segment.last);
            }
            if segment.last > segment.first && segment.mass > 0.0 {
                let place = self.best_place(segment).min(new_end);
                for upwards in [false, true] {
                    around(
                        place,
                        segment.first,
                        segment.last.min(new_end),
                        upwards,
                        open,
                        &mut proposals,
                    );
                }
            } else if !ends_open {
                // The change is not in it: its items all tell the same, so the nearest open one stands for all.
                let inside = segment.first..=segment.last.min(new_end);
                proposals.extend(inside.rev().find(|item| open(*item)));
            }
        }
        proposals.sort_unstable();
        proposals.dedup();
        proposals
    }

    /// The item within a segment whose run tells most, were it the only one open.
    fn best_place(&self, segment: &Segment) -> usize {
        let model = self.model;
        let (p, q) = (segment.fails, model.false_failure);
        if (p - q).abs() < f64::EPSILON {
            return segment.last;
        }
        // The gain is h(f) - (a linear term), with f the probability of a failure; its derivative is 0 where
        // log2((1-f)/f) is the slope.
        let slope = (entropy(p) - entropy(q)) / (p - q);
        let wanted = 1.0 / (1.0 + slope.exp2());
        let bad_before = match model.direction {
            Direction::Regression => segment.before,
            Direction::Fix => self.all.less(segment.before),
        };
        let fails = bad_before.fails + (1.0 - bad_before.mass) * q;
        // Each bit of probability that goes over to the changed side moves f by this.
        let step = match model.direction {
            Direction::Regression => p - q,
            Direction::Fix => q - p,
        };
        let share = ((wanted - fails) / step / segment.mass).clamp(0.0, 1.0);
        let before = &model.before;
        let mass = before[segment.first] + share * (before[segment.last + 1] - before[segment.first]);
        let inside = &before[segment.first + 1..=segment.last + 1];
        (segment.first + inside.partition_point(|upto| *upto < mass)).min(segment.last)
    }

    pub(crate) fn middle(&self, open: &dyn Fn(usize) -> bool) -> (Option<usize>, usize) {
        let possible = &self.model.possible;
        let count = |segment: &Segment| possible[segment.last + 1] - possible[segment.first];
        let density = |segment: &Segment| {
            let whole = self.model.before[segment.last + 1] - self.model.before[segment.first];
            if whole > 0.0 { segment.mass / whole } else { 0.0 }
        };
        let live: Vec<&Segment> = self.segments.iter().filter(|segment| count(segment) > 0).collect();
        let most = live.iter().copied().map(density).fold(0.0, f64::max);
        let live: Vec<&Segment> = live
            .into_iter()
            .filter(|segment| density(segment) > 0.0 && density(segment) * 2.0 >= most)
            .collect();
        let total: usize = live.iter().map(|segment| count(segment)).sum();
        let mut left = total / 2;
        for segment in live {
            if left <= count(segment) && left > 0 {
                let inside = &possible[segment.first + 1..=segment.last + 1];
                let item = segment.first + inside.partition_point(|upto| upto - possible[segment.first] < left);
                return (open(item).then_some(item), total);
            }
            left -= count(segment).min(left);
        }
        (None, total)
    }

    pub(crate) fn best(&self) -> (usize, f64) {
        let beyond = self.model.hypotheses() - 1;
        let mut best = (0, 0.0);
        let mut look_at = |hypothesis: usize| {
            let probability = self.probability(hypothesis);
            if probability > best.1 {
                best = (hypothesis, probability);
            }
            probability
        };
        for segment in self.segments.iter().filter(|segment| segment.mass > 0.0) {
            for hypothesis in segment.first..=segment.last {
                let probability = look_at(hypothesis);
                // Where all candidates are alike, the first possible one is as good as any; only the outer hypotheses
                // differ.
                let candidate = (1..beyond).contains(&hypothesis);
                if candidate && probability > 0.0 && self.model.history.is_uniform() {
                    break;
                }
            }
        }
        look_at(beyond);
        best
    }

    pub(crate) fn entropy(&self) -> f64 {
        let model = self.model;
        let bits = |segment: &Segment| {
            let whole = model.before[segment.last + 1] - model.before[segment.first];
            let ordered = model.ordered[segment.last + 1] - model.ordered[segment.first];
            // Of the hypotheses within the segment, and of the segments among each other.
            segment.mass * (whole.log2() - ordered / whole - segment.mass.log2())
        };
        self.segments
            .iter()
            .filter(|segment| segment.mass > 0.0)
            .map(bits)
            .sum()
    }

    pub(crate) fn sets(&self, open: &dyn Fn(usize) -> bool) -> Vec<(Vec<usize>, f64)> {
        let mut sets = Vec::new();
        let mut set = Vec::new();
        for hypothesis in 0..self.model.hypotheses() {
            set.push(hypothesis);
            let separated = hypothesis + 1 >= self.model.hypotheses() || open(hypothesis);
            if separated {
                if set.len() > 1 {
                    let mass = set.iter().map(|hypothesis| self.probability(*hypothesis)).sum();
                    sets.push((set.clone(), mass));
                }
                set.clear();
            }
        }
        sets
    }
}

/// The open items nearest to a place on one side, and beyond the first closed one also some at growing distances.
fn around(place: usize, first: usize, last: usize, upwards: bool, open: &dyn Fn(usize) -> bool, into: &mut Vec<usize>) {
    let side = |distance: usize| {
        if upwards {
            place.checked_add(distance).filter(|item| *item <= last)
        } else {
            // One lower at least, since the place itself is the other side's.
            place.checked_sub(distance + 1).filter(|item| *item >= first)
        }
    };
    let Some(nearest) = (0..).map_while(side).position(open) else {
        return;
    };
    into.extend(side(nearest));
    if nearest > 0 {
        let mut distance = nearest;
        while let Some(item) = side(distance) {
            if open(item) {
                into.push(item);
            }
            distance += distance.max(1) / 2 + 1;
        }
    }
}
