//! Goal: a direct read of a file into a shared mapping of that same file must neither hang nor change the file.
//!
//! Method: map the file, none of whose pages is cached, and read(2) it with `O_DIRECT` into that mapping. The kernel
//! faults each target page in for writing, which reads the file, while the direct read holds what it locked for the same
//! range. btrfs before 5.16 held the extent's lock and waited for itself. Afterwards the mapping and the file hold what
//! they held before; with `shift=half` the second half is read over the first, and the file holds it twice.
//!
//! Parameters: `size`, `present` (pages touched first, none by default), `shift` (`none` or `half`), `layout`.

use std::process::ExitCode;

use guest_tests::file::{self, Call, Via, open_read};
use guest_tests::mapping::Mapping;
use guest_tests::oracle::{self, Expected, page_of};
use guest_tests::pattern::{PAGE, TAG_SOURCE};
use guest_tests::target::{self, Layout};
use guest_tests::test::{Context, Test, Trouble, While, main as run_test};
use guest_tests::write_case::{self, DEFAULT_SIZE};
use guest_wire::FindingCause;

struct Settings {
    size: usize,
    present: usize,
    shift: usize,
    layout: Layout,
}

impl Settings {
    /// Bytes read.
    fn len(&self) -> usize {
        self.size - self.shift
    }

    /// What the file holds once `done` bytes were read into it.
    fn expected(&self, done: usize) -> Expected {
        Expected::exactly(self.size as u64, |page| {
            let moved = page * PAGE < done;
            vec![page_of(TAG_SOURCE, if moved { page + self.shift / PAGE } else { page })]
        })
    }
}

fn settings(context: &Context) -> Result<Settings, Trouble> {
    let params = &context.params;
    let size = params.bytes("size", DEFAULT_SIZE)?;
    let present = params.number("present", 0)?;
    if present * PAGE >= size {
        return Err(params.bad("present", "fewer pages than the file has").into());
    }
    let half = params.choice("shift", &[("none", false), ("half", true)], false)?;
    if half && size % (2 * PAGE) != 0 {
        return Err(params.bad("size", "a multiple of 8192 with shift=half").into());
    }
    let layout = write_case::layout_with_data(params)?;
    params.finish()?;
    Ok(Settings {
        size,
        present,
        shift: if half { size / 2 } else { 0 },
        layout,
    })
}

fn setup(context: &Context) -> Result<(), Trouble> {
    let settings = settings(context)?;
    target::make(&context.path("source"), settings.layout, TAG_SOURCE, settings.size)
}

fn run(context: &Context) -> Result<(), Trouble> {
    let settings = settings(context)?;
    let (_source, buffer) = write_case::map_source(context, settings.size)?;
    buffer.touch(0..settings.present);
    write_case::arm_residency(context, &buffer, 0..settings.present, settings.present..buffer.pages())?;
    let direct = open_read(&context.path("source"), Via::Direct).while_doing("open source for direct reading")?;
    context.reporter.note(format!(
        "pread64 of {} bytes at offset {} begins",
        settings.len(),
        settings.shift
    ))?;
    let call = file::pread(&direct, &buffer, 0, settings.len(), settings.shift as u64);
    context.reporter.event(call.event())?;
    let detail = format!("{} page faults during {}", call.faults, call.text());
    context.reporter.armed("fault-during-read", call.faults > 0, detail)?;
    judge(context, &settings, &call, &buffer)?;
    context.state.save("read", &call.result.unwrap_or(0))?;
    buffer.sync().while_doing("write the mapping back (msync)")
}

fn judge(context: &Context, settings: &Settings, call: &Call, buffer: &Mapping) -> Result<(), Trouble> {
    if call.result != Ok(settings.len()) {
        let detail = format!("{}: expected the whole range", call.text());
        context.reporter.finding(FindingCause::Error, "result", detail)?;
    }
    let content = file::Content {
        bytes: buffer.to_vec(),
        error: None,
    };
    if let Some(difference) = oracle::compare(&settings.expected(call.result.unwrap_or(0)), &content) {
        let detail = format!("the mapping after {}: {difference}", call.text());
        context.reporter.finding(FindingCause::Corruption, "data", detail)?;
    }
    Ok(())
}

fn verify(context: &Context) -> Result<(), Trouble> {
    let settings = settings(context)?;
    let Some(done) = context.state.load::<usize>("read")? else {
        context
            .reporter
            .note("no result of the read was kept: nothing to verify")?;
        return Ok(());
    };
    write_case::verify_content(context, "source", &settings.expected(done))
}

fn main() -> ExitCode {
    run_test(&Test {
        name: "read-own-mapping",
        setup,
        run,
        verify,
    })
}
