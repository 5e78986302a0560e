//! Bisections on real kernels: which kernels lie between the ends, who makes them, what runs on them, and the report.
//!
//! A [`Request`] says what to bisect ([`RangeRequest`]: releases of kernels.toml, commits, a series of patches, the
//! difference of two trees), what to run ([`Subject`]) and how ([`RunOptions`]). [`run()`] does it:
//!
//! 1. `releases`, `git`, `series` and `delta::range` turn the range into a `Planned` (names, parents, ends) and a
//!    `Maker`, which builds or fetches the kernel of an item.
//! 2. `bisection` selects the cell, opens the journal and lets the `bisect` crate's driver go from step to step;
//!    `delta` does so for the difference of two trees.
//! 3. `bench` is the driver's bench: it makes a kernel and runs the cell in a virtual machine, with one boot a run.
//!    `verdict_cache` keeps the results of runs for later bisections, `ahead` builds kernels while a guest runs.
//! 4. `report` prints the result and writes the directory to post from; `revert` and
//!    `predecessor` confirm it before, with kernels beside the range (`found`).
//!
//! A bisection resumes after SIGKILL without repeating a build or a run: its directory has the journal, the cell that
//! was selected and what every run left. This crate knows nothing of how the search decides (that is `bisect`) or of
//! how a cell is judged (that is `evidence`). Of the command line it knows the commands that a report tells people to
//! run.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! ahead files journal plan repository request scope verdict_cache verdict_key
//! maker patches setting
//! bench dry_run releases trees
//! cell found git
//! predecessor revert series
//! report
//! delta
//! bisection
//! ```

mod ahead;
mod bench;
mod bisection;
mod cell;
mod delta;
mod dry_run;
mod files;
mod found;
mod git;
mod journal;
mod maker;
mod patches;
mod plan;
mod predecessor;
mod releases;
mod report;
mod repository;
mod request;
mod revert;
mod scope;
mod series;
mod setting;
mod trees;
mod verdict_cache;
mod verdict_key;

use std::path::Path;

use exit::Exit;
use exit::Failure;
use host::places::Places;
use kernels::{Lock, Manifest};
use run::prepare;

use bisection::Bisection;
use releases::Releases;
pub use request::{
    CommitRange, Confirm, DeltaRange, Ends, RangeRequest, Request, RunOptions, SeriesBase, SeriesRange, Subject, When,
};
use setting::Setting;

/// Runs a bisection.
///
/// # Errors
/// Anything that keeps the bisection from going on; what was done is kept.
pub fn run(request: &Request) -> Result<Exit, Failure> {
    let setting = Setting::of(request, Places::find())?;
    let manifest = setting.places.manifest(request.manifest.as_deref());
    let options = request.options;
    match &request.range {
        RangeRequest::Releases(ends) => of_releases(request, setting, ends, &manifest),
        RangeRequest::Commits(range) => {
            let (planned, trees, kernel) = git::range(request, range, &setting.places)?;
            let bisection = Bisection::new(request, setting, planned, &kernel)?;
            if !options.dry_run {
                prepare::kernel_tools(&[&kernel], options.yes)?;
            }
            bisection.run(trees)
        }
        RangeRequest::Series(range) => {
            if !options.dry_run {
                prepare::host(options.yes)?;
            }
            let (planned, trees, kernel) = series::range(request, range, &setting.places, &manifest)?;
            let bisection = Bisection::new(request, setting, planned, &kernel)?;
            if !options.dry_run {
                prepare::kernel_tools(&[&kernel], options.yes)?;
            }
            bisection.run(trees)
        }
        RangeRequest::Delta(range) => {
            if !options.dry_run {
                prepare::host(options.yes)?;
            }
            let (planned, trees, kernel) = delta::range(request, range, &setting.places, &manifest)?;
            let bisection = Bisection::new(request, setting, planned, &kernel)?;
            if !options.dry_run {
                prepare::kernel_tools(&[&kernel], options.yes)?;
            }
            bisection.delta(trees, range)
        }
    }
}

fn of_releases(request: &Request, setting: Setting, ends: &Ends, manifest_path: &Path) -> Result<Exit, Failure> {
    let manifest = Manifest::load(manifest_path)?;
    let lock = Lock::load(&prepare::lock_of(manifest_path))?;
    let (planned, kernels) = releases::range(&manifest, &lock, &ends.bad, &ends.good)?;
    let bad_end = kernels[planned.ends().0];
    let bisection = Bisection::new(request, setting, planned, bad_end)?;
    if !request.options.dry_run {
        prepare::kernel_tools(&kernels, request.options.yes)?;
    }
    bisection.run(Releases {
        kernels,
        manifest: manifest_path,
        manifest_named: request.manifest.is_some(),
        offline: request.options.offline,
    })
}
