//! Goal: a control that passes on every kernel and file system: what is written is read back, both ways.
//!
//! Method: write a file through the page cache and one with `O_DIRECT`, fsync both, read each back both ways in the
//! same mount, rename one, shrink the other and grow it again; after a fresh mount names, sizes and data must be as
//! left. If this fails, the rig or the kernel as a whole is broken, and no finer verdict on that kernel means
//! anything.

use std::path::Path;
use std::process::ExitCode;

use guest_tests::file::{self, Via};
use guest_tests::mapping::Mapping;
use guest_tests::oracle::{self, Allowed, Expected, page_of};
use guest_tests::pattern::{PAGE, TAG_SOURCE, TAG_TARGET};
use guest_tests::test::{Context, Test, Trouble, While, main as run_test};
use guest_tests::write_case;
use guest_wire::FindingCause;
use guest_wire::params::{FillOrder, RwVerify};

struct RwVerifyTest;

fn whole(tag: u64, size: usize) -> Expected {
    Expected::exactly(size as u64, |page| vec![page_of(tag, page)])
}

/// The second file after it was shrunk to half and grown again.
fn regrown(size: usize) -> Expected {
    let kept = size / 2 / PAGE;
    Expected::exactly(size as u64, |page| {
        if page < kept {
            vec![page_of(TAG_TARGET, page)]
        } else {
            vec![Allowed::Zeros]
        }
    })
}

fn write_whole(context: &Context, name: &str, tag: u64, via: Via, params: &RwVerify) -> Result<usize, Trouble> {
    let (size, flags) = (params.size.bytes(), write_case::open_flags(params.sync));
    let target = file::open_write(&context.path(name), via, flags).while_doing(format_args!("open {name}"))?;
    let data = Mapping::anonymous(size).while_doing("map a buffer")?;
    data.fill(tag, FillOrder::Forwards);
    let call = file::pwrite(&target, &data, 0, size, 0);
    context.reporter.event(call.event())?;
    if call.result != Ok(size) {
        let detail = format!("{} of {name}: expected the whole length", call.text());
        context.reporter.finding(FindingCause::Error, "result", detail)?;
    }
    if let Err(errno) = rustix::fs::fsync(&target) {
        let detail = format!("fsync of {name} fails with {}", guest_tests::errno::name(errno));
        context.reporter.finding(FindingCause::Error, "result", detail)?;
    }
    Ok(call.result.unwrap_or(0))
}

fn compare(context: &Context, path: &Path, via: Via, expected: &Expected) -> Result<(), Trouble> {
    let content = file::read_all(path, via).while_doing("read the file back")?;
    if let Some(difference) = oracle::compare(expected, &content) {
        let detail = format!(
            "{} ({} read in the same mount): {difference}",
            path.display(),
            via.name()
        );
        context.reporter.finding(FindingCause::Corruption, "data", detail)?;
    }
    Ok(())
}

impl Test for RwVerifyTest {
    type Params = RwVerify;

    fn setup(_: &Context, _: &RwVerify) -> Result<(), Trouble> {
        Ok(())
    }

    fn run(context: &Context, params: &RwVerify) -> Result<(), Trouble> {
        let size = params.size.bytes();
        let mut done = 0;
        for (name, tag, via) in [
            ("buffered", TAG_SOURCE, Via::Buffered),
            ("direct", TAG_TARGET, Via::Direct),
        ] {
            done += write_whole(context, name, tag, via, params)?;
            for via in [Via::Direct, Via::Buffered] {
                compare(context, &context.path(name), via, &whole(tag, size))?;
            }
        }
        std::fs::rename(context.path("buffered"), context.path("renamed")).while_doing("rename the first file")?;
        let direct = file::open_write(&context.path("direct"), Via::Buffered, 0).while_doing("open the second file")?;
        direct
            .set_len((size / 2 / PAGE * PAGE) as u64)
            .while_doing("shrink the second file")?;
        direct.set_len(size as u64).while_doing("grow the second file")?;
        direct.sync_all().while_doing("sync the second file")?;
        context.reporter.armed(
            "data-written",
            done == 2 * size,
            format!("{done} of {} bytes written", 2 * size),
        )?;
        Ok(())
    }

    fn verify(context: &Context, params: &RwVerify) -> Result<(), Trouble> {
        let size = params.size.bytes();
        write_case::verify_content(context, "renamed", &whole(TAG_SOURCE, size))?;
        write_case::verify_content(context, "direct", &regrown(size))?;
        if context.path("buffered").exists() {
            context
                .reporter
                .finding(FindingCause::Corruption, "data", "the file renamed away is still there")?;
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    run_test::<RwVerifyTest>()
}
