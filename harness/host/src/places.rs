//! The places of this installation: repository, binaries, results.

use std::path::{Path, PathBuf};

/// Where things are. `xtask` says so in the environment; a binary started by hand finds them from its own place.
#[derive(Debug, Clone)]
pub struct Places {
    /// Root of the repository.
    pub root: PathBuf,
    /// cargo's target directory.
    pub target: PathBuf,
    /// The `vhost-blk` binary.
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

impl Places {
    /// Finds everything.
    #[must_use]
    pub fn find() -> Places {
        let root = std::env::var_os(ROOT_ENV).map(PathBuf::from);
        let root = root
            .or_else(|| {
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .ancestors()
                    .nth(2)
                    .map(PathBuf::from)
            })
            .unwrap_or_default();
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
