//! A trial: a test's cases on one kernel and file system, as one matrix process runs them.
//!
//! Cases that want the same disk share a boot, each starting from the golden image. A case that does not pass ends its
//! boot (the guest may be in any state), and the rest go on in a fresh one.

use std::path::{Path, PathBuf};
use std::time::Instant;

use guest_wire::{Fs, Job, JobKind};

use crate::FaultPlan;
use crate::cases::{self, EXEC, Profile};
use crate::cell_file;
use crate::ending::ending_of;
use crate::extents;
use crate::job::{self, ConsolePlace, JobRequest, program_kind};
use crate::programs::programs;
use crate::resolved::{Run, Trial};
use evidence::context::{CellContext, KernelIdentity, Plan};
use evidence::needs::Need;
use evidence::parts::Ending;
use evidence::{EvidenceBundle, judge};
use host::scratch;
use machine::golden;
use machine::provision::{self, MachineRequest};
use machine::{DiskShape, Machine};
use verdict::Verdict;
use verdict::results::{Begun, Cell, Expected};

/// The file that the tests of writes write, as guest-tests call it.
const TARGET: &str = "target";
/// Seed of the cases' fault plans.
pub const CASE_SEED: u64 = 1;

/// A case with everything that its job needs.
struct Planned {
    name: String,
    kind: JobKind,
    program: PathBuf,
    plan: FaultPlan,
    needs: &'static [Need],
    disk: DiskShape,
    expect: Option<Expected>,
}

/// Runs a trial, writes each cell's evidence, and returns the cells in order.
///
/// # Errors
/// Only when not even a broken cell can be written down.
pub fn run(run: &Run, trial: &Trial) -> std::io::Result<Vec<Cell>> {
    let mut cells = Vec::new();
    let mut boots = 0;
    for (disk, planned) in by_disk(plan(run, trial)) {
        let mut left = planned.as_slice();
        while let [first, ..] = left {
            boots += 1;
            let started = Instant::now();
            let scratch = scratch::make()?;
            let boot_dir = run.cell_dir(&trial.kernel, trial.fs, &format!("{}.boot{boots}", trial.test));
            std::fs::create_dir_all(&boot_dir)?;
            let mut bench = Bench {
                run,
                trial,
                boot_dir: &boot_dir,
                scratch: scratch.path(),
                started,
                begun: Begun::Booted,
                cells: Vec::new(),
            };
            match bench.machine(disk, first) {
                Ok(machine) => bench.cases(machine, left)?,
                Err((ending, console)) => bench.never_ran(left, &ending, &console)?,
            }
            left = left.get(bench.cells.len()..).unwrap_or_default();
            cells.append(&mut bench.cells);
        }
    }
    Ok(cells)
}

/// Looks up the cases of a trial.
fn plan(run: &Run, trial: &Trial) -> Vec<Planned> {
    if let Some(exec) = &run.exec {
        let name = exec.program.file_name().unwrap_or_default().to_string_lossy();
        return vec![Planned {
            name: EXEC.to_owned(),
            kind: JobKind::Exec {
                args: exec.args.clone(),
                time: exec.time,
            },
            program: PathBuf::from(format!("/bin/{name}")),
            plan: exec.plan.clone(),
            needs: &[],
            disk: DiskShape::ORDINARY,
            expect: trial.cases.first().and_then(|case| case.expect.clone()),
        }];
    }
    let known = trial
        .cases
        .iter()
        .filter_map(|wanted| cases::find(&wanted.name).map(|case| (case, &wanted.expect)));
    known
        .map(|(case, expect)| Planned {
            name: case.name.to_owned(),
            kind: JobKind::Test { params: case.params },
            program: PathBuf::from(format!("/bin/{}", case.test())),
            plan: FaultPlan {
                seed: run.seed.unwrap_or(CASE_SEED),
                rules: case.rules.iter().map(|rule| (*rule).to_owned()).collect(),
            },
            needs: case.needs,
            disk: case.disk,
            expect: expect.clone(),
        })
        .collect()
}

/// Groups cases by the disk they want, keeping the order in which the disks first appear.
fn by_disk(planned: Vec<Planned>) -> Vec<(DiskShape, Vec<Planned>)> {
    let mut groups: Vec<(DiskShape, Vec<Planned>)> = Vec::new();
    for case in planned {
        match groups.iter_mut().find(|(disk, _)| *disk == case.disk) {
            Some((_, group)) => group.push(case),
            None => groups.push((case.disk, vec![case])),
        }
    }
    groups
}

/// One boot's worth of work.
struct Bench<'a> {
    run: &'a Run,
    trial: &'a Trial,
    boot_dir: &'a Path,
    scratch: &'a Path,
    started: Instant,
    begun: Begun,
    cells: Vec<Cell>,
}

impl Bench<'_> {
    /// A machine whose agent takes jobs; else how that ended, with the console.
    fn machine(&mut self, disk: DiskShape, first: &Planned) -> Result<Machine, (Ending, String)> {
        let harness = |reason: String| (Ending::Harness(reason), String::new());
        let run = self.run;
        let exec = run.exec.as_ref().map(|exec| exec.program.as_path());
        let kernel = run.kernels.get(&self.trial.kernel);
        let image = run.images.get(&self.trial.fs);
        let provided = provision::machine(&MachineRequest {
            vhost_blk: &run.vhost_blk,
            guest_bins: &run.guest_bins,
            accel: run.accel,
            snapshots: run.snapshots.as_ref(),
            programs: &programs(&run.guest_bins, exec),
            suffix: if exec.is_some() { "-exec" } else { "" },
            kernel: kernel.ok_or_else(|| harness(format!("kernel {} is not part of the run", self.trial.kernel)))?,
            fs: self.trial.fs,
            image: image.ok_or_else(|| harness(format!("no golden image of {}", self.trial.fs)))?,
            disk,
            program: &self.program_on_host(first),
            options: "",
            dir: self.boot_dir,
            scratch: self.scratch,
        })
        .map_err(|none| (ending_of(none.outage), none.console))?;
        self.begun = if provided.restored {
            Begun::Restored
        } else {
            Begun::Booted
        };
        Ok(provided.machine)
    }

    fn program_on_host(&self, case: &Planned) -> PathBuf {
        match &self.run.exec {
            Some(exec) => exec.program.clone(),
            None => self.run.guest_bins.join(case.program.file_name().unwrap_or_default()),
        }
    }

    /// Runs cases until one does not pass.
    fn cases(&mut self, mut machine: Machine, planned: &[Planned]) -> std::io::Result<()> {
        let mut console = ConsolePlace::of_boot();
        for case in planned {
            let dir = self.run.cell_dir(&self.trial.kernel, self.trial.fs, &case.name);
            std::fs::create_dir_all(&dir)?;
            let job = Job {
                case: case.name.clone(),
                fs: self.trial.fs,
                device: "/dev/vda".into(),
                mount_options: golden::mount_options(self.trial.fs).into(),
                program: case.program.to_string_lossy().into_owned(),
                kind: case.kind.clone(),
            };
            let request = JobRequest {
                job: &job,
                needs: case.needs,
                context: CellContext {
                    command_line: machine.command_line().to_owned(),
                    ..self.context(case)
                },
                dir: &dir,
            };
            let evidence = job::run(&mut machine, request, &mut console);
            let cell = self.record(case, &evidence, &dir)?;
            let passed = matches!(cell.verdict(), Verdict::Pass | Verdict::Skipped);
            self.cells.push(cell);
            // Once lockdep has spoken it checks nothing until the next boot.
            if !passed || evidence.lockdep_spoke() {
                break;
            }
            self.started = Instant::now();
        }
        machine.end();
        Ok(())
    }

    /// Writes all remaining cases down as what kept the guest from running them.
    fn never_ran(&mut self, planned: &[Planned], ending: &Ending, console: &str) -> std::io::Result<()> {
        let qemu_log = std::fs::read(self.boot_dir.join("qemu.log")).unwrap_or_default();
        let qemu_log = String::from_utf8_lossy(&qemu_log).into_owned();
        for case in planned {
            let dir = self.run.cell_dir(&self.trial.kernel, self.trial.fs, &case.name);
            std::fs::create_dir_all(&dir)?;
            let kind = program_kind(&case.kind);
            let evidence = EvidenceBundle {
                qemu_log: qemu_log.clone(),
                ..EvidenceBundle::silent(kind, case.needs, self.context(case), ending.clone(), console.to_owned())
            };
            let cell = self.record(case, &evidence, &dir)?;
            self.cells.push(cell);
        }
        Ok(())
    }

    /// What a case's cell is.
    fn context(&self, case: &Planned) -> CellContext {
        let (run, trial) = (self.run, self.trial);
        let kernel = run.kernels.get(&trial.kernel);
        let kernel = KernelIdentity {
            id: trial.kernel.clone(),
            release: kernel.map(|kernel| kernel.release.clone()).unwrap_or_default(),
            artifact: kernel.map(|kernel| kernel.hash.clone()).unwrap_or_default(),
        };
        CellContext {
            plan: Plan {
                seed: case.plan.seed,
                rules: case.plan.rules.clone(),
            },
            expectation: case.expect.clone(),
            tools: run.tools.get(&trial.fs).cloned().unwrap_or_default(),
            ..CellContext::new(kernel, trial.fs, &case.name)
        }
    }

    /// Judges a case and leaves its evidence in its directory.
    fn record(&self, case: &Planned, evidence: &EvidenceBundle, dir: &Path) -> std::io::Result<Cell> {
        let (kernel, fs) = (&self.trial.kernel, self.trial.fs);
        let mut cell = Cell::new(kernel, fs, &case.name, judge(evidence), case.expect.as_ref());
        cell.dir = dir.to_path_buf();
        cell.machine = self.begun;
        cell.duration_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        evidence.save(dir).map_err(std::io::Error::other)?;
        if self.run.profile == Profile::Truth && fs == Fs::Btrfs && evidence.fsck.is_some() {
            // A cost is no verdict: one that cannot be read is left out.
            cell.extents = extents::of_file(&dir.join("disk.raw"), TARGET).ok().flatten();
        }
        if *cell.verdict() == Verdict::Pass && !self.run.keep {
            // The image of a cell that passed tells nothing; it may never have been made.
            let _ = std::fs::remove_file(dir.join("disk.raw"));
        }
        cell_file::save(&cell, dir)?;
        Ok(cell)
    }
}
