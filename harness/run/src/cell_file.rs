//! `cell.json`: a cell's result in its directory, the last file that a run writes there.

use std::path::Path;

use host::atomic;
use verdict::results::Cell;

/// The file's name.
pub const NAME: &str = "cell.json";

/// Reads the result that a cell left in its directory; none if there is none that makes sense.
#[must_use]
pub fn load(dir: &Path) -> Option<Cell> {
    serde_json::from_slice(&std::fs::read(dir.join(NAME)).ok()?).ok()
}

/// Writes a cell's result into a directory.
///
/// # Errors
/// The directory cannot be written.
pub fn save(cell: &Cell, dir: &Path) -> std::io::Result<()> {
    atomic::write(&dir.join(NAME), &serde_json::to_vec_pretty(cell)?)
}
