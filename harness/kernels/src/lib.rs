//! Kernels: what `kernels.toml` names, what `kernels.lock` pins, and how they get into the store.
//!
//! [`Manifest`] → [`prepare()`] → [`Artifact`]. Resolving is a pure function over a suite's index; apt verifies the
//! archive's signatures, and `kernels.lock` the packages; the store names each unpacked kernel by what it was made of.

pub mod apt;
pub mod build;
pub mod decompress;
pub mod diagnostic;
pub mod fetch;
mod fields;
pub mod given;
pub mod lock;
pub mod manifest;
pub mod modules;
mod parse;
pub mod payload;
pub mod prepare;
pub mod resolve;
pub mod source;
pub mod store;
pub mod tree;
pub mod unpack;
pub mod version;

use host::exit::{Exit, ExitError};
use std::path::PathBuf;

pub use given::GivenTree;
pub use lock::Lock;
pub use manifest::{Expect, Kernel, Manifest, Source};
pub use parse::config_parts;
pub use prepare::{Change, Options, prepare, ready, source_tree, update};
pub use store::Artifact;
pub use tree::{ConfigPart, Origin, TreeSource};

use host::cache::CacheError;

/// Why kernels are not ready to boot.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `kernels.toml` cannot be used, or names no such kernel.
    #[error(transparent)]
    Manifest(#[from] manifest::ManifestError),
    /// `kernels.lock` cannot be used.
    #[error(transparent)]
    Lock(#[from] lock::LockError),
    /// The lock would have to change, and may not.
    #[error("{} does not pin kernel {id} as kernels.toml has it, and --locked forbids to change it; run `cargo xtask update {id}`", lock.display())]
    Locked {
        /// The kernel.
        id: String,
        /// The lock.
        lock: PathBuf,
    },
    /// The archive does not hold what is asked for.
    #[error(transparent)]
    Resolve(#[from] resolve::ResolveError),
    /// The archive is of no help.
    #[error(transparent)]
    Apt(#[from] apt::AptError),
    /// A package cannot be had, or is not the one pinned.
    #[error(transparent)]
    Fetch(#[from] fetch::FetchError),
    /// A package or image is no kernel that boots.
    #[error(transparent)]
    Unpack(#[from] unpack::UnpackError),
    /// A kernel is not built.
    #[error(transparent)]
    Build(#[from] build::BuildError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl From<source::SourceError> for Error {
    fn from(error: source::SourceError) -> Self {
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
