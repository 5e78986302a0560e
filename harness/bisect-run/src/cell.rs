//! Which one cell is bisected: the selection is that of `cargo xtask test`, and of several cells just one may fail at
//! the bad end.

use std::path::Path;

use super::bench::Machines;
use super::maker::Maker;
use super::plan::untestable_end;
use crate::request::{Request, Subject};
use bisect::search::End;
use exit::{Exit, Failure};
use host::atomic;
use host::words::counted;
use kernels::Kernel;
use run::Trial;
use run::cases::Profile;
use run::select::{self, CellRequest};
use verdict::results::Cell;

/// Where the choice is kept, so that a resumed bisection does not make it again.
const FILE: &str = "cell.json";

/// Cells that match.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    trials: Vec<Trial>,
}

impl Selection {
    /// What matches on the bad end.
    ///
    /// # Errors
    /// As for `cargo xtask test`: a glob matches no case, or nothing is left.
    pub(crate) fn of(request: &Request, bad_end: &Kernel) -> Result<Self, Failure> {
        let (cases, profile) = match &request.subject {
            Subject::Cases { globs, profile } => (globs.as_slice(), *profile),
            Subject::Exec { .. } => (&[][..], Profile::Default),
        };
        let wanted = CellRequest {
            fs: &request.fs,
            cases,
            exec: matches!(request.subject, Subject::Exec { .. }),
            profile: Some(profile),
        };
        Ok(Selection {
            trials: select::trials(&[bad_end], &wanted)?,
        })
    }

    /// Each cell as a trial of its own.
    fn cells(&self) -> impl Iterator<Item = Trial> {
        self.trials.iter().flat_map(|trial| {
            trial.cases.iter().map(|case| Trial {
                cases: vec![case.clone()],
                ..trial.clone()
            })
        })
    }

    /// For a person.
    #[must_use]
    pub(crate) fn describe(&self) -> String {
        let mut cells = self.cells();
        match (cells.next(), cells.count()) {
            (Some(only), 0) => name(&only),
            (_, more) => format!("what fails of {}", counted(more + 1, "cell")),
        }
    }

    /// For a program: every cell.
    #[must_use]
    pub(crate) fn asked(&self) -> String {
        self.cells().map(|trial| name(&trial)).collect::<Vec<_>>().join("; ")
    }

    /// The one cell: the only one that matches, or the only one that fails at the bad end. None if none fails, which
    /// was then said.
    ///
    /// # Errors
    /// Several fail; the bad end cannot be had.
    pub(crate) fn choose<M: Maker>(
        &self,
        bench: &mut Machines<'_, M>,
        bad_end: usize,
        dir: &Path,
        seed: u64,
    ) -> Result<Option<Trial>, Failure> {
        let mut cells = self.cells();
        if let (Some(only), None) = (cells.next(), cells.next()) {
            return Ok(Some(only));
        }
        let file = dir.join(FILE);
        if let Some(chosen) = kept(&file, bench.restarts())? {
            return Ok(Some(chosen));
        }
        host::note!(
            "{} match: which of them fail at the bad end comes first",
            counted(self.cells().count(), "cell")
        );
        let artifact = match bench.artifact(bad_end)? {
            Ok(artifact) => artifact,
            Err(reason) => {
                let said = untestable_end(End::Bad, None, &reason.to_string(), None);
                host::out!("\n{said}");
                return Ok(None);
            }
        };
        let ran = bench.trials(&artifact, &self.trials, &dir.join("select"), seed)?;
        let failing: Vec<&Cell> = ran.iter().filter(|cell| cell.verdict().failure().is_some()).collect();
        match failing.as_slice() {
            [] => {
                host::out!(
                    "\nnone of these cells fails at the bad end:\n{}\nperhaps the ends are swapped; \
                    a failure that shows now and then is bisected with its case and file system named in full\n\
                    evidence: {}",
                    list(ran.iter()),
                    dir.join("select").display()
                );
                Ok(None)
            }
            [only] => self.keep(only, &file),
            several => Err(Failure::new(
                Exit::Usage,
                format!(
                    "{} of the selected cells fail at the bad end, and a bisection follows one failure:\n{}\n\
                    name one of them in full with --case and --fs",
                    several.len(),
                    list(several.iter().copied())
                ),
            )),
        }
    }

    /// The trial of the one cell that fails, written down for a bisection that is resumed.
    fn keep(&self, only: &Cell, file: &Path) -> Result<Option<Trial>, Failure> {
        let chosen = self
            .cells()
            .find(|trial| trial.fs == only.fs && trial.cases[0].name == only.case);
        if let Some(chosen) = &chosen {
            let text =
                serde_json::to_vec_pretty(chosen).map_err(|error| Failure::foreign(Exit::CannotCreate, &error))?;
            atomic::write(file, &text).map_err(|error| Failure::cannot_create(&file.display().to_string(), &error))?;
            host::note!("{} is what fails", name(chosen));
        }
        Ok(chosen)
    }
}

/// The choice that a bisection made before. One that was killed before it had a journal left nothing else, so starting
/// over leaves it here.
fn kept(file: &Path, restarts: bool) -> Result<Option<Trial>, Failure> {
    let Some(text) = std::fs::read(file).ok().filter(|_| !restarts) else {
        return Ok(None);
    };
    let chosen = serde_json::from_slice(&text);
    chosen.map(Some).map_err(|error| {
        Failure::new(
            Exit::Data,
            format!("{}: {error}; `--restart` starts over", file.display()),
        )
    })
}

/// Cells with what came of them, a line each.
fn list<'a>(cells: impl Iterator<Item = &'a Cell>) -> String {
    let lines = cells.map(|cell| {
        let failure = cell.verdict().failure();
        let cause = failure.map_or(cell.verdict().word(), |failure| failure.kind.cause().word());
        let place = failure
            .and_then(|failure| failure.place.as_ref())
            .map_or_else(String::new, |place| format!(", {place}"));
        format!("  {} on {}: {cause}{place}", cell.case, cell.fs)
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn name(trial: &Trial) -> String {
    let cases: Vec<&str> = trial.cases.iter().map(|case| case.name.as_str()).collect();
    format!("{} on {}", cases.join(","), trial.fs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

    use super::*;

    #[test]
    fn starting_over_chooses_anew() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        assert_eq!(kept(&file, false).unwrap().map(|trial| trial.test), None);
        std::fs::write(&file, "{").unwrap();
        let failure = kept(&file, false).unwrap_err();
        assert!(
            failure.message.contains("`--restart` starts over"),
            "{}",
            failure.message
        );
        assert!(kept(&file, true).unwrap().is_none());
        let chosen = r#"{"kernel": "k", "fs": "btrfs", "test": "a", "cases": []}"#;
        std::fs::write(&file, chosen).unwrap();
        assert_eq!(kept(&file, false).unwrap().unwrap().test, "a");
        assert!(kept(&file, true).unwrap().is_none());
    }
}
