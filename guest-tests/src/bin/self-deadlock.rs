//! Goal: a direct write to a file from a mapping of that same file must not wait for itself.
//!
//! Method: map the file, none of whose pages is cached, and write the whole mapping onto itself. btrfs before 5.16
//! created the ordered extent and held the extent's lock, then took the page fault on the buffer: reading the page in
//! waits for the very ordered extent that the faulting task has yet to submit. The task stays in D state for ever, and
//! so does whoever touches the file or unmounts it.
//!
//! Parameters: `size`, `present` (pages touched first, none by default), `layout` of the file, `flags`, `expect-error`.

use std::process::ExitCode;

use guest_tests::file::{Via, open_write};
use guest_tests::mapping::Mapping;
use guest_tests::pattern::{PAGE, TAG_SOURCE};
use guest_tests::target::{self, LAYOUTS, Layout};
use guest_tests::test::{Context, Test, Trouble, While, main as run_test};
use guest_tests::write_case::{self, WriteCase};

fn settings(context: &Context) -> Result<(WriteCase, usize), Trouble> {
    let params = &context.params;
    let len = params.bytes("size", 256 << 10)?;
    let present = params.number("present", 0)?;
    if present * PAGE >= len {
        return Err(params.bad("present", "fewer pages than the write has").into());
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
        offset: 0,
        len,
        readable: len,
        layout,
        old_size: len,
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
    target::make(&context.path(case.name), case.layout, TAG_SOURCE, case.len)
}

fn run(context: &Context) -> Result<(), Trouble> {
    let (case, present) = settings(context)?;
    let source = open_write(&context.path(case.name), Via::Buffered, 0).while_doing("open source")?;
    let buffer = Mapping::file(&source, case.len).while_doing("map source")?;
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
        name: "self-deadlock",
        setup,
        run,
        verify,
    })
}
