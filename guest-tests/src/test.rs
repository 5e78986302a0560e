//! What every test binary is: three functions, one a phase, each called in a process of its own.
//!
//! `TEST PHASE PARAMETERS`: the parameters are those of [`TestParams`] as JSON. Without them the test runs its plain
//! variant, for whoever tries it by hand.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use guest_wire::params::{Parameters, ParamsError, TestParams};

use crate::reporter::{ReportError, Reporter};
use crate::state::{self, State, StateError};

/// Exit code of a test that does not apply here.
pub(crate) const EXIT_SKIPPED: u8 = 77;
/// Exit code of a test that could not do its work: trouble with the rig, not a finding.
pub(crate) const EXIT_TROUBLE: u8 = 1;
/// Exit code for words that the test does not understand.
pub(crate) const EXIT_USAGE: u8 = 64;

/// What a phase works with.
#[derive(Debug)]
pub struct Context {
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
    Params(#[from] ParamsError),
    /// The parameters are none: host and guest were not built together.
    #[error("failed to read the parameters")]
    Json(#[from] serde_json::Error),
    /// The parameters are for another test.
    #[error("{test} was given the parameters of {other}")]
    OtherTest {
        /// The test whose binary this is.
        test: &'static str,
        /// The test whose parameters came.
        other: &'static str,
    },
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
        /// Why, for a person: a file system or kernel that lacks something.
        reason: String,
    },
    /// The command line is not `PHASE [PARAMETERS]`.
    #[error("usage: {test} setup|run|verify [PARAMETERS as JSON]")]
    Usage {
        /// The test's name.
        test: &'static str,
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

/// A test, by its phases; each is called with the parameters of the variant, already checked.
pub trait Test {
    /// The type of its parameters; [`Parameters::TEST`] is the test's name.
    type Params: Parameters + TryFrom<TestParams, Error = TestParams>;

    /// Makes the files that the test needs.
    ///
    /// # Errors
    /// The phase could not do its work.
    fn setup(context: &Context, params: &Self::Params) -> Result<(), Trouble>;

    /// The thing under test.
    ///
    /// # Errors
    /// The phase could not do its work.
    fn run(context: &Context, params: &Self::Params) -> Result<(), Trouble>;

    /// Compares what is on disk after a fresh mount.
    ///
    /// # Errors
    /// The phase could not do its work.
    fn verify(context: &Context, params: &Self::Params) -> Result<(), Trouble>;
}

/// All of a test binary: reads phase and parameters from the command line and runs the phase.
#[must_use]
pub fn main<T: Test>() -> ExitCode {
    let name = T::Params::TEST;
    let words: Vec<String> = std::env::args().skip(1).collect();
    let reporter = match Reporter::from_env() {
        Ok(reporter) => reporter,
        Err(error) => {
            eprintln!("{name}: {}", chain(&error));
            return EXIT_TROUBLE.into();
        }
    };
    let context = Context {
        reporter,
        state: State::new(Path::new(state::DIR)),
        dir: PathBuf::from("."),
    };
    let Err(trouble) = run_phase::<T>(&context, &words) else {
        return ExitCode::SUCCESS;
    };
    let text = format!("{name}: {}", chain(&trouble));
    if context.reporter.note(text.clone()).is_err() {
        eprintln!("{text}");
    }
    match trouble {
        Trouble::Skip { .. } => EXIT_SKIPPED.into(),
        Trouble::Params(_) | Trouble::Json(_) | Trouble::OtherTest { .. } | Trouble::Usage { .. } => EXIT_USAGE.into(),
        _ => EXIT_TROUBLE.into(),
    }
}

fn run_phase<T: Test>(context: &Context, words: &[String]) -> Result<(), Trouble> {
    let test = T::Params::TEST;
    let (phase, params) = match words {
        [phase] => (phase, None),
        [phase, params] => (phase, Some(params)),
        _ => return Err(Trouble::Usage { test }),
    };
    let run = match phase.as_str() {
        "setup" => T::setup,
        "run" => T::run,
        "verify" => T::verify,
        _ => return Err(Trouble::Usage { test }),
    };
    let params = match params {
        Some(json) => read_params::<T>(json)?,
        None => T::Params::PLAIN,
    };
    params.validate()?;
    run(context, &params)
}

fn read_params<T: Test>(json: &str) -> Result<T::Params, Trouble> {
    let params: TestParams = serde_json::from_str(json)?;
    T::Params::try_from(params).map_err(|other| Trouble::OtherTest {
        test: T::Params::TEST,
        other: other.test_name(),
    })
}

/// An error and what caused it, on one line.
#[must_use]
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
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
    use guest_wire::params::{Overlap, RwVerify};

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

    /// Its setup says what size it was given.
    struct Nothing;

    impl Test for Nothing {
        type Params = RwVerify;

        fn setup(_: &Context, params: &RwVerify) -> Result<(), Trouble> {
            let reason = format!("{} pages", params.size.count());
            Err(Trouble::Skip { reason })
        }

        fn run(_: &Context, _: &RwVerify) -> Result<(), Trouble> {
            Ok(())
        }

        fn verify(_: &Context, _: &RwVerify) -> Result<(), Trouble> {
            Ok(())
        }
    }

    fn said(words: &[&str]) -> String {
        let (ours, _theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let context = Context {
            reporter: Reporter::over(ours),
            state: State::new(Path::new(state::DIR)),
            dir: PathBuf::from("."),
        };
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        match run_phase::<Nothing>(&context, &words) {
            Ok(()) => "done".to_owned(),
            Err(trouble) => chain(&trouble),
        }
    }

    #[test]
    fn an_unknown_phase_is_a_usage_error() {
        let usage = "usage: rw-verify setup|run|verify [PARAMETERS as JSON]";
        assert_eq!(said(&["tidy"]), usage);
        assert_eq!(said(&[]), usage);
        assert_eq!(said(&["run", "{}", "{}"]), usage);
    }

    #[test]
    fn a_phase_gets_its_parameters() {
        let json = |size: u32| format!("{{\"rw-verify\":{{\"size\":{size},\"sync\":\"none\"}}}}");
        assert_eq!(said(&["setup"]), "does not apply: 64 pages");
        assert_eq!(said(&["setup", &json(8)]), "does not apply: 8 pages");
        assert_eq!(said(&["run", &json(8)]), "done");
        assert_eq!(said(&["run", &json(1)]), "parameter size=4096: expected at least 8192");
    }

    #[test]
    fn what_is_not_for_this_test_is_refused() {
        let other = serde_json::to_string(&TestParams::Overlap(Overlap::PLAIN)).unwrap();
        assert_eq!(said(&["run", &other]), "rw-verify was given the parameters of overlap");
        assert!(said(&["run", "size=8192"]).starts_with("failed to read the parameters: expected value"));
    }
}
