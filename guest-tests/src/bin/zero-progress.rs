//! Goal: a direct write whose very first page cannot be read must fail with EFAULT, write nothing and leave nothing
//! behind.
//!
//! Method: the buffer is a mapping of a file whose first page is `PROT_NONE`. The write makes no progress at all, so no
//! bio ever covers the ordered extent made for it: it has to be cancelled, or umount waits for it for ever. A first
//! fault that succeeds hides this, hence `first=cold` as the opposite: the first page is merely absent, and the write
//! must succeed.

use std::process::ExitCode;

use guest_tests::test::{Context, Test, Trouble, While, main as run_test};
use guest_tests::write_case::{self, WriteCase};
use guest_wire::params::{FirstPage, Pages, ZeroProgress};

struct ZeroProgressTest;

fn case(params: &ZeroProgress) -> WriteCase {
    WriteCase {
        readable: match params.first {
            FirstPage::Cold => params.size.bytes(),
            FirstPage::Forbidden => 0,
        },
        ..WriteCase::into_target(params.target, params.sync, params.size)
    }
}

impl Test for ZeroProgressTest {
    type Params = ZeroProgress;

    fn setup(context: &Context, params: &ZeroProgress) -> Result<(), Trouble> {
        write_case::make_source(context, params.size)?;
        case(params).make_file(context)
    }

    fn run(context: &Context, params: &ZeroProgress) -> Result<(), Trouble> {
        let case = case(params);
        match params.first {
            FirstPage::Cold => write_case::write_from_source(context, &case, params.size, Pages(0)),
            FirstPage::Forbidden => {
                let (_source, buffer) = write_case::map_source(context, params.size)?;
                buffer.forbid(0..1).while_doing("forbid the first page")?;
                context
                    .reporter
                    .armed("first-page-forbidden", true, "PROT_NONE on page 0 of the buffer")?;
                write_case::write(context, &case, &buffer, 0).map(|_| ())
            }
        }
    }

    fn verify(context: &Context, params: &ZeroProgress) -> Result<(), Trouble> {
        write_case::verify(context, &case(params))
    }
}

fn main() -> ExitCode {
    run_test::<ZeroProgressTest>()
}
