//! Goal: a direct write to a file from a mapping of that same file must not wait for itself.
//!
//! Method: map the file, none of whose pages is cached, and write the whole mapping onto itself. btrfs before 5.16
//! created the ordered extent and held the extent's lock, then took the page fault on the buffer: reading the page in
//! waits for the very ordered extent that the faulting task has yet to submit. The task stays in D state for ever, and
//! so does whoever touches the file or unmounts it.
//!
//! Parameters: `size`, `present` (pages touched first, none by default), `layout` of the file, `flags`, `expect-error`.

use std::process::ExitCode;

use guest_tests::test::{Context, Test, Trouble, main as run_test};
use guest_tests::write_case::{self, DEFAULT_SIZE, WriteCase};

fn settings(context: &Context) -> Result<(WriteCase, usize), Trouble> {
    let params = &context.params;
    let len = params.bytes("size", DEFAULT_SIZE)?;
    let present = write_case::present(params, 0, len)?;
    let case = WriteCase::onto_source(params, len, 0..len)?;
    params.finish()?;
    Ok((case, present))
}

fn setup(context: &Context) -> Result<(), Trouble> {
    let (case, _) = settings(context)?;
    case.make_file(context)
}

fn run(context: &Context) -> Result<(), Trouble> {
    let (case, present) = settings(context)?;
    write_case::write_from_source(context, &case, case.len, present)
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
