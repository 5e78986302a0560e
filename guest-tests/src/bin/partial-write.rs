//! Goal: a direct write whose buffer is only partly in memory must reach the disk as a whole.
//!
//! Method: the buffer is a mapping of a file that is not cached, but for its first page. The write into another file
//! then goes in parts: iomap submits a bio for what `bio_iov_iter_get_pages` could pin, returns short, btrfs faults the
//! rest in (`fault_in_iov_iter_readable`) and continues. btrfs up to 6.3 finished the part of the ordered extent that was
//! never submitted with an error (`BTRFS_ORDERED_IOERR`) and with it dropped the part that was: a hole that reads as
//! zeros at the start of the file, after a write that returned success.
//!
//! Parameters: `size`, `present` (pages touched first), `target` (layout), `offset`, `prefix` (bytes before an
//! appending write), `flags`, `expect-error` (the device fails a request).

use std::process::ExitCode;

use guest_tests::oracle::{Expected, page_of};
use guest_tests::pattern::{PAGE, TAG_SOURCE};
use guest_tests::target::Layout;
use guest_tests::test::{Context, Test, Trouble, main as run_test};
use guest_tests::write_case::{self, DEFAULT_SIZE, Target, WriteCase};

fn settings(context: &Context) -> Result<(WriteCase, usize), Trouble> {
    let params = &context.params;
    let len = params.bytes("size", DEFAULT_SIZE)?;
    let present = write_case::present(params, usize::from(len > PAGE), len)?;
    let target = Target {
        layout: Target::layout(params)?,
        offset: params.bytes("offset", 0)?,
        prefix: params.bytes("prefix", Target::PREFIX)?,
        flags: write_case::open_flags(params)?,
    };
    if target.appends() && (target.layout != Layout::New || target.offset != 0) {
        return Err(params.bad("flags", "no append together with target or offset").into());
    }
    let case = WriteCase {
        expect_error: params.switch("expect-error")?,
        ..target.write_of(len)
    };
    params.finish()?;
    Ok((case, present))
}

fn setup(context: &Context) -> Result<(), Trouble> {
    let (case, _) = settings(context)?;
    write_case::make_source(context, case.len)?;
    case.make_file(context)
}

fn run(context: &Context) -> Result<(), Trouble> {
    let (case, present) = settings(context)?;
    write_case::write_from_source(context, &case, case.len, present)
}

fn verify(context: &Context) -> Result<(), Trouble> {
    let (case, _) = settings(context)?;
    write_case::verify(context, &case)?;
    let source = Expected::exactly(case.len as u64, |page| vec![page_of(TAG_SOURCE, page)]);
    write_case::verify_content(context, "source", &source)
}

fn main() -> ExitCode {
    run_test(&Test {
        name: "partial-write",
        setup,
        run,
        verify,
    })
}
