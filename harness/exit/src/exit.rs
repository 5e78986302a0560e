//! Exit codes: what the end of a command tells a program. Those from 64 on follow sysexits.h.

use std::error::Error;
use std::process::ExitCode;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Exit {
    /// Everything as declared.
    Success = 0,
    /// A failure or a pass that nobody declared; something that a soak cannot explain.
    Unexpected = 1,
    /// Cells without a verdict on the kernel; a bisection that can name nothing.
    NoAnswer = 2,
    /// Bad usage: an unknown kernel or case, a glob that matches nothing, a rule that does not parse.
    Usage = 64,
    /// A file that a person wrote says something wrong: kernels.toml, a plan, a patch.
    Data = 65,
    /// What was named does not exist, cannot be read or is of the wrong kind.
    NoInput = 66,
    /// What was fetched is not what was pinned, or bears no valid signature.
    NotVerified = 67,
    /// The network is needed and cannot be reached, or must not be used.
    Network = 68,
    /// The host lacks a tool, or what serves there does not start or answer.
    Unavailable = 69,
    /// Something failed that should not have.
    Internal = 70,
    /// The operating system refuses something that the device needs.
    System = 71,
    /// A file, a directory or standard output cannot be written: no space, no permission.
    CannotCreate = 73,
    /// A kernel does not build.
    Build = 74,
    /// Interrupted, with nothing found until then: what a shell has for SIGINT.
    Interrupted = 130,
}

impl Exit {
    /// The number that a shell sees in `$?`.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// An error that says how a command ends that fails with it.
pub trait ExitError: Error {
    /// How the command ends.
    fn exit(&self) -> Exit;
}
