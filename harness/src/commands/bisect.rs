//! `cargo xtask bisect`: the flags; the work is `bisect_run`'s.

use std::path::PathBuf;

use bisect_run::{
    CommitRange, Confirm, DeltaRange, Ends, RangeRequest, Request, RunOptions, SeriesBase, SeriesRange, Subject, When,
};
use clap::{Args, ValueEnum};
use exit::{Exit, Failure};
use kernels::GivenTree;

use crate::flags::{ExecArgs, HostArgs, MachineArgs, ManifestArgs, ScopeArgs, TreeBuildArgs};

/// `cargo xtask bisect`.
#[derive(Debug, Clone, Args)]
#[allow(clippy::struct_excessive_bools, reason = "one a flag of the command line")]
#[command(
    after_help = "Examples:\n  cargo xtask bisect --case partial-write --bad debian-6.1.170 --good debian-6.1.192\n  \
    cargo xtask bisect --exec './repro 262144' --bad debian-6.1.170 --good debian-6.1.192\n  \
    cargo xtask bisect --case partial-write --tree ~/linux --bad v6.4 --good v6.3 -- fs/btrfs\n  \
    cargo xtask bisect --case partial-write --series fixes.mbox --tree ~/linux --base v6.3\n\n\
    The newer end may be the bad one (a regression is looked for) or the good one (a fix is). \
    The same command again goes on with a bisection that was ended."
)]
pub(crate) struct BisectArgs {
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// The case, by name or glob; of several cells that match just one may fail at the bad end.
    #[arg(long = "case", value_name = "GLOB", required_unless_present = "exec")]
    pub(crate) case: Vec<String>,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    #[command(flatten)]
    pub(crate) exec: ExecArgs,
    /// Seed of the faults' random choices; each run has one of its own that follows from it.
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Probability with which the result may be wrong.
    #[arg(long, value_name = "P", default_value_t = 0.01, value_parser = probability)]
    pub(crate) error: f64,
    /// Runs of the bad end without a failure after which it counts as one that does not fail.
    #[arg(long, value_name = "N", default_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) patience: u32,
    /// Say what the range is and what it will take; nothing is built or booted, and only the source that --base names
    /// is fetched.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Forget what an earlier bisection of the same found, and start over.
    #[arg(long, alias = "anew")]
    pub(crate) restart: bool,
    /// While a guest runs, build the kernels that are likely to be wanted next.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = WhenWord::Auto)]
    pub(crate) ahead: WhenWord,
    /// Once the change is found: build and run the newest commit without it, too.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = ConfirmWord::Cheap)]
    pub(crate) confirm: ConfirmWord,
    /// Where journal, runs and report are kept [default: a directory that follows from what is asked, below
    /// target/bioscope/bisect].
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
}

/// The range, and how its kernels are built.
#[derive(Debug, Clone, Args)]
pub(crate) struct RangeArgs {
    /// The end that fails: a kernel of kernels.toml, by its id, or a revision of --tree.
    #[arg(long, value_name = "ID | REV", required_unless_present = "series")]
    pub(crate) bad: Option<String>,
    /// The end that passes.
    #[arg(long, value_name = "ID | REV", required_unless_present = "series")]
    pub(crate) good: Option<String>,
    /// Bisect the commits of this git repository of Linux. It is only read.
    #[arg(long, value_name = "DIR")]
    pub(crate) tree: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) build: TreeBuildArgs,
    /// For --tree: a patch, mailbox or directory of them that every commit gets, but for those that have it
    /// already by its title; may be given more than once.
    #[arg(long, value_name = "FILE", requires = "tree")]
    pub(crate) patch: Vec<PathBuf>,
    /// Bisect a series of patches (a mailbox, a mail, a maildir or a directory of patches) over a base; says of each
    /// state whether it builds and passes. The base is good and the series bad, unless `--bad base --good series`
    /// looks for the patch that fixes.
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with_all = ["paths", "skip", "first_parent", "term_old", "term_new", "patch"]
    )]
    pub(crate) series: Option<PathBuf>,
    /// For --series: the kernel of kernels.toml, coming as source, that it is applied to; with --tree a revision
    /// [default: HEAD].
    #[arg(
        long,
        value_name = "ID | REV",
        requires = "series",
        conflicts_with_all = ["paths", "skip", "first_parent", "term_old", "term_new", "patch", "delta"]
    )]
    pub(crate) base: Option<String>,
    /// Compare the source of the ends instead of looking at what lies between: find the smallest set of hunks of the
    /// good end that makes the bad one pass. The ends are kernels of kernels.toml that come as source, or revisions of
    /// --tree; with paths only hunks within them.
    #[arg(long, conflicts_with_all = ["series", "skip", "first_parent", "term_old", "term_new", "patch"])]
    pub(crate) delta: bool,
    /// For --tree: follow only the first parent of merges, and find the merge.
    #[arg(long, requires = "tree")]
    pub(crate) first_parent: bool,
    /// For --tree: a commit that is known not to be testable; may be given more than once.
    #[arg(long, value_name = "REV", requires = "tree")]
    pub(crate) skip: Vec<String>,
    /// For --tree: the word in the log for commits before the change [default: good, or broken where a fix is looked
    /// for].
    #[arg(long, value_name = "TERM", requires = "tree", value_parser = term)]
    pub(crate) term_old: Option<String>,
    /// For --tree: the word in the log for commits since the change [default: bad, or fixed].
    #[arg(long, value_name = "TERM", requires = "tree", value_parser = term)]
    pub(crate) term_new: Option<String>,
    /// For --tree: only commits that touch these paths.
    #[arg(last = true, value_name = "PATH")]
    pub(crate) paths: Vec<String>,
}

/// Words of `--ahead`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhenWord {
    /// Where there are four processors or more: a guest and its device keep two busy.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Words of `--confirm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfirmWord {
    /// If no more than a quarter of it has to be made.
    Cheap,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl From<ConfirmWord> for Confirm {
    fn from(word: ConfirmWord) -> Confirm {
        match word {
            ConfirmWord::Cheap => Confirm::Cheap,
            ConfirmWord::Always => Confirm::Always,
            ConfirmWord::Never => Confirm::Never,
        }
    }
}

impl From<WhenWord> for When {
    fn from(word: WhenWord) -> When {
        match word {
            WhenWord::Auto => When::Auto,
            WhenWord::Always => When::Always,
            WhenWord::Never => When::Never,
        }
    }
}

impl BisectArgs {
    /// What is asked for.
    fn request(self) -> Result<Request, Failure> {
        let options = RunOptions {
            dry_run: self.dry_run,
            restart: self.restart,
            ahead: self.ahead.into(),
            confirm: self.confirm.into(),
            accel: self.machine.accel.into(),
            case_limit: self.machine.case_limit,
            cold_boot: self.machine.cold_boot,
            offline: self.host.offline,
            yes: self.host.install.yes,
        };
        let time = self.exec.time()?;
        let subject = match self.exec.exec {
            Some(line) => Subject::Exec {
                line,
                time,
                plan: self.exec.plan,
                rules: self.exec.rule,
            },
            None => Subject::Cases {
                globs: self.case,
                profile: self.scope.profile.into(),
            },
        };
        Ok(Request {
            range: self.range.request()?,
            fs: self.scope.fs,
            subject,
            seed: self.seed,
            error: self.error,
            patience: self.patience,
            dir: self.dir,
            manifest: self.manifest.manifest,
            options,
        })
    }
}

impl RangeArgs {
    fn request(self) -> Result<RangeRequest, Failure> {
        let rev = self.series.as_ref().and(self.base.clone().or(Some("HEAD".to_owned())));
        let (config, patch, cc) = (self.build.config, self.patch, self.build.cc);
        let tree = self.tree.map(|tree| GivenTree {
            tree,
            rev,
            config,
            patch,
            cc,
        });
        if let Some(patches) = self.series {
            return Ok(RangeRequest::Series(SeriesRange {
                patches,
                base: tree.map_or_else(|| SeriesBase::Kernel(self.base.unwrap_or_default()), SeriesBase::Tree),
                bad: self.bad,
                good: self.good,
            }));
        }
        let (Some(bad), Some(good)) = (self.bad, self.good) else {
            return Err(Failure::new(Exit::Usage, "a bisection needs --bad and --good"));
        };
        let ends = Ends { bad, good };
        if self.delta {
            return Ok(RangeRequest::Delta(DeltaRange {
                ends,
                tree,
                paths: self.paths,
            }));
        }
        match tree {
            Some(tree) => Ok(RangeRequest::Commits(CommitRange {
                tree,
                ends,
                first_parent: self.first_parent,
                skip: self.skip,
                term_old: self.term_old,
                term_new: self.term_new,
                paths: self.paths,
            })),
            None if self.paths.is_empty() => Ok(RangeRequest::Releases(ends)),
            None => Err(Failure::new(
                Exit::Usage,
                "paths choose among the commits of --tree, or the hunks of --delta",
            )),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Anything that keeps the bisection from going on; what was done is kept.
pub(crate) fn run(args: &BisectArgs) -> Result<Exit, Failure> {
    bisect_run::run(&args.clone().request()?)
}

/// A word that `git bisect` takes for a term.
fn term(word: &str) -> Result<String, String> {
    const TAKEN: [&str; 10] = [
        "help",
        "start",
        "skip",
        "next",
        "reset",
        "visualize",
        "view",
        "replay",
        "log",
        "run",
    ];
    let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !plain || TAKEN.contains(&word) || word.starts_with('-') {
        return Err("expected a word of letters, digits, - and _ that is no subcommand of git bisect".to_owned());
    }
    Ok(word.to_owned())
}

fn probability(word: &str) -> Result<f64, &'static str> {
    word.parse()
        .ok()
        .filter(|p| *p > 0.0 && *p < 0.5)
        .ok_or("expected a number above 0 and below 0.5, like 0.01")
}
