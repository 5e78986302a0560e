//! `cargo xtask doctor`: what the host needs, what it has, and how to get the rest.

use clap::Args;
use exit::{Exit, Failure};
use host::doctor;

/// `cargo xtask doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Install what is missing without asking.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Runs the command.
///
/// # Errors
/// Something is missing and was not installed.
pub(crate) fn run(args: &DoctorArgs) -> Result<Exit, Failure> {
    doctor::report(args.yes)?;
    Ok(Exit::Success)
}
