//! The range that is searched: items and which contains which.
//!
//! Item 0 is the old end and the last item the new end; those between, and the new end, are the candidates. An item
//! *contains* another if it has that one's change: itself, and all its ancestors. In a line that is everything up to
//! it; in git's histories it is a set for each commit.

use exit::{Exit, ExitError};
use fixedbitset::FixedBitSet;

/// Why a range cannot be searched.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum HistoryError {
    /// There is nothing between.
    #[error("a range needs an old end and a new end, {items} given")]
    TooShort {
        /// Items that were given.
        items: usize,
    },
    /// The parents are not those of a range in topological order.
    #[error("item {item} names item {parent} as its parent, which does not stand before it")]
    NotTopological {
        /// Index of the item, from 0, the oldest first.
        item: usize,
        /// Index that the item names: its own or a later one.
        parent: usize,
    },
    /// An item other than the old end without a parent.
    #[error("item {item} has no parent; what forks off before the range has the old end, item 0, as its parent")]
    NoParent {
        /// Index of the item, from 1: item 0 is the old end.
        item: usize,
    },
    /// The old end has a parent; what lies before the range is none of its business.
    #[error("item 0 is the old end and has no parent")]
    OldEndHasParent,
    /// An item that is not part of the new end.
    #[error("the new end does not contain item {item}")]
    NotInNewEnd {
        /// Index of the first item that the new end does not reach by its parents.
        item: usize,
    },
    /// A weight is negative or no number, or those of all candidates are 0.
    #[error(
        "weight {weight} of item {item}: a weight is a number from 0 up, and those of the candidates must not all be 0"
    )]
    Weight {
        /// Index of the item; the last one if all weights are 0.
        item: usize,
        /// As it was given.
        weight: f64,
    },
    /// Not a weight an item.
    #[error("{weights} weights for {items} items")]
    WeightCount {
        /// Weights that were given.
        weights: usize,
        /// Weights that are needed: one an item, both ends among them.
        items: usize,
    },
}

impl ExitError for HistoryError {
    fn exit(&self) -> Exit {
        Exit::Internal
    }
}

/// A range of items, oldest first.
#[derive(Debug, Clone)]
pub struct History {
    /// Items with both ends.
    items: usize,
    /// What each item contains; none for a line.
    contains: Option<Vec<FixedBitSet>>,
    /// How probable each item is as the change before anything is known, relative to the others; all alike if none.
    weights: Option<Vec<f64>>,
}

impl History {
    /// A line of items, both ends among them.
    ///
    /// # Errors
    /// Fewer than two items.
    pub fn linear(items: usize) -> Result<History, HistoryError> {
        if items < 2 {
            return Err(HistoryError::TooShort { items });
        }
        Ok(History {
            items,
            contains: None,
            weights: None,
        })
    }

    /// A history with forks and merges: for each item its parents, which stand before it. Item 0 is the old end and has
    /// none; what forks off before the range has item 0 as its parent. The last item is the new end and contains all
    /// others.
    ///
    /// # Errors
    /// The parents are not as said.
    pub fn of_parents(parents: &[Vec<usize>]) -> Result<History, HistoryError> {
        let mut history = History::linear(parents.len())?;
        let is_line = parents
            .iter()
            .enumerate()
            .all(|(item, parents)| item == 0 && parents.is_empty() || item > 0 && *parents == [item - 1]);
        if !is_line {
            history.contains = Some(contained(parents)?);
        }
        Ok(history)
    }

    /// The same range with a weight for each item, both ends among them: how probable it is as the change, relative to
    /// the others. An item with weight 0 cannot be it, say because it does not reach the build. The weight of the old
    /// end is not looked at.
    ///
    /// # Errors
    /// Not one weight an item, a negative weight, or none but zeros.
    #[cfg(test)]
    pub(crate) fn with_weights(mut self, weights: Vec<f64>) -> Result<History, HistoryError> {
        if weights.len() != self.items {
            return Err(HistoryError::WeightCount {
                weights: weights.len(),
                items: self.items,
            });
        }
        let wrong = weights.iter().position(|weight| !weight.is_finite() || *weight < 0.0);
        let nothing = weights.iter().skip(1).sum::<f64>() <= 0.0;
        if let Some(item) = wrong.or(nothing.then_some(self.items - 1)) {
            return Err(HistoryError::Weight {
                item,
                weight: weights[item],
            });
        }
        self.weights = Some(weights);
        Ok(self)
    }

    /// Items with both ends.
    #[must_use]
    pub(crate) fn items(&self) -> usize {
        self.items
    }

    /// The newest item.
    #[must_use]
    pub(crate) fn new_end(&self) -> usize {
        self.items - 1
    }

    /// Whether an item contains another's change.
    #[must_use]
    pub(crate) fn contains(&self, item: usize, other: usize) -> bool {
        match &self.contains {
            None => other <= item,
            Some(sets) => sets.get(item).is_some_and(|set| set.contains(other)),
        }
    }

    /// The items of which just one of two has the change.
    pub(crate) fn between(&self, item: usize, other: usize) -> Vec<usize> {
        match &self.contains {
            None => (item.min(other) + 1..=item.max(other)).collect(),
            Some(sets) => sets[item].symmetric_difference(&sets[other]).collect(),
        }
    }

    /// What each item contains, if the range is not a line.
    pub(super) fn sets(&self) -> Option<&[FixedBitSet]> {
        self.contains.as_deref()
    }

    /// An item's weight relative to those of the other candidates.
    pub(super) fn weight(&self, item: usize) -> f64 {
        self.weights.as_ref().map_or(1.0, |weights| weights[item])
    }

    /// Whether all candidates are equally probable before anything is known.
    pub(super) fn is_uniform(&self) -> bool {
        self.weights.is_none()
    }

    /// A line that is treated like any other history, to compare both.
    #[cfg(test)]
    pub(super) fn line_of_sets(items: usize) -> History {
        let parents: Vec<Vec<usize>> = (0..items)
            .map(|item: usize| item.checked_sub(1).into_iter().collect())
            .collect();
        History {
            contains: Some(contained(&parents).expect("a line")),
            ..History::linear(items).expect("two items")
        }
    }
}

/// For each item what it contains.
fn contained(parents: &[Vec<usize>]) -> Result<Vec<FixedBitSet>, HistoryError> {
    let items = parents.len();
    let mut sets: Vec<FixedBitSet> = Vec::with_capacity(items);
    for (item, parents) in parents.iter().enumerate() {
        if item == 0 && !parents.is_empty() {
            return Err(HistoryError::OldEndHasParent);
        }
        if item > 0 && parents.is_empty() {
            return Err(HistoryError::NoParent { item });
        }
        let mut set = FixedBitSet::with_capacity(items);
        set.insert(item);
        for &parent in parents {
            let Some(of_parent) = sets.get(parent) else {
                return Err(HistoryError::NotTopological { item, parent });
            };
            set.union_with(of_parent);
        }
        sets.push(set);
    }
    match sets.last().and_then(|new_end| new_end.zeroes().next()) {
        Some(item) => Err(HistoryError::NotInNewEnd { item }),
        None => Ok(sets),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::made_up;

    fn error(parents: &[&[usize]]) -> String {
        let parents: Vec<Vec<usize>> = parents.iter().map(|parents| parents.to_vec()).collect();
        History::of_parents(&parents).expect_err("an error").to_string()
    }

    #[test]
    fn what_is_no_range_is_refused_and_the_item_named() {
        assert_eq!(error(&[&[]]), "a range needs an old end and a new end, 1 given");
        assert_eq!(error(&[&[1], &[0]]), "item 0 is the old end and has no parent");
        assert_eq!(
            error(&[&[], &[2], &[1]]),
            "item 1 names item 2 as its parent, which does not stand before it"
        );
        assert_eq!(
            error(&[&[], &[], &[1]]),
            "item 1 has no parent; what forks off before the range has the old end, item 0, as its parent"
        );
        assert_eq!(error(&[&[], &[0], &[0]]), "the new end does not contain item 1");
        let line = History::linear(3).expect("a line");
        let weigh = |weights: &[f64]| line.clone().with_weights(weights.to_vec()).map(|_| ());
        assert!(weigh(&[0.0, 0.0, 1.0]).is_ok());
        assert_eq!(weigh(&[1.0]), Err(HistoryError::WeightCount { weights: 1, items: 3 }));
        for wrong in [[1.0, -1.0, 1.0], [1.0, f64::NAN, 1.0], [1.0, 0.0, 0.0]] {
            assert!(matches!(weigh(&wrong), Err(HistoryError::Weight { .. })), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn an_item_contains_itself_and_what_its_parents_contain(parents in made_up::parents(2..30_usize)) {
            let history = History::of_parents(&parents).expect("a history");
            for item in 0..parents.len() {
                for other in 0..parents.len() {
                    let of_parents = parents[item].iter().any(|parent| history.contains(*parent, other));
                    prop_assert_eq!(history.contains(item, other), item == other || of_parents);
                }
            }
        }
    }
}
