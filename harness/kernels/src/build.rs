//! From a tree to a kernel of the store, by the kernel's own build.
//!
//! An artifact is named by what determines it: the content of the files that its build reads, the configuration, the
//! toolchain, the variables. So a tree of which none of that differs from one that was built is not built: the artifact
//! is there.

pub mod closure;
pub mod config;
mod configure;
mod error;
mod keep;
pub mod line;
pub mod make;
mod stop;

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::source::{Listing, Repo, Tree};
use super::store::Artifact;
use super::tree::{ConfigPart, TreeSource};
use closure::Closure;
use configure::{config_sum, has_modules};
pub use error::BuildError;
use host::cache::{Cache, CacheError};
use host::progress::Progress;
use line::Line;
use make::Make;
pub use stop::Stop;

/// Below this version (of the kernel) its host tools define variables twice, which compilers since gcc 10 refuse.
const COMMON_BELOW: (u32, u32) = (5, 7);
/// Below this version nobody has tried whether today's compilers do.
const TRIED_SINCE: (u32, u32) = (5, 10);

/// One kernel to build.
struct Job<'a> {
    id: &'a str,
    tree: &'a Tree,
    source: &'a TreeSource,
    all: Listing,
    /// The tree's own version.
    version: (u32, u32),
    toolchain: String,
    variables: BTreeMap<String, String>,
    /// The configuration's files with their content, in order.
    parts: Vec<(PathBuf, String)>,
}

/// Builds a tree, unless the store has what would come of it.
///
/// # Errors
/// Its configuration or its code does not build; a tool is missing; the disk is full. The store and the build folder
/// stay usable.
pub fn build(
    cache: &Cache,
    repo: &Repo,
    id: &str,
    tree: &Tree,
    source: &TreeSource,
    progress: &Progress,
) -> Result<Artifact, BuildError> {
    build_or_stop(cache, repo, id, tree, source, progress, None)
}

/// Builds a tree that may be wanted later, below everything else that runs, and without a word.
///
/// # Errors
/// As of [`build`], or it was stopped.
pub fn build_ahead(
    cache: &Cache,
    repo: &Repo,
    id: &str,
    tree: &Tree,
    source: &TreeSource,
    stop: &Stop,
) -> Result<Artifact, BuildError> {
    build_or_stop(cache, repo, id, tree, source, &Progress::hidden(), Some(stop))
}

fn build_or_stop(
    cache: &Cache,
    repo: &Repo,
    id: &str,
    tree: &Tree,
    source: &TreeSource,
    progress: &Progress,
    stop: Option<&Stop>,
) -> Result<Artifact, BuildError> {
    let job = Job::new(repo, id, tree, source)?;
    let on_wait = || progress.say(&format!("waiting for another run that builds in the folder of {id}"));
    let mut line = Line::open(cache, source, on_wait)?;
    let inputs = job.config_inputs();
    let foreseen = line.state().configs.get(&inputs).cloned();
    if let Some(config) = &foreseen
        && let Some(artifact) = job.known(cache, repo, &line, config, progress)
    {
        return Ok(artifact);
    }
    let log = make::log_path(&cache.folder("logs")?, id);
    let started = Instant::now();
    // A log is one build's.
    let _ = fs::remove_file(&log);
    let step = progress.spinner(format!("checking out {} for {id}", tree.name));
    line.check_out(repo, tree)?;
    drop(step);
    let (objects, folder) = (line.objects(), line.source());
    let lock = line
        .lock()
        .try_clone_to_owned()
        .map_err(|source| CacheError::io("use the lock of", &folder, source))?;
    let make = Make {
        source: &folder,
        objects: &objects,
        variables: job.variables.clone(),
        lock: lock.as_fd(),
        log: &log,
        stop,
    };
    let there = config_sum(&objects).filter(|sum| foreseen.as_ref() == Some(sum));
    let config = match there {
        Some(config) => config,
        None => {
            let _step = progress.spinner(format!("configuring {id}"));
            job.configure(&make).map_err(|error| job.too_old(error))?
        }
    };
    line.remember_config(&inputs, &config)?;
    // Asked before with the very same configuration, the answer would be the same.
    if foreseen.as_ref() != Some(&config)
        && let Some(artifact) = job.known(cache, repo, &line, &config, progress)
    {
        return Ok(artifact);
    }
    let made = job
        .make(&make, line.state().whole.get(&config).copied(), progress)
        .map_err(|error| job.too_old(error))?;
    let closure =
        Closure::of_build(&objects, &folder, &job.all).map_err(|source| CacheError::io("read", &objects, source))?;
    job.keep(cache, &mut line, &make, &config, &closure, (started, made))
}

impl<'a> Job<'a> {
    fn new(repo: &Repo, id: &'a str, tree: &'a Tree, source: &'a TreeSource) -> Result<Self, BuildError> {
        let all = repo.listing(tree)?;
        let makefile = repo.file(tree, "Makefile")?.unwrap_or_default();
        let version = version_of(&String::from_utf8_lossy(&makefile));
        let cc = source.cc.as_deref().unwrap_or("gcc");
        let parts = source
            .config
            .iter()
            .filter_map(|part| match part {
                ConfigPart::Whole(path) | ConfigPart::Fragment { path, .. } => Some(path),
                ConfigPart::Tiny | ConfigPart::Default => None,
            })
            .map(|path| {
                let read = |source| BuildError::Config {
                    id: id.to_owned(),
                    path: path.clone(),
                    source,
                };
                Ok((path.clone(), fs::read_to_string(path).map_err(read)?))
            })
            .collect::<Result<_, BuildError>>()?;
        Ok(Job {
            id,
            tree,
            source,
            all,
            version,
            toolchain: make::toolchain(cc)?,
            variables: variables(source, cc, version),
            parts,
        })
    }

    /// What a result depends on besides source and configuration.
    fn with(&self) -> String {
        let variables: Vec<String> = self
            .variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        // ccache gives back what the compiler would have made.
        let variables = variables.join(" ").replace("ccache ", "");
        format!("{}; {variables}", self.toolchain)
    }

    /// Makes image and modules; gives back how many objects were made.
    fn make(&self, make: &Make<'_>, whole: Option<u64>, progress: &Progress) -> Result<u64, BuildError> {
        let mut targets = vec!["bzImage"];
        if has_modules(make.objects) {
            targets.push("modules");
        }
        let step = progress.count(format!("building {}", self.id), whole);
        make.run(&targets, make::jobs(), Some(&step))
    }

    /// Says that the tree is old, if that may be why it does not build.
    fn too_old(&self, error: BuildError) -> BuildError {
        match error {
            BuildError::Make { .. } if self.version < TRIED_SINCE => BuildError::TooOld {
                version: self.version,
                compiler: self.toolchain.split(';').next().unwrap_or_default().to_owned(),
                source: Box::new(error),
            },
            error => error,
        }
    }
}

fn write(path: &Path, text: &str) -> Result<(), BuildError> {
    host::atomic::write_beside(path, text.as_bytes()).map_err(|source| CacheError::io("write", path, source).into())
}

/// `VERSION` and `PATCHLEVEL` of a kernel's Makefile.
fn version_of(makefile: &str) -> (u32, u32) {
    let number = |name: &str| {
        let mut lines = makefile
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix('='));
        lines.next().and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    };
    (number("VERSION"), number("PATCHLEVEL"))
}

/// What make is told, so that the same source comes to the same bytes whoever builds it, when and how often.
fn variables(source: &TreeSource, cc: &str, version: (u32, u32)) -> BTreeMap<String, String> {
    let ccache = host::tool::find("ccache").is_some() && !cc.contains("ccache");
    let with_ccache = |cc: &str| if ccache { format!("ccache {cc}") } else { cc.to_owned() };
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: &str| drop(variables.insert(name.to_owned(), value.to_owned()));
    set("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 2026");
    set("KBUILD_BUILD_USER", "bioscope");
    set("KBUILD_BUILD_HOST", "bioscope");
    set("KBUILD_BUILD_VERSION", "1");
    // Set and empty: no `+` for a tree that git would call changed.
    set("LOCALVERSION", "");
    set("CC", &with_ccache(cc));
    // A warning that only a newer compiler gives is no reason not to build.
    set("KCFLAGS", "-Wno-error");
    if version < COMMON_BELOW {
        set("HOSTCFLAGS", "-fcommon");
    }
    variables.extend(source.make.clone());
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_makefiles_version_is_read() {
        let makefile = "# SPDX-License-Identifier: GPL-2.0\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\n";
        assert_eq!(version_of(makefile), (6, 1));
        assert_eq!(version_of(""), (0, 0));
    }
}
