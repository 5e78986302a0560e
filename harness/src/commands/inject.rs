//! `cargo xtask inject`: speaks to the device of a running shell.

use std::path::PathBuf;
use std::time::Duration;

use vhost_blk::control::Client;

use super::shell;
use crate::cli::InjectArgs;
use crate::error::{Failure, NO_INPUT, UNAVAILABLE, USAGE};
use crate::host::Places;
use crate::inject;

const WITHIN: Duration = Duration::from_secs(10);

/// Runs the command.
///
/// # Errors
/// There is no running device, or it refuses the rule.
pub fn run(args: &InjectArgs) -> Result<u8, Failure> {
    let command = inject::parse(&args.words).map_err(|message| Failure::new(USAGE, message))?;
    let socket = args.control.clone().map_or_else(running_shell, Ok)?;
    let mut client = Client::connect(&socket, WITHIN).map_err(|error| {
        let mut failure = Failure::of(UNAVAILABLE, &error);
        failure.message = format!(
            "no device answers at {}; start one with `cargo xtask shell --kernel ID`",
            socket.display()
        );
        failure
    })?;
    let reply = client.call(&command).map_err(|error| Failure::of(USAGE, &error))?;
    anstream::println!("{}", inject::say(&command, &reply));
    Ok(0)
}

fn running_shell() -> Result<PathBuf, Failure> {
    shell::current(&Places::find()).ok_or_else(|| {
        Failure::new(NO_INPUT, "no shell is running; start one with `cargo xtask shell --kernel ID`, or name a device with --control SOCKET")
    })
}
