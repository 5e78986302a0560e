//! `cargo xtask test`: select, prepare, run the matrix through nextest, report.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::prepare;
use crate::cli::{TestArgs, TreeArgs};
use crate::error::{CANNOT_CREATE, Failure, INTERNAL, UNAVAILABLE};
use crate::host::{self, Places};
use crate::kernels::{Kernel, Manifest, Options};
use crate::report::{self, counted};
use crate::results::{Cell, Results};
use crate::run::{Exec, Image, RUN_ENV, Run, Trial, write_beside};
use crate::select::{self, Wanted};
use crate::verdict::{Judgement, Verdict};

/// Runs the command; the exit code says how the run went.
///
/// # Errors
/// Anything that keeps the matrix from running at all.
pub fn run(args: &TestArgs) -> Result<u8, Failure> {
    let places = Places::find();
    let manifest_path = places.manifest(args.manifest.as_deref());
    let manifest;
    let given;
    let patched;
    let kernels = if let Some(image) = &args.image {
        given = prepare::image_kernel(image, args.modules.as_deref())?;
        vec![&given]
    } else if let Some(kernel) = prepare::tree_kernel(&args.tree, &args.fs, &places)? {
        given = kernel;
        vec![&given]
    } else {
        manifest = Manifest::load(&manifest_path).map_err(|error| Failure::of(error.exit_code(), &error))?;
        let kernels = match args.profile.group().filter(|_| args.kernel.is_empty()) {
            Some(group) => manifest.group(group),
            None => manifest
                .select(&args.kernel)
                .map_err(|error| Failure::of(error.exit_code(), &error))?,
        };
        let patches = &args.tree.patch;
        if patches.is_empty() {
            kernels
        } else {
            patched = prepare::patched(&kernels, !args.kernel.is_empty(), patches, &manifest)?;
            patched.iter().collect()
        }
    };
    let exec = args
        .exec
        .as_deref()
        .map(|line| prepare::exec(line, args.plan.as_deref(), &args.rule, args.seed))
        .transpose()?;
    let wanted = Wanted {
        fs: &args.fs,
        cases: &args.case,
        exec: exec.is_some(),
        profile: Some(args.profile),
    };
    let trials = select::trials(&kernels, &wanted)?;
    if args.list {
        list(&trials);
        return Ok(0);
    }
    prepare::host(args.yes)?;
    prepare::builders(&kernels, args.yes)?;
    let run = resolve(args, &places, &manifest_path, &kernels, trials, exec)?;
    matrix(&run, &places, args.jobs.map(NonZeroUsize::get))?;
    let results = collect(&run);
    let json = serde_json::to_vec_pretty(&results).map_err(|error| Failure::of(INTERNAL, &error))?;
    for path in std::iter::once(run.dir.join("results.json")).chain(args.json.clone()) {
        write_beside(&path, &json).map_err(|error| Failure::cannot_create(&path.display().to_string(), &error))?;
    }
    let width = std::io::stdout()
        .is_terminal()
        .then(|| rustix::termios::tcgetwinsize(std::io::stdout()).ok())
        .flatten();
    anstream::print!("{}", report::render(&run, &results, width.map(|size| size.ws_col)));
    Ok(results.tally().exit_code())
}

fn list(trials: &[Trial]) {
    let mut cells = 0;
    for trial in trials {
        for case in &trial.cases {
            let expect = case.expect.as_ref().map(|expect| {
                let cause = expect.cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
                format!("  expected: {}{cause}", expect.verdict)
            });
            anstream::println!(
                "{} {} {}{}",
                trial.kernel,
                trial.fs,
                case.name,
                expect.unwrap_or_default()
            );
            cells += 1;
        }
    }
    anstream::eprintln!("{} in {}", counted(cells, "cell"), counted(trials.len(), "trial"));
}

/// Fetches, unpacks and makes what the run needs, and writes it down as the run's file.
fn resolve(
    args: &TestArgs,
    places: &Places,
    manifest_path: &Path,
    kernels: &[&Kernel],
    trials: Vec<Trial>,
    exec: Option<Exec>,
) -> Result<Run, Failure> {
    let options = Options {
        offline: args.offline,
        update: args.update,
        ..Options::default()
    };
    let artifacts = prepare::kernels(manifest_path, kernels, &options)?;
    let images = prepare::images(&trials.iter().map(|trial| trial.fs).collect())?;
    let accel = prepare::accel(args.accel, places, &artifacts, &images)?;
    let snapshots = prepare::snapshots(args.cold_boot, accel, places, exec.as_ref())?;
    let dir = prepare::run_dir(&places.runs())?;
    let image = args.image.as_ref().map(|image| Image {
        image: image.clone(),
        modules: args.modules.clone(),
    });
    let run = Run {
        dir,
        vhost_blk: places.vhost_blk.clone(),
        guest_bins: places.guest_bins.clone(),
        accel,
        snapshots,
        keep: args.keep,
        profile: args.profile,
        manifest: args.manifest.clone(),
        image,
        tree: (args.tree != TreeArgs::default()).then(|| args.tree.clone()),
        exec,
        seed: None,
        images,
        kernels: artifacts
            .into_iter()
            .map(|artifact| (artifact.id.clone(), artifact))
            .collect(),
        trials,
    };
    run.save().map_err(|error| Failure::of(CANNOT_CREATE, &error))?;
    prepare::point_latest(&places.runs(), &run.dir)?;
    Ok(run)
}

/// Runs the matrix. nextest's own exit code is not used: what counts are the cells.
fn matrix(run: &Run, places: &Places, jobs: Option<usize>) -> Result<(), Failure> {
    let jobs = jobs.unwrap_or_else(host::jobs).max(1);
    let cells: usize = run.trials.iter().map(|trial| trial.cases.len()).sum();
    anstream::eprintln!(
        "running {} in {}, up to {} at once",
        counted(cells, "cell"),
        counted(run.trials.len(), "trial"),
        counted(jobs, "machine")
    );
    let status = Command::new("cargo")
        .args([
            "nextest",
            "run",
            "--release",
            "--package",
            "harness",
            "--test",
            "matrix",
            "--no-fail-fast",
        ])
        .args([
            "--profile",
            "matrix",
            "--cargo-quiet",
            "--no-tests",
            "pass",
            "--test-threads",
            &jobs.to_string(),
        ])
        .current_dir(&places.root)
        .env(RUN_ENV, &run.dir)
        .env("CARGO_TARGET_DIR", &places.target)
        .status()
        .map_err(|error| Failure::of(UNAVAILABLE, &error))?;
    match status.code() {
        // 100: some trials failed. The cells know which and how.
        Some(0 | 100) => Ok(()),
        Some(code) => Err(Failure::new(
            INTERNAL,
            format!("cargo nextest could not run the matrix (exit code {code}); its messages stand above"),
        )),
        None => Err(Failure::new(
            INTERNAL,
            "cargo nextest was ended by a signal; nothing of this run counts",
        )),
    }
}

/// Reads every cell of the run; one that left no result is broken.
fn collect(run: &Run) -> Results {
    let mut results = Results::default();
    for trial in &run.trials {
        for case in &trial.cases {
            let dir = run.cell_dir(&trial.kernel, trial.fs, &case.name);
            let cell = Cell::load(&dir).unwrap_or_else(|| missing(trial, &case.name, dir));
            results.cells.push(cell);
        }
    }
    results
}

fn missing(trial: &Trial, case: &str, dir: PathBuf) -> Cell {
    let judgement = Judgement {
        verdict: Verdict::Broken,
        cause: None,
        phase: None,
        detail: "harness: the trial ended without a result (killed, or out of its time limit)".into(),
        place: None,
        armed: false,
        evidence: Vec::new(),
    };
    Cell {
        dir,
        ..Cell::new(&trial.kernel, trial.fs, case, judgement, None)
    }
}
