//! How a command fails: a message for a person with its causes, and an [`Exit`] for a program.
//!
//! Every module has its own error type; what says how a command ends with it ([`ExitError`]) becomes a [`Failure`] by
//! `?`.

use std::error::Error;
use std::fmt;

use crate::{Exit, ExitError};

/// A command's failure.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What went wrong.
    pub message: String,
    /// Causes, outermost first.
    pub(crate) causes: Vec<String>,
}

impl Failure {
    /// A failure that no error of a library or of the system caused.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure {
            exit,
            message: message.into(),
            causes: Vec::new(),
        }
    }

    /// A failure from an error that cannot say how a command ends: of the system, of a library, of the device's
    /// protocol. Errors of our own implement [`ExitError`].
    #[must_use]
    pub fn foreign(exit: Exit, error: &dyn Error) -> Failure {
        Failure::of(exit, error)
    }

    /// An error and its chain of sources.
    fn of(exit: Exit, error: &dyn Error) -> Failure {
        let mut causes = chain(error);
        let message = causes.remove(0);
        Failure { exit, message, causes }
    }

    /// A failure to write something: no space, or no permission.
    #[must_use]
    pub fn cannot_create(what: &str, error: &std::io::Error) -> Failure {
        Failure {
            exit: Exit::CannotCreate,
            message: format!("cannot write {what}"),
            causes: vec![error.to_string()],
        }
    }
}

impl<E: ExitError> From<E> for Failure {
    fn from(error: E) -> Failure {
        Failure::of(error.exit(), &error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for cause in &self.causes {
            // An error may already quote its cause; saying it twice helps nobody.
            if !self.message.contains(cause.as_str()) {
                write!(f, "\n  caused by: {cause}")?;
            }
        }
        Ok(())
    }
}

impl Error for Failure {}

/// An error and its sources, outermost first.
#[must_use]
pub fn chain(error: &dyn Error) -> Vec<String> {
    let mut chain = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        chain.push(cause.to_string());
        source = cause.source();
    }
    chain
}

/// An error and its sources, outermost first, with ": " between.
#[must_use]
pub fn on_one_line(error: &dyn Error) -> String {
    chain(error).join(": ")
}
