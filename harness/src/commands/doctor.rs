//! `cargo xtask doctor`: what the host needs, what it has, and how to get the rest.

use crate::cli::DoctorArgs;
use crate::doctor;
use crate::error::Failure;

/// Runs the command.
///
/// # Errors
/// Something is missing and was not installed.
pub fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    doctor::report(args.yes).map_err(|error| Failure::of(error.exit_code(), &error))?;
    Ok(0)
}
