//! Goal: a direct read of a file into a shared mapping of that same file must neither hang nor change the file.
//!
//! Method: map the file, none of whose pages is cached, and read(2) it with `O_DIRECT` into that mapping. The kernel
//! faults each target page in for writing, which reads the file, while the direct read holds what it locked for the
//! same range. btrfs before 5.16 held the extent's lock and waited for itself. Afterwards the mapping and the file
//! hold what they held before; with `shift=half` the second half is read over the first, and the file holds it twice.

use std::process::ExitCode;

use guest_tests::file::{self, Call, Via, open_read};
use guest_tests::mapping::Mapping;
use guest_tests::oracle::{self, Expected, page_of};
use guest_tests::pattern::{PAGE, TAG_SOURCE};
use guest_tests::target;
use guest_tests::test::{Context, Test, Trouble, While, main as run_test};
use guest_tests::write_case;
use guest_wire::FindingCause;
use guest_wire::params::{ReadOwnMapping, ReadShift};

struct ReadOwnMappingTest;

/// The read under test: where in the file it begins, and its length.
fn range(params: &ReadOwnMapping) -> (usize, usize) {
    let size = params.size.bytes();
    let shift = match params.shift {
        ReadShift::None => 0,
        ReadShift::Half => size / 2,
    };
    (shift, size - shift)
}

/// What the file holds once `done` bytes were read into it.
fn expected(params: &ReadOwnMapping, done: usize) -> Expected {
    let (shift, _) = range(params);
    Expected::exactly(params.size.bytes() as u64, |page| {
        let moved = page * PAGE < done;
        vec![page_of(TAG_SOURCE, if moved { page + shift / PAGE } else { page })]
    })
}

fn judge(context: &Context, params: &ReadOwnMapping, call: &Call, buffer: &Mapping) -> Result<(), Trouble> {
    let (_, len) = range(params);
    if call.result != Ok(len) {
        let detail = format!("{}: expected the whole range", call.text());
        context.reporter.finding(FindingCause::Error, "result", detail)?;
    }
    let content = file::Content {
        bytes: buffer.to_vec(),
        error: None,
    };
    if let Some(difference) = oracle::compare(&expected(params, call.result.unwrap_or(0)), &content) {
        let detail = format!("the mapping after {}: {difference}", call.text());
        context.reporter.finding(FindingCause::Corruption, "data", detail)?;
    }
    Ok(())
}

impl Test for ReadOwnMappingTest {
    type Params = ReadOwnMapping;

    fn setup(context: &Context, params: &ReadOwnMapping) -> Result<(), Trouble> {
        let source = context.path("source");
        target::make(&source, params.layout.into(), TAG_SOURCE, params.size.bytes())
    }

    fn run(context: &Context, params: &ReadOwnMapping) -> Result<(), Trouble> {
        let (_source, buffer) = write_case::map_source(context, params.size)?;
        let present = params.present.count();
        buffer.touch(0..present);
        write_case::arm_residency(context, &buffer, 0..present, present..buffer.pages())?;
        let direct = open_read(&context.path("source"), Via::Direct).while_doing("open source for direct reading")?;
        let (shift, len) = range(params);
        context
            .reporter
            .note(format!("pread64 of {len} bytes at offset {shift} begins"))?;
        let call = file::pread(&direct, &buffer, 0, len, shift as u64);
        context.reporter.event(call.event())?;
        let detail = format!("{} page faults during {}", call.faults, call.text());
        context.reporter.armed("fault-during-read", call.faults > 0, detail)?;
        judge(context, params, &call, &buffer)?;
        context.state.save("read", &call.result.unwrap_or(0))?;
        buffer.sync().while_doing("write the mapping back (msync)")
    }

    fn verify(context: &Context, params: &ReadOwnMapping) -> Result<(), Trouble> {
        let Some(done) = context.state.load::<usize>("read")? else {
            context
                .reporter
                .note("no result of the read was kept: nothing to verify")?;
            return Ok(());
        };
        write_case::verify_content(context, "source", &expected(params, done))
    }
}

fn main() -> ExitCode {
    run_test::<ReadOwnMappingTest>()
}
