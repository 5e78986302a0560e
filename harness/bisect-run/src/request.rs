//! What a bisection is asked to do.

use std::path::PathBuf;

use guest_wire::Fs;
use host::error::Failure;
use host::exit::Exit;
use kernels::GivenTree;
use machine::accel::Choice;
use run::cases::Profile;

use crate::ahead::When;

/// A bisection as it was asked for; the command line's help says what each part means.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)] // one a flag of the command line
pub struct Request {
    /// The end that fails: a kernel's id, or a revision.
    pub bad: Option<String>,
    /// The end that passes.
    pub good: Option<String>,
    /// A git repository of Linux.
    pub tree: Option<PathBuf>,
    /// Parts of the configuration.
    pub config: Vec<String>,
    /// Patches that every commit gets.
    pub patch: Vec<PathBuf>,
    /// The compiler.
    pub cc: Option<String>,
    /// A series of patches to bisect.
    pub series: Option<PathBuf>,
    /// What the series is applied to.
    pub base: Option<String>,
    /// Whether the difference of the ends is searched, instead of what lies between them.
    pub delta: bool,
    /// Whether only first parents are followed.
    pub first_parent: bool,
    /// Commits that cannot be tested.
    pub skip: Vec<String>,
    /// The log's word for commits before the change.
    pub term_old: Option<String>,
    /// The log's word for commits since the change.
    pub term_new: Option<String>,
    /// Only commits, or hunks, that touch these paths.
    pub paths: Vec<String>,
    /// Globs of cases.
    pub case: Vec<String>,
    /// File systems.
    pub fs: Vec<Fs>,
    /// Which cases a glob finds.
    pub profile: Profile,
    /// A program of the person's own, with its arguments.
    pub exec: Option<String>,
    /// Its plan file.
    pub plan: Option<PathBuf>,
    /// Its rules.
    pub rule: Vec<String>,
    /// Seed of the faults' random choices.
    pub seed: Option<u64>,
    /// Probability with which the result may be wrong.
    pub error: f64,
    /// Runs of the bad end without a failure after which it counts as one that does not fail.
    pub patience: u32,
    /// Whether only the range and its cost are said.
    pub dry_run: bool,
    /// Whether an earlier bisection of the same is forgotten.
    pub anew: bool,
    /// Whether kernels are built ahead of their need.
    pub ahead: When,
    /// Where journal, runs and report are kept.
    pub dir: Option<PathBuf>,
    /// What executes guest code.
    pub accel: Choice,
    /// Whether every machine boots from power-on.
    pub cold_boot: bool,
    /// Whether the network is left alone.
    pub offline: bool,
    /// Whether what the host lacks is installed without asking.
    pub yes: bool,
    /// The list of kernels, if it was named.
    pub manifest: Option<PathBuf>,
}

impl Request {
    /// Both ends, as they were given: the bad one and the good one.
    ///
    /// # Errors
    /// One is missing.
    pub fn ends(&self) -> Result<(&str, &str), Failure> {
        match (&self.bad, &self.good) {
            (Some(bad), Some(good)) => Ok((bad, good)),
            _ => Err(Failure::new(Exit::Usage, "a bisection needs --bad and --good")),
        }
    }

    /// The source at a revision, where it is that of a tree.
    #[must_use]
    pub fn source(&self, rev: Option<&str>) -> Option<GivenTree> {
        Some(GivenTree {
            tree: self.tree.clone()?,
            rev: rev.map(str::to_owned),
            config: self.config.clone(),
            patch: self.patch.clone(),
            cc: self.cc.clone(),
        })
    }
}
