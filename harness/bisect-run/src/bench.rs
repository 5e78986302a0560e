//! Makes kernels and runs the one cell on them, a virtual machine a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use evidence::EvidenceBundle;
use evidence::context::Tools;
use guest_wire::Fs;

use super::maker::Maker;
use super::setting::Setting;
use super::verdict_cache::VerdictCache;
use super::verdict_key::{Programs, RunKey};
use bisect::driver::{Bench, BuildOutcome, Ran};
use bisect::search::Price;
use bisect::signature::Reason;
use exit::{Exit, Failure, on_one_line};
use host::progress::Progress;
use kernels::Artifact;
use machine::snapshot::SnapshotConfig;
use machine::{Accel, test_command_line};

use run::cases::Profile;
use run::cell_file;
use run::prepare;
use run::programs::programs;
use run::trial;
use run::{Exec, KernelOrigin, Run, Trial};
use verdict::results::Cell;
use verdict::{Judgement, Stage};

/// The machine of a bisection, once it is known.
struct Rig {
    accel: Accel,
    snapshots: Option<SnapshotConfig>,
    image: PathBuf,
    tools: Tools,
}

/// A range's kernels in virtual machines.
pub(crate) struct Machines<'a, M> {
    /// Who makes the kernels.
    pub(crate) maker: M,
    setting: &'a Setting,
    progress: Progress,
    artifacts: BTreeMap<usize, Artifact>,
    rigs: BTreeMap<Fs, Rig>,
    judged: Option<VerdictCache>,
    /// What all runs depend on besides kernel, cell and seed, once it was read.
    programs: Option<Programs>,
    /// The trial that is run; its kernel is filled in.
    trial: Option<Trial>,
}

impl<'a, M: Maker> Machines<'a, M> {
    /// Nothing is made yet.
    pub(crate) fn new(maker: M, setting: &'a Setting, progress: Progress) -> Self {
        Machines {
            maker,
            setting,
            progress,
            artifacts: BTreeMap::new(),
            rigs: BTreeMap::new(),
            judged: prepare::cache().ok().map(|cache| VerdictCache::of(&cache)),
            programs: None,
            trial: None,
        }
    }

    /// Says which one cell is run.
    pub(crate) fn look_at(&mut self, trial: Trial) {
        self.trial = Some(trial);
    }

    /// Whether what an earlier bisection left is ignored.
    pub(crate) fn restarts(&self) -> bool {
        self.setting.options.restart
    }

    /// An item's kernel, made if need be.
    ///
    /// # Errors
    /// Something failed that is not the item's fault.
    pub(crate) fn artifact(&mut self, item: usize) -> Result<Result<Artifact, Reason>, Failure> {
        if let Some(artifact) = self.artifacts.get(&item) {
            return Ok(Ok(artifact.clone()));
        }
        let made = self.maker.make(item)?;
        if let Ok(artifact) = &made {
            self.artifacts.insert(item, artifact.clone());
        }
        Ok(made)
    }

    /// An item is another one from here on.
    pub(crate) fn forget(&mut self, item: usize) {
        self.artifacts.remove(&item);
    }

    /// Runs trials on a kernel, and gives back their cells.
    ///
    /// # Errors
    /// A machine or the directory cannot be had.
    pub(crate) fn trials(
        &mut self,
        artifact: &Artifact,
        trials: &[Trial],
        dir: &Path,
        seed: u64,
    ) -> Result<Vec<Cell>, Failure> {
        std::fs::create_dir_all(dir).map_err(|error| Failure::cannot_create(&dir.display().to_string(), &error))?;
        for trial in trials {
            self.rig(artifact, trial.fs)?;
        }
        let run = self.describe(artifact, trials, dir, seed);
        let mut cells = Vec::new();
        run.save()?;
        for trial in &run.trials {
            let done = trial::run(&run, trial)
                .map_err(|error| Failure::cannot_create(&format!("the evidence in {}", dir.display()), &error))?;
            cells.extend(done);
        }
        Ok(cells)
    }

    /// Trials on a kernel as a run.
    pub(crate) fn describe(&self, artifact: &Artifact, trials: &[Trial], dir: &Path, seed: u64) -> Run {
        let of_kernel = |trial: &Trial| Trial {
            kernel: artifact.id.clone(),
            ..trial.clone()
        };
        let mut exec = self.setting.exec.clone();
        if let Some(exec) = &mut exec {
            exec.plan.seed = seed;
        }
        let rig = trials.first().and_then(|trial| self.rigs.get(&trial.fs));
        Run {
            dir: dir.to_owned(),
            vhost_blk: self.setting.places.vhost_blk.clone(),
            guest_bins: self.setting.places.guest_bins.clone(),
            accel: rig.map_or(Accel::Tcg, |rig| rig.accel),
            snapshots: rig.and_then(|rig| rig.snapshots.clone()),
            keep: false,
            profile: Profile::Default,
            origin: KernelOrigin::Manifest {
                named: None,
                patches: Vec::new(),
            },
            exec,
            case_limit: self.setting.options.case_limit,
            seed: Some(seed),
            tools: self.rigs.iter().map(|(fs, rig)| (*fs, rig.tools.clone())).collect(),
            images: self.rigs.iter().map(|(fs, rig)| (*fs, rig.image.clone())).collect(),
            kernels: [(artifact.id.clone(), artifact.clone())].into(),
            trials: trials.iter().map(of_kernel).collect(),
        }
    }

    /// Runs the one cell on a kernel for the nth time.
    ///
    /// # Errors
    /// A machine or the directory cannot be had.
    pub(crate) fn run_on(&mut self, artifact: &Artifact, dir: &Path, nth: u32) -> Result<Ran, Failure> {
        let trial = self.trial.clone();
        let trial = trial.ok_or_else(|| Failure::new(Exit::Internal, "no cell was selected"))?;
        self.rig(artifact, trial.fs)?;
        let seed = self.setting.seed.wrapping_add(u64::from(nth) - 1);
        let key = self.key(artifact, &trial, seed)?;
        if !self.setting.options.restart
            && let Some(judged) = &self.judged
        {
            let into = dir
                .join(&artifact.id)
                .join(trial.fs.to_string())
                .join(&trial.cases[0].name);
            if let Some(cell) = judged.take(&key, &artifact.id, &into) {
                let run = self.describe(artifact, std::slice::from_ref(&trial), dir, seed);
                run.save()?;
                return Ok(ran(cell, true));
            }
        }
        let cells = self.trials(artifact, std::slice::from_ref(&trial), dir, seed)?;
        let cell = cells.into_iter().next();
        let cell =
            cell.ok_or_else(|| Failure::new(Exit::Internal, format!("the run in {} left no cell", dir.display())))?;
        if let Some(judged) = &self.judged {
            judged.keep(&key, &cell);
        }
        Ok(ran(cell, false))
    }

    /// What a run of this very kernel left below a directory: another change may have been taken back there before.
    pub(crate) fn left_of(&self, artifact: &Artifact, dir: &Path) -> Option<Ran> {
        let run = Run::load(dir).ok()?;
        let is_it = run.kernels.values().any(|kernel| kernel.hash == artifact.hash);
        is_it.then(|| self.left(0, dir)).flatten()
    }

    /// What all runs depend on besides kernel, cell and seed.
    fn programs(&mut self) -> Result<Programs, Failure> {
        if let Some(programs) = &self.programs {
            return Ok(programs.clone());
        }
        let setting = self.setting;
        let program = setting.exec.as_ref().map(|exec| exec.program.as_path());
        let bins = &setting.places.guest_bins;
        let qemu = host::doctor::qemu_version().unwrap_or_default();
        let known = machine::snapshot::identity(bins, &programs(bins, program), &qemu)
            .map_err(|error| Failure::foreign(Exit::Internal, &error))
            .and_then(|guest| {
                Programs::read(guest, &setting.places.vhost_blk)
                    .map_err(|error| Failure::foreign(Exit::Internal, &error))
            })?;
        self.programs = Some(known.clone());
        Ok(known)
    }

    /// All that a run's result depends on.
    fn key(&mut self, artifact: &Artifact, trial: &Trial, seed: u64) -> Result<Vec<String>, Failure> {
        let programs = self.programs()?;
        let setting = self.setting;
        let Some(rig) = self.rigs.get(&trial.fs) else {
            return Err(Failure::new(
                Exit::Internal,
                format!("no machine was made for {}", trial.fs),
            ));
        };
        let subject = match (&setting.exec, run::cases::find(&trial.cases[0].name)) {
            (Some(exec), _) => exec_subject(exec),
            (None, Some(case)) => vec![format!("{:?}", (case.params, case.rules, case.needs, case.disk))],
            (None, None) => Vec::new(),
        };
        let key = RunKey {
            programs: &programs,
            kernel: &artifact.hash,
            command_line: &test_command_line(),
            tools: &rig.tools,
            trial,
            subject,
            seed,
            accel: rig.accel,
            cold_boot: setting.options.cold_boot,
        };
        Ok(key.parts())
    }

    /// Accelerator, snapshots and image, decided on with the first kernel.
    fn rig(&mut self, artifact: &Artifact, fs: Fs) -> Result<(), Failure> {
        if self.rigs.contains_key(&fs) {
            return Ok(());
        }
        let images = prepare::images(&[fs].into())?;
        let setting = self.setting;
        let accel = match self.rigs.values().next() {
            Some(rig) => rig.accel,
            None => prepare::accel(
                setting.options.accel,
                &setting.places,
                std::slice::from_ref(artifact),
                &images,
            )?,
        };
        let mut snapshots =
            prepare::snapshots(setting.options.cold_boot, accel, &setting.places, setting.exec.as_ref())?;
        if let (Some(plan), Some(root)) = (&mut snapshots, &setting.snapshots) {
            plan.root.clone_from(root);
        }
        let image = images.get(&fs).cloned().unwrap_or_default();
        let tools = prepare::tools(&[fs])?.remove(&fs).unwrap_or_default();
        self.rigs.insert(
            fs,
            Rig {
                accel,
                snapshots,
                image,
                tools,
            },
        );
        Ok(())
    }
}

/// Whether nothing was put into a directory since some time.
fn is_older(dir: &Path, than: SystemTime) -> bool {
    let modified = std::fs::metadata(dir).and_then(|dir| dir.modified());
    modified.is_ok_and(|modified| modified < than)
}

/// What a program of the user's own is asked to do. The numbers keep arguments and rules apart.
fn exec_subject(exec: &Exec) -> Vec<String> {
    let mut words = Vec::new();
    for list in [&exec.args, &exec.plan.rules] {
        words.push(list.len().to_string());
        words.extend(list.iter().cloned());
    }
    words.extend(exec.time.map(|time| format!("{time:?}")));
    words
}

/// A cell with its console; one whose evidence cannot be read says nothing of its item.
fn ran(mut cell: Cell, known: bool) -> Ran {
    let console = match EvidenceBundle::load(&cell.dir) {
        Ok(evidence) => evidence.kernel_log().into_owned(),
        Err(error) => {
            cell = Cell {
                judgement: Judgement::broken(Stage::Evidence, on_one_line(&error)),
                ..cell
            };
            String::new()
        }
    };
    Ran { cell, console, known }
}

impl<M: Maker> Bench for Machines<'_, M> {
    type Error = Failure;

    fn place(&self, item: usize) -> PathBuf {
        self.maker.place(item)
    }

    fn make(&mut self, item: usize) -> Result<BuildOutcome, Failure> {
        let began = SystemTime::now();
        Ok(match self.artifact(item)? {
            Ok(artifact) => BuildOutcome::Ready {
                is_kept: is_older(&artifact.dir, began),
                artifact: artifact.hash,
            },
            Err(reason) => BuildOutcome::Unfit(reason),
        })
    }

    fn run(&mut self, item: usize, dir: &Path, nth: u32) -> Result<Ran, Failure> {
        match self.artifact(item)? {
            Ok(artifact) => self.run_on(&artifact, dir, nth),
            Err(reason) => Err(Failure::new(Exit::Internal, reason.to_string())),
        }
    }

    fn left(&self, _item: usize, dir: &Path) -> Option<Ran> {
        let trial = self.trial.as_ref()?;
        let run = Run::load(dir).ok()?;
        let kernel = run.kernels.keys().next()?;
        // A cell's result is the last file that a run writes.
        let cell = cell_file::load(&run.cell_dir(kernel, trial.fs, &trial.cases.first()?.name))?;
        let console = EvidenceBundle::load(&cell.dir).ok()?.kernel_log().into_owned();
        Some(Ran {
            cell,
            console,
            known: false,
        })
    }

    fn same(&mut self) -> Result<Vec<(usize, usize)>, Failure> {
        self.maker.same(&self.artifacts)
    }

    fn prices(&mut self, items: &[usize]) -> Vec<Price> {
        self.maker.prices(items)
    }

    fn whole_ms(&self) -> Option<u64> {
        self.maker.pace().whole_s.map(|seconds| (seconds * 1000.0) as u64)
    }

    fn ahead(&mut self, items: &[usize]) {
        self.maker.ahead(items);
    }

    fn say(&self, line: &str) {
        self.progress.say(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use run::FaultPlan;

    #[test]
    fn an_argument_is_no_rule() {
        let exec = |args: &[&str], rules: &[&str]| {
            let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
            exec_subject(&Exec {
                program: PathBuf::from("p"),
                args: own(args),
                time: None,
                plan: FaultPlan {
                    rules: own(rules),
                    ..FaultPlan::default()
                },
            })
        };
        assert_ne!(exec(&["a", "fail write"], &[]), exec(&["a"], &["fail write"]));
        assert_eq!(exec(&["a"], &["fail write"]), exec(&["a"], &["fail write"]));
    }
}
