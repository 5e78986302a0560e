//! Goal: a direct write whose device fails must say so, and leave neither reserved space nor an ordered extent behind.
//!
//! Method: a buffer all of whose pages are present, faulted in backwards so that they do not merge into large bios, is
//! written while the device fails one of the bios, recognised by the page it begins with (`payload=tag:1.N`). If the
//! error arrives while bios are still being submitted, iomap stops: the rest of the ordered extent is covered by no
//! bio, and whoever forgets to finish it leaks it. Then the leak check, and an umount that must finish. Nothing is
//! read back before that: the read would hang first and take the blame.

use std::process::ExitCode;

use guest_tests::mapping::Mapping;
use guest_tests::pattern::{PAGE, TAG_SOURCE};
use guest_tests::target;
use guest_tests::test::{Context, Test, Trouble, While, main as run_test};
use guest_tests::write_case::{self, WriteCase};
use guest_wire::params::IoerrLeak;

struct IoerrLeakTest;

fn case(params: &IoerrLeak) -> WriteCase {
    WriteCase {
        expect_error: params.expect_error,
        ..WriteCase::into_target(params.target, params.sync, params.size)
    }
}

impl Test for IoerrLeakTest {
    type Params = IoerrLeak;

    fn setup(context: &Context, params: &IoerrLeak) -> Result<(), Trouble> {
        let case = case(params);
        target::make(
            &context.path(case.name),
            case.layout,
            case.old_tag,
            case.old_size.max(PAGE),
        )
    }

    fn run(context: &Context, params: &IoerrLeak) -> Result<(), Trouble> {
        let buffer = Mapping::anonymous(params.size.bytes()).while_doing("map a buffer")?;
        buffer.fill(TAG_SOURCE, params.order);
        let present = buffer
            .residency()
            .while_doing("ask for the pages in memory (mincore)")?;
        let count = present.iter().filter(|page| **page).count();
        let detail = format!("{count} of {} pages present", present.len());
        context
            .reporter
            .armed("buffer-present", count == present.len(), detail)?;
        write_case::write(context, &case(params), &buffer, 0).map(|_| ())
    }

    fn verify(context: &Context, params: &IoerrLeak) -> Result<(), Trouble> {
        write_case::verify(context, &case(params))
    }
}

fn main() -> ExitCode {
    run_test::<IoerrLeakTest>()
}
