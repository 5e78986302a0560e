//! How a command fails: a message for a person and an exit code for a program.
//!
//! Every module has its own error type; here they only become one line, their causes below it, and the documented exit code.

use std::error::Error;
use std::fmt;

/// Bad usage: an unknown kernel or case, a glob that matches nothing, a rule that does not parse.
pub const USAGE: u8 = 64;
/// A file that a person wrote says something wrong: kernels.toml, a plan.
pub const DATA: u8 = 65;
/// A file that was named does not exist or is of the wrong kind.
pub const NO_INPUT: u8 = 66;
/// The host lacks a tool.
pub const UNAVAILABLE: u8 = 69;
/// Something failed that should not have.
pub const INTERNAL: u8 = 70;
/// A file or directory cannot be written: no space, no permission.
pub const CANNOT_CREATE: u8 = 73;

/// A command's failure.
#[derive(Debug)]
pub struct Failure {
    /// Exit code of the process.
    pub code: u8,
    /// What went wrong.
    pub message: String,
    /// Causes, outermost first.
    pub causes: Vec<String>,
}

impl Failure {
    /// A failure that is a plain message.
    pub fn new(code: u8, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
            causes: Vec::new(),
        }
    }

    /// A failure from an error and its chain of sources.
    #[must_use]
    pub fn of(code: u8, error: &dyn Error) -> Failure {
        let mut failure = Failure::new(code, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            failure.causes.push(cause.to_string());
            source = cause.source();
        }
        failure
    }

    /// A failure to write something, with the code that tells a full disk or a missing permission.
    #[must_use]
    pub fn cannot_create(what: &str, error: &std::io::Error) -> Failure {
        Failure {
            code: CANNOT_CREATE,
            message: format!("cannot write {what}"),
            causes: vec![error.to_string()],
        }
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
