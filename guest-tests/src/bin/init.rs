//! The first process of the guest; see [`guest_tests::agent`].

use std::process::ExitCode;

fn main() -> ExitCode {
    guest_tests::agent::main()
}
