//! A state of a mark that is presented: what is known of the mark, and what lies over the history's end.

use std::ops::Range;

use super::change::Content;
use super::choice::Undecided;
use super::cover::Cover;

/// A state of a mark that is presented.
#[derive(Debug)]
pub(super) struct Presented {
    /// The mark's number.
    pub(super) mark: u64,
    /// The number of the first entry of the excursion.
    pub(super) begins: u64,
    pub(super) undecided: Vec<Undecided>,
    /// What was durable at the mark, where that may differ from what the history's end holds.
    pub(super) durable: Cover,
    /// What the end holds wherever anything else may be presented.
    pub(super) end: Cover,
    /// What is left of the undecided requests.
    pub(super) shown: Cover,
}

impl Presented {
    /// All that the excursion begins with and the end that it begins from need not hold.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Content)> {
        self.durable.iter().chain(self.shown.iter())
    }

    /// Lays over a range what a state has there, as far as that is known.
    pub(super) fn lay(&self, shown: &Cover, range: &Range<u64>, target: &mut Cover) {
        for layer in [&self.end, &self.durable, shown] {
            for (at, content) in layer.within(range) {
                target.put(at, content);
            }
        }
    }

    /// Lays over a range what a state has there and the one that is shown has not.
    pub(super) fn lay_differences(&self, shown: &Cover, range: &Range<u64>, target: &mut Cover) {
        let mut next = Cover::default();
        self.lay(shown, range, &mut next);
        let mut now = Cover::default();
        self.lay(&self.shown, range, &mut now);
        for (at, content) in next.iter() {
            let there = now.within(&(at..at + content.len()));
            let is_same = matches!(&there[..], [(start, same)] if *start == at && same.is_same(content));
            if !is_same {
                target.put(at, content.clone());
            }
        }
    }
}
