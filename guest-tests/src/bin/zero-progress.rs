//! Goal: a direct write whose very first page cannot be read must fail with EFAULT, write nothing and leave nothing
//! behind.
//!
//! Method: the buffer is a mapping of a file whose first page is `PROT_NONE`. The write makes no progress at all, so no
//! bio ever covers the ordered extent made for it: it has to be cancelled, or umount waits for it for ever. A first
//! fault that succeeds hides this, hence `first=cold` as the opposite: the first page is merely absent, and the write
//! must succeed.
//!
//! Parameters: `size`, `first` (`forbidden` or `cold`), `target` (layout), `flags`.

use std::process::ExitCode;

use guest_tests::test::{Context, Test, Trouble, While, main as run_test};
use guest_tests::write_case::{self, DEFAULT_SIZE, Target, WriteCase};

#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Forbidden,
    Cold,
}

fn settings(context: &Context) -> Result<(WriteCase, First), Trouble> {
    let params = &context.params;
    let len = params.bytes("size", DEFAULT_SIZE)?;
    let first = params.choice(
        "first",
        &[("forbidden", First::Forbidden), ("cold", First::Cold)],
        First::Forbidden,
    )?;
    let case = WriteCase {
        readable: if first == First::Cold { len } else { 0 },
        ..Target::from_params(params)?.write_of(len)
    };
    params.finish()?;
    Ok((case, first))
}

fn setup(context: &Context) -> Result<(), Trouble> {
    let (case, _) = settings(context)?;
    write_case::make_source(context, case.len)?;
    case.make_file(context)
}

fn run(context: &Context) -> Result<(), Trouble> {
    let (case, first) = settings(context)?;
    match first {
        First::Cold => write_case::write_from_source(context, &case, case.len, 0),
        First::Forbidden => {
            let (_source, buffer) = write_case::map_source(context, case.len)?;
            buffer.forbid(0..1).while_doing("forbid the first page")?;
            context
                .reporter
                .armed("first-page-forbidden", true, "PROT_NONE on page 0 of the buffer")?;
            write_case::write(context, &case, &buffer, 0).map(|_| ())
        }
    }
}

fn verify(context: &Context) -> Result<(), Trouble> {
    let (case, _) = settings(context)?;
    write_case::verify(context, &case)
}

fn main() -> ExitCode {
    run_test(&Test {
        name: "zero-progress",
        setup,
        run,
        verify,
    })
}
