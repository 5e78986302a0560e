//! What is asked of the sandbox, and its error.

use std::fmt;
use std::path::PathBuf;

use thiserror::Error;

/// What a device may go on doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Directories below which files may be written.
    pub exports: Vec<PathBuf>,
    /// Directories whose files may be taken away.
    pub removals: Vec<PathBuf>,
    /// Whether rings of io_uring that were made before are used.
    pub io_uring: bool,
}

/// A sandbox that cannot be entered.
#[derive(Debug, Error)]
#[error("cannot enter the sandbox: {part}: {problem} (`--no-sandbox` runs the device without one)")]
pub struct SandboxError {
    part: &'static str,
    problem: String,
}

impl SandboxError {
    pub(super) fn landlock(problem: &dyn fmt::Display) -> SandboxError {
        SandboxError {
            part: "landlock",
            problem: problem.to_string(),
        }
    }

    pub(super) fn seccomp(problem: &dyn fmt::Display) -> SandboxError {
        SandboxError {
            part: "seccomp",
            problem: problem.to_string(),
        }
    }
}
