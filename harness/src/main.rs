//! `bioscope`: the program that `cargo xtask` hands its commands to.
//!
//! It is clap and wiring: `cli`, `flags` and the files below `commands` take a command line apart, call the crates that
//! do the work, and print what came of it; how it ends is an [`Exit`]. It knows which crates there are and what each is
//! asked for. It knows nothing of how a kernel is built, how a machine boots, what the device does to a request, or
//! what makes a verdict.

mod cli;
mod commands;
mod flags;

use std::process::ExitCode;

use clap::Parser;
use cli::{Cli, Command};
use exit::{Exit, Failure};
use host::places;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            // Nothing can be done about a terminal that went away.
            let _ = message.print();
            return if message.use_stderr() {
                Exit::Usage
            } else {
                Exit::Success
            }
            .into();
        }
    };
    // A command that has no clone to work on says so before it does anything.
    let result = places::root().map_err(Failure::from).and_then(|_| run(&cli.command));
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            anstream::eprintln!("{red}error:{red:#} {failure}");
            failure.exit.into()
        }
    }
}

fn run(command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Test(args) => commands::test::run(args),
        Command::Judge(args) => commands::judge::run(args),
        Command::Doctor(args) => commands::doctor::run(args),
        Command::Update(args) => commands::update::run(args),
        Command::Build(args) => commands::build::run(args),
        Command::Store(args) => commands::store::run(args),
        Command::Shell(args) => commands::shell::run(args),
        Command::Inject(args) => commands::inject::run(args),
        Command::Soak(args) => commands::soak::run(args),
        Command::Bisect(args) => commands::bisect::run(args),
        Command::Log(args) => commands::log::run(args),
    }
}
