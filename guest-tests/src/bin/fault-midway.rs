//! Goal: a direct write whose buffer becomes unreadable part-way must tell the truth about what it wrote.
//!
//! Method: the first part of the buffer can be read (its first page present, the rest of that part absent), what follows
//! is `PROT_NONE`. The result is EFAULT or a short write; st_size must be what that result promises, the promised part
//! must be on disk, the rest of the file as before, and umount must finish. A file system that extends the file before
//! it fails, and leaves it so, shows zeros that nobody wrote. A file that grew by no more than the readable part, and
//! holds it, is noted and no failure: that part was written before the fault, though EFAULT hides it.
//!
//! Parameters: `size`, `readable` (bytes, half by default), `present` (pages touched first), `source` (`file` or `anon`:
//! what the buffer maps; anonymous memory is all present), `target` (layout), `flags`.

use std::process::ExitCode;

use guest_tests::mapping::{Mapping, Order};
use guest_tests::pattern::{PAGE, TAG_SOURCE};
use guest_tests::test::{Context, Test, Trouble, While, main as run_test};
use guest_tests::write_case::{self, DEFAULT_SIZE, Target, WriteCase};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    File,
    Anonymous,
}

struct Settings {
    case: WriteCase,
    source: Source,
    present: usize,
}

fn settings(context: &Context) -> Result<Settings, Trouble> {
    let params = &context.params;
    let len = params.bytes("size", DEFAULT_SIZE)?;
    let readable = params.bytes("readable", len / 2 / PAGE * PAGE)?;
    if readable == 0 || readable >= len {
        return Err(params.bad("readable", "more than 0 and less than size").into());
    }
    let present = params.number("present", 1)?;
    if present * PAGE > readable {
        return Err(params.bad("present", "no more pages than are readable").into());
    }
    let source = params.choice(
        "source",
        &[("file", Source::File), ("anon", Source::Anonymous)],
        Source::File,
    )?;
    let case = WriteCase {
        readable,
        ..Target::from_params(params)?.write_of(len)
    };
    params.finish()?;
    Ok(Settings { case, source, present })
}

fn setup(context: &Context) -> Result<(), Trouble> {
    let Settings { case, .. } = settings(context)?;
    write_case::make_source(context, case.len)?;
    case.make_file(context)
}

fn run(context: &Context) -> Result<(), Trouble> {
    let Settings { case, source, present } = settings(context)?;
    let buffer = match source {
        // The mapping keeps the file: it is closed at once.
        Source::File => write_case::map_source(context, case.len)?.1,
        Source::Anonymous => {
            let buffer = Mapping::anonymous(case.len).while_doing("map a buffer")?;
            buffer.fill(TAG_SOURCE, Order::Backwards);
            buffer
        }
    };
    let forbidden = case.readable / PAGE..buffer.pages();
    if source == Source::File {
        buffer.touch(0..present);
        write_case::arm_residency(context, &buffer, 0..present, present..buffer.pages())?;
    }
    let detail = format!(
        "PROT_NONE on pages {}..{} of the buffer",
        forbidden.start, forbidden.end
    );
    buffer.forbid(forbidden).while_doing("forbid the rest of the buffer")?;
    context.reporter.armed("rest-forbidden", true, detail)?;
    write_case::write(context, &case, &buffer, 0).map(|_| ())
}

fn verify(context: &Context) -> Result<(), Trouble> {
    let Settings { case, .. } = settings(context)?;
    write_case::verify(context, &case)
}

fn main() -> ExitCode {
    run_test(&Test {
        name: "fault-midway",
        setup,
        run,
        verify,
    })
}
