//! A bisection, whatever kind of range it is over: the search, and what comes before and after it.

use std::path::{Path, PathBuf};

use guest_wire::Fs;
use sha2::{Digest, Sha256};

use crate::bench::Machines;
use crate::cell::Selection;
use crate::delta::DeltaRequest;
use crate::dry_run::dry_run;
use crate::found::Found;
use crate::journal::{broke_off, forget, open};
use crate::maker::Maker;
use crate::plan::Planned;
use crate::predecessor::{self, Checked};
use crate::report::{self, BisectReport};
use crate::request::{DeltaRange, Request};
use crate::revert;
use crate::setting::Setting;
use crate::trees::Trees;
use bisect::driver::{Driver, Finding, Range, short};
use bisect::search::{Conclusion, Direction};
use bisect::state::{FORMAT, Header, Kind, State};
use exit::{Exit, Failure};
use host::doctor;
use host::progress::Progress;
use host::words::counted;
use kernels::Kernel;
use kernels::store::hex;
use run::Exec;
use run::prepare;

/// Snapshots of kernels that were built for it.
const SNAPSHOTS: &str = "snapshots";

/// What was run of the change that was found, beside the items of the range.
#[derive(Default)]
struct Confirmed {
    before: Vec<Checked>,
    reverted: Option<revert::Reverted>,
    /// Items that the answer leaves out by a guess.
    unchecked: Vec<usize>,
}

impl Confirmed {
    /// Runs what the change follows on, and the newest item without the change.
    fn confirm<M: Maker>(&mut self, bench: &mut Machines<'_, M>, found: &Found<'_>) -> Result<(), Failure> {
        self.before = predecessor::check(bench, found)?;
        if !self.before.iter().any(Checked::contradicts) {
            self.reverted = revert::confirm(bench, found)?;
        }
        Ok(())
    }
}

/// A bisection, whatever kind of range it is over.
pub(crate) struct Bisection<'a> {
    request: &'a Request,
    planned: Planned,
    selection: Selection,
    setting: Setting,
}

impl<'a> Bisection<'a> {
    /// A bisection of a range whose cells are those of the bad end.
    ///
    /// # Errors
    /// No cell matches.
    pub(crate) fn new(
        request: &'a Request,
        setting: Setting,
        mut planned: Planned,
        bad_end: &Kernel,
    ) -> Result<Self, Failure> {
        planned.scope.extend(setting.scope());
        Ok(Bisection {
            selection: Selection::of(request, bad_end)?,
            request,
            planned,
            setting,
        })
    }

    /// Searches the range.
    ///
    /// # Errors
    /// Anything that keeps the bisection from going on; what was done is kept.
    pub(crate) fn run<M: Maker>(mut self, maker: M) -> Result<Exit, Failure> {
        let search = self.planned.search(self.request.error, self.request.patience)?;
        self.introduce();
        if self.setting.options.dry_run {
            dry_run(&mut self.planned, &search, &maker)?;
            return Ok(Exit::Success);
        }
        prepare::host(self.setting.options.yes)?;
        let dir = self.directory()?;
        if self.planned.kind != Kind::Releases {
            // A snapshot a kernel that nobody will want again.
            self.setting.snapshots = Some(dir.join(SNAPSHOTS));
        }
        let progress = Progress::stderr();
        let compiler = maker.compiler()?;
        let mut bench = Machines::new(maker, &self.setting, progress.clone());
        let Some(trial) = self
            .selection
            .choose(&mut bench, self.planned.ends().0, &dir, self.setting.seed)?
        else {
            return Ok(Exit::NoAnswer);
        };
        let cell = format!("{} on {}", trial.cases[0].name, trial.fs);
        let header = self.header(&trial.cases[0].name, trial.fs, compiler);
        bench.look_at(trial.clone());
        let (journal, notices) = open(&dir, &header)?;
        for notice in notices {
            progress.say(&notice);
        }
        let before = (journal.state().runs.0, journal.state().concluded.is_some());
        match before {
            (_, true) => host::note!("it came to its end before; `--restart` starts it over"),
            (0, false) => {}
            (runs, false) => host::note!("going on after {}", counted(runs as usize, "run")),
        }
        let parents = |item: usize| self.planned.parents[item].clone();
        let range = Range {
            names: &self.planned.names,
            parents: &parents,
            ends: self.planned.ends(),
        };
        let mut driver = Driver::new(search, &range, journal, &dir, &mut bench);
        let mut finding = driver.go().map_err(broke_off)?;
        if self.planned.kind == Kind::Series {
            finding = driver.each(finding).map_err(broke_off)?;
        }
        let state = driver.state().clone();
        let mut confirmed = Confirmed {
            unchecked: driver.unchecked(&finding),
            ..Confirmed::default()
        };
        match &finding {
            Finding::Search(Conclusion::Found { item, .. }) => {
                if let Some(found) = Found::of(*item, &state, &self.planned, &dir, self.request) {
                    confirmed
                        .confirm(&mut bench, &found)
                        .map_err(|failure| found.broke_off(failure))?;
                }
            }
            Finding::Search(Conclusion::Among { items, .. }) => {
                let items = items.iter().map(|(item, _)| *item);
                confirmed.before = predecessor::unchecked(&bench, items, &self.planned)?;
            }
            _ => {}
        }
        let code = self.conclude(&finding, &state, &cell, &dir, &mut bench, confirmed)?;
        let _ = std::fs::remove_dir_all(dir.join(SNAPSHOTS));
        Ok(code)
    }

    /// Searches the difference of two trees.
    ///
    /// # Errors
    /// Anything that keeps the bisection from going on; what was done is kept.
    pub(crate) fn delta(mut self, trees: Trees, range: &DeltaRange) -> Result<Exit, Failure> {
        let what = self.selection.describe();
        host::note!(
            "bisecting {what} over the difference of {} (bad end) and {} (good end)",
            self.planned.labels[0],
            self.planned.labels[1]
        );
        if self.setting.options.dry_run {
            host::out!("how many hunks reach the build is not known before both ends are built");
            return Ok(Exit::Success);
        }
        let dir = self.directory()?;
        self.setting.snapshots = Some(dir.join(SNAPSHOTS));
        let compiler = trees.compiler()?;
        let mut bench = Machines::new(trees, &self.setting, Progress::stderr());
        let Some(trial) = self.selection.choose(&mut bench, 0, &dir, self.setting.seed)? else {
            return Ok(Exit::NoAnswer);
        };
        let header = self.header(&trial.cases[0].name, trial.fs, compiler);
        bench.look_at(trial);
        let asked = DeltaRequest {
            planned: &self.planned,
            paths: &range.paths,
            error: self.request.error,
            patience: self.request.patience,
            setting: &self.setting,
            dir: &dir,
        };
        let code = asked.run(&mut bench, &header)?;
        if code == Exit::Success {
            let _ = std::fs::remove_dir_all(dir.join(SNAPSHOTS));
        }
        Ok(code)
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
        host::note!(
            "bisecting {what} over {}, bad end {}, good end {}: {looked_for} is looked for",
            counted(planned.names.len(), planned.noun()),
            label(bad),
            label(good)
        );
        for note in &planned.notes {
            host::note!("{note}");
        }
    }

    /// The bisection's directory, made if need be.
    fn directory(&self) -> Result<PathBuf, Failure> {
        let dir =
            match &self.request.dir {
                Some(dir) => std::path::absolute(dir).unwrap_or_else(|_| dir.clone()),
                None => self.setting.places.runs().join("bisect").join(format!(
                    "{}-{}",
                    self.planned.kind,
                    &self.asked()[..12]
                )),
            };
        if self.setting.options.restart {
            forget(&dir)?;
        }
        std::fs::create_dir_all(&dir).map_err(|error| Failure::cannot_create(&dir.display().to_string(), &error))?;
        host::note!("journal and evidence: {}", dir.display());
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
        let exec = self.setting.exec.as_ref();
        for list in [exec_words(exec), rules(exec)] {
            take(&list.len().to_string());
            list.iter().for_each(|part| take(part));
        }
        take(&self.setting.seed.to_string());
        take(&self.request.error.to_string());
        hex(&sum.finalize())
    }

    fn header(&self, case: &str, fs: Fs, compiler: Option<String>) -> Header {
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
            error: self.request.error,
            versions: [
                ("bioscope".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
                ("QEMU".to_owned(), doctor::qemu_version().unwrap_or_default()),
            ]
            .into_iter()
            .chain(compiler.map(|compiler| ("the compiler".to_owned(), compiler)))
            .collect(),
        }
    }

    fn conclude<M: Maker>(
        &self,
        finding: &Finding,
        state: &State,
        cell: &str,
        dir: &Path,
        bench: &mut Machines<'_, M>,
        confirmed: Confirmed,
    ) -> Result<Exit, Failure> {
        let (bad, good) = self.planned.ends();
        let said = match finding {
            Finding::Swapped { failure } => Some(format!(
                "the ends are swapped: {} passes and {} fails ({failure}); exchange --bad and --good",
                short(&self.planned.names[bad]),
                short(&self.planned.names[good])
            )),
            Finding::Search(conclusion) => report::wrong_ends(conclusion, &self.planned, state),
        };
        if let Some(said) = said {
            host::out!("\n{said}");
            if self.planned.kind == Kind::Series {
                // Each was made and run, whatever the ends do.
                host::out!("{}", report::states(&self.planned, state).trim_end());
            }
            host::out!("evidence: {}", dir.join("runs").display());
            return Ok(Exit::NoAnswer);
        }
        let Finding::Search(conclusion) = finding else {
            return Ok(Exit::NoAnswer);
        };
        let report = BisectReport {
            planned: &self.planned,
            state,
            conclusion,
            cell,
            setting: &self.setting,
            before: confirmed.before,
            reverted: confirmed.reverted,
            unchecked: confirmed.unchecked,
            hunks: Vec::new(),
            dir,
        };
        report.write(bench)?;
        host::print::text(&format!("\n{}", report.render()));
        Ok(match conclusion {
            Conclusion::Found { .. } if report.contradiction().is_none() => Exit::Success,
            _ => Exit::NoAnswer,
        })
    }
}

/// A user's own program, by its content and its name (one of many names knows by it what to do), its arguments, and how
/// long it may run.
fn exec_words(exec: Option<&Exec>) -> Vec<String> {
    let Some(exec) = exec else { return Vec::new() };
    let program = std::fs::read(&exec.program).unwrap_or_default();
    let name = exec.program.file_name().unwrap_or_default().to_string_lossy();
    [hex(&Sha256::digest(&program))[..16].to_owned(), name.into_owned()]
        .into_iter()
        .chain(exec.args.iter().cloned())
        .chain(exec.time.map(|time| format!("{time:?}")))
        .collect()
}

fn rules(exec: Option<&Exec>) -> Vec<String> {
    exec.map(|exec| exec.plan.rules.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

    use std::time::Duration;

    use kernels::{Lock, Manifest};
    use machine::accel::Choice;
    use run::FaultPlan;
    use run::cases::Profile;

    use super::*;
    use crate::releases;
    use crate::request::{Ends, RangeRequest, Subject};

    #[test]
    fn a_program_is_known_by_its_name_too() {
        let dir = tempfile::tempdir().unwrap();
        let words = |name: &str| {
            let program = dir.path().join(name);
            std::fs::write(&program, "busybox").unwrap();
            exec_words(Some(&Exec {
                program,
                args: Vec::new(),
                time: None,
                plan: FaultPlan::default(),
            }))
        };
        assert_ne!(words("true"), words("false"));
        assert_eq!(words("true"), words("true"));
    }

    #[test]
    fn what_was_seen_on_another_machine_is_not_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernels.toml");
        let kernel = |id: &str, version: &str| {
            format!(
                "[[kernel]]\nid = \"{id}\"\nsuite = \"bookworm\"\npackage = \"linux-image\"\nversion = \"{version}\"\n\
                line = \"6.1\"\nfs = [\"btrfs\"]\n"
            )
        };
        std::fs::write(&path, kernel("a", "6.1.9-1") + &kernel("b", "6.1.10-1")).unwrap();
        let manifest = Manifest::load(&path).unwrap();
        let lock = Lock::load(&dir.path().join("kernels.lock")).unwrap();
        let asked = |change: fn(&mut Setting)| {
            let mut setting = Setting::of_test();
            change(&mut setting);
            let request = Request {
                range: RangeRequest::Releases(Ends {
                    bad: "b".to_owned(),
                    good: "a".to_owned(),
                }),
                fs: vec![Fs::Btrfs],
                subject: Subject::Cases {
                    globs: vec!["overlap".to_owned()],
                    profile: Profile::Default,
                },
                seed: None,
                error: 0.01,
                patience: 60,
                dir: None,
                manifest: None,
                options: setting.options,
            };
            let (planned, kernels) = releases::range(&manifest, &lock, "b", "a").unwrap();
            Bisection::new(&request, setting, planned, kernels[1]).unwrap().asked()
        };
        let first = asked(|_| {});
        assert_eq!(asked(|setting| setting.options.restart = true), first);
        assert_ne!(asked(|setting| setting.options.accel = Choice::Kvm), first);
        assert_ne!(asked(|setting| setting.options.cold_boot = true), first);
        assert_ne!(
            asked(|setting| setting.options.case_limit = Duration::from_secs(300)),
            first
        );
    }
}
