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

/// Files that a clone has in its root.
const OF_CLONE: [&str; 2] = ["kernels.toml", "Cargo.toml"];

/// There is no clone to work on.
#[derive(Debug, thiserror::Error)]
pub enum NoRoot {
    /// None was named, and none is near.
    #[error(
        "no directory above this program or the current directory is a clone of bioscope: \
         run it in one, or name one with {ROOT_ENV}=DIR"
    )]
    Nowhere,
    /// What was named is none.
    #[error(
        "{ROOT_ENV}={} is no clone of bioscope: expected a directory with {} in it",
        dir.display(), OF_CLONE.join(" and ")
    )]
    Named {
        /// As the environment has it.
        dir: PathBuf,
    },
}

impl ExitError for NoRoot {
    fn exit(&self) -> Exit {
        Exit::NoInput
    }
}

/// The repository's root: the one that the environment names, or the nearest above this executable, or above the
/// current directory. It is looked for at run time, so that a copied or moved clone works on itself.
///
/// # Errors
/// No directory is a clone, or the one that the environment names is not.
pub fn root() -> Result<PathBuf, NoRoot> {
    if let Some(root) = std::env::var_os(ROOT_ENV) {
        return named_root(PathBuf::from(root));
    }
    let above = |start: PathBuf| start.ancestors().find(|dir| is_root(dir)).map(Path::to_owned);
    let program = std::env::current_exe().ok().and_then(above);
    let root = program.or_else(|| std::env::current_dir().ok().and_then(above));
    root.ok_or(NoRoot::Nowhere)
}

fn named_root(dir: PathBuf) -> Result<PathBuf, NoRoot> {
    if is_root(&dir) {
        Ok(dir)
    } else {
        Err(NoRoot::Named { dir })
    }
}

fn is_root(dir: &Path) -> bool {
    OF_CLONE.iter().all(|name| dir.join(name).is_file())
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
