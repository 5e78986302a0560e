//! What a command prints, where it may be that nobody reads it.
//!
//! A reader that went away (a pager that was left, `| head`) is no error: what is printed after that is lost, and the
//! command ends as it would have. Any other failure to print, like a full disk, is one.

use std::io;
use std::sync::Mutex;

use crate::{Exit, Failure};

/// What could not be printed, if anything.
static LOST: Mutex<Option<io::Error>> = Mutex::new(None);

/// Notes what came of printing to standard output.
pub fn printed(result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != io::ErrorKind::BrokenPipe
        && let Ok(mut lost) = LOST.lock()
    {
        lost.get_or_insert(error);
    }
}

/// How a command ends that would end so: not with success, if something that it printed is lost.
///
/// # Errors
/// Standard output took something of a command that succeeded otherwise, and did not keep it.
pub fn complete(exit: Exit) -> Result<Exit, Failure> {
    let lost = LOST.lock().ok().and_then(|mut lost| lost.take());
    match lost {
        Some(error) if exit == Exit::Success => Err(Failure::cannot_create("to standard output", &error)),
        _ => Ok(exit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_went_away_is_no_error_and_a_full_disk_is_one() {
        printed(Ok(()));
        printed(Err(io::ErrorKind::BrokenPipe.into()));
        assert_eq!(complete(Exit::Success).ok(), Some(Exit::Success));
        printed(Err(io::ErrorKind::StorageFull.into()));
        let failure = complete(Exit::Success).expect_err("it is lost");
        assert_eq!(failure.exit, Exit::CannotCreate);
        assert!(
            failure.to_string().starts_with("cannot write to standard output\n"),
            "{failure}"
        );
        // What a command found out matters more.
        printed(Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(complete(Exit::NoAnswer).ok(), Some(Exit::NoAnswer));
    }
}
