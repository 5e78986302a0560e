//! `cell.json`: a cell's result in its directory, the last file that a run writes there.

use std::path::Path;

use host::atomic;
use verdict::results::Cell;

/// The file's name.
pub const NAME: &str = "cell.json";

/// Reads the result that a cell left in its directory; none if there is none that makes sense.
#[must_use]
pub fn load(dir: &Path) -> Option<Cell> {
    read(dir).ok().flatten()
}

/// The same, with none only if there is no file.
///
/// # Errors
/// There is a file that cannot be read, or says what makes no sense.
pub fn read(dir: &Path) -> std::io::Result<Option<Cell>> {
    match atomic::read(&dir.join(NAME)) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes a cell's result into a directory.
///
/// # Errors
/// The directory cannot be written.
pub fn save(cell: &Cell, dir: &Path) -> std::io::Result<()> {
    atomic::write(&dir.join(NAME), &serde_json::to_vec_pretty(cell)?)
}

/// Takes a result back: until another one is written, the cell has none.
///
/// # Errors
/// The directory cannot be written.
pub(crate) fn remove(dir: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(dir.join(NAME)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
