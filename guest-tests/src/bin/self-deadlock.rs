//! Goal: a direct write to a file from a mapping of that same file must not wait for itself.
//!
//! Method: map the file, none of whose pages is cached, and write the whole mapping onto itself. btrfs before 5.16
//! created the ordered extent and held the extent's lock, then took the page fault on the buffer: reading the page in
//! waits for the very ordered extent that the faulting task has yet to submit. The task stays in D state for ever, and
//! so does whoever touches the file or unmounts it.

use std::process::ExitCode;

use guest_tests::test::{Context, Test, Trouble, main as run_test};
use guest_tests::write_case::{self, WriteCase};
use guest_wire::params::SelfDeadlock;

struct SelfDeadlockTest;

fn case(params: &SelfDeadlock) -> WriteCase {
    WriteCase {
        expect_error: params.expect_error,
        ..WriteCase::onto_source(params.layout, params.sync, params.size, 0..params.size.bytes())
    }
}

impl Test for SelfDeadlockTest {
    type Params = SelfDeadlock;

    fn setup(context: &Context, params: &SelfDeadlock) -> Result<(), Trouble> {
        case(params).make_file(context)
    }

    fn run(context: &Context, params: &SelfDeadlock) -> Result<(), Trouble> {
        write_case::write_from_source(context, &case(params), params.size, params.present)
    }

    fn verify(context: &Context, params: &SelfDeadlock) -> Result<(), Trouble> {
        write_case::verify(context, &case(params))
    }
}

fn main() -> ExitCode {
    run_test::<SelfDeadlockTest>()
}
