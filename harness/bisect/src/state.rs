//! What a bisection has done so far, so that it goes on after a kill -9 at any moment without repeating a build or a
//! run.
//!
//! A journal is JSON lines: first a header that says which bisection it is, then an entry for everything that was done,
//! in order. This file is its form and what follows from it; [`mod@file`] keeps it on disk.
//!
//! Before a build or a run is begun, an entry says where its result will lie, and afterwards another one what came of
//! it. A resume that finds only the first ([`State::pending`]) looks there: a result that is whole is taken over, and
//! only what was cut short is done again.
//!
//! Items are named as a person would (a kernel's id, a commit, the key of a set of hunks), never by their place in the
//! range.

pub mod file;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use guest_wire::Fs;
use serde::{Deserialize, Serialize};

use super::search::{Direction, Outcome};
use super::signature::{Comparison, Reason, Signature};

/// Changes whenever a journal of before cannot be gone on with.
pub const FORMAT: u32 = 1;

/// What is bisected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Kernels of kernels.toml.
    Releases,
    /// Commits.
    Git,
    /// A series of patches.
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
    /// [`FORMAT`].
    pub format: u32,
    /// What is bisected.
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
    /// Case.
    pub case: String,
    /// File system.
    pub fs: Fs,
    /// A user's own program, by its hash, and its arguments; empty for a case of ours.
    pub exec: Vec<String>,
    /// Fault rules of a user's own program.
    pub rules: Vec<String>,
    /// Seed.
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
        /// It.
        signature: Signature,
    },
    /// A build begins; what it makes will lie there.
    Building {
        /// The item.
        item: String,
        /// Where.
        dir: PathBuf,
    },
    /// A build is done.
    Built {
        /// The item.
        item: String,
        /// Hash of what came out.
        artifact: String,
        /// Time that it took, in milliseconds.
        ms: u64,
    },
    /// A run begins; its cell will lie there.
    Running {
        /// The item.
        item: String,
        /// Where.
        dir: PathBuf,
    },
    /// A run is done.
    Ran {
        /// The item.
        item: String,
        /// What it showed.
        showed: Comparison,
        /// Where its evidence is.
        dir: PathBuf,
        /// Time that it took, in milliseconds.
        ms: u64,
    },
    /// An item is given up.
    Skipped {
        /// The item.
        item: String,
        /// Why.
        reason: Reason,
    },
    /// An item is the same as another one, so what is known of that holds for it, too.
    Same {
        /// The item.
        item: String,
        /// The other one.
        other: String,
        /// Why.
        why: String,
    },
    /// The bisection came to its end.
    Concluded {
        /// What it came to, for a person.
        result: String,
    },
}

/// A build that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Hash of what came out.
    pub artifact: String,
    /// Time that it took, in milliseconds.
    pub ms: u64,
}

/// A run that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// The item.
    pub item: String,
    /// What it showed.
    pub outcome: Outcome,
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
    pub observations: Vec<(String, Outcome)>,
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
            Entry::Built { item, artifact, ms } => {
                self.pending = None;
                self.builds.insert(item, Build { artifact, ms });
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
                self.observations.push((item.clone(), Outcome::Untestable));
                self.skipped.insert(item, reason);
            }
            Entry::Same { item, other, .. } => self.same.push((item, other)),
            Entry::Concluded { result } => self.concluded = Some(result),
        }
    }
}

/// A journal's text, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parsed {
    /// The first line.
    pub(crate) header: Header,
    /// All whole lines after it.
    pub(crate) entries: Vec<Entry>,
    /// Bytes that are whole lines; what follows was cut short.
    pub(crate) whole: usize,
    /// Whether the last whole line lacks its end of line.
    pub(crate) open_ended: bool,
}

/// Why a text is no journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The first line is no header.
    #[error("line 1 is not a bisection's header: {0}")]
    Header(String),
    /// It was written by another version of bioscope.
    #[error("it has the format {found}, expected {FORMAT}: another version of bioscope wrote it")]
    Format {
        /// The format that the header names.
        found: u64,
    },
    /// A line that is neither the last nor an entry.
    #[error("line {line} is not an entry: {message}")]
    Entry {
        /// The line, from 1.
        line: usize,
        /// Why.
        message: String,
    },
}

/// Takes a journal's text apart. A last line that was cut short is left out; a line in between that is no entry is an
/// error.
///
/// # Errors
/// It is no journal, or a damaged one.
pub(crate) fn parse(text: &[u8]) -> Result<Parsed, ParseError> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    if !first.ends_with(b"\n") {
        return Err(ParseError::Header("it is empty or cut short".to_owned()));
    }
    let format: FormatOnly = serde_json::from_slice(first).map_err(|error| ParseError::Header(error.to_string()))?;
    if format.format != u64::from(FORMAT) {
        return Err(ParseError::Format { found: format.format });
    }
    let header: Header = serde_json::from_slice(first).map_err(|error| ParseError::Header(error.to_string()))?;
    let mut parsed = Parsed {
        header,
        entries: Vec::new(),
        whole: first.len(),
        open_ended: false,
    };
    for (at, line) in lines.enumerate() {
        let ended = line.ends_with(b"\n");
        match serde_json::from_slice(line) {
            Ok(entry) => parsed.entries.push(entry),
            // Only the last line has no end; it is what a kill or a full disk cut short.
            Err(_) if !ended => break,
            Err(error) => {
                return Err(ParseError::Entry {
                    line: at + 2,
                    message: error.to_string(),
                });
            }
        }
        parsed.whole += line.len();
        parsed.open_ended = !ended;
    }
    Ok(parsed)
}

/// The one field that every format has.
#[derive(Deserialize)]
struct FormatOnly {
    format: u64,
}
