//! Source, whatever it comes from, as a tree in one git repository of the cache: git compares, applies patches and
//! checks out.
//!
//! A user's own repository lends its objects (`GIT_ALTERNATE_OBJECT_DIRECTORIES`) and is never written to; nor is its
//! working tree.

mod error;
mod fixes;
mod import;
mod local;
mod oddities;
mod own_index;
mod patches;
mod repo;
pub mod titles;
mod working_copy;

use std::path::Path;

use host::cache::Cache;
use host::progress::Progress;

use super::tree::is_url;
pub use error::SourceError;
pub(crate) use fixes::mend;
pub use import::{package, taken, tarball};
pub use patches::{Patch, PatchSet, apply};
pub use repo::{Listing, Repo, Tree, plain_git};

/// The tree of a git repository or directory.
///
/// # Errors
/// It does not exist, has no such revision, or cannot be fetched.
pub fn git(
    repo: &Repo,
    cache: &Cache,
    repository: &str,
    rev: &str,
    dirty: bool,
    offline: bool,
    progress: &Progress,
) -> Result<Tree, SourceError> {
    if is_url(repository) {
        return repo.fetch(repository, rev, offline, progress);
    }
    let path = Path::new(repository);
    let tree = if dirty {
        working_copy::as_it_is(repo, cache, path, progress)?
    } else {
        local::revision(repo, path, rev)?
    };
    Ok(tree)
}
