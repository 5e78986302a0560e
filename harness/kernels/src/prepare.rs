//! Brings kernels from wherever they are into the store, touching the network only for what is not there yet.

mod files;
mod hash;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::apt::root::Root;
use super::error::Error;
use super::kernel::{Kernel, Source};
use super::lock::{Deb, Lock, Pinned};
use super::package::PackageSource;
use super::source::{self, Repo, Tree};
use super::store::{self, Artifact};
use super::tree::{Origin, TreeSource, is_url};
use super::{build, fetch, resolve, unpack};
use hash::{files_hash, image_hash, package_hash};
use host::cache::Cache;
use host::progress::Progress;

/// How to go about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Never use the network.
    pub offline: bool,
    /// Take what the archive offers now, and move the lock.
    pub update: bool,
    /// Never change the lock.
    pub locked: bool,
}

/// Makes every kernel ready to boot, in the order given. `lock_path` is written as soon as a kernel is resolved anew.
///
/// # Errors
/// The first kernel that cannot be had says why; those before it stay in the store.
pub fn prepare(
    kernels: &[&Kernel],
    lock_path: &Path,
    cache: &Cache,
    options: &Options,
    progress: &Progress,
) -> Result<Vec<Artifact>, Error> {
    let mut lock = Lock::load(lock_path)?;
    let mut run = Run {
        cache,
        options,
        progress,
        root: None,
        updated: BTreeSet::new(),
    };
    kernels
        .iter()
        .map(|kernel| match &kernel.source {
            Source::Image { image, modules } => files::image(cache, &kernel.id, image, modules.as_deref(), progress),
            Source::PackageFiles(files) => files::package_files(cache, &kernel.id, files, progress),
            Source::Package(source) => {
                let pinned = run.pin(&kernel.id, source, &mut lock, lock_path)?;
                run.package(&pinned, source)
            }
            Source::Tree(source) => run.tree(&kernel.id, source, &mut lock, lock_path),
        })
        .collect()
}

/// The source of a kernel that is built, patches applied, as a tree of the cache's repository.
///
/// # Errors
/// It cannot be had, or a patch does not apply.
pub fn source_tree(
    id: &str,
    source: &TreeSource,
    lock_path: &Path,
    cache: &Cache,
    options: &Options,
    progress: &Progress,
) -> Result<(Repo, Tree), Error> {
    let mut lock = Lock::load(lock_path)?;
    Run {
        cache,
        options,
        progress,
        root: None,
        updated: BTreeSet::new(),
    }
    .source(id, source, &mut lock, lock_path)
}

/// Moves the lock of these kernels to what the archive offers now, without downloading any package.
///
/// Gives back the ids that changed, each with the versions before and after.
///
/// # Errors
/// The archive cannot be reached, or does not hold what `kernels.toml` asks for; the lock then stays as it was.
pub fn update(kernels: &[&Kernel], lock_path: &Path, cache: &Cache, progress: &Progress) -> Result<Vec<Change>, Error> {
    let options = Options {
        update: true,
        ..Options::default()
    };
    let mut lock = Lock::load(lock_path)?;
    let mut run = Run {
        cache,
        options: &options,
        progress,
        root: None,
        updated: BTreeSet::new(),
    };
    let mut changes = Vec::new();
    for kernel in kernels {
        let Some(source) = kernel.source.packages() else {
            continue;
        };
        let before = lock.get(&kernel.id).map(|pinned| pinned.version.clone());
        let pinned = run.resolve(&kernel.id, source, true)?;
        let after = pinned.version.clone();
        if lock.set(pinned) {
            changes.push(Change {
                id: kernel.id.clone(),
                before,
                after,
            });
        }
    }
    if !changes.is_empty() {
        lock.save(lock_path)?;
    }
    Ok(changes)
}

/// One kernel whose lock moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The kernel's id.
    pub id: String,
    /// The version that was pinned, if one was.
    pub before: Option<String>,
    /// The version that is pinned now.
    pub after: String,
}

/// The artifact of a kernel if nothing has to be done for it: no network, no unpacking, nothing written.
///
/// # Errors
/// The image of a kernel that is a file cannot be read.
pub fn ready(kernel: &Kernel, lock: &Lock, cache: &Cache) -> Result<Option<Artifact>, Error> {
    let hash = match &kernel.source {
        Source::Image { image, modules } => image_hash(image, modules.as_deref())?,
        Source::PackageFiles(files) => files_hash(files)?,
        Source::Package(source) => match lock.get(&kernel.id).filter(|pinned| pinned.serves(source)) {
            Some(pinned) => package_hash(&pinned.debs),
            None => return Ok(None),
        },
        // What it would be named takes reading the source.
        Source::Tree(_) => return Ok(None),
    };
    Ok(store::get(cache, &kernel.id, &hash))
}

struct Run<'a> {
    cache: &'a Cache,
    options: &'a Options,
    progress: &'a Progress,
    /// The root in use. One at a time: two runs that need two suites each must never wait for one another.
    root: Option<(String, Root)>,
    /// Suites whose index this run has fetched: asking again is of no use.
    updated: BTreeSet<String>,
}

impl Run<'_> {
    /// What is pinned for a kernel; resolved and written if nothing that serves is.
    fn pin(&mut self, id: &str, source: &PackageSource, lock: &mut Lock, lock_path: &Path) -> Result<Pinned, Error> {
        let pinned = lock
            .get(id)
            .filter(|pinned| pinned.serves(source) && !self.options.update);
        if let Some(pinned) = pinned {
            return Ok(pinned.clone());
        }
        if self.options.locked {
            return Err(Error::Locked {
                id: id.to_owned(),
                lock: lock_path.to_owned(),
            });
        }
        let pinned = self.resolve(id, source, self.options.update)?;
        // Another run may have pinned other kernels meanwhile: theirs are kept.
        *lock = Lock::load(lock_path)?;
        if lock.set(pinned.clone()) {
            lock.save(lock_path)?;
        }
        Ok(pinned)
    }

    fn resolve(&mut self, id: &str, source: &PackageSource, refresh: bool) -> Result<Pinned, Error> {
        let progress = self.progress;
        let root = self.root(&source.suite)?;
        match resolve::resolve(id, source, &root.index(refresh, progress)?) {
            // The index at hand may be older than the archive: look once more before saying that something is gone.
            Err(_) if !root.is_updated() => Ok(resolve::resolve(id, source, &root.index(true, progress)?)?),
            result => Ok(result?),
        }
    }

    fn package(&mut self, pinned: &Pinned, source: &PackageSource) -> Result<Artifact, Error> {
        let hash = package_hash(&pinned.debs);
        if let Some(artifact) = store::get(self.cache, &pinned.id, &hash) {
            return Ok(artifact);
        }
        let files = pinned
            .debs
            .iter()
            .map(|deb| self.deb(deb, pinned, source))
            .collect::<Result<Vec<_>, _>>()?;
        // Unpacking takes a while and needs no index: others may use it meanwhile.
        self.release();
        let (progress, id) = (self.progress, &pinned.id);
        let step = progress.spinner(format!("unpacking {id} ({})", pinned.version));
        let on_wait = || progress.say(&format!("waiting for another run that unpacks {id}"));
        let names: Vec<&str> = pinned.debs.iter().map(|deb| deb.name.as_str()).collect();
        let artifact = store::get_or_make(self.cache, id, &hash, on_wait, |made| {
            unpack::packages(&files, &names.join(", "), &pinned.version, made).map_err(Error::Unpack)
        });
        drop(step);
        artifact
    }

    fn deb(&mut self, deb: &Deb, pinned: &Pinned, source: &PackageSource) -> Result<PathBuf, Error> {
        let (cache, progress, offline) = (self.cache, self.progress, self.options.offline);
        if let Some(file) = fetch::cached(cache, deb, progress)? {
            return Ok(file);
        }
        if offline {
            let needed = format!("{} {} of kernel {}", deb.name, deb.version, pinned.id);
            return Err(super::apt::AptError::Offline { needed }.into());
        }
        let root = self.root(&pinned.suite)?;
        // While this run waited for the root, the one that held it may have fetched the very same.
        if let Some(file) = fetch::cached(cache, deb, progress)? {
            return Ok(file);
        }
        let mut index = root.index(false, progress)?;
        // The index at hand may be older than the archive, or the archive may have dropped what the index still lists.
        let mut listed = resolve::missing(pinned, source, &index);
        if listed.is_some() && !root.is_updated() {
            index = root.index(true, progress)?;
            listed = resolve::missing(pinned, source, &index);
        }
        if let Some(gone) = listed {
            return Err(gone.into());
        }
        // The signed index knows the sum: a wrong pin is found before anything is downloaded.
        if let Some(entry) = index.get(&deb.name, &deb.version)
            && entry.deb.sha256 != deb.sha256
        {
            return Err(fetch::mismatch(&pinned.id, deb, entry.deb.sha256.clone()).into());
        }
        match fetch::download(cache, &pinned.id, deb, root, progress) {
            Err(fetch::FetchError::Apt(error)) if error.is_stale_index() && !root.is_updated() => {
                let index = root.index(true, progress)?;
                if let Some(gone) = resolve::missing(pinned, source, &index) {
                    return Err(gone.into());
                }
                Ok(fetch::download(cache, &pinned.id, deb, root, progress)?)
            }
            result => Ok(result?),
        }
    }

    fn tree(&mut self, id: &str, source: &TreeSource, lock: &mut Lock, lock_path: &Path) -> Result<Artifact, Error> {
        let (repo, tree) = self.source(id, source, lock, lock_path)?;
        // Building takes long: others may use the index meanwhile.
        self.release();
        Ok(build::build(
            self.cache,
            &repo,
            id,
            &tree,
            source,
            build::folders::Folders::AsTheyAre,
            self.progress,
        )?)
    }

    fn source(
        &mut self,
        id: &str,
        source: &TreeSource,
        lock: &mut Lock,
        lock_path: &Path,
    ) -> Result<(Repo, Tree), Error> {
        let (cache, progress, offline) = (self.cache, self.progress, self.options.offline);
        let repo = Repo::open(cache)?;
        let tree = match &source.origin {
            Origin::Git { repository, rev, dirty } => {
                source::git(&repo, cache, repository, rev, *dirty, offline, progress)?
            }
            Origin::Tarball { location, sha256 } => source::tarball(&repo, cache, location, sha256, offline, progress)?,
            Origin::Package(package) => {
                let pinned = self.pin(id, package, lock, lock_path)?;
                let Some(deb) = pinned.debs.iter().find(|deb| deb.name.starts_with("linux-source-")) else {
                    let what = package.packages.join(" ");
                    let reason = "it is no linux-source-… package, nor does it depend on one".to_owned();
                    return Err(source::SourceError::Archive { what, reason }.into());
                };
                let name = format!("{} {}", deb.name, deb.version);
                match source::taken(&repo, &deb.sha256, &name)? {
                    Some(tree) => tree,
                    None => source::package(&repo, &self.deb(deb, &pinned, package)?, &deb.sha256, &name, progress)?,
                }
            }
        };
        let history = match &source.origin {
            Origin::Git { repository, rev, .. } if !is_url(repository) => {
                Some((Path::new(repository.as_str()), rev.as_str()))
            }
            _ => None,
        };
        let say = |note: &str| progress.say(&format!("{id}: {note}"));
        let tree = source::apply(&repo, cache, tree, &source.patches, history, &say)?;
        Ok((repo, tree))
    }

    fn release(&mut self) {
        if let Some((suite, root)) = self.root.take()
            && root.is_updated()
        {
            self.updated.insert(suite);
        }
    }

    fn root(&mut self, suite: &str) -> Result<&mut Root, Error> {
        if self.root.as_ref().is_some_and(|(name, _)| name != suite) {
            self.release();
        }
        let root = match self.root.take() {
            Some((_, root)) => root,
            None => {
                let updated = self.updated.contains(suite);
                Root::open(self.cache, suite, self.options.offline, updated, self.progress)?
            }
        };
        Ok(&mut self.root.insert((suite.to_owned(), root)).1)
    }
}
