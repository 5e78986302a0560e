//! Makes the files, does the write, and says whether what it tests came to happen.

use std::fs::File;
use std::ops::Range;

use guest_wire::FindingCause;
use guest_wire::params::{Layout, Pages};
use rustix::io::Errno;

use crate::file::{self, Call, Via};
use crate::mapping::Mapping;
use crate::oracle;
use crate::pattern::TAG_SOURCE;
use crate::target;
use crate::test::{Context, Trouble, While};
use crate::write_case::case::{RESULT, SOURCE, WriteCase};
use crate::write_case::promise::Written;

/// Makes the file that the buffer of a write maps, full of data.
///
/// # Errors
/// A system call failed.
pub fn make_source(context: &Context, size: Pages) -> Result<(), Trouble> {
    target::make(&context.path(SOURCE), Layout::Existing, TAG_SOURCE, size.bytes())
}

impl WriteCase {
    /// Makes the file that is written to, as it is to be before the write.
    ///
    /// # Errors
    /// A system call failed, or the file system has no such layout ([`Trouble::Skip`]).
    pub fn make_file(&self, context: &Context) -> Result<(), Trouble> {
        target::make(&context.path(self.name), self.layout, self.old_tag, self.old_size)
    }
}

/// Maps the source, and leaves it open: bind it, so that it stays so during the write.
///
/// # Errors
/// A system call failed.
pub fn map_source(context: &Context, size: Pages) -> Result<(File, Mapping), Trouble> {
    let source = file::open_write(&context.path(SOURCE), Via::Buffered, 0).while_doing("open source")?;
    let buffer = Mapping::file(&source, size.bytes()).while_doing("map source")?;
    Ok((source, buffer))
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
fn arm_faults(context: &Context, case: &WriteCase, call: &Call) -> Result<(), Trouble> {
    let detail = format!("{} page faults during {}", call.faults, call.text());
    if case.expect_error && call.result == Err(Errno::IO) && call.faults == 0 {
        return Ok(context
            .reporter
            .note(format!("{detail}: the error came before the first fault"))?);
    }
    Ok(context.reporter.armed("fault-during-write", call.faults > 0, detail)?)
}

/// Maps the source, touches the first pages of it only, and writes from its beginning.
///
/// # Errors
/// The source cannot be mapped, the file cannot be opened or looked at, or the agent is gone.
pub fn write_from_source(context: &Context, case: &WriteCase, mapped: Pages, present: Pages) -> Result<(), Trouble> {
    // Declared first, dropped last: unmapped, then closed.
    let (_source, buffer) = map_source(context, mapped)?;
    let present = present.count();
    buffer.touch(0..present);
    arm_residency(context, &buffer, 0..present, present..buffer.pages())?;
    let call = write(context, case, &buffer, 0)?;
    arm_faults(context, case, &call)
}

fn size(file: &File) -> Result<u64, Trouble> {
    Ok(file.metadata().while_doing("get the file's size")?.len())
}
