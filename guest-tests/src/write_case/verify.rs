//! Compares the file with what its write promised, after a fresh mount.

use std::path::Path;

use guest_wire::FindingCause;
use rustix::io::Errno;

use crate::errno;
use crate::fiemap;
use crate::file::{self, Via};
use crate::oracle::{self, Difference, Expected};
use crate::test::{Context, Trouble, While};
use crate::write_case::case::{RESULT, WriteCase};
use crate::write_case::promise::Written;

/// Compares the file with what the write promised, after a fresh mount.
///
/// # Errors
/// The file cannot be looked at for reasons of the rig's, or the agent is gone.
pub fn verify(context: &Context, case: &WriteCase) -> Result<(), Trouble> {
    let Some(written) = context.state.load::<Written>(RESULT)? else {
        context
            .reporter
            .note("no result of the write was kept: nothing to verify")?;
        return Ok(());
    };
    if let Some(done) = written.promised() {
        verify_extents(context, case, done)?;
    }
    verify_content(context, case.name, &case.expected(&written))
}

fn verify_extents(context: &Context, case: &WriteCase, done: usize) -> Result<(), Trouble> {
    let path = context.path(case.name);
    let extents = match file::open_read(&path, Via::Buffered).map_err(Errno::from_io_error_or_io) {
        Ok(file) => fiemap::extents(&file),
        Err(errno) => Err(errno),
    };
    match extents {
        Ok(extents) => {
            context
                .reporter
                .note(format!("{}: {}", case.name, fiemap::text(&extents)))?;
            let (start, end) = (case.offset as u64, (case.offset + done) as u64);
            if let Some((hole, len)) = fiemap::first_hole(&extents, start, end) {
                let detail = format!(
                    "hole of {len} bytes at offset {hole} of {}, where data was written",
                    case.name
                );
                context.reporter.finding(FindingCause::Corruption, "extents", detail)?;
            }
        }
        Err(Errno::OPNOTSUPP | Errno::NOTTY) => context.reporter.note("the file system has no FIEMAP")?,
        // A file that is gone or unreadable is found by the data oracle.
        Err(error) => context
            .reporter
            .note(format!("FIEMAP of {} fails with {}", case.name, errno::name(error)))?,
    }
    Ok(())
}

/// Reads a file directly and, with caches dropped, through the page cache, and reports what differs.
///
/// # Errors
/// The caches cannot be dropped, or the agent is gone.
pub fn verify_content(context: &Context, name: &str, expected: &Expected) -> Result<(), Trouble> {
    let mut seen = None;
    for via in [Via::Direct, Via::Buffered] {
        file::drop_caches().while_doing("drop the caches")?;
        let difference = content_difference(&context.path(name), via, expected);
        // What both ways of reading show is said once.
        if difference.is_some() && difference != seen {
            let oracle = if matches!(difference, Some(Difference::Size { .. })) {
                "size"
            } else {
                "data"
            };
            let text = difference.as_ref().map(ToString::to_string).unwrap_or_default();
            let detail = format!("{name} ({} read after a fresh mount): {text}", via.name());
            context.reporter.finding(FindingCause::Corruption, oracle, detail)?;
        }
        seen = difference;
    }
    Ok(())
}

fn content_difference(path: &Path, via: Via, expected: &Expected) -> Option<Difference> {
    match file::read_all(path, via) {
        Ok(content) => oracle::compare(expected, &content),
        Err(error) => Some(Difference::Unreadable {
            offset: 0,
            errno: errno::io_name(&error),
        }),
    }
}

/// `Errno` from any error of the standard library.
trait FromIoErrorOrIo {
    fn from_io_error_or_io(error: std::io::Error) -> Errno;
}

impl FromIoErrorOrIo for Errno {
    fn from_io_error_or_io(error: std::io::Error) -> Errno {
        Errno::from_io_error(&error).unwrap_or(Errno::IO)
    }
}
