//! What goes into a search and what comes out of it.

use serde::{Deserialize, Serialize};

use crate::rate::{Rate, Tally};

/// What came of trying to run an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOutcome {
    /// It failed with the pinned signature.
    Failed,
    /// The case passed. At low failure rates that says little.
    Passed,
    /// It failed in another way, which says nothing of the change. An item that does so in half of its runs or more is
    /// set aside.
    Other,
    /// It cannot be tested: it does not build, does not boot, or the case says nothing on it. It is set aside.
    Untestable,
}

/// All that was observed of an item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Observed {
    /// Runs that say something.
    pub(crate) tally: Tally,
    /// Runs that failed in another way.
    pub(crate) other: u32,
    /// Whether it turned out to be untestable.
    pub(crate) untestable: bool,
}

/// Which end an observation or a conclusion is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The one that fails, by the request.
    Bad,
    /// The one that passes, by the request.
    Good,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Run this item once.
    Run(Next),
    /// The search is over.
    Done(Conclusion),
}

/// The run that comes next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Next {
    pub(crate) item: usize,
    /// Probability that it is bad.
    pub(crate) bad: f64,
    /// Bits that the run is expected to tell about the change.
    pub(crate) gain: f64,
    /// Whether it has to be built first.
    pub(crate) build: bool,
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Conclusion {
    /// This item is the first changed one: first bad, or first good in the search for a fix.
    Found {
        /// Index in the range, from 0, the oldest first.
        item: usize,
        /// From 0 to 1, given all runs so far.
        probability: f64,
    },
    /// The first changed item is one of these, oldest first; what could tell them apart cannot be tested.
    Among {
        /// The items, and how probable each is.
        items: Vec<(usize, f64)>,
        /// From 0 to 1: the sum over the items.
        probability: f64,
    },
    /// The end that should be bad passed this often and never failed.
    BadEndPasses {
        /// Runs of that end, without those that say nothing.
        passed: u32,
        /// With a probability of 95 % a run fails more rarely than this.
        rate_below: f64,
    },
    /// The end that should be good is bad.
    GoodEndFails {
        /// From 0 to 1, given all runs so far.
        probability: f64,
    },
    /// An end cannot be tested.
    EndUntestable(End),
    /// No single change explains the runs: items failed of which none is contained in all the others, or that contain
    /// only good ones.
    Contradiction,
}

impl Conclusion {
    /// The items that it names.
    pub(crate) fn items(&self) -> Vec<usize> {
        match self {
            Conclusion::Found { item, .. } => vec![*item],
            Conclusion::Among { items, .. } => items.iter().map(|(item, _)| *item).collect(),
            _ => Vec::new(),
        }
    }
}

/// Where a search stands, for a progress line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// Items that are about as probable as the most probable one.
    pub(crate) candidates: usize,
    /// Bits that are not known yet of the change.
    pub(crate) entropy_bits: f64,
    /// What is left to do, if the change is a typical one.
    pub(crate) left: Played,
    /// The failure rate of bad items, as far as it is known.
    pub(crate) rate: Rate,
}

/// What a search takes to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Played {
    /// Runs of any item, built or not.
    pub runs: u32,
    /// Builds: items that are run and were not built.
    pub builds: u32,
    /// It was not looked further than so many runs.
    pub(crate) or_more: bool,
}
