//! Flags that several commands share, each defined once.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use exit::Failure;
use guest_wire::{ExecTime, Fs, WhenOver};
use host::suggest;
use kernels::GivenTree;
use machine::accel::Choice;
use run::cases::Profile;
use run::exec::GivenTime;

/// How the host may be used.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct HostArgs {
    /// Never use the network; what is not cached is an error.
    #[arg(long)]
    pub(crate) offline: bool,
    #[command(flatten)]
    pub(crate) install: InstallArgs,
}

/// What may be done to the host.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct InstallArgs {
    /// Install what the host lacks without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// The list of kernels.
#[derive(Debug, Clone, Args)]
pub(crate) struct ManifestArgs {
    /// The list of kernels [default: kernels.toml of this repository].
    #[arg(long, value_name = "FILE")]
    pub(crate) manifest: Option<PathBuf>,
}

/// What executes guest code.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct AccelArgs {
    /// What executes guest code; `auto` uses KVM only after booting something with it.
    #[arg(long, value_enum, default_value_t = AccelWord::Auto)]
    pub(crate) accel: AccelWord,
}

/// What there is to choose from.
#[derive(Debug, Clone, Args)]
pub(crate) struct ScopeArgs {
    /// File systems [default: those of each kernel in kernels.toml; in a bisection, those of its bad end].
    #[arg(long, value_name = "FS", value_parser = file_system)]
    pub(crate) fs: Vec<Fs>,
    /// Which cases there are to choose from.
    #[arg(long, value_enum, default_value_t = ProfileWord::Default)]
    pub(crate) profile: ProfileWord,
}

/// How machines begin.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct MachineArgs {
    #[command(flatten)]
    pub(crate) accel: AccelArgs,
    /// Boot every machine from power-on, instead of going on from a snapshot of the booted guest.
    #[arg(long)]
    pub(crate) cold_boot: bool,
    /// How long a case may go on, once its guest is ready, without an end and without evidence of a hang, at most
    /// 3600s; then it is broken, or inconclusive if a rule makes it wait. The time of --exec-time comes on top.
    #[arg(long, value_name = "TIME", default_value = CASE_LIMIT_WORDS, value_parser = run::exec::case_limit)]
    pub(crate) case_limit: Duration,
}

/// The limit of a case without an option.
const CASE_LIMIT_WORDS: &str = "150s";

/// A program of the person's own, in place of the cases. What needs it names its conflicts, too: clap does not ask for
/// an argument that conflicts with one that is there.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExecArgs {
    /// Run a static program of your own in the guest, in a fresh file system at /mnt, instead of the cases.
    ///
    /// The words are quoted as in a shell: --exec './repro "two words"'. Nothing else is done with them: no $VARIABLE,
    /// no *, no |, no >.
    ///
    /// The guest has one CPU, 512 MiB of memory and no network, no shell and no libraries. The program lies in /bin,
    /// beside `inject`, and runs as root in /mnt; the disk is /dev/vda; /dev, /proc, /sys, /run and /tmp are mounted.
    /// Its standard input is empty. Its variables are PATH=/bin, HOME=/ and BIOSCOPE_FD, by which it can report. What
    /// it writes to standard output and standard error is kept in output.log, beside the cell's other evidence: 2 MiB
    /// of it, the beginning and the end.
    ///
    /// Exit code 0 is a pass, 77 a skip (it does not apply here), 125 a skip as for `git bisect run` (it cannot test
    /// here), any other code or a signal a failure. What it leaves running is ended before the umount.
    #[arg(long, value_name = "PROGRAM ARG…", conflicts_with_all = ["case", "profile"])]
    pub(crate) exec: Option<String>,
    /// End --exec's program when it has run for so long (30s, 500ms; at most 3600s). Without it a program has to end by
    /// itself, within --case-limit.
    #[arg(
        long,
        value_name = "TIME",
        requires = "exec",
        value_parser = run::exec::exec_time,
        conflicts_with_all = ["case", "profile"]
    )]
    pub(crate) exec_time: Option<GivenTime>,
    /// What it means that --exec-time had to end the program.
    #[arg(
        long,
        value_enum,
        value_name = "MEANING",
        requires = "exec_time",
        conflicts_with_all = ["case", "profile"]
    )]
    pub(crate) exec_time_is: Option<WhenOverWord>,
    /// A fault plan for --exec: a TOML file with `seed` and `rules`.
    #[arg(long, value_name = "FILE", requires = "exec", conflicts_with_all = ["case", "profile"])]
    pub(crate) plan: Option<PathBuf>,
    /// A fault rule for --exec; may be given more than once, and beside a plan.
    #[arg(long, value_name = "RULE", requires = "exec", conflicts_with_all = ["case", "profile"])]
    pub(crate) rule: Vec<String>,
}

impl ExecArgs {
    /// How long the program may run, and what it means that it had to be ended.
    ///
    /// # Errors
    /// The flags contradict each other.
    pub(crate) fn time(&self) -> Result<Option<ExecTime>, Failure> {
        run::exec::resolve_time(self.exec_time, self.exec_time_is.map(WhenOver::from))
    }
}

/// Words of `--exec-time-is`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WhenOverWord {
    /// It was meant to run on (the default).
    Pass,
    /// It should have ended by itself: an error.
    #[value(alias = "error")]
    Fail,
}

impl From<WhenOverWord> for WhenOver {
    fn from(word: WhenOverWord) -> WhenOver {
        match word {
            WhenOverWord::Pass => WhenOver::Pass,
            WhenOverWord::Fail => WhenOver::Error,
        }
    }
}

/// A kernel image of the person's own.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ImageArgs {
    /// Run this kernel (bzImage, vmlinux, or a package: .deb, .rpm, .pkg.tar.zst) instead of those of kernels.toml.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["kernel", "patch", "manifest"],
        conflicts_with_all = OF_TREE
    )]
    pub(crate) image: Option<PathBuf>,
    /// Directory with the image's modules: one that holds lib/modules/RELEASE, or is it; for a package, other packages
    /// of the same kernel (may be given more than once).
    #[arg(
        long,
        value_name = "DIR|FILE",
        requires = "image",
        conflicts_with_all = ["kernel", "patch", "manifest"],
        conflicts_with_all = OF_TREE
    )]
    pub(crate) modules: Vec<PathBuf>,
}

/// How a tree of the person's own is built.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct TreeBuildArgs {
    /// For --tree: a part of the configuration, in order: tinyconfig, defconfig, a whole .config, a ready fragment
    /// (base, btrfs, kasan, …) or a fragment's file; may be given more than once [default: tinyconfig, base, the file
    /// systems, debug].
    #[arg(long, value_name = "PART", requires = "tree")]
    pub(crate) config: Vec<String>,
    /// For --tree: the compiler.
    #[arg(long, value_name = "CC", requires = "tree")]
    pub(crate) cc: Option<String>,
}

/// Flags about a tree, which kernels of kernels.toml rule out. The argument that names such kernels conflicts with
/// each of them: clap does not ask for `--tree` where `--tree` conflicts with an argument that is there.
pub(crate) const OF_TREE: [&str; 4] = ["tree", "rev", "config", "cc"];

/// Source of your own; a command with it has [`OF_TREE`] as conflicts of its kernels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub(crate) struct TreeArgs {
    /// Build this Linux tree, as its working copy stands, instead of taking kernels of kernels.toml. Nothing in it is
    /// touched.
    #[arg(long, value_name = "DIR")]
    pub(crate) tree: Option<PathBuf>,
    /// Build this commit of the tree instead of the working copy.
    #[arg(long, value_name = "REV", requires = "tree")]
    pub(crate) rev: Option<String>,
    #[command(flatten)]
    pub(crate) build: TreeBuildArgs,
    /// A patch, mailbox or directory of them to apply to --tree, or to kernels of kernels.toml that come as source and
    /// are named; may be given more than once. What is expected of such a kernel is not of one with a patch.
    #[arg(long, value_name = "FILE")]
    pub(crate) patch: Vec<PathBuf>,
}

impl TreeArgs {
    /// The tree, if one is given.
    #[must_use]
    pub(crate) fn given(&self) -> Option<GivenTree> {
        Some(GivenTree {
            tree: self.tree.clone()?,
            rev: self.rev.clone(),
            config: self.build.config.clone(),
            patch: self.patch.clone(),
            cc: self.build.cc.clone(),
        })
    }
}

/// Words of `--accel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccelWord {
    /// KVM if it boots something, else translation.
    Auto,
    /// KVM, whatever it does.
    Kvm,
    /// QEMU's translation.
    Tcg,
}

impl From<AccelArgs> for Choice {
    fn from(args: AccelArgs) -> Choice {
        match args.accel {
            AccelWord::Auto => Choice::Auto,
            AccelWord::Kvm => Choice::Kvm,
            AccelWord::Tcg => Choice::Tcg,
        }
    }
}

/// Words of `--profile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProfileWord {
    /// What `cargo xtask test` runs: each test's plain case and the variants that take another path in the kernel.
    Default,
    /// Rarer variants and sizes as well.
    Full,
    /// All of them, on the kernels of kernels.toml that carry known bugs: shows that the cases catch what they are for.
    Truth,
}

impl From<ProfileWord> for Profile {
    fn from(word: ProfileWord) -> Profile {
        match word {
            ProfileWord::Default => Profile::Default,
            ProfileWord::Full => Profile::Full,
            ProfileWord::Truth => Profile::Truth,
        }
    }
}

/// Parses a whole number of at least 1.
///
/// # Errors
/// It is none.
pub(crate) fn positive(word: &str) -> Result<NonZeroU64, &'static str> {
    word.parse().map_err(|_| "expected a whole number of at least 1")
}

/// Parses a file system's name, with a hint at the one that may be meant.
///
/// # Errors
/// There is none of that name.
pub(crate) fn file_system(word: &str) -> Result<Fs, String> {
    word.parse().map_err(|_| {
        format!(
            "unknown file system `{word}`; {}",
            suggest::hint(word, "file systems", &Fs::NAMES)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_a_case_is_what_the_help_says() {
        assert_eq!(run::exec::case_limit(CASE_LIMIT_WORDS), Ok(run::CASE_LIMIT));
    }

    #[test]
    fn a_misspelt_file_system_gets_a_hint() {
        assert_eq!(file_system("ext4"), Ok(Fs::Ext4));
        let known = Fs::NAMES.join(", ");
        assert_eq!(
            file_system("brtfs").unwrap_err(),
            format!("unknown file system `brtfs`; did you mean `btrfs`? known file systems: {known}")
        );
    }
}
