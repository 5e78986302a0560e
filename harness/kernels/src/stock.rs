//! What is kept: artifacts and build directories, what of it was not used for a time, and what an artifact was made of.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use host::cache::{Cache, CacheError};
use host::progress::Progress;

use super::build::line;
use super::error::Error;
use super::kernel::{Kernel, Source};
use super::lock::{Deb, Lock};
use super::prepare::{self, Options};
use super::store::{self, Kept};
use super::tree::TreeSource;

/// A directory of the cache in which similar kernels are built one after another.
#[derive(Debug, Clone)]
pub struct BuildFolder {
    /// Last part of `dir`.
    pub name: String,
    /// Where it lies in the cache.
    pub dir: PathBuf,
    /// What is built in it; empty if no build came to its end.
    pub what: String,
    /// When a build last came to its end, or the directory was made.
    pub used: SystemTime,
}

/// All build directories of the cache, in the order of their names.
#[must_use]
pub fn build_folders(cache: &Cache) -> Vec<BuildFolder> {
    let folder = |(dir, state): (PathBuf, line::State)| BuildFolder {
        name: dir.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        used: used(&dir),
        what: state.what,
        dir,
    };
    line::all(cache).into_iter().map(folder).collect()
}

/// An artifact or a build directory that nobody used for a time.
#[derive(Debug, Clone)]
pub struct Unused {
    /// The artifact's or build directory's place in the cache.
    pub dir: PathBuf,
    /// Who uses it has this lock.
    lock: String,
}

impl Unused {
    /// Removes it, unless a run uses it now; says whether it did.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self, cache: &Cache) -> Result<bool, CacheError> {
        store::remove(cache, &self.dir, &self.lock)
    }
}

/// What lay unused for so long.
#[must_use]
pub fn unused(cache: &Cache, since: Duration) -> Vec<Unused> {
    let is_old = |used: SystemTime| SystemTime::now().duration_since(used).is_ok_and(|age| age >= since);
    let artifacts = store::all(cache)
        .into_iter()
        .filter(|kept| is_old(kept.used))
        .map(|kept| Unused {
            lock: format!("store-{}", kept.hash),
            dir: kept.dir,
        });
    let folders = build_folders(cache)
        .into_iter()
        .filter(|folder| is_old(folder.used))
        .map(|folder| Unused {
            lock: format!("build-{}", folder.name),
            dir: folder.dir,
        });
    artifacts.chain(folders).collect()
}

/// The one artifact whose hash begins so; six letters are the least that names one.
#[must_use]
pub fn by_hash(cache: &Cache, prefix: &str) -> Option<Kept> {
    let mut kept = store::all(cache)
        .into_iter()
        .filter(|kept| prefix.len() >= 6 && kept.hash.starts_with(prefix));
    kept.next().filter(|_| kept.next().is_none())
}

/// What a kernel of kernels.toml is made of, and whether the store has it.
#[derive(Debug)]
pub enum Why {
    /// It is taken as it is: packages, or an image.
    Taken {
        /// The packages that are pinned.
        debs: Vec<Deb>,
        /// The artifact; none if the next run has to fetch it.
        artifact: Option<Kept>,
    },
    /// It is built here from source.
    Built {
        /// The source as it is now.
        tree: String,
        /// The artifact of this configuration that was built of the most similar source; none if there is none.
        nearest: Option<Nearest>,
    },
}

/// An artifact, and what differs from what it was built of.
#[derive(Debug)]
pub struct Nearest {
    /// It has the same configuration and toolchain.
    pub artifact: Kept,
    /// Files that its build read and that are of other content now.
    pub changed: Vec<String>,
}

/// What a kernel is made of, and whether the store has it. Uses no network.
///
/// # Errors
/// The lock or the source cannot be read.
pub fn why(cache: &Cache, kernel: &Kernel, lock_path: &Path, progress: &Progress) -> Result<Why, Error> {
    match &kernel.source {
        Source::Tree(source) => why_built(cache, &kernel.id, source, lock_path, progress),
        Source::Package(_) | Source::Image { .. } | Source::PackageFiles(_) => why_taken(cache, kernel, lock_path),
    }
}

fn why_taken(cache: &Cache, kernel: &Kernel, lock_path: &Path) -> Result<Why, Error> {
    let kept = store::all(cache);
    let lock = Lock::load(lock_path)?;
    let ready = prepare::ready(kernel, &lock, cache)?;
    Ok(Why::Taken {
        debs: lock
            .get(&kernel.id)
            .map(|pinned| pinned.debs.clone())
            .unwrap_or_default(),
        artifact: ready.and_then(|artifact| kept.into_iter().find(|kept| kept.hash == artifact.hash)),
    })
}

/// Compares the source as it is now with what artifacts were built of.
fn why_built(
    cache: &Cache,
    id: &str,
    source: &TreeSource,
    lock_path: &Path,
    progress: &Progress,
) -> Result<Why, Error> {
    let options = Options {
        offline: true,
        ..Options::default()
    };
    let kept = store::all(cache);
    let (repo, tree) = prepare::source_tree(id, source, lock_path, cache, &options, progress)?;
    let now = repo.listing(&tree)?;
    let config: Vec<String> = source.config.iter().map(ToString::to_string).collect();
    let is_alike = |kept: &Kept| {
        let made = kept.description.made_of.as_ref();
        made.is_some_and(|made| made.config == config)
    };
    let of = |artifact: Kept| {
        let inputs = inputs(&artifact.dir);
        let changed = inputs.into_iter().filter(|(path, id)| now.get(path) != Some(id));
        Nearest {
            changed: changed.map(|(path, _)| path).collect(),
            artifact,
        }
    };
    let nearest = kept.into_iter().filter(is_alike).map(of);
    Ok(Why::Built {
        tree: tree.name,
        nearest: nearest.min_by_key(|nearest| nearest.changed.len()),
    })
}

/// Paths and content of what an artifact was built of.
fn inputs(dir: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(dir.join("inputs")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(id, path)| (path.to_owned(), id.to_owned())).collect()
}

fn used(dir: &Path) -> SystemTime {
    // One in which no build came to its end has no state.
    std::fs::metadata(dir.join("state.json"))
        .or_else(|_| std::fs::metadata(dir))
        .and_then(|state| state.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
