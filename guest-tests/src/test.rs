//! What every test binary is: three functions, one a phase, each called in a process of its own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::params::{ParamError, Params};
use crate::reporter::{ReportError, Reporter};
use crate::state::{self, State, StateError};

/// Exit code of a test that does not apply here.
pub const EXIT_SKIPPED: u8 = 77;
/// Exit code of a test that could not do its work: trouble with the rig, not a finding.
pub const EXIT_TROUBLE: u8 = 1;
/// Exit code for words that the test does not understand.
pub const EXIT_USAGE: u8 = 64;

/// What a phase works with.
#[derive(Debug)]
pub struct Context {
    /// The variant's parameters.
    pub params: Params,
    /// The line to the agent.
    pub reporter: Reporter,
    /// What phases leave for each other.
    pub state: State,
    /// The root of the file system under test.
    pub dir: PathBuf,
}

impl Context {
    /// A file of the file system under test.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// Why a phase could not do its work. Never for what an oracle found: that is reported, and the phase goes on.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The variant's parameters are not usable.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// The agent cannot be reached.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The phase before left nothing usable.
    #[error(transparent)]
    State(#[from] StateError),
    /// A system call that is not under test failed.
    #[error("failed to {what}")]
    Call {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The test does not apply here.
    #[error("does not apply: {reason}")]
    Skip {
        /// Why.
        reason: String,
    },
    /// The command line is not `PHASE key=value…`.
    #[error("usage: {test} setup|run|verify [key=value]…")]
    Usage {
        /// The test's name.
        test: String,
    },
}

/// Gives the errors of system calls the words of what was being done.
pub trait While<T> {
    /// Turns an error into trouble with `what`, as in "failed to open the target".
    ///
    /// # Errors
    /// The same, in more words.
    fn while_doing(self, what: impl fmt::Display) -> Result<T, Trouble>;
}

impl<T, E: Into<std::io::Error>> While<T> for Result<T, E> {
    fn while_doing(self, what: impl fmt::Display) -> Result<T, Trouble> {
        self.map_err(|error| Trouble::Call {
            what: what.to_string(),
            source: error.into(),
        })
    }
}

/// One phase of a test.
pub type PhaseFn = fn(&Context) -> Result<(), Trouble>;

/// A test, by its phases.
#[derive(Debug, Clone, Copy)]
pub struct Test {
    /// Name of the binary.
    pub name: &'static str,
    /// Makes the files that the test needs.
    pub setup: PhaseFn,
    /// The thing under test.
    pub run: PhaseFn,
    /// Compares what is on disk after a fresh mount.
    pub verify: PhaseFn,
}

/// The `main` of a test binary.
#[must_use]
pub fn main(test: &Test) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let reporter = match Reporter::from_env() {
        Ok(reporter) => reporter,
        Err(error) => {
            eprintln!("{}: {}", test.name, chain(&error));
            return EXIT_TROUBLE.into();
        }
    };
    let (trouble, reporter) = match run_phase(test, &words, reporter) {
        (Ok(()), _) => return ExitCode::SUCCESS,
        (Err(trouble), reporter) => (trouble, reporter),
    };
    let text = format!("{}: {}", test.name, chain(&trouble));
    if reporter.note(text.clone()).is_err() {
        eprintln!("{text}");
    }
    match trouble {
        Trouble::Skip { .. } => EXIT_SKIPPED.into(),
        Trouble::Param(_) | Trouble::Usage { .. } => EXIT_USAGE.into(),
        _ => EXIT_TROUBLE.into(),
    }
}

fn run_phase(test: &Test, words: &[String], reporter: Reporter) -> (Result<(), Trouble>, Reporter) {
    let usage = || Trouble::Usage {
        test: test.name.to_owned(),
    };
    let Some((phase, rest)) = words.split_first() else {
        return (Err(usage()), reporter);
    };
    let run = match phase.as_str() {
        "setup" => test.setup,
        "run" => test.run,
        "verify" => test.verify,
        _ => return (Err(usage()), reporter),
    };
    let params = match Params::parse(rest) {
        Ok(params) => params,
        Err(error) => return (Err(error.into()), reporter),
    };
    let context = Context {
        params,
        reporter,
        state: State::new(Path::new(state::DIR)),
        dir: PathBuf::from("."),
    };
    let result = run(&context);
    (result, context.reporter)
}

/// An error and what caused it, on one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // `transparent` errors repeat their source.
        if !text.ends_with(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_says_what_was_being_done() {
        let failed: Result<(), rustix::io::Errno> = Err(rustix::io::Errno::NOENT);
        let trouble = failed.while_doing("open the target").unwrap_err();
        assert_eq!(
            chain(&trouble),
            "failed to open the target: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn an_unknown_phase_is_a_usage_error() {
        let test = Test {
            name: "t",
            setup: |_| Ok(()),
            run: |_| Ok(()),
            verify: |_| Ok(()),
        };
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let (result, _) = run_phase(&test, &["tidy".to_owned()], Reporter::over(ours));
        assert_eq!(
            result.unwrap_err().to_string(),
            "usage: t setup|run|verify [key=value]…"
        );
    }
}
