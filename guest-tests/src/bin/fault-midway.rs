//! Goal: a direct write whose buffer becomes unreadable part-way must tell the truth about what it wrote.
//!
//! Method: the first part of the buffer can be read (its first page present, the rest of that part absent), what
//! follows is `PROT_NONE`. The result is EFAULT or a short write; st_size must be what that result promises, the
//! promised part must be on disk, the rest of the file as before, and umount must finish. A file system that extends
//! the file before it fails, and leaves it so, shows zeros that nobody wrote. A file that grew by no more than the
//! readable part, and holds it, is noted and no failure: that part was written before the fault, though EFAULT hides
//! it.

use std::process::ExitCode;

use guest_tests::mapping::Mapping;
use guest_tests::pattern::TAG_SOURCE;
use guest_tests::test::{Context, Test, Trouble, While, main as run_test};
use guest_tests::write_case::{self, WriteCase};
use guest_wire::params::{FaultMidway, FillOrder, SourceBuffer};

struct FaultMidwayTest;

fn case(params: &FaultMidway) -> WriteCase {
    WriteCase {
        readable: params.readable.bytes(),
        ..WriteCase::into_target(params.target, params.sync, params.size)
    }
}

/// The buffer of the write, before a part of it is forbidden.
fn buffer(context: &Context, params: &FaultMidway) -> Result<Mapping, Trouble> {
    match params.source {
        SourceBuffer::File { present } => {
            // The mapping keeps the file: it is closed at once.
            let (_, buffer) = write_case::map_source(context, params.size)?;
            let present = present.count();
            buffer.touch(0..present);
            write_case::arm_residency(context, &buffer, 0..present, present..buffer.pages())?;
            Ok(buffer)
        }
        SourceBuffer::Anonymous => {
            let buffer = Mapping::anonymous(params.size.bytes()).while_doing("map a buffer")?;
            buffer.fill(TAG_SOURCE, FillOrder::Backwards);
            Ok(buffer)
        }
    }
}

impl Test for FaultMidwayTest {
    type Params = FaultMidway;

    fn setup(context: &Context, params: &FaultMidway) -> Result<(), Trouble> {
        write_case::make_source(context, params.size)?;
        case(params).make_file(context)
    }

    fn run(context: &Context, params: &FaultMidway) -> Result<(), Trouble> {
        let buffer = buffer(context, params)?;
        let forbidden = params.readable.count()..buffer.pages();
        let detail = format!(
            "PROT_NONE on pages {}..{} of the buffer",
            forbidden.start, forbidden.end
        );
        buffer.forbid(forbidden).while_doing("forbid the rest of the buffer")?;
        context.reporter.armed("rest-forbidden", true, detail)?;
        write_case::write(context, &case(params), &buffer, 0).map(|_| ())
    }

    fn verify(context: &Context, params: &FaultMidway) -> Result<(), Trouble> {
        write_case::verify(context, &case(params))
    }
}

fn main() -> ExitCode {
    run_test::<FaultMidwayTest>()
}
