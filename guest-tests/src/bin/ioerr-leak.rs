//! Goal: a direct write whose device fails must say so, and leave neither reserved space nor an ordered extent behind.
//!
//! Method: a buffer all of whose pages are present, faulted in backwards so that they do not merge into large bios, is
//! written while the device fails one of the bios, recognised by the page it begins with (`payload=tag:1.N`). If the
//! error arrives while bios are still being submitted, iomap stops: the rest of the ordered extent is covered by no bio,
//! and whoever forgets to finish it leaks it. Then the leak check, and an umount that must finish. Nothing is read back
//! before that: the read would hang first and take the blame.
//!
//! Parameters: `size`, `order` (`backwards` or `forwards`), `target` (layout), `flags`, `expect-error` (1 by default: a
//! rule fails a request of the write; 0 runs the same without one).

use std::process::ExitCode;

use guest_tests::mapping::{Mapping, Order};
use guest_tests::pattern::{PAGE, TAG_SOURCE};
use guest_tests::target;
use guest_tests::test::{Context, Test, Trouble, While, main as run_test};
use guest_tests::write_case::{self, Target, WriteCase};

fn settings(context: &Context) -> Result<(WriteCase, Order), Trouble> {
    let params = &context.params;
    let len = params.bytes("size", 8 << 20)?;
    let order = params.choice(
        "order",
        &[("backwards", Order::Backwards), ("forwards", Order::Forwards)],
        Order::Backwards,
    )?;
    let target = Target::from_params(params)?;
    let expect_error = match params.text("expect-error") {
        None => true,
        Some(_) => params.switch("expect-error")?,
    };
    let case = WriteCase {
        expect_error,
        ..target.write_of(len)
    };
    params.finish()?;
    Ok((case, order))
}

fn setup(context: &Context) -> Result<(), Trouble> {
    let (case, _) = settings(context)?;
    target::make(
        &context.path(case.name),
        case.layout,
        case.old_tag,
        case.old_size.max(PAGE),
    )
}

fn run(context: &Context) -> Result<(), Trouble> {
    let (case, order) = settings(context)?;
    let buffer = Mapping::anonymous(case.len).while_doing("map a buffer")?;
    buffer.fill(TAG_SOURCE, order);
    let present = buffer
        .residency()
        .while_doing("ask for the pages in memory (mincore)")?;
    let count = present.iter().filter(|page| **page).count();
    let detail = format!("{count} of {} pages present", present.len());
    context
        .reporter
        .armed("buffer-present", count == present.len(), detail)?;
    write_case::write(context, &case, &buffer, 0).map(|_| ())
}

fn verify(context: &Context) -> Result<(), Trouble> {
    let (case, _) = settings(context)?;
    write_case::verify(context, &case)
}

fn main() -> ExitCode {
    run_test(&Test {
        name: "ioerr-leak",
        setup,
        run,
        verify,
    })
}
