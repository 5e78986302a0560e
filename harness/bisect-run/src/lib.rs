//! `cargo xtask bisect`: from a kernel that fails and one that passes to the change between them.

pub mod ahead;
mod bench;
mod cell;
mod delta;
mod dry_run;
mod git;
mod judged;
mod plan;
mod releases;
mod report;
mod repository;
mod request;
mod revert;
mod series;
mod trees;

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use crate::request::Request;
use bench::{Machines, Maker, Setting};
use bisect::driver::{Driver, DriverError, Finding, Range, short};
use bisect::search::{Conclusion, Direction};
use bisect::state::file::{Journal, JournalError};
use bisect::state::{FORMAT, Header, Kind, State};
use cell::Selection;
use host::doctor;
use host::error::Failure;
use host::exit::Exit;
use host::places::Places;
use host::progress::Progress;
use host::words::counted;
use kernels::store::hex;
use kernels::{Lock, Manifest};
use plan::Planned;
use releases::Releases;
use run::Exec;
use run::trial::CASE_SEED;
use run::{exec, prepare};

/// The journal in a bisection's directory.
const JOURNAL: &str = "journal.jsonl";
/// Snapshots of kernels that were built for it.
const SNAPSHOTS: &str = "snapshots";

/// Runs the command.
///
/// # Errors
/// Anything that keeps the bisection from going on; what was done is kept.
pub fn run(args: &Request) -> Result<Exit, Failure> {
    let places = Places::find();
    let exec = args
        .exec
        .as_deref()
        .map(|line| exec::exec(line, args.plan.as_deref(), &args.rule, args.seed))
        .transpose()?;
    let setting = Setting {
        seed: args
            .seed
            .or(exec.as_ref().map(|exec| exec.plan.seed))
            .unwrap_or(CASE_SEED),
        exec,
        accel: args.accel,
        cold_boot: args.cold_boot,
        anew: args.anew,
        snapshots: None,
        places: places.clone(),
    };
    let has_exec = setting.exec.is_some();
    let manifest_path = places.manifest(args.manifest.as_deref());
    if args.delta {
        prepare::host(args.yes)?;
        let (planned, trees, kernel) = delta::range(args, &places, &manifest_path)?;
        let bisection = Bisection {
            args,
            selection: Selection::of(args, &kernel, has_exec)?,
            planned,
            setting,
        };
        prepare::builders(&[&kernel], args.yes)?;
        return bisection.delta(trees);
    }
    if !args.paths.is_empty() && args.tree.is_none() {
        return Err(Failure::new(
            Exit::Usage,
            "paths choose among the commits of --tree, or the hunks of --delta",
        ));
    }
    if args.tree.is_some() || args.series.is_some() {
        let (planned, trees, kernel) = match &args.series {
            Some(series) => {
                prepare::host(args.yes)?;
                series::range(args, series, &places, &manifest_path)?
            }
            None => git::range(args, &places)?,
        };
        let bisection = Bisection {
            args,
            selection: Selection::of(args, &kernel, has_exec)?,
            planned,
            setting,
        };
        if !args.dry_run {
            prepare::builders(&[&kernel], args.yes)?;
        }
        return bisection.run(trees);
    }
    let (bad, good) = args.ends()?;
    let manifest = Manifest::load(&manifest_path)?;
    let lock = Lock::load(&prepare::lock_of(&manifest_path))?;
    let (planned, kernels) = releases::range(&manifest, &lock, bad, good)?;
    let bisection = Bisection {
        args,
        selection: Selection::of(args, kernels[planned.ends().0], has_exec)?,
        planned,
        setting,
    };
    let maker = Releases {
        kernels,
        manifest: &manifest_path,
        manifest_named: args.manifest.is_some(),
        offline: args.offline,
    };
    bisection.run(maker)
}

/// A bisection, whatever kind of range it is over.
struct Bisection<'a> {
    args: &'a Request,
    planned: Planned,
    selection: Selection,
    setting: Setting,
}

impl Bisection<'_> {
    fn run<M: Maker>(mut self, maker: M) -> Result<Exit, Failure> {
        let search = self.planned.search(self.args.error, self.args.patience)?;
        self.introduce();
        if self.args.dry_run {
            self.dry_run(&search, &maker)?;
            return Ok(Exit::Success);
        }
        prepare::host(self.args.yes)?;
        let dir = self.directory()?;
        if self.planned.kind != Kind::Releases {
            // A snapshot a kernel that nobody will want again.
            self.setting.snapshots = Some(dir.join(SNAPSHOTS));
        }
        let progress = Progress::stderr();
        let mut bench = Machines::new(maker, &self.setting, progress.clone());
        let Some(trial) = self
            .selection
            .choose(&mut bench, self.planned.ends().0, &dir, self.setting.seed)?
        else {
            return Ok(Exit::NoAnswer);
        };
        let cell = format!("{} on {}", trial.cases[0].name, trial.fs);
        let header = self.header(&trial.cases[0].name, trial.fs);
        bench.look_at(trial.clone());
        let (journal, notices) = open(&dir.join(JOURNAL), &header)?;
        for notice in notices {
            progress.say(&notice);
        }
        let before = (journal.state().runs.0, journal.state().concluded.is_some());
        match before {
            (_, true) => anstream::eprintln!("it came to its end before; `--anew` begins anew"),
            (0, false) => {}
            (runs, false) => anstream::eprintln!("going on after {}", counted(runs as usize, "run")),
        }
        let parents = |item: usize| self.planned.parents[item].clone();
        let range = Range {
            names: &self.planned.names,
            parents: &parents,
            ends: self.planned.ends(),
        };
        let mut driver = Driver::new(search, &range, journal, &dir, &mut bench);
        let finding = driver.go().map_err(broke_off)?;
        if self.planned.kind == Kind::Series {
            driver.each().map_err(broke_off)?;
        }
        let state = driver.state().clone();
        let reverted = match &finding {
            Finding::Search(Conclusion::Found { item, .. }) => {
                revert::confirm(&mut bench, *item, &state, &self.planned, &dir, self.args.patience)?
            }
            _ => None,
        };
        let code = self.conclude(&finding, &state, &cell, &dir, &mut bench, reverted)?;
        let _ = std::fs::remove_dir_all(dir.join(SNAPSHOTS));
        Ok(code)
    }

    fn delta(mut self, trees: trees::Trees) -> Result<Exit, Failure> {
        let what = self.selection.describe();
        anstream::eprintln!(
            "bisecting {what} over the difference of {} (bad end) and {} (good end)",
            self.planned.labels[0],
            self.planned.labels[1]
        );
        if self.args.dry_run {
            anstream::println!("how many hunks reach the build is not known before both ends are built");
            return Ok(Exit::Success);
        }
        let dir = self.directory()?;
        self.setting.snapshots = Some(dir.join(SNAPSHOTS));
        let mut bench = Machines::new(trees, &self.setting, Progress::stderr());
        let header = |case: &str, fs| self.header(case, fs);
        delta::run(
            self.args,
            &self.planned,
            &mut bench,
            &self.selection,
            &self.setting,
            &dir,
            header,
        )
    }

    /// Says what is looked for.
    fn introduce(&self) {
        let planned = &self.planned;
        let looked_for = match planned.direction {
            Direction::Regression => "the first that fails",
            Direction::Fix => "the first that passes",
        };
        let what = self.selection.describe();
        let label = |item: usize| match planned.labels[item].as_str() {
            "" => planned.names[item].clone(),
            label => format!("{} ({label})", short(&planned.names[item])),
        };
        let (bad, good) = planned.ends();
        anstream::eprintln!(
            "bisecting {what} over {}, bad end {}, good end {}: {looked_for} is looked for",
            counted(planned.names.len(), planned.noun()),
            label(bad),
            label(good)
        );
        for note in &planned.notes {
            anstream::eprintln!("{note}");
        }
    }

    /// The bisection's directory, made if need be.
    fn directory(&self) -> Result<PathBuf, Failure> {
        let dir =
            match &self.args.dir {
                Some(dir) => std::path::absolute(dir).unwrap_or_else(|_| dir.clone()),
                None => self.setting.places.runs().join("bisect").join(format!(
                    "{}-{}",
                    self.planned.kind,
                    &self.asked()[..12]
                )),
            };
        if self.args.anew && dir.join(JOURNAL).is_file() {
            std::fs::remove_dir_all(&dir)
                .map_err(|error| Failure::cannot_create(&dir.display().to_string(), &error))?;
        }
        std::fs::create_dir_all(&dir).map_err(|error| Failure::cannot_create(&dir.display().to_string(), &error))?;
        anstream::eprintln!("journal and evidence: {}", dir.display());
        Ok(dir)
    }

    /// A hash of what was asked: the same command finds its bisection again.
    fn asked(&self) -> String {
        let planned = &self.planned;
        let mut sum = Sha256::new();
        let mut take = |part: &str| {
            sum.update((part.len() as u64).to_le_bytes());
            sum.update(part);
        };
        take(&planned.bad);
        take(&planned.good);
        planned.scope.iter().for_each(|part| take(part));
        take(&self.selection.asked());
        exec_words(self.setting.exec.as_ref())
            .iter()
            .for_each(|part| take(part));
        rules(self.setting.exec.as_ref()).iter().for_each(|part| take(part));
        take(&self.setting.seed.to_string());
        take(&self.args.error.to_string());
        hex(&sum.finalize())
    }

    fn header(&self, case: &str, fs: guest_wire::Fs) -> Header {
        let planned = &self.planned;
        let mut range = Sha256::new();
        for name in &planned.names {
            range.update(name);
            range.update([b'\n']);
        }
        Header {
            format: FORMAT,
            kind: planned.kind,
            bad: planned.bad.clone(),
            good: planned.good.clone(),
            scope: planned.scope.clone(),
            items: planned.names.len(),
            range: hex(&range.finalize())[..16].to_owned(),
            direction: planned.direction,
            case: case.to_owned(),
            fs,
            exec: exec_words(self.setting.exec.as_ref()),
            rules: rules(self.setting.exec.as_ref()),
            seed: self.setting.seed,
            error: self.args.error,
            versions: [
                ("bioscope".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
                ("QEMU".to_owned(), doctor::qemu_version().unwrap_or_default()),
            ]
            .into(),
        }
    }

    fn conclude<M: Maker>(
        &self,
        finding: &Finding,
        state: &State,
        cell: &str,
        dir: &Path,
        bench: &mut Machines<'_, M>,
        reverted: Option<revert::Reverted>,
    ) -> Result<Exit, Failure> {
        let said = match finding {
            Finding::Swapped { failure } => Some(format!(
                "the ends are swapped: {} passes and {} fails ({failure}); exchange --bad and --good",
                short(&self.planned.bad),
                short(&self.planned.good)
            )),
            Finding::Search(conclusion) => report::wrong_ends(conclusion, &self.planned, state),
        };
        if let Some(said) = said {
            anstream::println!("\n{said}\nevidence: {}", dir.join("runs").display());
            return Ok(Exit::NoAnswer);
        }
        let Finding::Search(conclusion) = finding else {
            return Ok(Exit::NoAnswer);
        };
        let report = report::Report {
            planned: &self.planned,
            state,
            conclusion,
            cell,
            setting: &self.setting,
            reverted,
            hunks: Vec::new(),
            dir,
        };
        report.write(bench)?;
        anstream::print!("\n{}", report.render());
        Ok(match conclusion {
            Conclusion::Found { .. } => Exit::Success,
            _ => Exit::NoAnswer,
        })
    }
}

/// A user's own program, by its content, and its arguments.
fn exec_words(exec: Option<&Exec>) -> Vec<String> {
    let Some(exec) = exec else { return Vec::new() };
    let program = std::fs::read(&exec.program).unwrap_or_default();
    std::iter::once(hex(&Sha256::digest(&program))[..16].to_owned())
        .chain(exec.args.iter().cloned())
        .collect()
}

fn rules(exec: Option<&Exec>) -> Vec<String> {
    exec.map(|exec| exec.plan.rules.clone()).unwrap_or_default()
}

/// Begins the journal, or goes on with the one that is there.
fn open(path: &Path, header: &Header) -> Result<(Journal, Vec<String>), Failure> {
    let result = if path.is_file() {
        Journal::resume(path, header).map(|resumed| (resumed.journal, resumed.notices))
    } else {
        Journal::create(path, header).map(|journal| (journal, Vec::new()))
    };
    result.map_err(|error| journal_failure(&error))
}

fn journal_failure(error: &JournalError) -> Failure {
    let code = match error {
        JournalError::Io { .. } => Exit::CannotCreate,
        JournalError::Parse { .. } | JournalError::Foreign { .. } => Exit::Data,
        JournalError::Exists { .. } | JournalError::InUse { .. } => Exit::Internal,
    };
    Failure::of(code, error)
}

/// A bisection that broke off, and how it is gone on with.
fn broke_off(error: DriverError<Failure>) -> Failure {
    let mut failure = match error {
        DriverError::Bench(failure) => failure,
        DriverError::Journal(error) => journal_failure(&error),
        error @ DriverError::Dir { .. } => Failure::of(Exit::CannotCreate, &error),
    };
    failure
        .message
        .push_str("\nthe bisection broke off; nothing that was done is lost: the same command goes on with it");
    failure
}
