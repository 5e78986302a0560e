//! Goal: a direct write that overlaps the part of the file it is written from must neither hang nor mix up data.
//!
//! Method: map a file, touch its first page, and write its first half to the offset of its first quarter, without
//! truncating. The first part is submitted; the fault-in of the rest reads pages of the range being written. A fix
//! that keeps the ordered extent open across the fault-in deadlocks here, where the plain same-file write no longer
//! does: equal offsets or `O_TRUNC` make the first fault come at byte 0, before any ordered extent exists. A page that
//! is both source and target may legally be read old or new.

use std::process::ExitCode;

use guest_tests::test::{Context, Test, Trouble, main as run_test};
use guest_tests::write_case::{self, WriteCase};
use guest_wire::params::Overlap;

struct OverlapTest;

fn case(params: &Overlap) -> WriteCase {
    let begin = params.write_offset().bytes();
    let range = begin..begin + params.write_size().bytes();
    WriteCase {
        expect_error: params.expect_error,
        ..WriteCase::onto_source(params.layout, params.sync, params.size, range)
    }
}

impl Test for OverlapTest {
    type Params = Overlap;

    fn setup(context: &Context, params: &Overlap) -> Result<(), Trouble> {
        case(params).make_file(context)
    }

    fn run(context: &Context, params: &Overlap) -> Result<(), Trouble> {
        write_case::write_from_source(context, &case(params), params.size, params.present)
    }

    fn verify(context: &Context, params: &Overlap) -> Result<(), Trouble> {
        write_case::verify(context, &case(params))
    }
}

fn main() -> ExitCode {
    run_test::<OverlapTest>()
}
