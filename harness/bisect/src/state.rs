//! What a bisection has done so far, so that it goes on after a kill -9 at any moment without repeating a build or a
//! run.
//!
//! A journal is JSON lines: first a header that says which bisection it is, then an entry for everything that was done,
//! in order. This file is its form and what follows from it; [`mod@file`] keeps it on disk.
//!
//! Before a build or a run is begun, an entry says where its result will lie, and afterwards another one what came of
//! it. A resume that finds only the first (`State::pending`) looks there: a result that is whole is taken over, and
//! only what was cut short is done again.
//!
//! Items are named as a person would (a kernel's id, a commit, the key of a set of hunks), never by their place in the
//! range.

pub mod file;
pub mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use guest_wire::Fs;
use serde::{Deserialize, Serialize};

use super::search::{Direction, RunOutcome};
use super::signature::{Comparison, Reason, Signature};

/// Changes whenever a journal of before cannot be gone on with.
pub const FORMAT: u32 = 1;

/// Kind of range. It stands in a journal's header, and another kind is another bisection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Kernels of kernels.toml.
    Releases,
    /// Commits between two revisions of one repository.
    Git,
    /// Patches of a mailbox or directory, each an item on top of the one before.
    Series,
    /// The difference between two trees.
    Delta,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Releases => "releases",
            Kind::Git => "git",
            Kind::Series => "series",
            Kind::Delta => "delta",
        })
    }
}

/// Which bisection a journal belongs to: the first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`] of the bioscope that began the bisection. Any other value is refused.
    pub format: u32,
    /// Says how to read `bad`, `good` and `scope`.
    pub kind: Kind,
    /// The bad end, resolved: an id, a commit, a tree's hash.
    pub bad: String,
    /// The good end, likewise.
    pub good: String,
    /// What it is limited to or based on: paths, a tree, a base.
    pub scope: Vec<String>,
    /// Items of the range, with both ends.
    pub items: usize,
    /// A hash over the items' names, in order.
    pub range: String,
    /// Which end is the newer one.
    pub direction: Direction,
    /// Full name of the case, or of the user's own program as a case.
    pub case: String,
    /// File system.
    pub fs: Fs,
    /// A user's own program, by its hash, and its arguments; empty for a case of ours.
    pub exec: Vec<String>,
    /// Fault rules of a user's own program.
    pub rules: Vec<String>,
    /// Seed of the random faults in a kernel's first run; the nth run has n - 1 more.
    pub seed: u64,
    /// Probability with which the result may be wrong.
    pub error: f64,
    /// Versions of what takes part: bioscope, QEMU, the compiler. Other ones are no other bisection, but worth a
    /// notice.
    pub versions: BTreeMap<String, String>,
}

impl Header {
    /// In what another header asks for another bisection, each in words.
    #[must_use]
    pub(crate) fn differences(&self, wanted: &Header) -> Vec<String> {
        let mut differences = Vec::new();
        let mut compare = |what: &str, here: String, wanted: String| {
            if here != wanted {
                differences.push(format!("{what} is {here} there and {wanted} now"));
            }
        };
        let list = |words: &[String]| {
            if words.is_empty() {
                "none".to_owned()
            } else {
                words.join(" ")
            }
        };
        let direction = |direction| match direction {
            Direction::Regression => "the first bad one",
            Direction::Fix => "the first good one",
        };
        compare("the kind of range", self.kind.to_string(), wanted.kind.to_string());
        compare("the bad end", self.bad.clone(), wanted.bad.clone());
        compare("the good end", self.good.clone(), wanted.good.clone());
        compare(
            "what is looked for",
            direction(self.direction).into(),
            direction(wanted.direction).into(),
        );
        compare("the scope", list(&self.scope), list(&wanted.scope));
        compare("the number of items", self.items.to_string(), wanted.items.to_string());
        if self.items == wanted.items {
            compare("the range", self.range.clone(), wanted.range.clone());
        }
        compare("the case", self.case.clone(), wanted.case.clone());
        compare("the file system", self.fs.to_string(), wanted.fs.to_string());
        compare("the program", list(&self.exec), list(&wanted.exec));
        compare("the list of fault rules", list(&self.rules), list(&wanted.rules));
        compare("the seed", self.seed.to_string(), wanted.seed.to_string());
        compare("the error", self.error.to_string(), wanted.error.to_string());
        differences
    }

    /// Versions that are others than those of another header, each in words.
    #[must_use]
    pub(crate) fn other_versions(&self, now: &Header) -> Vec<String> {
        let names: std::collections::BTreeSet<&String> = self.versions.keys().chain(now.versions.keys()).collect();
        let of = |versions: &BTreeMap<String, String>, name: &str| {
            versions.get(name).map_or("absent", String::as_str).to_owned()
        };
        names
            .into_iter()
            .map(|name| (name, of(&self.versions, name), of(&now.versions, name)))
            .filter(|(_, then, now)| then != now)
            .map(|(name, then, now)| format!("{name} was {then} when the bisection began and is {now} now"))
            .collect()
    }
}

/// A line after the header.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Entry {
    /// The failure that is looked for from here on.
    Pinned {
        /// Later runs are compared with this one: only the same failure counts as bad.
        signature: Signature,
    },
    /// A build begins; what it makes will lie there.
    Building {
        /// Name of the item: a kernel's id, a commit, the key of a set of hunks.
        item: String,
        /// The directory of the cache in which the kernel is built or kept.
        dir: PathBuf,
    },
    /// A build is done.
    Built {
        /// The name in the `Building` entry before.
        item: String,
        /// Hash of what came out.
        artifact: String,
        /// Time that it took, in milliseconds.
        ms: u64,
        /// What was spared, by an estimate, by making this item where it costs least; less than 0 if it cost more. In
        /// milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spared_ms: Option<i64>,
    },
    /// A run begins; its cell will lie there.
    Running {
        /// Name of the item whose kernel boots.
        item: String,
        /// The run's own directory. A resume looks there for a cell that came to its end.
        dir: PathBuf,
    },
    /// A run is done.
    Ran {
        /// The name in the `Running` entry before.
        item: String,
        /// The run's cell against the pinned failure.
        showed: Comparison,
        /// Where its evidence is.
        dir: PathBuf,
        /// Time that it took, in milliseconds.
        ms: u64,
    },
    /// An item is given up.
    Skipped {
        /// Name of the item. It is neither built nor run again.
        item: String,
        /// What was in the way, and a line for a person.
        reason: Reason,
    },
    /// An item is the same as another one, so what is known of that holds for it, too.
    Same {
        /// Name of the item that was made last.
        item: String,
        /// Name of an item made before, which is the same kernel.
        other: String,
        /// One line for a person: "both come to the kernel …".
        why: String,
    },
    /// The bisection came to its end.
    Concluded {
        /// What it came to, for a person.
        result: String,
    },
}

/// Result of an [`Entry::Built`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Hash of what came out.
    pub artifact: String,
    /// Time that it took, in milliseconds.
    pub ms: u64,
    /// What was spared by making it where it costs least, in milliseconds: an estimate.
    pub spared_ms: i64,
}

/// A run that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Name of the item that the bisection asked for; others may have the same kernel.
    pub item: String,
    /// What the search makes of the comparison in the journal.
    pub outcome: RunOutcome,
    /// Where its evidence is.
    pub dir: PathBuf,
}

/// What was begun last and has no end in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pending {
    /// A build of this item, into this directory.
    Build(String, PathBuf),
    /// A run of this item, into this directory.
    Run(String, PathBuf),
}

/// What follows from the entries so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The failure that is looked for.
    pub pinned: Option<Signature>,
    /// Builds that are done, by item.
    pub builds: BTreeMap<String, Build>,
    /// What was observed, in order: runs and items that were given up.
    pub observations: Vec<(String, RunOutcome)>,
    /// Runs that are done, in order.
    pub shown: Vec<Shown>,
    /// Why items were given up.
    pub skipped: BTreeMap<String, Reason>,
    /// Runs of an item that said nothing, since the last one that did.
    pub(crate) said_nothing: BTreeMap<String, u32>,
    /// Pairs of items that are the same.
    pub(crate) same: Vec<(String, String)>,
    /// Runs that are done, and the time that they took in milliseconds.
    pub runs: (u32, u64),
    /// What was begun and has no end.
    pub(crate) pending: Option<Pending>,
    /// What the bisection came to, if it is over.
    pub concluded: Option<String>,
}

impl State {
    /// The runs of an item's kernel, as whichever item.
    pub fn shown_by(&self, name: &str) -> impl Iterator<Item = &Shown> {
        let artifact = |item: &str| self.builds.get(item).map(|build| build.artifact.as_str());
        let kernel = artifact(name);
        let is_it = move |shown: &&Shown| shown.item == name || kernel.is_some() && artifact(&shown.item) == kernel;
        self.shown.iter().filter(is_it)
    }

    /// What follows from these entries.
    pub(crate) fn of<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> State {
        let mut state = State::default();
        for entry in entries {
            state.take(entry);
        }
        state
    }

    /// Takes in one more entry.
    pub(crate) fn take(&mut self, entry: &Entry) {
        match entry.clone() {
            Entry::Pinned { signature } => self.pinned = Some(signature),
            Entry::Building { item, dir } => self.pending = Some(Pending::Build(item, dir)),
            Entry::Built {
                item,
                artifact,
                ms,
                spared_ms,
            } => {
                self.pending = None;
                let spared_ms = spared_ms.unwrap_or_default();
                self.builds.insert(
                    item,
                    Build {
                        artifact,
                        ms,
                        spared_ms,
                    },
                );
            }
            Entry::Running { item, dir } => self.pending = Some(Pending::Run(item, dir)),
            Entry::Ran { item, showed, dir, ms } => {
                self.pending = None;
                self.shown.push(Shown {
                    item: item.clone(),
                    outcome: showed.outcome(),
                    dir,
                });
                self.runs.0 += 1;
                self.runs.1 += ms;
                // An item that said nothing is given up by an entry of its own, for it may be tried again first.
                if matches!(showed, Comparison::Untestable(_)) {
                    *self.said_nothing.entry(item).or_default() += 1;
                } else {
                    self.said_nothing.remove(&item);
                    self.observations.push((item, showed.outcome()));
                }
            }
            Entry::Skipped { item, reason } => {
                self.pending = None;
                self.observations.push((item.clone(), RunOutcome::Untestable));
                self.skipped.insert(item, reason);
            }
            Entry::Same { item, other, .. } => self.same.push((item, other)),
            Entry::Concluded { result } => self.concluded = Some(result),
        }
    }
}
