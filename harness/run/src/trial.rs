//! A trial: a test's cases on one kernel and file system, as one matrix process runs them.
//!
//! Cases that want the same disk share a boot, each starting from the golden image. A case that does not pass ends its
//! boot (the guest may be in any state), and the rest go on in a fresh one.

mod bench;
mod guest;
mod planned;

use std::time::Instant;

use host::scratch;
use machine::DiskShape;
use verdict::results::{Begun, Cell};

use crate::resolved::{Run, Trial};
use bench::Bench;
pub use planned::CASE_SEED;
use planned::{Planned, plan};

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
            match bench.guest(disk, first) {
                Ok(guest) => bench.cases(guest, left)?,
                Err((ending, console)) => bench.never_ran(left, &ending, &console)?,
            }
            left = left.get(bench.cells.len()..).unwrap_or_default();
            cells.append(&mut bench.cells);
        }
    }
    Ok(cells)
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
