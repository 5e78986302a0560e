//! What the cells of a run left behind, as its results.

use std::path::PathBuf;

use verdict::results::{Cell, Results};
use verdict::{Judgement, Verdict};

use crate::{Run, Trial};

impl Run {
    /// Reads every cell of the run; one that left no result is broken.
    #[must_use]
    pub fn collect(&self) -> Results {
        let mut results = Results::default();
        for trial in &self.trials {
            for case in &trial.cases {
                let dir = self.cell_dir(&trial.kernel, trial.fs, &case.name);
                let cell = Cell::load(&dir).unwrap_or_else(|| missing(trial, &case.name, dir));
                results.cells.push(cell);
            }
        }
        results
    }
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
