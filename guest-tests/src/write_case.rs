//! What the write tests have in common: one direct write, its result, and what it promises about the file.

use std::fs::File;
use std::ops::Range;
use std::path::Path;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::errno;
use crate::fiemap;
use crate::file::{self, Call, Via};
use crate::mapping::Mapping;
use crate::oracle::{self, Allowed, Difference, Expected, page_of};
use crate::params::{ParamError, Params};
use crate::pattern::{PAGE, TAG_SOURCE};
use crate::target::Layout;
use crate::test::{Context, Trouble, While};
use crate::wire::FindingCause;

/// Name under which the write's result is kept for the verify phase.
const RESULT: &str = "write";

/// One direct write into one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteCase {
    /// Name of the file written to.
    pub name: &'static str,
    /// Offset of the write; with `O_APPEND` this is the file's size.
    pub offset: usize,
    /// Length of the write.
    pub len: usize,
    /// How much of the buffer can be read, from its beginning; less than `len` where it is forbidden further on.
    pub readable: usize,
    /// How the file was made, and its size then.
    pub layout: Layout,
    /// Size before the write.
    pub old_size: usize,
    /// Tag of its content before the write.
    pub old_tag: u64,
    /// First page of the source that the buffer begins with.
    pub source_page: usize,
    /// More open(2) flags (`O_DSYNC`, …).
    pub flags: i32,
    /// The device fails a request of this write: it must not succeed.
    pub expect_error: bool,
}

/// Flags of open(2) by the names that parameters use.
const FLAGS: &[(&str, i32)] = &[
    ("dsync", libc::O_DSYNC),
    ("sync", libc::O_SYNC),
    ("append", libc::O_APPEND),
];

/// Reads `flags=dsync,append`.
///
/// # Errors
/// An unknown word.
pub fn open_flags(params: &Params) -> Result<i32, ParamError> {
    Ok(params.set("flags", FLAGS)?.into_iter().fold(0, |all, flag| all | flag))
}

/// What the write phase leaves for the verify phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// Return value; -1 on error.
    pub ret: i64,
    /// Number of the error, 0 if none.
    pub errno: i32,
    /// `st_size` right after it.
    pub size_after: u64,
}

impl Written {
    /// Bytes that the call says it wrote; `None` on error.
    #[must_use]
    pub fn promised(&self) -> Option<usize> {
        usize::try_from(self.ret).ok()
    }

    /// Whether it failed with this error.
    fn is(&self, errno: Errno) -> bool {
        self.errno == errno.raw_os_error()
    }
}

impl WriteCase {
    /// What the file may hold after the write gave this result.
    #[must_use]
    pub fn expected(&self, written: &Written) -> Expected {
        let end = self.offset + self.len;
        let largest = self.old_size.max(end);
        let page = |index: usize| self.page_after(index, written);
        match written.promised() {
            Some(done) => Expected::exactly(self.old_size.max(self.offset + done) as u64, page),
            // A part that was written before the fault may stay, but nothing that nobody wrote.
            None if written.is(Errno::FAULT) => {
                let largest = self.old_size.max(self.offset + self.readable.min(self.len));
                Expected {
                    size_min: self.old_size as u64,
                    ..Expected::exactly(largest as u64, page)
                }
            }
            // What a failing device leaves of an extending write is not defined, within the range written.
            None => Expected {
                size_min: self.old_size as u64,
                ..Expected::exactly(largest as u64, page)
            },
        }
    }

    /// What page `index` of the file may hold.
    fn page_after(&self, index: usize, written: &Written) -> Vec<Allowed> {
        let old = if index * PAGE < self.old_size {
            self.layout.page(self.old_tag, index)
        } else {
            Allowed::Zeros
        };
        let at = index * PAGE;
        let Some(from) = at.checked_sub(self.offset).filter(|from| *from < self.len) else {
            return vec![old];
        };
        let new = self.new_content(from / PAGE);
        let either = || new.iter().copied().chain([old]).collect();
        match written.promised() {
            Some(done) if from + PAGE <= done => new,
            // A page that the promise ends in, or one behind it that a failing device left undefined.
            Some(done) if from < done || self.expect_error => either(),
            Some(_) => vec![old],
            None if written.is(Errno::FAULT) && from >= self.readable => vec![old],
            // The file grew by this page, and only by having written it.
            None if written.is(Errno::FAULT) && at >= self.old_size => new,
            None => either(),
        }
    }

    /// What the write puts at its page `from`; two answers where the source itself is being overwritten.
    fn new_content(&self, from: usize) -> Vec<Allowed> {
        let source = self.source_page + from;
        let mut all = vec![page_of(TAG_SOURCE, source)];
        // The source page is in the range written: it may be read before or after that.
        if self.old_tag == TAG_SOURCE
            && let Some(earlier) = (source * PAGE).checked_sub(self.offset).filter(|at| *at < self.len)
        {
            let new = page_of(TAG_SOURCE, self.source_page + earlier / PAGE);
            if new != all[0] {
                all.push(new);
            }
        }
        all
    }

    /// Whether the result is one that this write may have.
    #[must_use]
    pub fn judge(&self, call: &Call) -> Option<(&'static str, String)> {
        let text = call.text();
        let wrong = |why: &str| Some(("result", format!("{text}: {why}")));
        match call.result {
            Ok(done) if done == self.len && self.expect_error => Some((
                "lost-error",
                format!("{text}: full success although the device failed a request of it"),
            )),
            Ok(done) if done == self.len && self.readable >= self.len => None,
            Ok(0) => wrong("nothing written and no error"),
            Ok(done) if done > self.readable => wrong("more than was readable in the buffer"),
            Ok(_) if self.readable < self.len || self.expect_error => None,
            Ok(_) => wrong("short without an error"),
            Err(Errno::FAULT) if self.readable < self.len => None,
            Err(Errno::FAULT) => wrong("the whole buffer is readable"),
            Err(Errno::IO) if self.expect_error => None,
            Err(_) => wrong("no such error is due"),
        }
    }
}

/// Looks whether the buffer's pages are as the test wants them before the write: `present` in memory, `absent` not.
///
/// # Errors
/// mincore(2) failed or the agent is gone.
pub fn arm_residency(
    context: &Context,
    mapping: &Mapping,
    present: Range<usize>,
    absent: Range<usize>,
) -> Result<(), Trouble> {
    let resident = mapping
        .residency()
        .while_doing("ask for the pages in memory (mincore)")?;
    let count = |range: Range<usize>| resident[range].iter().filter(|page| **page).count();
    let (here, stray) = (count(present.clone()), count(absent.clone()));
    let detail = format!(
        "{here} of {} first pages present, {stray} of {} later pages present",
        present.len(),
        absent.len()
    );
    let holds = here == present.len() && stray == 0 && !absent.is_empty();
    Ok(context.reporter.armed("source-pages-absent", holds, detail)?)
}

/// Does the write from `at` bytes into the mapping, reports everything about it, and keeps its result.
///
/// # Errors
/// The file cannot be opened or looked at, or the agent is gone. The write's own result is never one.
pub fn write(context: &Context, case: &WriteCase, mapping: &Mapping, at: usize) -> Result<Call, Trouble> {
    let path = context.path(case.name);
    let target = file::open_write(&path, Via::Direct, case.flags).while_doing(format_args!("open {}", case.name))?;
    let before = size(&target)?;
    context.reporter.note(format!(
        "pwrite64 of {} bytes at offset {} of {} ({before} bytes) begins",
        case.len, case.offset, case.name
    ))?;
    let call = file::pwrite(&target, mapping, at, case.len, case.offset as u64);
    context.reporter.event(call.event())?;
    if let Some((oracle, detail)) = case.judge(&call) {
        context.reporter.finding(FindingCause::Error, oracle, detail)?;
    }
    let size_after = size(&target)?;
    let written = Written {
        ret: call.result.map_or(-1, |done| done as i64),
        errno: call.result.err().map_or(0, Errno::raw_os_error),
        size_after,
    };
    context.state.save(RESULT, &written)?;
    let expected = case.expected(&written);
    if size_after < expected.size_min || size_after > expected.size_max {
        let sizes = oracle::size_text(expected.size_min, expected.size_max);
        let detail = format!(
            "{}, yet st_size went from {before} to {size_after}, expected {sizes}",
            call.text()
        );
        context.reporter.finding(FindingCause::Corruption, "size", detail)?;
    } else if call.result.is_err() && size_after != before {
        // No data is lost and none invented; but whoever repeats a failed append has it twice.
        context.reporter.note(format!(
            "{}, and the file grew from {before} to {size_after} bytes",
            call.text()
        ))?;
    }
    Ok(call)
}

/// Says whether the write took page faults, without which it tested nothing.
///
/// A device that fails the part submitted before the first fault ends the write there, rightly without one: then the
/// device's own count of what it failed is what arms the case.
///
/// # Errors
/// The agent is gone.
pub fn arm_faults(context: &Context, case: &WriteCase, call: &Call) -> Result<(), Trouble> {
    let detail = format!("{} page faults during {}", call.faults, call.text());
    if case.expect_error && call.result == Err(Errno::IO) && call.faults == 0 {
        return Ok(context
            .reporter
            .note(format!("{detail}: the error came before the first fault"))?);
    }
    Ok(context.reporter.armed("fault-during-write", call.faults > 0, detail)?)
}

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

fn size(file: &File) -> Result<u64, Trouble> {
    Ok(file.metadata().while_doing("get the file's size")?.len())
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

#[cfg(test)]
mod tests;
