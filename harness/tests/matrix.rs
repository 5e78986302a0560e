//! The matrix as nextest sees it: one trial a kernel, file system and test.
//!
//! What to run stands in the run's file that `cargo xtask test` names in the environment; without one there is nothing
//! to list, so that a plain `cargo test` boots nothing. Listing reads that one file and nothing else.

use std::path::Path;
use std::process::ExitCode;

use exit::Exit;
use libtest_mimic::{Arguments, Failed};
use run::{RUN_ENV, Run, Trial};
use verdict::results::{Cell, Tally};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let run = match std::env::var_os(RUN_ENV).map(|dir| Run::load(Path::new(&dir))) {
        None => return libtest_mimic::run(&arguments, Vec::new()).exit_code(),
        Some(Ok(run)) => run,
        Some(Err(error)) => {
            eprintln!("error: {error}");
            return ExitCode::from(Exit::Internal);
        }
    };
    let tests = run.trials.iter().map(|trial| {
        let (run, trial) = (run.clone(), trial.clone());
        libtest_mimic::Trial::test(trial.name(), move || execute(&run, &trial))
    });
    libtest_mimic::run(&arguments, tests.collect()).exit_code()
}

fn execute(run: &Run, trial: &Trial) -> Result<(), Failed> {
    let cells = run::trial::run(run, trial)?;
    let unexpected: Vec<&Cell> = cells.iter().filter(|cell| cell.tally() != Tally::AsExpected).collect();
    if unexpected.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = unexpected
        .iter()
        .map(|cell| {
            let cause = cell
                .verdict()
                .cause()
                .map(|cause| format!(" ({cause})"))
                .unwrap_or_default();
            format!(
                "{}: {}{cause}: {}\n  evidence: {}",
                cell.case,
                cell.verdict(),
                cell.detail(),
                cell.dir.display()
            )
        })
        .collect();
    Err(Failed::from(lines.join("\n")))
}
