//! The user's cache directory, shared by any number of runs at once.
//!
//! Everything in it is made in a scratch directory beside its place and renamed into it when it is whole, so nobody
//! ever sees half of anything. A scratch directory is locked (flock) for as long as its maker lives; one that is not
//! locked was left by a run that was killed, and the next run that makes a scratch directory there removes it.

use exit::{Exit, ExitError};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use tempfile::TempDir;

use crate::durable::{publish, sync};

const SCRATCH_PREFIX: &str = ".scratch-";
const LOCK_NAME: &str = ".lock";

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// Nothing says where it is.
    #[error(
        "no place for the cache: none of BIOSCOPE_CACHE, XDG_CACHE_HOME and HOME is an absolute path; set \
        BIOSCOPE_CACHE"
    )]
    NoPlace,
    /// A write failed with ENOSPC or EDQUOT.
    #[error(
        "no space left on the disk of {}; free some, or set BIOSCOPE_CACHE to a directory on another disk",
        path.display()
    )]
    DiskFull {
        /// What could not be written.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error(
        "cannot {action} {}; if the cache cannot be there, set BIOSCOPE_CACHE to a directory of your own",
        path.display()
    )]
    Io {
        /// What was tried: `create`, `read`.
        action: &'static str,
        /// The file or directory of the cache that it was tried on.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

impl CacheError {
    /// The error of an action on a path; a full disk becomes [`CacheError::DiskFull`].
    #[must_use]
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let full = matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let path = path.to_owned();
        if full {
            CacheError::DiskFull { path }
        } else {
            CacheError::Io { action, path, source }
        }
    }
}

impl ExitError for CacheError {
    fn exit(&self) -> Exit {
        Exit::CannotCreate
    }
}

/// Less than this is as good as nothing to a tool that writes files of a kernel's source, the largest of which are
/// nearly that large.
const LITTLE_BYTES: u64 = 32 << 20;

/// Whether the disk of a path has next to nothing left, for tools that say only that they could not write.
#[must_use]
pub fn is_full(path: &Path) -> bool {
    rustix::fs::statvfs(path).is_ok_and(|disk| {
        // A file system without a fixed number of inodes says 0 of both.
        let no_inodes = disk.f_files > 0 && disk.f_favail == 0;
        no_inodes || disk.f_bavail.saturating_mul(disk.f_frsize) < LITTLE_BYTES
    })
}

/// Bytes on disk of everything below a directory.
#[must_use]
pub fn size_bytes(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_bytes(&entry.path()),
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}

/// Bytes that the disk of a path has left for this user.
#[must_use]
pub fn free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The directory of what is fetched and built once and used by every run: the store, build directories, golden images.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The user's: `$BIOSCOPE_CACHE`, or `bioscope` in `$XDG_CACHE_HOME` or `~/.cache`.
    ///
    /// # Errors
    /// None of the variables is set to an absolute path.
    pub fn of_user() -> Result<Self, CacheError> {
        let absolute = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        absolute("BIOSCOPE_CACHE")
            .or_else(|| absolute("XDG_CACHE_HOME").map(|folder| folder.join("bioscope")))
            .or_else(|| absolute("HOME").map(|home| home.join(".cache/bioscope")))
            .map(Cache::at)
            .ok_or(CacheError::NoPlace)
    }

    /// One in a directory of its own, made when it is needed.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Cache { root: root.into() }
    }

    /// The directory; it need not exist yet.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory in it, made if need be.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf, CacheError> {
        let folder = self.root.join(name);
        std::fs::create_dir_all(&folder).map_err(|source| CacheError::io("create", &folder, source))?;
        Ok(folder)
    }

    /// Waits until no other run holds the lock `name`, and takes it. `on_wait` is called once if there is a wait.
    ///
    /// # Errors
    /// The lock's file cannot be made.
    pub fn lock(&self, name: &str, on_wait: impl FnOnce()) -> Result<LockGuard, CacheError> {
        let path = self.folder("locks")?.join(name);
        lock_file(&path, on_wait)
    }

    /// Takes the lock `name` if no other run holds it.
    ///
    /// # Errors
    /// The lock's file cannot be made.
    pub fn try_lock(&self, name: &str) -> Result<Option<LockGuard>, CacheError> {
        let path = self.folder("locks")?.join(name);
        let file = open_lock(&path)?;
        Ok(flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive)
            .is_ok()
            .then_some(LockGuard { file }))
    }

    /// A scratch directory in the directory `name`; what killed runs left there is removed first.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn scratch(&self, name: &str) -> Result<Scratch, CacheError> {
        let parent = self.folder(name)?;
        // Held until the new directory has its own lock: no other run may take it for an abandoned one.
        let _all = lock_file(&parent.join(LOCK_NAME), || {})?;
        remove_abandoned(&parent);
        let failed = |source| CacheError::io("create a directory in", &parent, source);
        let folder = tempfile::Builder::new()
            .prefix(SCRATCH_PREFIX)
            .tempdir_in(&parent)
            .map_err(failed)?;
        let lock = File::open(folder.path()).map_err(failed)?;
        flock(lock.as_fd(), FlockOperation::LockExclusive).map_err(|errno| failed(errno.into()))?;
        Ok(Scratch { folder, _lock: lock })
    }
}

/// A lock that is given back when this is dropped, or the process ends.
#[derive(Debug)]
pub struct LockGuard {
    file: File,
}

impl AsFd for LockGuard {
    /// The lock itself: a process that inherits it holds the lock as well.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn open_lock(path: &Path) -> Result<File, CacheError> {
    let failed = |source| CacheError::io("lock", path, source);
    File::options().create(true).append(true).open(path).map_err(failed)
}

fn lock_file(path: &Path, on_wait: impl FnOnce()) -> Result<LockGuard, CacheError> {
    let failed = |source| CacheError::io("lock", path, source);
    let file = open_lock(path)?;
    if flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive).is_err() {
        on_wait();
        loop {
            match flock(file.as_fd(), FlockOperation::LockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(failed(errno.into())),
            }
        }
    }
    Ok(LockGuard { file })
}

/// Removes scratch directories whose makers are gone. What cannot be removed is left for the next run.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(SCRATCH_PREFIX))
    {
        let Ok(folder) = File::open(entry.path()) else { continue };
        if flock(folder.as_fd(), FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A directory in which something is made; removed when dropped unless it was published.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// The directory, within the cache and so on the file system of its result.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Renames the directory `part` of it to `place`. If another run was faster its result stays.
    ///
    /// # Errors
    /// The rename fails.
    pub fn publish_folder(self, part: &str, place: &Path) -> Result<(), CacheError> {
        match std::fs::rename(self.path().join(part), place) {
            Ok(()) => Ok(()),
            Err(_) if place.is_dir() => Ok(()),
            Err(source) => Err(CacheError::io("rename into place", place, source)),
        }
    }

    /// Like [`Scratch::publish_folder`], and a host that crashes leaves the directory as it was made or not at all.
    ///
    /// # Errors
    /// It cannot be written to the disk, or the rename fails.
    pub fn publish_folder_durably(self, part: &str, place: &Path) -> Result<(), CacheError> {
        let made = self.path().join(part);
        let failed = |path: &Path, source| CacheError::io("write", path, source);
        publish(&made, place, sync, || self.publish_folder(part, place), failed)
    }

    /// Renames the file `part` of it to `place`, over what another run may have put there. A host that crashes leaves
    /// it as it was made or not at all.
    ///
    /// # Errors
    /// It cannot be written to the disk, or the rename fails.
    pub fn publish_file(self, part: &Path, place: &Path) -> Result<(), CacheError> {
        let rename =
            || std::fs::rename(part, place).map_err(|source| CacheError::io("rename into place", place, source));
        let failed = |path: &Path, source| CacheError::io("write", path, source);
        publish(part, place, sync, rename, failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_to_publish_finds_the_first() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        let place = cache.folder("store").unwrap().join("abc");
        for text in ["first", "second"] {
            let scratch = cache.scratch("store").unwrap();
            std::fs::create_dir(scratch.path().join("made")).unwrap();
            std::fs::write(scratch.path().join("made/file"), text).unwrap();
            scratch.publish_folder("made", &place).unwrap();
        }
        assert_eq!(std::fs::read_to_string(place.join("file")).unwrap(), "first");
        let left: Vec<_> = std::fs::read_dir(root.path().join("store"))
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[test]
    fn abandoned_scratch_goes_and_living_scratch_stays() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        let living = cache.scratch("store").unwrap();
        let abandoned = root.path().join("store/.scratch-dead");
        std::fs::create_dir_all(abandoned.join("deep")).unwrap();
        let other = cache.scratch("store").unwrap();
        assert!(living.path().is_dir() && other.path().is_dir());
        assert!(!abandoned.exists());
    }

    #[test]
    fn a_lock_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::at(root.path());
        let held = cache.lock("apt", || panic!("nobody holds it")).unwrap();
        let (told, waits) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| cache.lock("apt", move || told.send(()).unwrap()).map(drop));
            waits.recv().unwrap();
            drop(held);
            second.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_full_disk_is_told_apart() {
        let error = CacheError::io("write", Path::new("store"), io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(error, CacheError::DiskFull { .. }));
    }
}
