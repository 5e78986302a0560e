//! Kernels: what `kernels.toml` names, what `kernels.lock` pins, and how they get into the store.
//!
//! [`Manifest`] → [`prepare()`] → [`Artifact`]. A [`Kernel`] has a [`Source`]: packages of a distribution, a tree to
//! build ([`TreeSource`]), or an image that is there already. In the order of what happens:
//!
//! - `manifest`, `parse`, `fields` and `diagnostic` read `kernels.toml`, and point at every mistake; `kernel`,
//!   [`package`] and `tree` are what is read. [`given`] makes a kernel of the command line's `--image` or `--tree`.
//! - [`resolve`] finds the packages of a version in a suite's index: a pure function. [`apt`] has that index and
//!   verifies the archive's signatures; [`lock`] pins packages by their hashes, and `fetch` verifies those.
//! - [`source`] brings source of any origin into one git repository of the cache, patches applied. [`build`] builds it
//!   in a directory that similar kernels share, and notes which files the build read.
//! - `unpack`, `decompress` and `payload` find the kernel that QEMU boots; [`modules`] are those a guest loads.
//! - The [`store`] names each artifact by the hash of what it was made of, so nothing is made twice; [`stock`] says
//!   what is kept, what was not used for a time, and what an artifact was made of.
//!
//! This crate knows nothing of machines and cases, and nothing of how a verdict is reached; [`Expect`] is what the
//! manifest says of known failures, in the verdicts' own words, and is compared with a cell elsewhere.

pub mod apt;
pub mod build;
pub mod decompress;
mod diagnostic;
pub mod fetch;
mod fields;
pub mod given;
mod kernel;
pub mod lock;
mod manifest;
pub mod modules;
pub mod package;
mod parse;
mod payload;
pub mod prepare;
pub mod resolve;
pub mod source;
pub mod stock;
pub mod store;
mod tree;
mod unpack;
pub mod version;

use exit::{Exit, ExitError};
use std::path::PathBuf;

pub use given::GivenTree;
pub use kernel::{Expect, Kernel, Source};
pub use lock::Lock;
pub use manifest::Manifest;
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
