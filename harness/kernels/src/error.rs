//! Why kernels are not ready to boot: the errors of every step.

use std::path::PathBuf;

use exit::{Exit, ExitError};
use host::cache::CacheError;

use super::apt::AptError;
use super::build::BuildError;
use super::source::SourceError;

/// Why kernels are not ready to boot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `kernels.toml` cannot be used, or names no such kernel.
    #[error(transparent)]
    Manifest(#[from] super::manifest::ManifestError),
    /// `kernels.lock` cannot be used.
    #[error(transparent)]
    Lock(#[from] super::lock::LockError),
    /// The lock would have to change, and may not.
    #[error(
        "{} does not pin kernel {id} as kernels.toml has it, and --locked forbids to change it; run `cargo xtask \
        update {id}`",
        lock.display()
    )]
    Locked {
        /// The kernel's id.
        id: String,
        /// Path of kernels.lock.
        lock: PathBuf,
    },
    /// The archive does not hold what is asked for.
    #[error(transparent)]
    Resolve(#[from] super::resolve::ResolveError),
    /// The archive is of no help.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// A package cannot be had, or is not the one pinned.
    #[error(transparent)]
    Fetch(#[from] super::fetch::FetchError),
    /// A package or image is no kernel that boots.
    #[error(transparent)]
    Unpack(#[from] super::unpack::UnpackError),
    /// A kernel is not built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl Error {
    /// What is not cached, for a person, if it failed because the network may not be used.
    #[must_use]
    pub fn not_cached(&self) -> Option<&str> {
        match self {
            Error::Apt(AptError::Offline { needed }) => Some(needed),
            Error::Build(BuildError::Source(SourceError::Offline { what })) => Some(what),
            _ => None,
        }
    }
}

impl From<SourceError> for Error {
    fn from(error: SourceError) -> Self {
        Error::Build(error.into())
    }
}

impl ExitError for Error {
    fn exit(&self) -> Exit {
        match self {
            Error::Manifest(error) => error.exit(),
            Error::Lock(error) => error.exit(),
            Error::Locked { .. } => Exit::Data,
            Error::Resolve(error) => error.exit(),
            Error::Apt(error) => error.exit(),
            Error::Fetch(error) => error.exit(),
            Error::Unpack(error) => error.exit(),
            Error::Build(error) => error.exit(),
            Error::Cache(error) => error.exit(),
        }
    }
}
