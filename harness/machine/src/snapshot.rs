//! Booted guests that are kept, so that a machine need not boot.
//!
//! A snapshot is taken once of a guest whose agent has just said hello: its modules are loaded, and it has no disk yet,
//! so that one snapshot serves every disk and every test. It holds the guest's memory, the state of its devices, its
//! console so far, its kernel's symbols and its initramfs. Its key names everything that went into it (kernel, modules,
//! guest programs, QEMU and its options); when one of them changes, it is taken anew and the old one of the same slot
//! goes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use crate::agent::Greeting;
use host::cache::{Cache, CacheError};
use kernels::store;

/// Changes whenever snapshots of an older harness must not be used.
const SNAPSHOT_FORMAT: &str = "3";
/// The guest's memory, sparse.
pub(crate) const MEMORY: &str = "memory";
/// State of the machine's devices, as QEMU writes it.
pub(crate) const STATE: &str = "state";
/// The functions of its kernel, where this boot has them.
pub(crate) const SYMBOLS: &str = "symbols";
/// The initramfs it booted with.
pub(crate) const INITRAMFS: &str = "initramfs.cpio";
/// What the agent said, as JSON.
const GREETING: &str = "greeting.json";
/// Why it is of no use, if it is not.
const UNUSABLE: &str = "unusable";
/// What a kernel without hotplug cannot be told.
const NO_HOTPLUG: &str = "this kernel finds no disk that is plugged in (CONFIG_HOTPLUG_PCI_ACPI)";
/// Touched whenever it is used.
const USED: &str = "used";
/// How long a slot that nobody uses is kept.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// How a run uses snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotConfig {
    /// Where they are kept.
    pub root: PathBuf,
    /// Hash of what is the same for all of the run: the programs in the guest, and QEMU.
    pub identity: String,
}

impl SnapshotConfig {
    /// For guests with these programs; removes what nobody used for a week.
    ///
    /// # Errors
    /// One of the programs cannot be read.
    pub fn new(
        root: PathBuf,
        guest_bins: &Path,
        programs: &[PathBuf],
        qemu_version: &str,
    ) -> io::Result<SnapshotConfig> {
        let identity = identity(guest_bins, programs, qemu_version)?;
        Snapshots::at(&root).prune();
        Ok(SnapshotConfig { root, identity })
    }
}

/// Hash of what is in every guest of a run: init and the programs of the tests, or the user's own.
///
/// # Errors
/// One of them cannot be read.
pub fn identity(guest_bins: &Path, programs: &[PathBuf], qemu_version: &str) -> io::Result<String> {
    let mut parts = vec![SNAPSHOT_FORMAT.as_bytes().to_vec(), qemu_version.as_bytes().to_vec()];
    for program in std::iter::once(&guest_bins.join("init")).chain(programs) {
        parts.push(program.as_os_str().as_encoded_bytes().to_vec());
        parts.push(fs::read(program)?);
    }
    Ok(store::hash(&parts))
}

/// The snapshots of a checkout: a directory a slot, in it a directory a key.
pub(crate) struct Snapshots(Cache);

/// A kept guest.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) dir: PathBuf,
    pub(crate) greeting: Greeting,
}

/// What there is in a slot under a key.
#[derive(Debug)]
pub(crate) enum Found {
    /// A guest to go on with.
    Snapshot(Snapshot),
    /// This guest cannot be kept, and why.
    Unusable(String),
}

/// Why there is no snapshot.
#[derive(Debug)]
pub(crate) enum NotTaken<E> {
    /// The place for it.
    Cache(CacheError),
    /// The guest did not get that far.
    Boot(E),
}

impl Snapshots {
    /// Those in this directory, which is made when the first is taken.
    pub(crate) fn at(root: &Path) -> Snapshots {
        Snapshots(Cache::at(root))
    }

    /// The snapshot of this slot and key; if there is none, `take` makes one in the directory that it is given.
    ///
    /// Whoever else wants the same meanwhile waits for it.
    pub(crate) fn find_or_take<E>(
        &self,
        slot: &str,
        key: &str,
        take: impl FnOnce(&Path) -> Result<Greeting, E>,
    ) -> Result<Found, NotTaken<E>> {
        let cache = |error| NotTaken::Cache(error);
        let place = self.0.folder(slot).map_err(cache)?.join(key);
        if let Some(found) = find(&place) {
            return Ok(found);
        }
        let _lock = self.0.lock(slot, || {}).map_err(cache)?;
        if let Some(found) = find(&place) {
            return Ok(found);
        }
        let scratch = self.0.scratch(slot).map_err(cache)?;
        let made = scratch.path().join("made");
        let io = |source| NotTaken::Cache(CacheError::io("write", &place, source));
        fs::create_dir(&made).map_err(io)?;
        let greeting = take(&made).map_err(NotTaken::Boot)?;
        let json = serde_json::to_vec(&greeting).map_err(|error| io(io::Error::other(error)))?;
        fs::write(made.join(GREETING), json).map_err(io)?;
        if !greeting.hotplug {
            fs::write(made.join(UNUSABLE), NO_HOTPLUG).map_err(io)?;
            let _ = fs::remove_file(made.join(MEMORY));
        }
        scratch.publish_folder("made", &place).map_err(cache)?;
        remove_others(&place);
        find(&place).ok_or_else(|| io(io::ErrorKind::NotFound.into()))
    }

    /// Removes slots that nobody used for a week; best effort.
    fn prune(&self) {
        let now = SystemTime::now();
        let old = |path: &Path| {
            let used = fs::metadata(path.join(USED)).and_then(|meta| meta.modified());
            used.is_ok_and(|used| now.duration_since(used).is_ok_and(|age| age > KEEP))
        };
        for slot in folders(self.0.root()) {
            for snapshot in folders(&slot).filter(|snapshot| old(snapshot)) {
                let _ = fs::remove_dir_all(snapshot);
            }
        }
    }
}

impl Snapshot {
    /// Removes it, so that it is taken again.
    pub(crate) fn discard(self) {
        let _ = fs::remove_dir_all(&self.dir);
    }

    /// Writes down that this guest cannot be gone on with, so that nobody tries again.
    pub(crate) fn give_up(self, why: &str) {
        let _ = host::atomic::write(&self.dir.join(UNUSABLE), why.as_bytes());
        let _ = fs::remove_file(self.dir.join(MEMORY));
    }
}

fn find(place: &Path) -> Option<Found> {
    if let Ok(why) = fs::read_to_string(place.join(UNUSABLE)) {
        return Some(Found::Unusable(why));
    }
    let greeting = serde_json::from_slice(&fs::read(place.join(GREETING)).ok()?).ok()?;
    let _ = File::create(place.join(USED));
    Some(Found::Snapshot(Snapshot {
        dir: place.to_owned(),
        greeting,
    }))
}

/// Removes what else is in the slot of `place`: its kernel, programs or QEMU are no longer what is run.
fn remove_others(place: &Path) {
    let slot = place.parent().unwrap_or(place);
    for other in folders(slot).filter(|other| other != place && other.join(GREETING).exists()) {
        let _ = fs::remove_dir_all(other);
    }
}

fn folders(of: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(of).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting() -> Greeting {
        Greeting {
            release: "6.1.0".into(),
            cpus: 1,
            hotplug: true,
        }
    }

    fn take(snapshots: &Snapshots, key: &str) -> Option<Snapshot> {
        let found = snapshots.find_or_take("k-btrfs", key, |_| Ok::<_, ()>(greeting()));
        match found.unwrap() {
            Found::Snapshot(snapshot) => Some(snapshot),
            Found::Unusable(_) => None,
        }
    }

    #[test]
    fn taken_once_and_replaced_by_the_next_key() {
        let root = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::at(root.path());
        let first = take(&snapshots, "one").unwrap();
        let again = snapshots.find_or_take("k-btrfs", "one", |_| Err("taken twice"));
        assert!(matches!(again, Ok(Found::Snapshot(Snapshot { greeting, .. })) if greeting.release == "6.1.0"));
        let second = take(&snapshots, "two").unwrap();
        assert!(second.dir.is_dir() && !first.dir.exists());
    }

    #[test]
    fn what_was_given_up_is_not_tried_again() {
        let root = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::at(root.path());
        take(&snapshots, "one").unwrap().give_up("it has no hotplug");
        let found = snapshots.find_or_take("k-btrfs", "one", |_| Err("taken twice"));
        assert!(matches!(found, Ok(Found::Unusable(why)) if why == "it has no hotplug"));
    }

    #[test]
    fn a_kernel_without_hotplug_cannot_be_kept() {
        let root = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::at(root.path());
        let take = |_: &Path| {
            Ok::<_, ()>(Greeting {
                hotplug: false,
                ..greeting()
            })
        };
        for _ in 0..2 {
            let found = snapshots.find_or_take("k-btrfs", "one", take);
            assert!(matches!(found, Ok(Found::Unusable(why)) if why == NO_HOTPLUG));
        }
    }

    #[test]
    fn a_guest_that_does_not_boot_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::at(root.path());
        let failed = snapshots.find_or_take("k-btrfs", "one", |made| {
            fs::write(made.join(MEMORY), "half").unwrap();
            Err("panic")
        });
        assert!(matches!(failed, Err(NotTaken::Boot("panic"))));
        assert!(!root.path().join("k-btrfs/one").exists());
        take(&snapshots, "one").unwrap();
    }

    #[test]
    fn what_nobody_uses_goes() {
        let root = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::at(root.path());
        let old = take(&snapshots, "one").unwrap();
        snapshots.prune();
        assert!(old.dir.exists());
        let long_ago = SystemTime::now() - KEEP - Duration::from_secs(60);
        File::open(old.dir.join(USED)).unwrap().set_modified(long_ago).unwrap();
        snapshots.prune();
        assert!(!old.dir.exists());
    }
}
