//! The command line: `cargo xtask COMMAND` ends up here.

use std::num::{NonZeroU64, NonZeroUsize};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde::{Deserialize, Serialize};

use crate::cases::Profile;
use crate::commands::bisect::ahead::When;
use crate::error::{Failure, USAGE};
use crate::golden::Fs;
use crate::soak::machine::Storage;
use crate::vm::accel::Choice;

/// Kernel regression harness: direct I/O, page faults and a misbehaving disk.
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask",
    bin_name = "cargo xtask",
    version,
    arg_required_else_help = true,
    after_help = "To work on this project itself:\n  selftest  Run our own tests: the default matrix, those without VMs, those of the rig\n  \
    fuzz      Run the device's fuzz targets\n  \
    tidy      Check the form of the source"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the matrix: kernels × file systems × cases.
    Test(Box<TestArgs>),
    /// Check that the host has what is needed, and install what is missing.
    Doctor(DoctorArgs),
    /// Move kernels.lock to what the archive holds now.
    Update(UpdateArgs),
    /// Build the kernels of kernels.toml that come as source, or a tree of your own.
    Build(BuildArgs),
    /// What kernels are kept ready, what they were made of, and what can go.
    Store(StoreArgs),
    /// Boot a kernel to a prompt with the fault-injecting disk attached.
    Shell(ShellArgs),
    /// Inject faults into the disk of a running shell.
    Inject(InjectArgs),
    /// Run fio with verification under random rules: what differs has to be explained by a rule.
    Soak(SoakArgs),
    /// Find the change that made a case fail, or that fixed it, between a kernel that fails and one that passes.
    Bisect(Box<BisectArgs>),
}

/// `cargo xtask test`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)]
pub struct TestArgs {
    /// Kernels to run, by id or glob; may be given more than once [default: all that kernels.toml does not leave out].
    #[arg(long, value_name = "GLOB")]
    pub kernel: Vec<String>,
    /// File systems to run [default: those of each kernel in kernels.toml].
    #[arg(long, value_name = "FS")]
    pub fs: Vec<Fs>,
    /// Cases to run, by name or glob; a full name also finds cases outside the profile.
    #[arg(long = "case", value_name = "GLOB")]
    pub case: Vec<String>,
    /// How much to run.
    #[arg(long, value_enum, default_value_t = Profile::Default)]
    pub profile: Profile,
    /// Virtual machines at once [default: as many as cores and memory allow].
    #[arg(long, value_name = "N", value_parser = machines)]
    pub jobs: Option<NonZeroUsize>,
    /// What executes guest code; `auto` uses KVM only after booting something with it.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub accel: Choice,
    /// Boot every machine from power-on, instead of going on from a snapshot of the booted guest.
    #[arg(long)]
    pub cold_boot: bool,
    /// Keep the disk images of cells that passed, too.
    #[arg(long)]
    pub keep: bool,
    /// Also write the results to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Never use the network; what is not cached is an error.
    #[arg(long)]
    pub offline: bool,
    /// Use the newest versions the archive holds where kernels.toml says `latest`, and write them to kernels.lock.
    #[arg(long, conflicts_with = "offline")]
    pub update: bool,
    /// List the cells that would run; nothing is built, fetched or booted.
    #[arg(long)]
    pub list: bool,
    /// Run this kernel image (bzImage or vmlinux) instead of the kernels of kernels.toml.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kernel", "tree", "patch"])]
    pub image: Option<PathBuf>,
    /// Directory with the image's modules: one that holds lib/modules/RELEASE, or is it.
    #[arg(long, value_name = "DIR", requires = "image")]
    pub modules: Option<PathBuf>,
    /// Source of the person's own.
    #[command(flatten)]
    pub tree: TreeArgs,
    /// Run a static program of your own in the guest, in a fresh file system at /mnt, instead of the cases.
    #[arg(long, value_name = "PROGRAM ARG…", conflicts_with_all = ["case", "profile"])]
    pub exec: Option<String>,
    /// A fault plan for --exec: a TOML file with `seed` and `rules`.
    #[arg(long, value_name = "FILE", requires = "exec")]
    pub plan: Option<PathBuf>,
    /// A fault rule for --exec; may be given more than once, and beside a plan.
    #[arg(long, value_name = "RULE", requires = "exec")]
    pub rule: Vec<String>,
    /// Seed of the plan's random choices.
    #[arg(long, value_name = "N", requires = "exec")]
    pub seed: Option<u64>,
    /// Install what the host lacks without asking.
    #[arg(long)]
    pub yes: bool,
    /// The list of kernels [default: kernels.toml of this repository].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

/// Source of your own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct TreeArgs {
    /// Build this Linux tree, as its working copy stands, instead of taking kernels of kernels.toml. Nothing in it is touched.
    #[arg(long, value_name = "DIR", conflicts_with = "kernel")]
    pub tree: Option<PathBuf>,
    /// Build this commit of the tree instead of the working copy.
    #[arg(long, value_name = "REV", requires = "tree")]
    pub rev: Option<String>,
    /// For --tree: a part of the configuration, in order: tinyconfig, defconfig, a whole .config, a ready fragment (base, btrfs, kasan, …) or a
    /// fragment's file; may be given more than once [default: tinyconfig, base, the file systems, debug].
    #[arg(long, value_name = "PART", requires = "tree")]
    pub config: Vec<String>,
    /// A patch, mailbox or folder of them to apply to --tree, or to kernels of kernels.toml that come as source and are named; may be given more than
    /// once. What is expected of such a kernel is not of one with a patch.
    #[arg(long, value_name = "FILE")]
    pub patch: Vec<PathBuf>,
    /// For --tree: the compiler.
    #[arg(long, value_name = "CC", requires = "tree")]
    pub cc: Option<String>,
}

/// `cargo xtask build`.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Kernels to build, by id, glob or group (truth) [default: all that come as source].
    #[arg(value_name = "ID")]
    pub kernel: Vec<String>,
    /// Source of the person's own.
    #[command(flatten)]
    pub tree: TreeArgs,
    /// Never use the network.
    #[arg(long)]
    pub offline: bool,
    /// Install what the host lacks without asking.
    #[arg(long)]
    pub yes: bool,
    /// The list of kernels [default: kernels.toml of this repository].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

/// `cargo xtask store`.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// What is asked.
    #[command(subcommand)]
    pub ask: StoreAsk,
}

/// What can be asked of the store.
#[derive(Debug, Subcommand)]
pub enum StoreAsk {
    /// What is in it: kernels and build folders, with sizes and when they were last used.
    List,
    /// Remove what nobody used for a time; what runs need again is made or fetched again.
    Gc {
        /// Days that something may lie unused.
        #[arg(long, value_name = "N", default_value_t = 30)]
        days: u64,
        /// Only say what would go.
        #[arg(long)]
        dry_run: bool,
    },
    /// What a kernel of kernels.toml, or an artifact, was made of, and what would make it anew.
    Why {
        /// The kernel's id, or the first letters of an artifact's hash.
        #[arg(value_name = "ID")]
        id: String,
        /// The list of kernels [default: kernels.toml of this repository].
        #[arg(long, value_name = "FILE")]
        manifest: Option<PathBuf>,
    },
}

/// `cargo xtask doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Install what is missing without asking.
    #[arg(long)]
    pub yes: bool,
}

/// `cargo xtask update`.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// Kernels to move, by id or glob [default: all].
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// The list of kernels [default: kernels.toml of this repository].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

/// `cargo xtask shell`.
#[derive(Debug, Args)]
pub struct ShellArgs {
    /// The kernel to boot, by id.
    #[arg(long, value_name = "ID")]
    pub kernel: String,
    /// File system of the disk.
    #[arg(long, value_name = "FS", default_value = "btrfs")]
    pub fs: Fs,
    /// What executes guest code.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub accel: Choice,
    /// Rules that are in force from the start; may be given more than once.
    #[arg(long, value_name = "RULE")]
    pub rule: Vec<String>,
    /// Where `inject export` and `inject log` may write: below this directory; may be given more than once [default: the current directory].
    #[arg(long, value_name = "DIR")]
    pub export_dir: Vec<PathBuf>,
    /// Never use the network.
    #[arg(long)]
    pub offline: bool,
    /// Install what the host lacks without asking.
    #[arg(long)]
    pub yes: bool,
    /// The list of kernels [default: kernels.toml of this repository].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

/// `cargo xtask inject`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask inject 'fail write limit=1'\n  cargo xtask inject list\n  \
    cargo xtask inject release r1\n  cargo xtask inject remove r1\n  cargo xtask inject clear\n  cargo xtask inject stats\n  \
    cargo xtask inject subscribe"
)]
pub struct InjectArgs {
    /// A rule to add (with or without `add` before it), or one of: list, remove RULE-NAME, clear, release [RULE-NAME], mark NAME, set NAME:VALUE,
    /// cut now [lose=…] [torn=…] [seed=N], power, rollback, rollback MARK, resize BYTES, disconnect now, export FILE [at=MARK] [lose=…] [torn=…] [seed=N], log FILE, stats, subscribe.
    #[arg(value_name = "RULE | COMMAND", required = true, num_args = 1..)]
    pub words: Vec<String>,
    /// Control socket of the device [default: that of the shell that was started last].
    #[arg(long, value_name = "SOCKET")]
    pub control: Option<PathBuf>,
    /// Print what the device says as it says it, in JSON; of `subscribe` the trace's own lines.
    #[arg(long)]
    pub json: bool,
}

/// `cargo xtask soak`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask soak --minutes 60\n  cargo xtask soak --seed 7 --first-round 12 --rounds 1\n  \
    cargo xtask soak --rounds 3 --rule 'corrupt write flip=1bit limit=5' --rule 'delay any for=1ms..5ms'"
)]
pub struct SoakArgs {
    /// The kernel to boot, by id.
    #[arg(long, value_name = "ID", default_value = "debian-6.1.192")]
    pub kernel: String,
    /// How long; the round that runs then is the last.
    #[arg(long, value_name = "N", default_value = "10", value_parser = positive)]
    pub minutes: NonZeroU64,
    /// At most so many rounds.
    #[arg(long, value_name = "N", value_parser = positive)]
    pub rounds: Option<NonZeroU64>,
    /// Begin with this round of the seed's.
    #[arg(long, value_name = "N", default_value = "1", value_parser = positive)]
    pub first_round: NonZeroU64,
    /// Seed of all rounds [default: another one each time; it is printed].
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Put this rule in force in every round instead of random ones; may be given more than once.
    #[arg(long, value_name = "RULE")]
    pub rule: Vec<String>,
    /// Where the device keeps what the guest writes.
    #[arg(long, value_enum, default_value_t = Storage::Memory)]
    pub storage: Storage,
    /// Keep the traces of machines of which nothing was found, too.
    #[arg(long)]
    pub keep: bool,
    /// What executes guest code.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub accel: Choice,
    /// Never use the network.
    #[arg(long)]
    pub offline: bool,
    /// Install what the host lacks without asking.
    #[arg(long)]
    pub yes: bool,
    /// The list of kernels [default: kernels.toml of this repository].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

/// `cargo xtask bisect`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)]
#[command(
    after_help = "Examples:\n  cargo xtask bisect --case partial-write --bad debian-6.1.170 --good debian-6.1.192\n  \
    cargo xtask bisect --exec './repro 262144' --bad debian-6.1.170 --good debian-6.1.192\n  \
    cargo xtask bisect --case partial-write --tree ~/linux --bad v6.4 --good v6.3 -- fs/btrfs\n  \
    cargo xtask bisect --case partial-write --series fixes.mbox --tree ~/linux --base v6.3\n\n\
    The newer end may be the bad one (a regression is looked for) or the good one (a fix is). The same command again goes on with a bisection that was ended."
)]
pub struct BisectArgs {
    /// The end that fails: a kernel of kernels.toml, by its id, or a revision of --tree.
    #[arg(long, value_name = "ID | REV", required_unless_present = "series")]
    pub bad: Option<String>,
    /// The end that passes.
    #[arg(long, value_name = "ID | REV", required_unless_present = "series")]
    pub good: Option<String>,
    /// Bisect the commits of this git repository of Linux. It is only read.
    #[arg(long, value_name = "DIR")]
    pub tree: Option<PathBuf>,
    /// For --tree: a part of the configuration, as for `cargo xtask test`; may be given more than once.
    #[arg(long, value_name = "PART", requires = "tree")]
    pub config: Vec<String>,
    /// For --tree: a patch, mailbox or folder of them that every commit gets; may be given more than once.
    #[arg(long, value_name = "FILE", requires = "tree")]
    pub patch: Vec<PathBuf>,
    /// For --tree: the compiler.
    #[arg(long, value_name = "CC", requires = "tree")]
    pub cc: Option<String>,
    /// Bisect a series of patches (a mailbox, or a folder of patches) over a base; says of each state whether it builds and passes. The base is good and
    /// the series bad, unless `--bad base --good series` looks for the patch that fixes.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["paths", "skip", "first_parent", "term_old", "term_new", "patch"])]
    pub series: Option<PathBuf>,
    /// For --series: the kernel of kernels.toml, coming as source, that it is applied to; with --tree a revision [default: HEAD].
    #[arg(long, value_name = "ID | REV", requires = "series")]
    pub base: Option<String>,
    /// Compare the source of the ends instead of looking at what lies between: find the smallest set of hunks of the good end that makes the bad one
    /// pass. The ends are kernels of kernels.toml that come as source, or revisions of --tree; with paths only hunks within them.
    #[arg(long, conflicts_with_all = ["series", "skip", "first_parent", "term_old", "term_new", "patch"])]
    pub delta: bool,
    /// For --tree: follow only the first parent of merges, and find the merge.
    #[arg(long, requires = "tree")]
    pub first_parent: bool,
    /// For --tree: a commit that is known not to be testable; may be given more than once.
    #[arg(long, value_name = "REV", requires = "tree")]
    pub skip: Vec<String>,
    /// For --tree: the word in the log for commits before the change [default: good, or broken where a fix is looked for].
    #[arg(long, value_name = "TERM", requires = "tree", value_parser = term)]
    pub term_old: Option<String>,
    /// For --tree: the word in the log for commits since the change [default: bad, or fixed].
    #[arg(long, value_name = "TERM", requires = "tree", value_parser = term)]
    pub term_new: Option<String>,
    /// For --tree: only commits that touch these paths.
    #[arg(last = true, value_name = "PATH")]
    pub paths: Vec<String>,
    /// The case, by name or glob; of several cells that match just one may fail at the bad end.
    #[arg(long = "case", value_name = "GLOB", required_unless_present = "exec")]
    pub case: Vec<String>,
    /// File system [default: those that kernels.toml names for the bad end].
    #[arg(long, value_name = "FS")]
    pub fs: Vec<Fs>,
    /// Which cases a glob finds.
    #[arg(long, value_enum, default_value_t = Profile::Default)]
    pub profile: Profile,
    /// Run a static program of your own in the guest, in a fresh file system at /mnt, instead of a case.
    #[arg(long, value_name = "PROGRAM ARG…", conflicts_with_all = ["case", "profile"])]
    pub exec: Option<String>,
    /// A fault plan for --exec: a TOML file with `seed` and `rules`.
    #[arg(long, value_name = "FILE", requires = "exec")]
    pub plan: Option<PathBuf>,
    /// A fault rule for --exec; may be given more than once, and beside a plan.
    #[arg(long, value_name = "RULE", requires = "exec")]
    pub rule: Vec<String>,
    /// Seed of the faults' random choices; each run has one of its own that follows from it.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Probability with which the result may be wrong.
    #[arg(long, value_name = "P", default_value_t = 0.01, value_parser = probability)]
    pub error: f64,
    /// Runs of the bad end without a failure after which it counts as one that does not fail.
    #[arg(long, value_name = "N", default_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    pub patience: u32,
    /// Say what the range is and what it will take; nothing is built, fetched or booted.
    #[arg(long)]
    pub dry_run: bool,
    /// Forget what an earlier bisection of the same found, and begin anew.
    #[arg(long)]
    pub anew: bool,
    /// While a guest runs, build the kernels that are likely to be wanted next.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = When::Auto)]
    pub ahead: When,
    /// Where journal, runs and report are kept [default: a directory that follows from what is asked, below target/bioscope/bisect].
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What executes guest code; `auto` uses KVM only after booting something with it.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    pub accel: Choice,
    /// Boot every machine from power-on, instead of going on from a snapshot of the booted guest.
    #[arg(long)]
    pub cold_boot: bool,
    /// Never use the network; what is not cached is an error.
    #[arg(long)]
    pub offline: bool,
    /// Install what the host lacks without asking.
    #[arg(long)]
    pub yes: bool,
    /// The list of kernels [default: kernels.toml of this repository].
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
}

impl BisectArgs {
    /// Both ends, as they were given: the bad one and the good one.
    ///
    /// # Errors
    /// One is missing.
    pub fn ends(&self) -> Result<(&str, &str), Failure> {
        match (&self.bad, &self.good) {
            (Some(bad), Some(good)) => Ok((bad, good)),
            _ => Err(Failure::new(USAGE, "a bisection needs --bad and --good")),
        }
    }

    /// The source, as `cargo xtask test` is told of it.
    #[must_use]
    pub fn source(&self) -> TreeArgs {
        TreeArgs {
            tree: self.tree.clone(),
            rev: None,
            config: self.config.clone(),
            patch: self.patch.clone(),
            cc: self.cc.clone(),
        }
    }
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

fn machines(word: &str) -> Result<NonZeroUsize, &'static str> {
    word.parse()
        .map_err(|_| "expected a number of virtual machines of at least 1")
}

fn positive(word: &str) -> Result<NonZeroU64, &'static str> {
    word.parse().map_err(|_| "expected a whole number of at least 1")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_put_together_well() {
        Cli::command().debug_assert();
    }
}
