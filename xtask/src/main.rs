//! `cargo xtask …`: builds what a command needs, then hands over to the harness, which has the commands and their help.
//!
//! It knows which packages there are and how they are built, and nothing of what is in them. Commands of its own are
//! those for people who work on bioscope: `selftest`, `fuzz` and `tidy`.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! paths repo tool
//! workspace
//! harness tidy
//! cli
//! fuzz selftest
//! ```

mod cli;
mod fuzz;
mod harness;
mod paths;
mod repo;
mod selftest;
mod tidy;
mod tool;
mod workspace;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use exit::{Exit, Failure};

use crate::cli::{Cli, Task};
use crate::repo::Repo;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            let code = if message.use_stderr() {
                Exit::Usage
            } else {
                Exit::Success
            };
            // Nothing can be done about a terminal that went away.
            let _ = message.print();
            return code.into();
        }
    };
    match run(cli) {
        Ok(code) => code,
        Err(failure) => {
            // There is nowhere to say that it failed.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            failure.exit.into()
        }
    }
}

/// Runs the command. Only what the harness ends with is no [`Exit`] of ours.
fn run(cli: Cli) -> Result<ExitCode, Failure> {
    let repo = Repo::find()?;
    let exit = match cli.task {
        Some(Task::Selftest(args)) => return selftest::run(&repo, &args),
        Some(Task::Fuzz(args)) => fuzz::run(&repo, args)?,
        Some(Task::Tidy(_)) => tidy::run(&repo.root)?,
        None => match harness::hand_over(&repo, &cli.harness)? {},
    };
    exit::complete(exit).map(ExitCode::from)
}
