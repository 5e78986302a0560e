//! From a tree to a kernel of the store, by the kernel's own build.
//!
//! An artifact is named by what determines it: the content of the files that its build reads, the configuration, the
//! toolchain, the variables. So a tree of which none of that differs from one that was built is not built: the artifact
//! is there.

#[cfg(test)]
mod borders;
pub mod closure;
pub(crate) mod config;
mod configure;
mod error;
mod external;
pub mod folders;
mod fragment;
mod job;
mod kconfig;
mod keep;
pub mod line;
pub mod make;
pub mod said;
mod stale;
mod stop;
mod toolchain;
mod unfinished;
pub mod uses;

use std::fs;
use std::os::fd::AsFd;
use std::time::Instant;

use super::source::{self, Repo, Tree};
use super::store::Artifact;
use super::tree::TreeSource;
use configure::config_sum;
pub use error::BuildError;
use folders::Folders;
use host::cache::{Cache, CacheError};
use host::progress::Progress;
use job::Job;
use keep::Made;
use line::Line;
use make::Make;
pub use stop::Stop;

/// How a tree is built.
struct How<'a> {
    folders: Folders,
    progress: &'a Progress,
    stop: Option<&'a Stop>,
}

/// What the compiler and the linker of a kernel call themselves.
///
/// # Errors
/// One of them is missing.
pub fn toolchain(source: &TreeSource) -> Result<String, BuildError> {
    toolchain::Toolchain::of(source).versions()
}

/// Builds a tree, unless the store has what would come of it.
///
/// # Errors
/// Its configuration or its code does not build; a tool is missing; the disk is full. The store and the build directory
/// stay usable.
pub fn build(
    cache: &Cache,
    repo: &Repo,
    id: &str,
    tree: &Tree,
    source: &TreeSource,
    folders: Folders,
    progress: &Progress,
) -> Result<Artifact, BuildError> {
    let how = How {
        folders,
        progress,
        stop: None,
    };
    build_or_stop(cache, repo, id, tree, source, &how)
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
    let how = How {
        folders: Folders::OneMore,
        progress: &Progress::hidden(),
        stop: Some(stop),
    };
    build_or_stop(cache, repo, id, tree, source, &how)
}

/// A tree with the fixes that today's tools need and it lacks, which are said; none if it lacks none.
fn mend(cache: &Cache, repo: &Repo, tree: &Tree, progress: &Progress) -> Result<Option<Tree>, BuildError> {
    let mended = source::mend(repo, cache, tree, job::release_of(repo, tree)?)?;
    Ok(mended.map(|(mended, fixes)| {
        let fixes = fixes.join(", ");
        progress.say(&format!(
            "{}: mended for today's compiler and linker by {fixes}",
            tree.name
        ));
        mended
    }))
}

/// Makes the source of a build directory this job's tree.
fn check_out(repo: &Repo, job: &Job<'_>, line: &Line, progress: &Progress) -> Result<(), BuildError> {
    if let Some(why) = stale::check(&line.objects(), &job.toolchain)? {
        progress.say(&format!("{}: {why}, so all is made again", job.id));
    }
    let _step = progress.spinner(format!("checking out {} for {}", job.tree.name, job.id));
    line.check_out(repo, job.tree)
}

fn build_or_stop(
    cache: &Cache,
    repo: &Repo,
    id: &str,
    tree: &Tree,
    source: &TreeSource,
    how: &How<'_>,
) -> Result<Artifact, BuildError> {
    let progress = how.progress;
    let given = tree;
    let mended = mend(cache, repo, tree, progress)?;
    let tree = mended.as_ref().unwrap_or(tree);
    let job = Job::new(repo, id, tree, given, source)?;
    let on_wait = || progress.say(&format!("waiting for another run that builds in the directory of {id}"));
    let nth = folders::nearest(cache, repo, given, source, how.folders);
    let mut line = Line::open(cache, source, nth, on_wait)?;
    let others = folders::others(cache, source, nth);
    let known = |line: &Line, config: &str| {
        let mut memories = std::iter::once(line.memory()).chain(&others);
        memories.find_map(|memory| job.known(cache, repo, memory, config, progress))
    };
    let inputs = job.config_inputs();
    let mut memories = std::iter::once(line.memory()).chain(&others);
    let foreseen = memories.find_map(|memory| memory.state().configs.get(&inputs)).cloned();
    if let Some(config) = &foreseen
        && let Some(artifact) = known(&line, config)
    {
        return Ok(artifact);
    }
    let log = make::log_path(&cache.folder("logs")?, id);
    let started = Instant::now();
    // A log is one build's.
    let _ = fs::remove_file(&log);
    check_out(repo, &job, &line, progress)?;
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
        stop: how.stop,
    };
    let there = config_sum(&objects).filter(|sum| foreseen.as_ref() == Some(sum));
    let config = match there {
        Some(config) => config,
        None => {
            let _step = progress.spinner(format!("configuring {id}"));
            job.configure(&make, progress).map_err(|error| job.too_old(error))?
        }
    };
    line.remember_config(&inputs, &config)?;
    // Asked before with the very same configuration, the answer would be the same.
    if foreseen.as_ref() != Some(&config)
        && let Some(artifact) = known(&line, &config)
    {
        return Ok(artifact);
    }
    let is_whole = line.is_new();
    let made = job
        .make(&make, line.state().whole.get(&config).copied(), progress)
        .map_err(|error| job.too_old(error))?;
    job.keep(cache, &mut line, &make, &config, &Made::new(started, made, is_whole))
}
