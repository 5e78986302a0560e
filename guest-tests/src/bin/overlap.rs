//! Goal: a direct write that overlaps the part of the file it is written from must neither hang nor mix up data.
//!
//! Method: map a file, touch its first page, and write its first half to the offset of its first quarter, without
//! truncating. The first part is submitted; the fault-in of the rest reads pages of the range being written. A fix that
//! keeps the ordered extent open across the fault-in deadlocks here, where the plain same-file write no longer does:
//! equal offsets or `O_TRUNC` make the first fault come at byte 0, before any ordered extent exists. A page that is both
//! source and target may legally be read old or new.
//!
//! Parameters: `size` (of the file, the write is half of it), `present`, `layout`, `flags`, `expect-error`.

use std::process::ExitCode;

use guest_tests::file::{Via, open_write};
use guest_tests::mapping::Mapping;
use guest_tests::pattern::{PAGE, TAG_SOURCE};
use guest_tests::target::{self, LAYOUTS, Layout};
use guest_tests::test::{Context, Test, Trouble, While, main as run_test};
use guest_tests::write_case::{self, WriteCase};

fn settings(context: &Context) -> Result<(WriteCase, usize), Trouble> {
    let params = &context.params;
    let size = params.bytes("size", 256 << 10)?;
    if size % (4 * PAGE) != 0 || size < 8 * PAGE {
        return Err(params.bad("size", "a multiple of 16384, at least 32768").into());
    }
    let len = size / 2;
    let present = params.number("present", 1)?;
    if present == 0 || present * PAGE >= len {
        return Err(params
            .bad("present", "at least one page, and fewer than the write has")
            .into());
    }
    let layout = params.choice("layout", LAYOUTS, Layout::Existing)?;
    if matches!(layout, Layout::New | Layout::Prealloc) {
        return Err(params
            .bad("layout", "one with data: existing, nocow, fragmented, nocow-fragmented")
            .into());
    }
    let flags = write_case::open_flags(params)?;
    if flags & libc::O_APPEND != 0 {
        return Err(params.bad("flags", "dsync or sync").into());
    }
    let case = WriteCase {
        name: "source",
        offset: size / 4,
        len,
        readable: len,
        layout,
        old_size: size,
        old_tag: TAG_SOURCE,
        source_page: 0,
        flags,
        expect_error: params.switch("expect-error")?,
    };
    params.finish()?;
    Ok((case, present))
}

fn setup(context: &Context) -> Result<(), Trouble> {
    let (case, _) = settings(context)?;
    target::make(&context.path(case.name), case.layout, TAG_SOURCE, case.old_size)
}

fn run(context: &Context) -> Result<(), Trouble> {
    let (case, present) = settings(context)?;
    let source = open_write(&context.path(case.name), Via::Buffered, 0).while_doing("open source")?;
    let buffer = Mapping::file(&source, case.old_size).while_doing("map source")?;
    buffer.touch(0..present);
    write_case::arm_residency(context, &buffer, 0..present, present..buffer.pages())?;
    let call = write_case::write(context, &case, &buffer, 0)?;
    write_case::arm_faults(context, &case, &call)
}

fn verify(context: &Context) -> Result<(), Trouble> {
    let (case, _) = settings(context)?;
    write_case::verify(context, &case)
}

fn main() -> ExitCode {
    run_test(&Test {
        name: "overlap",
        setup,
        run,
        verify,
    })
}
