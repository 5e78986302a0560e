//! `cargo xtask test`: select, prepare, run the matrix through nextest, report.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::Args;

use exit::{Exit, Failure};
use guest_wire::ExecTime;
use host::atomic;
use host::places::Places;
use host::words::counted;
use kernels::{Kernel, Manifest, Options};
use run::cases::Profile;
use run::exec::ExecRequest;
use run::prepare;
use run::select::{self, CellRequest};
use run::{Exec, RUN_ENV, Run, Trial};

use super::kernel_choice::{self, KernelChoice};
use crate::flags::{ExecArgs, HostArgs, ImageArgs, MachineArgs, ManifestArgs, OF_TREE, ScopeArgs, TreeArgs};

/// `cargo xtask test`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "one a flag of the command line")]
pub(crate) struct TestArgs {
    /// Kernels to run, by id or glob; may be given more than once [default: all that kernels.toml does not leave out].
    #[arg(long, value_name = "GLOB", conflicts_with_all = OF_TREE)]
    pub(crate) kernel: Vec<String>,
    /// Cases to run, by name or glob; a full name also finds cases outside the profile.
    #[arg(long = "case", value_name = "GLOB")]
    pub(crate) case: Vec<String>,
    #[command(flatten)]
    pub(crate) scope: ScopeArgs,
    /// Virtual machines at once [default: as many as cores and memory allow].
    #[arg(long, value_name = "N", value_parser = machines)]
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Keep the disk images of cells that passed, too.
    #[arg(long)]
    pub(crate) keep: bool,
    /// Also write the results to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "list")]
    pub(crate) json: Option<PathBuf>,
    /// Use the newest versions the archive holds where kernels.toml says `latest`, and write them to kernels.lock.
    #[arg(long, conflicts_with_all = ["offline", "image", "modules"])]
    pub(crate) update: bool,
    /// List the cells that would run; nothing is built, fetched or booted.
    #[arg(long)]
    pub(crate) list: bool,
    #[command(flatten)]
    pub(crate) image: ImageArgs,
    #[command(flatten)]
    pub(crate) tree: TreeArgs,
    #[command(flatten)]
    pub(crate) exec: ExecArgs,
    /// Seed of the plan's random choices.
    #[arg(long, value_name = "N", requires = "exec", conflicts_with_all = ["case", "profile"])]
    pub(crate) seed: Option<u64>,
    #[command(flatten)]
    pub(crate) machine: MachineArgs,
    #[command(flatten)]
    pub(crate) host: HostArgs,
    #[command(flatten)]
    pub(crate) manifest: ManifestArgs,
}

impl TestArgs {
    /// The program of the person's own, if there is one.
    fn exec(&self, time: Option<ExecTime>) -> Result<Option<Exec>, Failure> {
        let ExecArgs { exec, plan, rule, .. } = &self.exec;
        let exec = exec.as_deref().map(|line| {
            run::exec::exec(&ExecRequest {
                line,
                time,
                plan: plan.as_deref(),
                rules: rule,
                seed: self.seed,
            })
        });
        exec.transpose()
    }
}

fn machines(word: &str) -> Result<NonZeroUsize, &'static str> {
    word.parse()
        .map_err(|_| "expected a number of virtual machines of at least 1")
}

/// Runs the command; the exit code says how the run went.
///
/// # Errors
/// Anything that keeps the matrix from running at all.
pub(crate) fn run(args: &TestArgs) -> Result<Exit, Failure> {
    let places = Places::find();
    let manifest_path = places.manifest(args.manifest.manifest.as_deref());
    let choice = choose(args, &places, &manifest_path)?;
    let kernels: Vec<&Kernel> = choice.kernels.iter().collect();
    let exec = args.exec(args.exec.time()?)?;
    let wanted = CellRequest {
        fs: &args.scope.fs,
        cases: &args.case,
        exec: exec.is_some(),
        profile: Some(args.scope.profile.into()),
    };
    let trials = select::trials(&kernels, &wanted)?;
    if args.list {
        list(&trials);
        return Ok(Exit::Success);
    }
    prepare::host(args.host.install.yes)?;
    prepare::kernel_tools(&kernels, args.host.install.yes)?;
    let run = resolve(args, &places, &manifest_path, &choice, trials, exec)?;
    matrix(&run, &places, args.jobs.map(NonZeroUsize::get))?;
    let results = run.collect();
    let json = serde_json::to_vec_pretty(&results).map_err(|error| Failure::foreign(Exit::Internal, &error))?;
    for path in std::iter::once(run.dir.join("results.json")).chain(args.json.clone()) {
        atomic::write(&path, &json).map_err(|error| Failure::cannot_create(&path.display().to_string(), &error))?;
    }
    let width = std::io::stdout()
        .is_terminal()
        .then(|| rustix::termios::tcgetwinsize(std::io::stdout()).ok())
        .flatten();
    host::print::text(&report::render(&run, &results, width.map(|size| size.ws_col)));
    Ok(results.tally().exit())
}

fn list(trials: &[Trial]) {
    let mut cells = 0;
    for trial in trials {
        for case in &trial.cases {
            let expect = case.expect.as_ref().map(|expect| {
                let cause = expect.verdict.cause();
                let cause = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
                format!("  expected: {}{cause}", expect.verdict.word())
            });
            host::out!(
                "{} {} {}{}",
                trial.kernel,
                trial.fs,
                case.name,
                expect.unwrap_or_default()
            );
            cells += 1;
        }
    }
    host::note!("{} in {}", counted(cells, "cell"), counted(trials.len(), "trial"));
}

/// The kernels that the flags ask for.
fn choose(args: &TestArgs, places: &Places, manifest_path: &Path) -> Result<KernelChoice, Failure> {
    if let Some(choice) = args.image.chosen()? {
        return Ok(choice);
    }
    if let Some(choice) = kernel_choice::of_tree(&args.tree, &args.scope.fs, &places.configs())? {
        return Ok(choice);
    }
    let manifest = Manifest::load(manifest_path)?;
    let is_named = !args.kernel.is_empty();
    let selected = match Profile::from(args.scope.profile).group().filter(|_| !is_named) {
        Some(group) => manifest.group(group),
        None => manifest.select(&args.kernel)?,
    };
    let named = args.manifest.manifest.as_ref();
    kernel_choice::of_manifest(&manifest, &selected, is_named, &args.tree.patch, named)
}

/// Fetches, unpacks and makes what the run needs, and writes it down as the run's file.
fn resolve(
    args: &TestArgs,
    places: &Places,
    manifest_path: &Path,
    choice: &KernelChoice,
    trials: Vec<Trial>,
    exec: Option<Exec>,
) -> Result<Run, Failure> {
    let options = Options {
        offline: args.host.offline,
        update: args.update,
        ..Options::default()
    };
    let kernels: Vec<&Kernel> = choice.kernels.iter().collect();
    let artifacts = prepare::kernels(manifest_path, &kernels, &options)?;
    let images = prepare::images(&trials.iter().map(|trial| trial.fs).collect())?;
    let tools = prepare::tools(images.keys())?;
    let accel = prepare::accel(args.machine.accel.into(), places, &artifacts, &images)?;
    let snapshots = prepare::snapshots(args.machine.cold_boot, accel, places, exec.as_ref())?;
    let dir = prepare::run_dir(&places.runs())?;
    let run = Run {
        dir,
        vhost_blk: places.vhost_blk.clone(),
        guest_bins: places.guest_bins.clone(),
        accel,
        snapshots,
        keep: args.keep,
        profile: args.scope.profile.into(),
        origin: choice.origin.clone(),
        exec,
        case_limit: args.machine.case_limit,
        seed: None,
        tools,
        images,
        kernels: artifacts
            .into_iter()
            .map(|artifact| (artifact.id.clone(), artifact))
            .collect(),
        trials,
    };
    run.save()?;
    prepare::point_latest(&places.runs(), &run.dir)?;
    Ok(run)
}

/// nextest's profile: it ends what the harness itself cannot end, later where cases may take longer.
fn profile(run: &Run) -> &'static str {
    /// What all cases of a trial may take by the usual profile.
    const USUAL: Duration = Duration::from_secs(600);
    let time = run.exec.as_ref().and_then(|exec| exec.time);
    let most = run.case_limit + Duration::from_millis(time.map_or(0, |time| time.limit_ms));
    if most > USUAL { "matrix-long" } else { "matrix" }
}

/// Runs the matrix. nextest's own exit code is not used: what counts are the cells.
fn matrix(run: &Run, places: &Places, jobs: Option<usize>) -> Result<(), Failure> {
    let jobs = jobs.unwrap_or_else(run::jobs::jobs).max(1);
    let cells: usize = run.trials.iter().map(|trial| trial.cases.len()).sum();
    host::note!(
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
            profile(run),
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
        .map_err(|error| Failure::foreign(Exit::Unavailable, &error))?;
    match status.code() {
        // 100: some trials failed. The cells know which and how.
        Some(0 | 100) => Ok(()),
        Some(code) => Err(Failure::new(
            Exit::Internal,
            format!("cargo nextest could not run the matrix (exit code {code}); its messages stand above"),
        )),
        None => Err(Failure::new(
            Exit::Internal,
            "cargo nextest was ended by a signal; nothing of this run counts",
        )),
    }
}
