//! What the cells of a run left behind, as its results.

use std::path::PathBuf;

use verdict::results::{Cell, Results};
use verdict::{Judgement, Stage};

use crate::{Run, Trial, cell_file};

impl Run {
    /// Reads every cell of the run; one that left no result is broken.
    #[must_use]
    pub fn collect(&self) -> Results {
        let mut results = Results::default();
        for trial in &self.trials {
            for case in &trial.cases {
                let dir = self.cell_dir(&trial.kernel, trial.fs, &case.name);
                let cell = cell_file::load(&dir).unwrap_or_else(|| missing(trial, &case.name, dir));
                results.cells.push(cell);
            }
        }
        results
    }
}

fn missing(trial: &Trial, case: &str, dir: PathBuf) -> Cell {
    let judgement = Judgement::broken(
        Stage::Harness,
        "the trial ended without a result (killed, or out of its time limit)",
    );
    Cell {
        dir,
        ..Cell::new(&trial.kernel, trial.fs, case, judgement, None)
    }
}
