//! What is bisected, whatever kind of range it is, and what that will take.

use std::collections::BTreeSet;

use bisect::driver::short;
use bisect::history::History;
use bisect::search::{Config, Direction, End, Played, RunOutcome, Search};
use bisect::state::{Kind, State};
use exit::Failure;

/// Places of the change that an estimate plays through.
const PLAYED: usize = 9;

/// A range, resolved.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    /// What sort of range.
    pub(crate) kind: Kind,
    /// The bad end, resolved.
    pub(crate) bad: String,
    /// The good end, resolved.
    pub(crate) good: String,
    /// What it is limited to or based on.
    pub(crate) scope: Vec<String>,
    /// Names of the items, oldest first, both ends among them.
    pub(crate) names: Vec<String>,
    /// What a person knows each item by, besides its name: a version, a commit's subject.
    pub(crate) labels: Vec<String>,
    /// For each item those that it follows on.
    pub(crate) parents: Vec<Vec<usize>>,
    /// Pairs of items between which nothing differs that reaches the build.
    pub(crate) same: Vec<(usize, usize)>,
    /// Items that a person knows not to be testable.
    pub(crate) skip: Vec<usize>,
    /// Which end is the newer one.
    pub(crate) direction: Direction,
    /// The words for an item on the old end's side and for one on the new end's side, as git has them.
    pub(crate) terms: (String, String),
    /// What making an item costs, in runs.
    pub(crate) build_cost: f64,
    /// What a person should know beforehand.
    pub(crate) notes: Vec<String>,
}

/// What a bisection will take if every run of a bad item fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Estimate {
    /// Kernels that are made, both ends among them: the mean, and the most.
    pub(crate) kernels: (f64, usize),
    pub(crate) runs: (f64, usize),
}

/// What earlier builds and runs took, in seconds: the median of each.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Pace {
    /// A build of everything.
    pub(crate) whole_s: Option<f64>,
    /// A build in a directory where another version was built before.
    pub(crate) next_s: Option<f64>,
    pub(crate) run_s: Option<f64>,
}

impl Planned {
    /// The parents of a line.
    #[must_use]
    pub(crate) fn line(items: usize) -> Vec<Vec<usize>> {
        (0..items)
            .map(|item: usize| item.checked_sub(1).into_iter().collect())
            .collect()
    }

    /// What an item is called.
    #[must_use]
    pub(crate) fn noun(&self) -> &'static str {
        match self.kind {
            Kind::Releases => "kernel",
            Kind::Git => "commit",
            Kind::Series => "state",
            Kind::Delta => "hunk",
        }
    }

    /// The usual words for an item on either side, old and new.
    #[must_use]
    pub(crate) fn terms(direction: Direction) -> (String, String) {
        let (old, new) = match direction {
            Direction::Regression => ("good", "bad"),
            Direction::Fix => ("broken", "fixed"),
        };
        (old.to_owned(), new.to_owned())
    }

    /// The bad end and the good one.
    #[must_use]
    pub(crate) fn ends(&self) -> (usize, usize) {
        let newest = self.names.len().saturating_sub(1);
        match self.direction {
            Direction::Regression => (newest, 0),
            Direction::Fix => (0, newest),
        }
    }

    /// The item beside an end, where a person can name just one that is not the other end.
    #[must_use]
    pub(crate) fn beside(&self, end: End) -> Option<&str> {
        let (bad, good) = self.ends();
        let (of, other) = match end {
            End::Bad => (bad, good),
            End::Good => (good, bad),
        };
        let beside = if of < other { of + 1 } else { of.checked_sub(1)? };
        let is_one = self.kind == Kind::Releases && beside != other;
        self.names.get(beside).filter(|_| is_one).map(String::as_str)
    }

    /// Whether a run of an item's kernel showed what is so before the change.
    pub(crate) fn is_before(&self, item: usize, state: &State) -> bool {
        let outcome = match self.direction {
            Direction::Regression => RunOutcome::Passed,
            Direction::Fix => RunOutcome::Failed,
        };
        let mut shown = state.shown_by(&self.names[item]);
        shown.any(|shown| shown.outcome == outcome)
    }

    /// The nearest of what an item follows on that was run: one that does not build may be taken for another one.
    pub(crate) fn tested_before(&self, item: usize, state: &State) -> Option<usize> {
        let parents = |item: &usize| self.parents[*item].iter().copied();
        let mut row: BTreeSet<usize> = parents(&item).collect();
        loop {
            match row.iter().find(|item| self.is_before(**item, state)) {
                Some(tested) => return Some(*tested),
                None if row.is_empty() => return None,
                None => row = row.iter().flat_map(parents).collect(),
            }
        }
    }

    /// A search over it that has not begun.
    ///
    /// # Errors
    /// A setting makes no sense.
    pub(crate) fn search(&self, error: f64, patience: u32) -> Result<Search, Failure> {
        let history = History::of_parents(&self.parents)?;
        let config = Config {
            direction: self.direction,
            error,
            give_up_after: patience,
            build_cost: self.build_cost,
            ..Config::default()
        };
        let mut search = Search::new(history, config)?;
        for item in &self.skip {
            search.observe(*item, RunOutcome::Untestable);
        }
        Ok(search)
    }

    /// Plays the search for changes all over the range.
    #[must_use]
    pub(crate) fn estimate(&self, fresh: &Search) -> Estimate {
        let mut fresh = fresh.clone();
        fresh.all_identical(self.same.iter().copied());
        let same: BTreeSet<usize> = self.same.iter().map(|(item, _)| *item).collect();
        let candidates: Vec<usize> = (1..self.names.len()).filter(|item| !same.contains(item)).collect();
        let step = candidates.len().div_ceil(PLAYED).max(1);
        // Where every run of a bad item fails.
        let plays: Vec<Played> = candidates
            .iter()
            .step_by(step)
            .map(|change| fresh.played(*change, 1.0, u32::MAX))
            .collect();
        let of = |part: fn(&Played) -> u32| {
            let sum: u32 = plays.iter().map(part).sum();
            (
                f64::from(sum) / plays.len().max(1) as f64,
                plays.iter().map(part).max().unwrap_or(0) as usize,
            )
        };
        Estimate {
            kernels: of(|play| play.builds),
            runs: of(|play| play.runs),
        }
    }
}

/// The median of times in milliseconds, in seconds.
pub(crate) fn median(mut times_ms: Vec<u64>) -> Option<f64> {
    times_ms.sort_unstable();
    times_ms.get(times_ms.len() / 2).map(|ms| *ms as f64 / 1000.0)
}

/// What it means that an end of a range says nothing: within the range it would be skipped.
#[must_use]
pub(crate) fn untestable_end(end: End, name: Option<&str>, why: &str, neighbour: Option<&str>) -> String {
    let (what, needed, lacks) = match end {
        End::Bad => ("bad", "fails", "it is not known what is looked for"),
        End::Good => ("good", "passes", "it is not known that anything changed"),
    };
    let name = name.map_or_else(String::new, |name| format!(", {},", short(name)));
    let next = neighbour.map_or_else(String::new, |name| format!("; the next in the range is {name}"));
    format!(
        "the {what} end{name} cannot be tested: {why}\n\
        an end cannot be skipped as what lies between can: without one that {needed} {lacks}; \
        name another one{next}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn releases(names: &[&str], direction: Direction) -> Planned {
        Planned {
            kind: Kind::Releases,
            bad: String::new(),
            good: String::new(),
            scope: Vec::new(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            labels: Vec::new(),
            parents: Planned::line(names.len()),
            same: Vec::new(),
            skip: Vec::new(),
            direction,
            terms: Planned::terms(direction),
            build_cost: 1.0,
            notes: Vec::new(),
        }
    }

    #[test]
    fn an_end_that_says_nothing_is_told_with_the_next_one() {
        let fix = releases(&["a", "b", "c"], Direction::Fix);
        assert_eq!((fix.beside(End::Bad), fix.beside(End::Good)), (Some("b"), Some("b")));
        let regression = releases(&["a", "b", "c", "d"], Direction::Regression);
        assert_eq!(regression.beside(End::Bad), Some("c"));
        assert_eq!(regression.beside(End::Good), Some("b"));
        // The other end is none to begin at.
        assert_eq!(releases(&["a", "b"], Direction::Fix).beside(End::Bad), None);
        let why = "inconclusive: the program says that it cannot test here (exit code 125)";
        assert_eq!(
            untestable_end(End::Bad, Some("a"), why, fix.beside(End::Bad)),
            "the bad end, a, cannot be tested: inconclusive: the program says that it cannot test here (exit code \
            125)\nan end cannot be skipped as what lies between can: without one that fails it is not known what is \
            looked for; name another one; the next in the range is b"
        );
        assert_eq!(
            untestable_end(End::Good, None, "broken", None),
            "the good end cannot be tested: broken\nan end cannot be skipped as what lies between can: without one \
            that passes it is not known that anything changed; name another one"
        );
    }

    #[test]
    fn the_middle_one_counts() {
        assert_eq!(median(vec![9000, 1000, 2000]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
