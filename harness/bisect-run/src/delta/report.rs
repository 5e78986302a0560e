//! What a difference came down to: for the terminal, and as a directory to post from.

use std::fmt::Write as _;
use std::path::Path;

use super::judge::Judge;
use super::range::ENDS;
use crate::git::short;
use crate::plan::Planned;
use crate::report::{BisectReport, FOLDER};
use crate::setting::Setting;
use bisect::delta::Minimal;
use bisect::diff::{Base, Difference};
use bisect::search::Conclusion;
use bisect::state::Entry;
use exit::Failure;
use host::atomic;
use host::words::counted;
use kernels::source::Tree;

/// The patch in the report's directory.
const PATCH: &str = "minimal.patch";

/// A smallest set of hunks, and what it was found in.
pub(crate) struct DeltaReport<'a> {
    /// The two ends.
    pub(crate) planned: &'a Planned,
    /// All that differs and reaches the build.
    pub(crate) difference: &'a Difference,
    pub(crate) minimal: &'a Minimal,
    /// The bad end.
    pub(crate) bad: &'a Tree,
    /// The cell, for a person.
    pub(crate) cell: &'a str,
    /// What the runs had in common.
    pub(crate) setting: &'a Setting,
    /// The bisection's directory.
    pub(crate) dir: &'a Path,
    /// How often a tree that fails may pass for one that does not.
    pub(crate) error: f64,
}

impl DeltaReport<'_> {
    /// The hunks, each in a line.
    fn hunks(&self) -> Vec<String> {
        let describe = |unit: &usize| self.difference.describe(*unit).to_string();
        self.minimal.units.iter().map(describe).collect()
    }

    /// Prints the result, and writes the report's directory.
    ///
    /// # Errors
    /// Something cannot be written, or git fails.
    pub(crate) fn tell(&self, judge: &mut Judge<'_, '_>) -> Result<(), Failure> {
        if judge.journal.state().concluded.is_none() {
            let result = self.hunks().join("; ");
            judge.write(&Entry::Concluded { result })?;
        }
        let folder = self.dir.join(FOLDER);
        let patch = folder.join(PATCH);
        std::fs::create_dir_all(&folder)
            .and_then(|()| atomic::write(&patch, &self.difference.patch(Base::Old, &self.minimal.units)))
            .map_err(|error| Failure::cannot_create(&patch.display().to_string(), &error))?;
        // The other side of the change is the bad end with these hunks, and not the good end.
        let tree = judge.bench.maker.with(self.bad, self.difference, &self.minimal.units)?;
        let name = short(&tree.id);
        let maker = &mut judge.bench.maker;
        maker.ids[1] = format!("delta-{name}");
        maker.again[1] = maker.again[0].clone();
        maker.patched_over = Some(0);
        maker.trees[1] = Ok(tree);
        judge.bench.forget(1);
        let count = counted(self.minimal.units.len(), "hunk");
        let planned = Planned {
            names: vec![ENDS[0].to_owned(), name.clone()],
            labels: vec![
                self.planned.labels[0].clone(),
                format!("{} with {count} of {}", self.planned.labels[0], self.planned.labels[1]),
            ],
            ..self.planned.clone()
        };
        let conclusion = Conclusion::Found {
            item: 1,
            probability: 1.0 - self.error,
        };
        let state = judge.journal.state();
        let text = self.text(state.builds.len(), state.runs.0, &patch);
        let report = BisectReport {
            planned: &planned,
            state,
            conclusion: &conclusion,
            cell: self.cell,
            setting: self.setting,
            before: Vec::new(),
            reverted: None,
            unchecked: Vec::new(),
            hunks: self.hunks(),
            dir: self.dir,
        };
        report.write(judge.bench)?;
        let told = folder.join("report.txt");
        atomic::write(&told, anstream::adapter::strip_str(&text).to_string().as_bytes())
            .map_err(|error| Failure::cannot_create(&told.display().to_string(), &error))?;
        host::out!(
            "\n{text}to see both sides: sh {}",
            folder.join("reproduce.sh").display()
        );
        Ok(())
    }

    fn text(&self, kernels: usize, runs: u32, patch: &Path) -> String {
        let mut text = format!(
            "{} of {} make {} pass, and without any of them it does not:\n",
            self.minimal.units.len(),
            counted(self.difference.len(), "hunk"),
            self.planned.labels[0]
        );
        for unit in &self.minimal.units {
            let needed = if self.minimal.not_without.contains(unit) {
                "  (the others do not build without it)"
            } else {
                ""
            };
            let _ = writeln!(text, "    {}{needed}", self.difference.describe(*unit));
        }
        let asked = &self.minimal.asked;
        let _ = writeln!(
            text,
            "{} asked about, {} of which did not build or said nothing; {} built, {} run",
            counted(asked.asked as usize, "set"),
            asked.unresolved,
            counted(kernels, "kernel"),
            counted(runs as usize, "time")
        );
        let _ = writeln!(text, "patch: {}", patch.display());
        text
    }
}
