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

use guest_tests::file::{Via, open_write};
use guest_tests::mapping::Mapping;
use guest_tests::pattern::{PAGE, TAG_OLD, TAG_SOURCE};
use guest_tests::target::{self, LAYOUTS, Layout};
use guest_tests::test::{Context, Test, Trouble, While, main as run_test};
use guest_tests::write_case::{self, WriteCase};

#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    Forbidden,
    Cold,
}

fn settings(context: &Context) -> Result<(WriteCase, First), Trouble> {
    let params = &context.params;
    let len = params.bytes("size", 256 << 10)?;
    let first = params.choice(
        "first",
        &[("forbidden", First::Forbidden), ("cold", First::Cold)],
        First::Forbidden,
    )?;
    let mut layout = params.choice("target", LAYOUTS, Layout::New)?;
    let flags = write_case::open_flags(params)?;
    let (mut offset, mut old_size) = (0, layout.size(len));
    if flags & libc::O_APPEND != 0 {
        (layout, offset, old_size) = (Layout::Existing, 4 * PAGE, 4 * PAGE);
    }
    let readable = if first == First::Cold { len } else { 0 };
    let case = WriteCase {
        name: "target",
        offset,
        len,
        readable,
        layout,
        old_size,
        old_tag: TAG_OLD,
        source_page: 0,
        flags,
        expect_error: false,
    };
    params.finish()?;
    Ok((case, first))
}

fn setup(context: &Context) -> Result<(), Trouble> {
    let (case, _) = settings(context)?;
    target::make(&context.path("source"), Layout::Existing, TAG_SOURCE, case.len)?;
    target::make(&context.path(case.name), case.layout, TAG_OLD, case.old_size.max(PAGE))
}

fn run(context: &Context) -> Result<(), Trouble> {
    let (case, first) = settings(context)?;
    let source = open_write(&context.path("source"), Via::Buffered, 0).while_doing("open source")?;
    let buffer = Mapping::file(&source, case.len).while_doing("map source")?;
    match first {
        First::Cold => {
            write_case::arm_residency(context, &buffer, 0..0, 0..buffer.pages())?;
            let call = write_case::write(context, &case, &buffer, 0)?;
            write_case::arm_faults(context, &case, &call)
        }
        First::Forbidden => {
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
