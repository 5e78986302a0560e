//! `cargo xtask doctor`: what the host needs, what it has, and how to get the rest.

use clap::Args;
use exit::{Exit, Failure};
use host::doctor;

use crate::flags::InstallArgs;

/// `cargo xtask doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    pub(crate) install: InstallArgs,
}

/// Runs the command.
///
/// # Errors
/// Something is missing and was not installed.
pub(crate) fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    doctor::report(args.install.yes)?;
    Ok(Exit::Success)
}
