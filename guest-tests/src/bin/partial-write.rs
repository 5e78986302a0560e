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

use guest_tests::file::{Via, open_write};
use guest_tests::mapping::Mapping;
use guest_tests::oracle::{Expected, page_of};
use guest_tests::pattern::{PAGE, TAG_OLD, TAG_SOURCE};
use guest_tests::target::{self, LAYOUTS, Layout};
use guest_tests::test::{Context, Test, Trouble, While, main as run_test};
use guest_tests::write_case::{self, WriteCase};

struct Settings {
    case: WriteCase,
    present: usize,
}

fn settings(context: &Context) -> Result<Settings, Trouble> {
    let params = &context.params;
    let len = params.bytes("size", 256 << 10)?;
    let default_present = usize::from(len > PAGE);
    let present = params.number("present", default_present)?;
    if present * PAGE >= len {
        return Err(params.bad("present", "fewer pages than the write has").into());
    }
    let mut layout = params.choice("target", LAYOUTS, Layout::New)?;
    let mut offset = params.bytes("offset", 0)?;
    let prefix = params.bytes("prefix", 4 * PAGE)?;
    let flags = write_case::open_flags(params)?;
    let mut old_size = layout.size(offset + len);
    if flags & libc::O_APPEND != 0 {
        if layout != Layout::New || offset != 0 {
            return Err(params.bad("flags", "no append together with target or offset").into());
        }
        // The file then holds its prefix alone, and the write begins behind it.
        (layout, offset, old_size) = (Layout::Existing, prefix, prefix);
    }
    let case = WriteCase {
        name: "target",
        offset,
        len,
        readable: len,
        layout,
        old_size,
        old_tag: TAG_OLD,
        source_page: 0,
        flags,
        expect_error: params.switch("expect-error")?,
    };
    params.finish()?;
    Ok(Settings { case, present })
}

fn setup(context: &Context) -> Result<(), Trouble> {
    let Settings { case, .. } = settings(context)?;
    target::make(&context.path("source"), Layout::Existing, TAG_SOURCE, case.len)?;
    let len = if case.layout == Layout::New {
        case.len
    } else {
        case.old_size
    };
    target::make(&context.path(case.name), case.layout, TAG_OLD, len)
}

fn run(context: &Context) -> Result<(), Trouble> {
    let Settings { case, present } = settings(context)?;
    let source = open_write(&context.path("source"), Via::Buffered, 0).while_doing("open source")?;
    let buffer = Mapping::file(&source, case.len).while_doing("map source")?;
    buffer.touch(0..present);
    write_case::arm_residency(context, &buffer, 0..present, present..buffer.pages())?;
    let call = write_case::write(context, &case, &buffer, 0)?;
    write_case::arm_faults(context, &case, &call)
}

fn verify(context: &Context) -> Result<(), Trouble> {
    let Settings { case, .. } = settings(context)?;
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
