//! `cargo xtask inject`: speaks to the device of a running shell.

use std::path::PathBuf;
use std::time::Duration;

use vhost_blk_api::control::{Client, ClientError};
use vhost_blk_api::ctl::{self, CtlError, Over};

use super::shell;
use clap::Args;
use exit::{Exit, Failure};
use host::places::Places;

const WITHIN: Duration = Duration::from_secs(10);

/// `cargo xtask inject`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  cargo xtask inject 'fail write limit=1'\n  cargo xtask inject list\n  \
    cargo xtask inject release r1\n  cargo xtask inject remove r1\n  cargo xtask inject clear\n  cargo xtask inject \
    stats\n  \
    cargo xtask inject subscribe"
)]
pub(crate) struct InjectArgs {
    /// A rule to add (with or without `add` before it), or one of: list, remove RULE-NAME, clear, release [RULE-NAME],
    /// mark NAME, set NAME:VALUE, cut now [lose=…] [torn=…] [seed=N], power, rollback, rollback MARK, resize BYTES,
    /// disconnect now, export FILE [at=MARK] [lose=…] [torn=…] [seed=N], log FILE, stats, subscribe, quit.
    #[arg(value_name = "RULE | COMMAND", required = true, num_args = 1..)]
    pub(crate) words: Vec<String>,
    /// Control socket of the device [default: that of the shell that was started last].
    #[arg(long, value_name = "SOCKET")]
    pub(crate) control: Option<PathBuf>,
    /// Print what the device says as it says it, in JSON; of `subscribe` the trace's own lines.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Runs the command.
///
/// # Errors
/// There is no running device, or it refuses the rule.
pub(crate) fn run(args: &InjectArgs) -> Result<Exit, Failure> {
    let command = ctl::parse(&args.words).map_err(|message| Failure::new(Exit::Usage, message))?;
    let socket = args.control.clone().map_or_else(running_shell, Ok)?;
    let client = Client::connect(&socket, WITHIN).map_err(|error| {
        let mut failure = Failure::foreign(Exit::Unavailable, &error);
        failure.message = format!(
            "no device answers at {}; start one with `cargo xtask shell --kernel ID`",
            socket.display()
        );
        failure
    })?;
    match ctl::run(client, &command, args.json, &mut std::io::stdout().lock()) {
        Ok(Over::DeviceEnded) => host::note!("the device has ended"),
        Ok(Over::Answered | Over::NobodyReads) => {}
        Err(error) => return Err(Failure::foreign(exit_of(&error), &error)),
    }
    Ok(Exit::Success)
}

/// How the command ends that a device did not do.
fn exit_of(error: &CtlError) -> Exit {
    match error {
        CtlError::Client(ClientError::Refused { .. }) => Exit::Usage,
        CtlError::Client(_) => Exit::Unavailable,
        CtlError::Record { .. } => Exit::Internal,
        CtlError::Output(_) => Exit::CannotCreate,
    }
}

fn running_shell() -> Result<PathBuf, Failure> {
    shell::current(&Places::find()).ok_or_else(|| {
        Failure::new(
            Exit::NoInput,
            "no shell is running; start one with `cargo xtask shell --kernel ID`, or name a \
            device with --control SOCKET",
        )
    })
}
