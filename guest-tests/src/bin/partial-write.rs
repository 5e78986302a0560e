//! Goal: a direct write whose buffer is only partly in memory must reach the disk as a whole.
//!
//! Method: the buffer is a mapping of a file that is not cached, but for its first page. The write into another file
//! then goes in parts: iomap submits a bio for what `bio_iov_iter_get_pages` could pin, returns short, btrfs faults
//! the rest in (`fault_in_iov_iter_readable`) and continues. btrfs up to 6.3 finished the part of the ordered extent
//! that was never submitted with an error (`BTRFS_ORDERED_IOERR`) and with it dropped the part that was: a hole that
//! reads as zeros at the start of the file, after a write that returned success.

use std::process::ExitCode;

use guest_tests::oracle::{Expected, page_of};
use guest_tests::pattern::TAG_SOURCE;
use guest_tests::test::{Context, Test, Trouble, main as run_test};
use guest_tests::write_case::{self, WriteCase};
use guest_wire::params::PartialWrite;

struct PartialWriteTest;

fn case(params: &PartialWrite) -> WriteCase {
    WriteCase {
        expect_error: params.expect_error,
        ..WriteCase::into_target(params.target, params.sync, params.size)
    }
}

impl Test for PartialWriteTest {
    type Params = PartialWrite;

    fn setup(context: &Context, params: &PartialWrite) -> Result<(), Trouble> {
        write_case::make_source(context, params.size)?;
        case(params).make_file(context)
    }

    fn run(context: &Context, params: &PartialWrite) -> Result<(), Trouble> {
        write_case::write_from_source(context, &case(params), params.size, params.present)
    }

    fn verify(context: &Context, params: &PartialWrite) -> Result<(), Trouble> {
        write_case::verify(context, &case(params))?;
        let source = Expected::exactly(params.size.bytes() as u64, |page| vec![page_of(TAG_SOURCE, page)]);
        write_case::verify_content(context, "source", &source)
    }
}

fn main() -> ExitCode {
    run_test::<PartialWriteTest>()
}
