//! Package files in the cache, each named by its sum; downloaded when they are not there.

use exit::{Exit, ExitError};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::apt::AptError;
use super::apt::root::Root;
use super::lock::Deb;
use super::store::hex;
use host::cache::{Cache, CacheError};
use host::progress::Progress;

const FOLDER: &str = "debs";

/// Why a package file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// What the archive has is not what is pinned.
    #[error(
        "{} {} does not match kernels.lock: pinned sha256 {}, the archive has {found}; if kernels.lock was edited \
        undo that, else ask why the archive's file changed before `cargo xtask update {id}` takes it",
        deb.name, deb.version, deb.sha256
    )]
    Mismatch {
        /// The kernel's id.
        id: String,
        /// Name, version and sum of the package in kernels.lock.
        deb: Box<Deb>,
        /// SHA-256 of what the archive has, in lower-case hexadecimal.
        found: String,
    },
    /// The archive is of no help.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl ExitError for FetchError {
    fn exit(&self) -> Exit {
        match self {
            FetchError::Mismatch { .. } => Exit::NotVerified,
            FetchError::Apt(error) => error.exit(),
            FetchError::Cache(error) => error.exit(),
        }
    }
}

/// The file of a package if the cache has it whole; a damaged one is removed, and that is said.
///
/// # Errors
/// The cache cannot be read.
pub(crate) fn cached(cache: &Cache, deb: &Deb, progress: &Progress) -> Result<Option<PathBuf>, CacheError> {
    let path = place(cache, deb);
    if !path.is_file() {
        return Ok(None);
    }
    if sha256(&path)? == deb.sha256 {
        return Ok(Some(path));
    }
    std::fs::remove_file(&path).map_err(|source| CacheError::io("remove", &path, source))?;
    progress.say(&format!(
        "removed a damaged {} {} from the cache",
        deb.name, deb.version
    ));
    Ok(None)
}

/// Downloads a package into the cache, and checks it against what is pinned.
///
/// # Errors
/// The archive cannot be reached, or what came is not what is pinned.
pub(crate) fn download(
    cache: &Cache,
    id: &str,
    deb: &Deb,
    root: &Root,
    progress: &Progress,
) -> Result<PathBuf, FetchError> {
    let scratch = cache.scratch(FOLDER)?;
    let file = root.download(deb, scratch.path(), progress)?;
    let found = sha256(&file)?;
    if found != deb.sha256 {
        return Err(mismatch(id, deb, found));
    }
    let place = place(cache, deb);
    scratch.publish_file(&file, &place)?;
    Ok(place)
}

/// The error of a package whose sum is not the pinned one.
#[must_use]
pub(crate) fn mismatch(id: &str, deb: &Deb, found: String) -> FetchError {
    FetchError::Mismatch {
        id: id.to_owned(),
        deb: Box::new(deb.clone()),
        found,
    }
}

/// The sum of a file in lower-case hexadecimal.
///
/// # Errors
/// It cannot be read.
pub fn sha256(path: &Path) -> Result<String, CacheError> {
    let failed = |source| CacheError::io("read", path, source);
    let mut file = File::open(path).map_err(failed)?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 1 << 17];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok(hex(&sum.finalize())),
            read => sum.update(&buffer[..read]),
        }
    }
}

fn place(cache: &Cache, deb: &Deb) -> PathBuf {
    cache.root().join(FOLDER).join(format!("{}.deb", deb.sha256))
}
