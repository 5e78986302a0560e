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

use guest_tests::pattern::PAGE;
use guest_tests::test::{Context, Test, Trouble, main as run_test};
use guest_tests::write_case::{self, DEFAULT_SIZE, WriteCase};

fn settings(context: &Context) -> Result<(WriteCase, usize), Trouble> {
    let params = &context.params;
    let size = params.bytes("size", DEFAULT_SIZE)?;
    if size % (4 * PAGE) != 0 || size < 8 * PAGE {
        return Err(params.bad("size", "a multiple of 16384, at least 32768").into());
    }
    let (offset, len) = (size / 4, size / 2);
    let present = params.number("present", 1)?;
    if present == 0 || present * PAGE >= len {
        return Err(params
            .bad("present", "at least one page, and fewer than the write has")
            .into());
    }
    let case = WriteCase::onto_source(params, size, offset..offset + len)?;
    params.finish()?;
    Ok((case, present))
}

fn setup(context: &Context) -> Result<(), Trouble> {
    let (case, _) = settings(context)?;
    case.make_file(context)
}

fn run(context: &Context) -> Result<(), Trouble> {
    let (case, present) = settings(context)?;
    write_case::write_from_source(context, &case, case.old_size, present)
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
