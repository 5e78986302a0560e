//! Files that appear whole: written to a temporary name in the same directory, then renamed.

use std::io::Write;
use std::path::Path;

/// Writes a file atomically: a reader sees the old content or the new, never a part of it.
///
/// # Errors
/// The directory cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".writing-").tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
