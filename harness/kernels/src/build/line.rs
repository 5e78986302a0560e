//! A build folder: source and objects of one line of kernels with one configuration, kept so that the next version
//! costs little.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::super::source::{Repo, Tree};
use super::super::store;
use super::super::tree::TreeSource;
use super::closure::Closure;
use super::error::BuildError;
use super::uses::Uses;
use host::atomic;
use host::cache::{Cache, CacheError, LockGuard};

/// Where build directories are, in the cache.
pub const FOLDER: &str = "builds";
const STATE: &str = "state.json";
const CLOSURES: &str = "closures";
/// There while a checkout is going on: what it leaves when it is killed is neither the old tree nor the new one.
const UNFINISHED: &str = "checkout-unfinished";
/// Builds that are remembered, the newest first: more only cost time to compare with.
const REMEMBERED_MAX: usize = 64;

/// Which objects read which file, by the last build.
const USES: &str = "uses";

/// A build directory that this run alone uses.
#[derive(Debug)]
pub(crate) struct Line {
    memory: Memory,
    lock: LockGuard,
}

/// What is known of a build directory, whoever uses it.
#[derive(Debug)]
pub(super) struct Memory {
    dir: PathBuf,
    state: State,
}

/// What bioscope keeps of a build directory from build to build, in a file of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Source, configuration, compiler and variables that it is for, in a line.
    pub what: String,
    /// Sums of configurations, by the sum of what decides them.
    pub(crate) configs: BTreeMap<String, String>,
    /// Objects that a whole build makes, by the sum of the configuration.
    pub whole: BTreeMap<String, u64>,
    /// Builds, the newest first.
    pub built: Vec<Built>,
}

/// A build that came to an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    pub(crate) tree: String,
    /// The tree that was given, if fixes for today's tools made another one of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) given: Option<String>,
    /// Where more of its objects are.
    pub(crate) alternates: Vec<PathBuf>,
    /// Its name, for a person.
    pub(crate) name: String,
    /// Sum of the configuration.
    pub config: String,
    /// What its result depends on besides source and configuration.
    pub(crate) with: String,
    /// Sum of the list of files that it read.
    pub(crate) closure: String,
    /// Hash of the artifact in the store.
    pub artifact: String,
    /// What it took; none of builds of before that was written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Took>,
}

/// Cost of a build, from which the cost of later ones is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Took {
    /// Time from the checkout to what came out, in milliseconds.
    pub ms: u64,
    /// Objects that were made.
    pub objects: u64,
}

impl Built {
    /// The tree that was built.
    #[must_use]
    pub(crate) fn tree(&self) -> Tree {
        Tree {
            id: self.tree.clone(),
            name: self.name.clone(),
            alternates: self.alternates.clone(),
        }
    }
}

/// What a build directory is for: sources and configuration of one kind.
#[must_use]
pub fn what(source: &TreeSource) -> String {
    let parts: Vec<String> = source.config.iter().map(ToString::to_string).collect();
    let variables: Vec<String> = source
        .make
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    [
        source.origin.line(),
        format!("config {}", parts.join(" ")),
        format!("cc {}", source.cc.as_deref().unwrap_or("gcc")),
        variables.join(" "),
    ]
    .join("; ")
}

impl Memory {
    /// Of one of the directories for a source; a new one holds nothing.
    pub(super) fn of(cache: &Cache, what: &str, nth: usize) -> Memory {
        let dir = cache.root().join(FOLDER).join(name(what, nth));
        // One that cannot be read is one less to go by, and no more.
        let state = std::fs::read(dir.join(STATE))
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let state = State {
            what: what.to_owned(),
            ..state.unwrap_or_default()
        };
        Memory { dir, state }
    }

    /// What is known of it.
    #[must_use]
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// The list of files that a build read, if it is still there.
    #[must_use]
    pub(crate) fn closure(&self, sum: &str) -> Option<Closure> {
        let text = std::fs::read_to_string(self.dir.join(CLOSURES).join(sum)).ok()?;
        Some(Closure::from_files(text.lines().map(str::to_owned).collect()))
    }

    /// What the objects of the last build read, if that was kept.
    pub(super) fn uses(&self) -> Option<Uses> {
        Uses::parse(&std::fs::read_to_string(self.dir.join(USES)).ok()?)
    }

    /// When a build last came to its end.
    pub(super) fn used(&self) -> Option<SystemTime> {
        std::fs::metadata(self.dir.join(STATE))
            .and_then(|state| state.modified())
            .ok()
    }
}

/// The name of one of the directories for the same source.
pub(super) fn name(what: &str, nth: usize) -> String {
    match nth {
        0 => store::hash(&["line", what]),
        nth => store::hash(&["line", what, &nth.to_string()]),
    }
}

impl Line {
    /// Opens a build directory, making it if need be; waits for other runs that use it.
    ///
    /// # Errors
    /// The cache cannot be used.
    pub(crate) fn open(
        cache: &Cache,
        source: &TreeSource,
        nth: usize,
        on_wait: impl FnOnce(),
    ) -> Result<Self, BuildError> {
        let what = what(source);
        let name = name(&what, nth);
        let lock = cache.lock(&format!("build-{name}"), on_wait)?;
        for part in ["source", "objects", CLOSURES] {
            cache.folder(&format!("{FOLDER}/{name}/{part}"))?;
        }
        let memory = Memory::of(cache, &what, nth);
        Ok(Line { memory, lock })
    }

    /// What is known of it.
    #[must_use]
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    #[must_use]
    pub(crate) fn state(&self) -> &State {
        &self.memory.state
    }

    #[must_use]
    pub(crate) fn source(&self) -> PathBuf {
        self.memory.dir.join("source")
    }

    /// What is made.
    #[must_use]
    pub(crate) fn objects(&self) -> PathBuf {
        self.memory.dir.join("objects")
    }

    /// Whether nothing was made in it yet. A build that failed or was stopped leaves objects, which the next one need
    /// not make; what configures a kernel leaves none of these directories.
    #[must_use]
    pub(crate) fn is_new(&self) -> bool {
        self.memory.state.built.is_empty() && !self.objects().join("arch").exists()
    }

    /// The lock, for make to hold as well.
    #[must_use]
    pub(crate) fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// Makes the source this tree.
    ///
    /// # Errors
    /// git fails, the disk is full.
    pub(crate) fn check_out(&self, repo: &Repo, tree: &Tree) -> Result<(), BuildError> {
        let (source, index) = (self.source(), self.memory.dir.join("index"));
        let unfinished = self.memory.dir.join(UNFINISHED);
        let failed = |source| CacheError::io("write", &unfinished, source);
        let was_cut_off = unfinished.exists();
        std::fs::write(&unfinished, "").map_err(failed)?;
        repo.check_out(tree, &source, &index)?;
        if was_cut_off {
            repo.clean(&source, &index)?;
        }
        std::fs::remove_file(&unfinished).map_err(failed)?;
        Ok(())
    }

    /// Remembers a build.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub(crate) fn remember(&mut self, built: Built, closure: &Closure, whole: Option<u64>) -> Result<(), BuildError> {
        let path = self.memory.dir.join(CLOSURES).join(&built.closure);
        if !path.is_file() {
            let text = closure.files().join("\n");
            atomic::write(&path, text.as_bytes()).map_err(|source| CacheError::io("write", &path, source))?;
        }
        if let Some(whole) = whole {
            self.memory.state.whole.insert(built.config.clone(), whole);
        }
        self.memory
            .state
            .built
            .retain(|old| old.tree != built.tree || old.config != built.config || old.with != built.with);
        self.memory.state.built.insert(0, built);
        self.memory.state.built.truncate(REMEMBERED_MAX);
        let used: HashSet<&str> = self
            .memory
            .state
            .built
            .iter()
            .map(|built| built.closure.as_str())
            .collect();
        for entry in std::fs::read_dir(self.memory.dir.join(CLOSURES))
            .into_iter()
            .flatten()
            .flatten()
        {
            if !used.contains(entry.file_name().to_string_lossy().as_ref()) {
                // One list too many does no harm.
                let _ = std::fs::remove_file(entry.path());
            }
        }
        self.save()
    }

    /// Keeps what the objects of the last build read.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub(crate) fn keep_uses(&self, uses: &Uses) -> Result<(), BuildError> {
        let path = self.memory.dir.join(USES);
        let written = atomic::write(&path, uses.render().as_bytes());
        written.map_err(|source| CacheError::io("write", &path, source).into())
    }

    /// Remembers what a configuration came to.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub(crate) fn remember_config(&mut self, inputs: &str, config: &str) -> Result<(), BuildError> {
        if self
            .memory
            .state
            .configs
            .get(inputs)
            .is_some_and(|known| known == config)
        {
            return Ok(());
        }
        self.memory.state.configs.insert(inputs.to_owned(), config.to_owned());
        self.save()
    }

    fn save(&self) -> Result<(), BuildError> {
        let path = self.memory.dir.join(STATE);
        let write = |source| BuildError::from(CacheError::io("write", &path, source));
        let text =
            serde_json::to_vec_pretty(&self.memory.state).map_err(|error| write(std::io::Error::other(error)))?;
        atomic::write(&path, &text).map_err(write)
    }
}

/// What is known of every build directory, with its place.
#[must_use]
pub fn all(cache: &Cache) -> Vec<(PathBuf, State)> {
    let entries = std::fs::read_dir(cache.root().join(FOLDER))
        .into_iter()
        .flatten()
        .flatten();
    let state = |dir: &Path| serde_json::from_slice(&std::fs::read(dir.join(STATE)).ok()?).ok();
    let mut all: Vec<(PathBuf, State)> = entries
        .map(|entry| entry.path())
        .filter(|dir| dir.is_dir())
        .map(|dir| {
            let state = state(&dir).unwrap_or_default();
            (dir, state)
        })
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Origin;

    #[test]
    fn a_directory_in_which_a_build_was_stopped_is_not_new() {
        let dir = tempfile::tempdir().expect("a directory");
        let cache = Cache::at(dir.path());
        let source = TreeSource {
            origin: Origin::Git {
                repository: "linux".to_owned(),
                rev: "HEAD".to_owned(),
                dirty: false,
            },
            patches: Vec::new(),
            config: Vec::new(),
            cc: None,
            make: BTreeMap::new(),
        };
        let line = Line::open(&cache, &source, 0, || {}).expect("a directory");
        assert!(line.is_new());
        // It was configured, and then some objects were made.
        std::fs::create_dir_all(line.objects().join("scripts/kconfig")).expect("a directory");
        assert!(line.is_new());
        std::fs::create_dir_all(line.objects().join("arch/x86/kernel")).expect("a directory");
        assert!(!line.is_new());
    }
}
