//! A run: what was selected, with everything resolved, as one file that the matrix processes read.
//!
//! `run.json` is written once, before the first VM, and never changed; listing the matrix reads nothing else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use exit::{Exit, ExitError};
use guest_wire::{ExecTime, Fs};
use serde::{Deserialize, Serialize};

use crate::cases::Profile;
use evidence::context::Tools;
use host::atomic;
use kernels::Artifact;
use kernels::GivenTree;
use machine::Accel;
use machine::snapshot::SnapshotConfig;
use verdict::results::Expected;

/// How long a case may go on without an end and without evidence of a hang before it is given up as broken. Cases take
/// well under a second; the limit only exists so that a broken rig ends.
pub const CASE_LIMIT: Duration = Duration::from_secs(150);

/// The environment variable that tells the matrix which run it is.
pub const RUN_ENV: &str = "BIOSCOPE_RUN";
/// The run's file in its directory.
const FILE: &str = "run.json";

/// A run with nothing left to choose: `run.json`, from which every trial's process reads what to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// The run's directory.
    pub dir: PathBuf,
    /// The device's binary.
    pub vhost_blk: PathBuf,
    /// Directory of the guest binaries.
    pub guest_bins: PathBuf,
    /// What executes guest code.
    pub accel: Accel,
    /// How snapshots of booted guests are used; none if every machine is to boot.
    pub snapshots: Option<SnapshotConfig>,
    /// Whether images and initramfs of cells that passed are kept.
    pub keep: bool,
    /// How much the run takes in.
    pub profile: Profile,
    /// Where the kernels under test come from.
    pub origin: KernelOrigin,
    /// A user's own program instead of the cases.
    pub exec: Option<Exec>,
    /// How long a case may go on without an end and without evidence of a hang.
    #[serde(default = "case_limit")]
    pub case_limit: Duration,
    /// Seed of the cases' fault plans, if not the usual one.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Versions of what the run is made with, by file system.
    #[serde(default)]
    pub tools: BTreeMap<Fs, Tools>,
    /// Golden image of each file system of the run.
    pub images: BTreeMap<Fs, PathBuf>,
    /// Unpacked kernels under test, by id.
    pub kernels: BTreeMap<String, Artifact>,
    /// One process each, in the order of kernels, file systems and tests.
    pub trials: Vec<Trial>,
}

fn case_limit() -> Duration {
    CASE_LIMIT
}

/// Where the kernels of a run come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelOrigin {
    /// kernels.toml, or another list of its kind.
    Manifest {
        /// The list, if it was named on the command line; else the repository's kernels.toml.
        named: Option<PathBuf>,
        /// Patches that were given on the command line; those of kernels.toml apply besides.
        patches: Vec<PathBuf>,
    },
    /// An image given on the command line.
    Image {
        /// bzImage, vmlinux, or a package.
        image: PathBuf,
        /// A directory that holds, or is, `lib/modules/RELEASE`; the other packages of a package; none for a kernel
        /// without modules.
        modules: Vec<PathBuf>,
    },
    /// Source given on the command line.
    Tree(GivenTree),
}

/// A case's fault plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultPlan {
    /// Seed of every random choice.
    pub seed: u64,
    /// Rules in the device's language.
    pub rules: Vec<String>,
}

/// A user's own program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Exec {
    /// Path on the host; it is copied into the initramfs.
    pub program: PathBuf,
    /// Arguments after the program's name.
    pub args: Vec<String>,
    /// How long it may run; none if it has to end by itself.
    #[serde(default)]
    pub time: Option<ExecTime>,
    /// Faults while it runs; no rules for a device without faults.
    pub plan: FaultPlan,
}

/// What one matrix process runs: a test's cases on a kernel and file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The kernel's id, a key of [`Run::kernels`].
    pub kernel: String,
    /// File system.
    pub fs: Fs,
    /// Name of the test, which is that of its binary; `exec` for a user's own program.
    pub test: String,
    /// In the order of the tables. They share one boot.
    pub cases: Vec<TrialCase>,
}

/// One cell of a trial: kernel and file system are the trial's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialCase {
    /// Full name: `test` or `test.variant`.
    pub name: String,
    /// What kernels.toml expects of it here, if not a pass.
    pub expect: Option<Expected>,
}

impl Trial {
    /// `kernel::fs::test`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}::{}::{}", self.kernel, self.fs, self.test)
    }
}

/// Why a run's file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It cannot be read or written.
    #[error("cannot access {}: {source}", path.display())]
    Io {
        /// Path of `run.json`.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It is not what we wrote.
    #[error("{} is not a run's file of this version: {source}; start a new run with `cargo xtask test`", path.display())]
    Parse {
        /// Path of `run.json`.
        path: PathBuf,
        /// What serde_json expected there.
        source: serde_json::Error,
    },
}

impl ExitError for RunError {
    fn exit(&self) -> Exit {
        // A command only writes it; the runner of the trials reads it.
        Exit::CannotCreate
    }
}

impl Run {
    /// Reads the run of a directory.
    ///
    /// # Errors
    /// The file is missing or not ours.
    pub fn load(dir: &Path) -> Result<Run, RunError> {
        let path = dir.join(FILE);
        let text = atomic::read(&path).map_err(|source| RunError::Io {
            path: path.clone(),
            source,
        })?;
        serde_json::from_slice(&text).map_err(|source| RunError::Parse { path, source })
    }

    /// Writes the run's file.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn save(&self) -> Result<(), RunError> {
        let path = self.dir.join(FILE);
        let io = |source| RunError::Io {
            path: path.clone(),
            source,
        };
        let text = serde_json::to_vec_pretty(self).map_err(|source| RunError::Parse {
            path: path.clone(),
            source,
        })?;
        atomic::write(&path, &text).map_err(io)
    }

    /// Where a case leaves its evidence.
    #[must_use]
    pub fn cell_dir(&self, kernel: &str, fs: Fs, case: &str) -> PathBuf {
        self.dir.join(kernel).join(fs.to_string()).join(case)
    }
}
