//! What a bisection is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use guest_wire::{ExecTime, Fs};
use kernels::GivenTree;
use machine::accel::Choice;
use run::cases::Profile;

/// Processors from which on some are idle while a guest runs: its one and the device's take two.
const IDLE_FROM: usize = 4;

/// A bisection as it was asked for; the command line's help says what each part means.
#[derive(Debug, Clone)]
pub struct Request {
    /// The items and both ends.
    pub range: RangeRequest,
    /// File systems; those of the bad end if there are none.
    pub fs: Vec<Fs>,
    /// What is run on each of them.
    pub subject: Subject,
    /// Seed of the faults' random choices.
    pub seed: Option<u64>,
    /// Probability with which the result may be wrong.
    pub error: f64,
    /// Runs of the bad end without a failure after which it counts as one that does not fail.
    pub patience: u32,
    /// Where journal, runs and report are kept.
    pub dir: Option<PathBuf>,
    /// The list of kernels, if it was named.
    pub manifest: Option<PathBuf>,
    /// How it is done.
    pub options: RunOptions,
}

/// Where the items of a bisection come from.
#[derive(Debug, Clone)]
pub enum RangeRequest {
    /// The releases of a line of kernels.toml.
    Releases(Ends),
    /// Commits between two revisions of a repository.
    Commits(CommitRange),
    /// A series of patches over its base.
    Series(SeriesRange),
    /// The difference of two trees, instead of what lies between them.
    Delta(DeltaRange),
}

/// Both ends: ids of kernels, or revisions.
#[derive(Debug, Clone)]
pub struct Ends {
    /// An id of kernels.toml, or whatever `git rev-parse` takes.
    pub bad: String,
    /// Likewise. It may be older or newer than `bad`.
    pub good: String,
}

/// Commits between two revisions, and which of them are items.
#[derive(Debug, Clone)]
pub struct CommitRange {
    /// The repository, and how each commit is built.
    pub tree: GivenTree,
    /// Revisions of `tree`.
    pub ends: Ends,
    /// Whether only first parents are followed.
    pub first_parent: bool,
    /// Commits that cannot be tested.
    pub skip: Vec<String>,
    /// The log's word for commits before the change.
    pub term_old: Option<String>,
    /// The log's word for commits since the change.
    pub term_new: Option<String>,
    /// Only commits that touch these paths; all if there are none.
    pub paths: Vec<String>,
}

/// A series of patches over its base.
#[derive(Debug, Clone)]
pub struct SeriesRange {
    /// A mailbox, or a directory of patches.
    pub patches: PathBuf,
    /// What they are applied to.
    pub base: SeriesBase,
    /// Which end fails, `base` or `series`, if that was said.
    pub bad: Option<String>,
    /// Which end passes, if that was said.
    pub good: Option<String>,
}

/// What a series is applied to: the old end of its range.
#[derive(Debug, Clone)]
pub enum SeriesBase {
    /// A revision of a repository.
    Tree(GivenTree),
    /// A kernel of kernels.toml, by its id.
    Kernel(String),
}

/// The difference of two trees.
#[derive(Debug, Clone)]
pub struct DeltaRange {
    /// Revisions of `tree`, or ids of kernels.
    pub ends: Ends,
    /// The repository whose revisions the ends are; without one they are kernels of kernels.toml.
    pub tree: Option<GivenTree>,
    /// Only hunks within these paths; all if there are none.
    pub paths: Vec<String>,
}

/// What runs on each kernel and decides whether it is bad.
#[derive(Debug, Clone)]
pub enum Subject {
    /// Cases of the tables. Just one of those that match may fail at the bad end.
    Cases {
        /// Full names, or globs over them.
        globs: Vec<String>,
        /// Which cases a glob finds.
        profile: Profile,
    },
    /// A program of the person's own.
    Exec {
        /// The program with its arguments.
        line: String,
        /// How long it may run; none if it has to end by itself.
        time: Option<ExecTime>,
        /// Fault plan for the device, a file; none for a device without faults.
        plan: Option<PathBuf>,
        /// Further rules for the device, in the rule language.
        rules: Vec<String>,
    },
}

/// How a bisection is done.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "one a flag of the command line")]
pub struct RunOptions {
    /// Whether only the range and its cost are said.
    pub dry_run: bool,
    /// Whether an earlier bisection of the same, and the results of others, are ignored.
    pub restart: bool,
    /// Whether kernels are built ahead of their need.
    pub ahead: When,
    /// Whether the newest item is made without the change that was found.
    pub confirm: Confirm,
    /// What executes guest code.
    pub accel: Choice,
    /// Whether every machine boots from power-on.
    pub cold_boot: bool,
    /// How long a case may go on without an end and without evidence of a hang.
    pub case_limit: Duration,
    /// Whether the network is left alone.
    pub offline: bool,
    /// Whether what the host lacks is installed without asking.
    pub yes: bool,
}

/// Whether the newest item is made without the change that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// If its build takes no more than a small part of a whole one.
    Cheap,
    /// Whatever it costs.
    Always,
    /// Not at all.
    Never,
}

/// Whether kernels are built ahead of their need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Where there are four processors or more: a guest and its device keep two busy.
    Auto,
    /// On any machine.
    Always,
    /// A kernel is built when a run needs it.
    Never,
}

impl When {
    /// Whether it is so on this machine.
    pub(crate) fn is_now(self) -> bool {
        match self {
            When::Auto => std::thread::available_parallelism().is_ok_and(|count| count.get() >= IDLE_FROM),
            When::Always => true,
            When::Never => false,
        }
    }
}
