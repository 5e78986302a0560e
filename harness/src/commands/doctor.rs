//! `cargo xtask doctor`: what the host needs, what it has, and how to get the rest.

use super::prepare;
use crate::cli::DoctorArgs;
use crate::error::Failure;

/// Runs the command.
///
/// # Errors
/// Something is missing and was not installed.
pub fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    prepare::doctor(args.yes)?;
    Ok(0)
}
