//! `cargo xtask inject`: speaks to the device of a running shell.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::time::Duration;

use vhost_blk_api::control::{Client, Command, Subscription};
use vhost_blk_api::trace::show::HEADER;
use vhost_blk_api::trace::{Live, Record};

use super::shell;
use clap::Args;
use exit::{Exit, Failure};
use host::places::Places;
use run::inject;

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
    /// disconnect now, export FILE [at=MARK] [lose=…] [torn=…] [seed=N], log FILE, stats, subscribe.
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
    let command = inject::parse(&args.words).map_err(|message| Failure::new(Exit::Usage, message))?;
    let socket = args.control.clone().map_or_else(running_shell, Ok)?;
    let mut client = Client::connect(&socket, WITHIN).map_err(|error| {
        let mut failure = Failure::foreign(Exit::Unavailable, &error);
        failure.message = format!(
            "no device answers at {}; start one with `cargo xtask shell --kernel ID`",
            socket.display()
        );
        failure
    })?;
    if command == Command::Subscribe {
        let lines = client
            .subscribe()
            .map_err(|error| Failure::foreign(Exit::Unavailable, &error))?;
        return print(lines, args.json).map(|()| Exit::Success);
    }
    let reply = client
        .call(&command)
        .map_err(|error| Failure::foreign(Exit::Usage, &error))?;
    let said = if args.json {
        serde_json::to_string(&reply).map_err(|error| Failure::foreign(Exit::Internal, &error))?
    } else {
        inject::say(&command, &reply)
    };
    host::out!("{said}");
    Ok(Exit::Success)
}

/// Prints the trace as it comes, until the device ends or nobody reads any more.
fn print(lines: Subscription, json: bool) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    // Each line at once, also into a pipe.
    let mut say = |line: &[u8]| match out.write_all(line).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        // A pager was left.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::foreign(Exit::Unavailable, &error)),
    };
    let mut live = Live::default();
    if !json && !say(format!("{HEADER}\n").as_bytes())? {
        return Ok(());
    }
    for line in lines {
        let line = line.map_err(|error| Failure::foreign(Exit::Unavailable, &error))?;
        let shown = if json {
            Some(line)
        } else {
            let record: Record = serde_json::from_slice(&line).map_err(|error| {
                let line = String::from_utf8_lossy(&line);
                Failure::new(
                    Exit::Internal,
                    format!(
                        "the device says what is no record of a trace ({error}): {}; are both of one version?",
                        line.trim_end()
                    ),
                )
            })?;
            live.add(record).map(|line| format!("{line}\n").into_bytes())
        };
        if let Some(shown) = shown
            && !say(&shown)?
        {
            return Ok(());
        }
    }
    if !json {
        for line in live.end() {
            say(format!("{line}\n").as_bytes())?;
        }
    }
    host::note!("the device has ended");
    Ok(())
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
