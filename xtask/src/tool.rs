//! Programs that commands start: cargo, git.

use std::io;
use std::process::{Command, ExitStatus, Stdio};

use exit::{Exit, ExitError};
use thiserror::Error;

/// Why a program did not do its work.
#[derive(Debug, Error)]
pub(crate) enum ToolError {
    #[error("this machine lacks {program}: {}", install(program))]
    Missing { program: String },
    #[error("cannot start {program}")]
    Start { program: String, source: io::Error },
    #[error("`{command}` failed ({status}); what it said stands above")]
    Failed { command: String, status: ExitStatus },
}

impl ExitError for ToolError {
    fn exit(&self) -> Exit {
        match self {
            ToolError::Missing { .. } => Exit::Unavailable,
            ToolError::Start { .. } | ToolError::Failed { .. } => Exit::Internal,
        }
    }
}

/// What brings a program.
fn install(program: &str) -> String {
    match program {
        "cargo" => "rustup brings it (https://rustup.rs)".to_owned(),
        program => format!("`apt-get install -y --no-install-recommends {program}` brings it"),
    }
}

/// Runs a program, whose messages go where ours go.
pub(crate) fn run(command: impl Into<Command>) -> Result<(), ToolError> {
    let mut command = command.into();
    let status = command.status().map_err(|error| not_started(&command, error))?;
    check(&command, status)
}

/// Runs a program; what it prints to standard output.
pub(crate) fn read(command: impl Into<Command>) -> Result<String, ToolError> {
    let mut command = command.into();
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| not_started(&command, error))?;
    check(&command, output.status)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn check(command: &Command, status: ExitStatus) -> Result<(), ToolError> {
    if status.success() {
        return Ok(());
    }
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    let command = words.join(" ");
    Err(ToolError::Failed { command, status })
}

/// Why a program does not start.
pub(crate) fn not_started(command: &Command, source: io::Error) -> ToolError {
    let program = command.get_program().to_string_lossy().into_owned();
    match source.kind() {
        io::ErrorKind::NotFound => ToolError::Missing { program },
        _ => ToolError::Start { program, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_program_prints_or_why_it_failed() {
        assert_eq!(read(shell("echo a")).expect("it runs"), "a\n");
        let error = run(shell("exit 3")).expect_err("it fails");
        let expected = "`sh -c exit 3` failed (exit status: 3); what it said stands above";
        assert_eq!((error.to_string().as_str(), error.exit()), (expected, Exit::Internal));
        let error = run(Command::new("no-such-program")).expect_err("it is missing");
        assert_eq!(error.exit(), Exit::Unavailable);
        assert!(error.to_string().contains("apt-get install"), "{error}");
    }
}
