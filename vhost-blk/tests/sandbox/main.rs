//! What a device in its sandbox can still do, and what it cannot: tried by a process that enters the same sandbox
//! (`deeds.rs`: this program once more, told what to do by its environment), and seen at the real program
//! (`device.rs`).
//!
//! On a kernel without landlock or seccomp the trials of it see that the device says so, and nothing else.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

#[path = "../common/mod.rs"]
mod common;
mod deeds;
mod device;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

/// What is to be done in a sandbox, for the process that does it.
pub const DEED: &str = "VHOST_BLK_TEST_DEED";

fn main() -> ExitCode {
    if let Ok(deed) = std::env::var(DEED) {
        deeds::commit(&deed);
        return ExitCode::SUCCESS;
    }
    let trials = deeds::TRIALS
        .iter()
        .map(|trial| {
            Trial::test(trial.name, move || {
                deeds::attempt(trial);
                Ok(())
            })
        })
        .chain(device::TRIALS.iter().map(|(name, work)| {
            Trial::test(*name, move || {
                work();
                Ok(())
            })
        }))
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
