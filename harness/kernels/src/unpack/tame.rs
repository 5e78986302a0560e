//! What of a package's content is not used: anybody may have made it, and what follows looks for files by their names,
//! moves directories and removes what it decompresses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::error::UnpackError;
use host::cache::CacheError;

/// What the owner of a directory needs to look into it, and to remove it.
const OF_OWNER: u32 = 0o700;

/// Removes links that lead out of a directory or nowhere, and what is neither file, directory nor link: a FIFO would be
/// waited for, a device read for ever.
///
/// # Errors
/// The directory cannot be read or written.
pub(super) fn tame(tree: &Path) -> Result<(), UnpackError> {
    let top = tree
        .canonicalize()
        .map_err(|source| CacheError::io("read", tree, source))?;
    below(&top, &top)
}

fn below(folder: &Path, top: &Path) -> Result<(), UnpackError> {
    let read = |source| CacheError::io("read", folder, source);
    let mut mode = fs::symlink_metadata(folder).map_err(read)?.permissions();
    if mode.mode() & OF_OWNER != OF_OWNER {
        mode.set_mode(mode.mode() | OF_OWNER);
        fs::set_permissions(folder, mode).map_err(|source| CacheError::io("write", folder, source))?;
    }
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(read)?);
        let stays = if kind.is_symlink() {
            path.canonicalize().is_ok_and(|place| place.starts_with(top))
        } else {
            kind.is_file() || kind.is_dir()
        };
        if !stays {
            fs::remove_file(&path).map_err(|source| CacheError::io("remove", &path, source))?;
        } else if kind.is_dir() {
            below(&path, top)?;
        }
    }
    Ok(())
}
