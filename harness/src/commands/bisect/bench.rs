//! Makes kernels and runs the one cell on them, a virtual machine a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::bisect::driver::{Bench, Made, Ran};
use crate::bisect::signature::{Obstacle, Reason};
use crate::boot::snapshot;
use crate::cases::Profile;
use crate::commands::prepare;
use crate::error::{CANNOT_CREATE, Failure, INTERNAL};
use crate::golden::Fs;
use crate::host::Places;
use crate::kernels::Artifact;
use crate::progress::Progress;
use crate::results::Cell;
use crate::run::{Exec, Run, Trial};
use crate::trial;
use crate::vm::accel::Choice;
use crate::vm::args::Accel;

/// Who makes the kernels of a range.
pub trait Maker {
    /// What a person calls an item in `cargo xtask test`, and how the item is run again with it: `--kernel debian-6.1.176`.
    fn again(&self, item: usize) -> String;

    /// Where an item's kernel will lie, as far as that is known beforehand.
    fn place(&self, item: usize) -> PathBuf;

    /// Makes a kernel; the inner error says what is wrong with the item.
    ///
    /// # Errors
    /// Something failed that is not the item's fault.
    fn make(&mut self, item: usize) -> Result<Result<Artifact, Reason>, Failure>;
}

/// What every run has in common.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The places of this installation.
    pub places: Places,
    /// A user's own program.
    pub exec: Option<Exec>,
    /// Seed that each run's own follows from.
    pub seed: u64,
    /// What executes guest code.
    pub accel: Choice,
    /// Whether every machine boots.
    pub cold_boot: bool,
    /// Where snapshots of booted guests are kept; none for the place that all runs share.
    pub snapshots: Option<PathBuf>,
}

/// The machine of a bisection, once it is known.
struct Rig {
    accel: Accel,
    snapshots: Option<snapshot::Plan>,
    image: PathBuf,
}

/// A range's kernels in virtual machines.
pub struct Machines<'a, M> {
    /// Who makes the kernels.
    pub maker: M,
    setting: &'a Setting,
    progress: Progress,
    artifacts: BTreeMap<usize, Artifact>,
    rigs: BTreeMap<Fs, Rig>,
    /// The trial that is run; its kernel is filled in.
    trial: Option<Trial>,
}

impl<'a, M: Maker> Machines<'a, M> {
    /// Nothing is made yet.
    pub fn new(maker: M, setting: &'a Setting, progress: Progress) -> Self {
        Machines {
            maker,
            setting,
            progress,
            artifacts: BTreeMap::new(),
            rigs: BTreeMap::new(),
            trial: None,
        }
    }

    /// Says which one cell is run.
    pub fn look_at(&mut self, trial: Trial) {
        self.trial = Some(trial);
    }

    /// An item's kernel, made if need be.
    ///
    /// # Errors
    /// Something failed that is not the item's fault.
    pub fn artifact(&mut self, item: usize) -> Result<Result<Artifact, Reason>, Failure> {
        if let Some(artifact) = self.artifacts.get(&item) {
            return Ok(Ok(artifact.clone()));
        }
        let made = self.maker.make(item)?;
        if let Ok(artifact) = &made {
            self.artifacts.insert(item, artifact.clone());
        }
        Ok(made)
    }

    /// Runs trials on an item's kernel, and gives back their cells.
    ///
    /// # Errors
    /// The kernel, a machine or the directory cannot be had.
    pub fn trials(&mut self, item: usize, trials: &[Trial], dir: &Path, seed: u64) -> Result<Vec<Cell>, Failure> {
        let artifact = match self.artifact(item)? {
            Ok(artifact) => artifact,
            Err(reason) => return Err(Failure::new(INTERNAL, reason.to_string())),
        };
        std::fs::create_dir_all(dir).map_err(|error| Failure::cannot_create(&dir.display().to_string(), &error))?;
        let mut cells = Vec::new();
        let of_kernel = |trial: &Trial| Trial {
            kernel: artifact.id.clone(),
            ..trial.clone()
        };
        let trials: Vec<Trial> = trials.iter().map(of_kernel).collect();
        for trial in &trials {
            self.rig(&artifact, trial.fs)?;
        }
        let Some(rig) = trials.first().and_then(|trial| self.rigs.get(&trial.fs)) else {
            return Ok(cells);
        };
        let mut exec = self.setting.exec.clone();
        if let Some(exec) = &mut exec {
            exec.plan.seed = seed;
        }
        let run = Run {
            dir: dir.to_owned(),
            vhost_blk: self.setting.places.vhost_blk.clone(),
            guest_bins: self.setting.places.guest_bins.clone(),
            accel: rig.accel,
            snapshots: rig.snapshots.clone(),
            keep: false,
            profile: Profile::Default,
            manifest: None,
            image: None,
            tree: None,
            exec,
            seed: Some(seed),
            images: self.rigs.iter().map(|(fs, rig)| (*fs, rig.image.clone())).collect(),
            kernels: [(artifact.id.clone(), artifact.clone())].into(),
            trials: trials.clone(),
        };
        run.save().map_err(|error| Failure::of(CANNOT_CREATE, &error))?;
        for trial in &trials {
            let done = trial::run(&run, trial)
                .map_err(|error| Failure::cannot_create(&format!("the evidence in {}", dir.display()), &error))?;
            cells.extend(done);
        }
        Ok(cells)
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
            None => prepare::accel(setting.accel, &setting.places, std::slice::from_ref(artifact), &images)?,
        };
        let mut snapshots = prepare::snapshots(setting.cold_boot, accel, &setting.places, setting.exec.as_ref())?;
        if let (Some(plan), Some(root)) = (&mut snapshots, &setting.snapshots) {
            plan.root.clone_from(root);
        }
        let image = images.get(&fs).cloned().unwrap_or_default();
        self.rigs.insert(
            fs,
            Rig {
                accel,
                snapshots,
                image,
            },
        );
        Ok(())
    }
}

impl<M: Maker> Bench for Machines<'_, M> {
    type Error = Failure;

    fn place(&self, item: usize) -> PathBuf {
        self.maker.place(item)
    }

    fn make(&mut self, item: usize) -> Result<Made, Failure> {
        Ok(match self.artifact(item)? {
            Ok(artifact) => Made::Ready {
                artifact: artifact.hash,
            },
            Err(reason) => Made::Unfit(reason),
        })
    }

    fn run(&mut self, item: usize, dir: &Path, number: u32) -> Result<Ran, Failure> {
        let trial = self.trial.clone();
        let trial = trial.ok_or_else(|| Failure::new(INTERNAL, "no cell was selected"))?;
        let seed = self.setting.seed.wrapping_add(u64::from(number));
        let cells = self.trials(item, std::slice::from_ref(&trial), dir, seed)?;
        let cell = cells.into_iter().next();
        let cell = cell.ok_or_else(|| Failure::new(INTERNAL, format!("the run in {} left no cell", dir.display())))?;
        let console = console(&cell.dir);
        Ok(Ran { cell, console })
    }

    fn left(&self, _item: usize, dir: &Path) -> Option<Ran> {
        let trial = self.trial.as_ref()?;
        let run = Run::load(dir).ok()?;
        let kernel = run.kernels.keys().next()?;
        // A cell's result is the last file that a run writes.
        let cell = Cell::load(&run.cell_dir(kernel, trial.fs, &trial.cases.first()?.name))?;
        let console = console(&cell.dir);
        Some(Ran { cell, console })
    }

    fn say(&self, line: &str) {
        self.progress.say(line);
    }
}

fn console(dir: &Path) -> String {
    let bytes = std::fs::read(dir.join("console.log")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// An item that cannot be tested since its kernel cannot be had.
#[must_use]
pub fn unfit(obstacle: Obstacle, failure: &dyn std::fmt::Display) -> Reason {
    Reason {
        obstacle,
        detail: failure.to_string(),
    }
}
