//! Why the host is not fit.

use crate::tool::ToolError;
use exit::{Exit, ExitError};

/// Why the host is not fit.
#[derive(Debug, thiserror::Error)]
pub enum DoctorError {
    /// Something is missing and was not to be installed.
    #[error("this machine lacks {missing}; run `{command}`, or again with --yes to have that done")]
    Missing {
        /// Names of programs, with commas between.
        missing: String,
        /// The command that installs them, for a person to run.
        command: String,
    },
    /// The installation failed.
    #[error("`{command}` failed ({reason}); what it printed above says why")]
    Install {
        /// What was run.
        command: String,
        /// Exit code or the system's answer.
        reason: String,
    },
    /// Not root, and no way to become it.
    #[error("only root can install {packages} and there is no sudo; have someone run `{command}`")]
    NotRoot {
        /// Debian packages, with spaces between.
        packages: String,
        /// The command for whoever is root.
        command: String,
    },
    /// It was installed, and is still not there.
    #[error("{missing} still missing after `{command}` succeeded; is PATH right?")]
    StillMissing {
        /// Names of programs, with commas between.
        missing: String,
        /// What was run.
        command: String,
    },
    /// QEMU is there, and does not serve.
    #[error("{reason}; install a newer qemu-system-x86 (the distribution's backports have one)")]
    Unfit {
        /// What QEMU cannot do, with its version.
        reason: String,
    },
    /// A tool could not be asked for its version.
    #[error(transparent)]
    Tool(#[from] ToolError),
}

impl ExitError for DoctorError {
    fn exit(&self) -> Exit {
        match self {
            DoctorError::Tool(error) => error.exit(),
            _ => Exit::Unavailable,
        }
    }
}
