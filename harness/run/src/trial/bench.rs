//! One boot of a trial: its cases in turn, and what becomes of their cells.

use std::path::{Path, PathBuf};
use std::time::Instant;

use evidence::context::{CellContext, KernelIdentity, Plan};
use evidence::parts::{Ending, VmEnd};
use evidence::steal::StealPoint;
use evidence::{EvidenceBundle, judge};
use guest_wire::{Fs, Job};
use machine::provision::{self, MachineRequest};
use machine::{DiskShape, golden};
use verdict::Verdict;
use verdict::results::{Begun, Cell};

use super::guest::{BootedGuest, Guest};
use super::planned::Planned;
use crate::cases::Profile;
use crate::ending::ending_of;
use crate::job::{JobRequest, program_kind};
use crate::programs::programs;
use crate::resolved::{Run, Trial};
use crate::{cell_file, extents, rejudge};

/// The file that the tests of writes write, as guest-tests call it.
const TARGET: &str = "target";

/// One boot's worth of work.
pub(super) struct Bench<'a> {
    pub(super) run: &'a Run,
    pub(super) trial: &'a Trial,
    pub(super) boot_dir: &'a Path,
    pub(super) scratch: &'a Path,
    pub(super) started: Instant,
    pub(super) begun: Begun,
    pub(super) cells: Vec<Cell>,
}

impl Bench<'_> {
    /// A guest whose agent takes jobs; else how that ended, with the console.
    pub(super) fn guest(&mut self, disk: DiskShape, first: &Planned) -> Result<BootedGuest, (Ending, String)> {
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
        Ok(BootedGuest::new(provided.machine))
    }

    fn program_on_host(&self, case: &Planned) -> PathBuf {
        match &self.run.exec {
            Some(exec) => exec.program.clone(),
            None => self.run.guest_bins.join(case.program.file_name().unwrap_or_default()),
        }
    }

    /// Runs cases until one does not pass.
    pub(super) fn cases(&mut self, mut guest: impl Guest, planned: &[Planned]) -> std::io::Result<()> {
        let mut before: Option<&Planned> = None;
        let mut finished = false;
        let dirs = planned
            .iter()
            .map(|case| self.run.cell_dir(&self.trial.kernel, self.trial.fs, &case.name));
        let dirs: Vec<PathBuf> = dirs.collect();
        // What fails between two cases would leave the first without its last words.
        dirs.iter().try_for_each(std::fs::create_dir_all)?;
        for (case, dir) in planned.iter().zip(&dirs) {
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
                    command_line: guest.command_line().to_owned(),
                    ..self.context(case)
                },
                limit: self.run.case_limit,
                dir,
            };
            let (evidence, steal) = guest.run(request);
            // First, so that nothing that befalls this case leaves the one before without its last words.
            if let Some(before) = before {
                self.settle(before, earlier(&evidence), &steal)?;
            }
            let cell = self.record(case, &evidence, dir)?;
            self.cells.push(cell);
            before = Some(case);
            finished = evidence.ending == Ending::Finished;
            // Once lockdep has spoken it checks nothing until the next boot.
            if !self.cells.iter().all(passed) || evidence.lockdep_spoke() {
                break;
            }
            self.started = Instant::now();
        }
        // What has failed stays the failure that it is, whatever the kernel says of it afterwards.
        let failed = |cell: &Cell| matches!(cell.verdict(), Verdict::Fail(_));
        match before {
            Some(last) if finished && !self.cells.last().is_some_and(failed) => {
                let (text, steal) = guest.power_off();
                self.settle(last, Some(text), &steal)
            }
            _ => {
                guest.end();
                Ok(())
            }
        }
    }

    /// Writes the last cell down. If the console said anything after it was judged, it is judged again with that, and
    /// with what the host took meanwhile.
    fn settle(
        &mut self,
        case: &Planned,
        text: Option<std::io::Result<String>>,
        steal: &[StealPoint],
    ) -> std::io::Result<()> {
        let Some(cell) = self.cells.last_mut() else {
            return Ok(());
        };
        match text.filter(|text| text.as_ref().map_or(true, |text| !text.trim().is_empty())) {
            Some(text) => *cell = rejudge::amend(cell, text.as_deref(), steal, case.expect.as_ref())?,
            None => cell_file::save(cell, &cell.dir)?,
        }
        Ok(())
    }

    /// Writes all remaining cases down as what kept the guest from running them.
    pub(super) fn never_ran(&mut self, planned: &[Planned], ending: &Ending, console: &str) -> std::io::Result<()> {
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

    /// Judges a case and leaves its evidence in its directory. A pass is no result before the last words of the case
    /// are heard: a trial that dies until then leaves none.
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
        if !passed(&cell) {
            cell_file::save(&cell, dir)?;
        }
        Ok(cell)
    }
}

fn passed(cell: &Cell) -> bool {
    matches!(cell.verdict(), Verdict::Pass | Verdict::Skipped)
}

/// What a case's evidence has of the console before the case; who lost the one lost the other. A case that did not
/// begin has no words of its own; what a kernel says of a machine that went away is nobody's.
fn earlier(evidence: &EvidenceBundle) -> Option<std::io::Result<String>> {
    if let Some(lost) = evidence.lost.iter().find(|lost| lost.part == "console.log") {
        return Some(Err(std::io::Error::other(lost.why.clone())));
    }
    let went_away = match &evidence.ending {
        Ending::DeviceGone(_) => true,
        Ending::VmGone(end) => *end != VmEnd::Exited(0),
        _ => false,
    };
    match &evidence.earlier {
        Some(earlier) => Some(Ok(earlier.text.clone())),
        None if evidence.events.is_empty() && !went_away => Some(Ok(evidence.console.clone())),
        None => None,
    }
}

#[cfg(test)]
mod tests;
