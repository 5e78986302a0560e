//! How a command ends: exit codes, errors that say which one is theirs, and the message with its causes.
//!
//! One list of codes for all programs of the workspace ([`Exit`]), one trait by which an error says how a command ends
//! that fails with it ([`ExitError`]), and one way to print an error with what caused it ([`Failure`]). That something
//! could not be printed is an error, too ([`complete`]). It knows no command, no kernel and no device, and depends on
//! nothing.

mod exit;
mod failure;
mod output;

pub use exit::{Exit, ExitError};
pub use failure::{Failure, chain, on_one_line};
pub use output::{complete, printed};
