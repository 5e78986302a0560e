//! The places of this installation: repository, binaries, results.

use std::path::{Path, PathBuf};

use exit::{Exit, ExitError};

/// Where things are. `xtask` says so in the environment; a binary started by hand finds them from its own place.
#[derive(Debug, Clone)]
pub struct Places {
    /// Root of the repository, which has kernels.toml.
    pub root: PathBuf,
    /// cargo's target directory.
    pub target: PathBuf,
    /// The device's binary, which every machine starts.
    pub vhost_blk: PathBuf,
    /// Directory of the guest binaries.
    pub guest_bins: PathBuf,
}

/// Names the repository's root.
pub(crate) const ROOT_ENV: &str = "BIOSCOPE_ROOT";
/// Names the directory for runs, instead of `bioscope` in cargo's target directory.
pub(crate) const RUNS_ENV: &str = "BIOSCOPE_RUNS";
/// Names cargo's target directory.
pub(crate) const TARGET_ENV: &str = "BIOSCOPE_TARGET";

/// There is no clone to work on.
#[derive(Debug, thiserror::Error)]
#[error(
    "no directory above this program or the current directory is a clone of bioscope: \
     run it in one, or name one with {ROOT_ENV}=DIR"
)]
pub struct NoRoot;

impl ExitError for NoRoot {
    fn exit(&self) -> Exit {
        Exit::NoInput
    }
}

/// The repository's root: the one that the environment names, or the nearest above this executable, or above the
/// current directory. It is looked for at run time, so that a copied or moved clone works on itself.
///
/// # Errors
/// There is none.
pub fn root() -> Result<PathBuf, NoRoot> {
    if let Some(root) = std::env::var_os(ROOT_ENV) {
        return Ok(PathBuf::from(root));
    }
    let is_root = |dir: &&Path| dir.join("kernels.toml").is_file() && dir.join("Cargo.toml").is_file();
    let above = |start: PathBuf| start.ancestors().find(is_root).map(Path::to_owned);
    let program = std::env::current_exe().ok().and_then(above);
    let root = program.or_else(|| std::env::current_dir().ok().and_then(above));
    root.ok_or(NoRoot)
}

impl Places {
    /// Finds everything. Programs ask for [`root`] first; without one the current directory stands for it.
    #[must_use]
    pub fn find() -> Places {
        let root = root().unwrap_or_default();
        let target = std::env::var_os(TARGET_ENV).map_or_else(|| root.join("target"), PathBuf::from);
        Places {
            vhost_blk: target.join("release/vhost-blk"),
            guest_bins: target.join("x86_64-unknown-linux-gnu/guest"),
            root,
            target,
        }
    }

    /// The list of kernels: the one that was named, or the repository's.
    #[must_use]
    pub fn manifest(&self, named: Option<&Path>) -> PathBuf {
        named.map_or_else(|| self.root.join("kernels.toml"), Path::to_owned)
    }

    /// The ready fragments of configurations.
    #[must_use]
    pub fn configs(&self) -> PathBuf {
        self.root.join("kernels/configs")
    }

    /// Where runs are kept.
    #[must_use]
    pub fn runs(&self) -> PathBuf {
        std::env::var_os(RUNS_ENV).map_or_else(|| self.target.join("bioscope"), PathBuf::from)
    }
}
