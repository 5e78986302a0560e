//! What must be on the disk before it has its name, so that a host that crashes leaves no half of it there.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::syncfs;

/// So many files are written to the disk one by one. Of thousands of modules each would have the journal written, so
/// then the whole file system is.
const SYNCED_MAX: usize = 256;

/// Has what was made on the disk before it has its name, and then the name. `failed` makes an error of what could not
/// be written.
pub(crate) fn publish<E>(
    made: &Path,
    place: &Path,
    sync: impl Fn(&Path) -> io::Result<()>,
    name: impl FnOnce() -> Result<(), E>,
    failed: impl Fn(&Path, io::Error) -> E,
) -> Result<(), E> {
    sync(made).map_err(|error| failed(made, error))?;
    name()?;
    let Some(parent) = place.parent() else { return Ok(()) };
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(|error| failed(parent, error))
}

/// Has a file, or a directory with all below it, written to the disk.
pub(crate) fn sync(made: &Path) -> io::Result<()> {
    let mut all = Vec::new();
    find_all(made, &mut all)?;
    let one_by_one = || all.iter().try_for_each(|path| File::open(path)?.sync_all());
    if all.len() <= SYNCED_MAX {
        match one_by_one() {
            // It need not be readable by anybody.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => return synced,
        }
    }
    Ok(syncfs(File::open(made)?)?)
}

/// A file or directory, and all below it but links.
fn find_all(path: &Path, all: &mut Vec<PathBuf>) -> io::Result<()> {
    let kind = std::fs::symlink_metadata(path)?;
    if kind.is_dir() {
        for entry in std::fs::read_dir(path)? {
            find_all(&entry?.path(), all)?;
        }
    }
    if kind.is_dir() || kind.is_file() {
        all.push(path.to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_on_the_disk_is_not_published() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("place");
        let made = root.path().join("made");
        std::fs::create_dir(&made).unwrap();
        let rename = || std::fs::rename(&made, &place);
        let full = |_: &Path| Err(io::Error::from(io::ErrorKind::StorageFull));
        let failed = |_: &Path, error| error;
        let error = publish(&made, &place, full, rename, failed).unwrap_err();
        assert!(error.kind() == io::ErrorKind::StorageFull && !place.exists());
        let is_there = std::cell::Cell::new(None);
        let sync = |_: &Path| {
            is_there.set(Some(place.exists()));
            Ok(())
        };
        publish(&made, &place, sync, rename, failed).unwrap();
        assert_eq!(is_there.get(), Some(false), "first the disk, then the name");
        assert!(place.is_dir());
    }

    #[test]
    fn files_and_directories_are_synced_and_links_are_not_followed() {
        let root = tempfile::tempdir().unwrap();
        let made = root.path().join("made");
        std::fs::create_dir_all(made.join("lib/modules")).unwrap();
        std::fs::write(made.join("lib/modules/a.ko"), "").unwrap();
        std::os::unix::fs::symlink("/", made.join("lib/modules/host")).unwrap();
        std::os::unix::fs::symlink("nothing", made.join("none")).unwrap();
        let mut all = Vec::new();
        find_all(&made, &mut all).unwrap();
        let all: Vec<_> = all.iter().map(|path| path.strip_prefix(root.path()).unwrap()).collect();
        // A directory behind what it holds.
        let expected = ["made/lib/modules/a.ko", "made/lib/modules", "made/lib", "made"].map(Path::new);
        assert_eq!(all, expected);
        sync(&made).unwrap();
        sync(&made.join("lib/modules/a.ko")).unwrap();
    }
}
