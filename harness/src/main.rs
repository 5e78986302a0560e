//! `bioscope`: what `cargo xtask` hands its commands to.

use std::process::ExitCode;

use clap::Parser;
use harness::cli::{Cli, Command};
use harness::error::{self, Failure};
use harness::{commands, host};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            let code = if message.use_stderr() { error::USAGE } else { 0 };
            // Nothing can be done about a terminal that went away.
            let _ = message.print();
            return ExitCode::from(code);
        }
    };
    let result = host::root()
        .map_err(|error| Failure::of(error::NO_INPUT, &error))
        .and_then(|_| run(&cli.command));
    match result {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            let red = anstyle::AnsiColor::Red.on_default().bold();
            anstream::eprintln!("{red}error:{red:#} {failure}");
            ExitCode::from(failure.code)
        }
    }
}

fn run(command: &Command) -> Result<u8, Failure> {
    match command {
        Command::Test(args) => commands::test::run(args),
        Command::Doctor(args) => commands::doctor::run(args),
        Command::Update(args) => commands::update::run(args),
        Command::Build(args) => commands::build::run(args),
        Command::Store(args) => commands::store::run(args),
        Command::Shell(args) => commands::shell::run(args),
        Command::Inject(args) => commands::inject::run(args),
        Command::Soak(args) => commands::soak::run(args),
        Command::Bisect(args) => commands::bisect::run(args),
    }
}
