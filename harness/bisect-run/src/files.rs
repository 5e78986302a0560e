//! Files of a report.

use std::path::Path;

use exit::Failure;
use host::atomic;

/// Writes a file of a report, and makes its directory if need be.
///
/// # Errors
/// It cannot be written.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| atomic::write(path, bytes))
        .map_err(|error| Failure::cannot_create(&path.display().to_string(), &error))
}
