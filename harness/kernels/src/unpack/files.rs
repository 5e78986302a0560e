//! What is done with files while packages are unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::UnpackError;
use host::cache::CacheError;

/// How long a tool may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(60 * super::error::DEADLINE_MIN);

pub(super) fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, UnpackError> {
    fs::read(path).map_err(|source| UnpackError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Whether a file that was named can be read at all, and to its end; gives back its size.
///
/// # Errors
/// It cannot be opened, or a FIFO would be waited for and a device read for ever.
pub(crate) fn check_file(path: &Path) -> Result<u64, UnpackError> {
    let regular = || {
        let kind = fs::metadata(path)?;
        if !kind.is_file() {
            return Err(std::io::Error::other("it is no regular file"));
        }
        fs::File::open(path).map(|_| kind.len())
    };
    regular().map_err(|source| UnpackError::Read {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), UnpackError> {
    fs::write(path, bytes).map_err(|source| CacheError::io("write", path, source).into())
}

pub(super) fn create(folder: &Path) -> Result<(), UnpackError> {
    fs::create_dir_all(folder).map_err(|source| CacheError::io("create", folder, source).into())
}

pub(super) fn rename(from: &Path, to: &Path) -> Result<(), UnpackError> {
    fs::rename(from, to).map_err(|source| CacheError::io("rename into place", to, source).into())
}
