//! `vhost-blk ctl`: tells a running device what to do.

use std::path::PathBuf;
use std::time::Duration;

use exit::{Exit, ExitError};
use thiserror::Error;
use vhost_blk_api::control::{Client, ClientError};
use vhost_blk_api::ctl::{self, CtlError, Over};

/// How long an answer may take; what waits for the disk to be written takes longest.
const WITHIN: Duration = Duration::from_secs(60);

/// What the command line asks of a device.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  vhost-blk ctl disk.ctl 'fail write limit=1'\n  vhost-blk ctl disk.ctl list\n  \
    vhost-blk ctl disk.ctl cut now lose=some\n  vhost-blk ctl disk.ctl power\n  vhost-blk ctl disk.ctl subscribe"
)]
pub struct Ctl {
    /// The device's control socket, as it was given to --control
    #[arg(value_name = "SOCKET")]
    socket: PathBuf,
    /// A rule to add (with or without `add` before it), or one of: list, remove RULE-NAME, clear, release [RULE-NAME],
    /// mark NAME, set NAME:VALUE, cut now [lose=…] [torn=…] [seed=N], power, rollback, rollback MARK, resize BYTES,
    /// disconnect now, export FILE [at=MARK] [lose=…] [torn=…] [seed=N], log FILE, stats, subscribe, quit
    #[arg(value_name = "RULE | COMMAND", required = true, num_args = 1..)]
    words: Vec<String>,
    /// Print what the device says in JSON; of `subscribe` the trace's own lines
    #[arg(long)]
    json: bool,
}

/// Why a device was not told, or did not do it.
#[derive(Debug, Error)]
pub enum NotDone {
    /// It is no command and no rule.
    #[error("{0}")]
    Words(String),
    #[error(transparent)]
    Ctl(#[from] CtlError),
}

impl ExitError for NotDone {
    fn exit(&self) -> Exit {
        match self {
            NotDone::Words(_) | NotDone::Ctl(CtlError::Client(ClientError::Refused { .. })) => Exit::Usage,
            NotDone::Ctl(CtlError::Client(_)) => Exit::Unavailable,
            NotDone::Ctl(CtlError::Record { .. }) => Exit::Data,
            NotDone::Ctl(CtlError::Output(_)) => Exit::CannotCreate,
        }
    }
}

impl Ctl {
    /// Tells the device, and prints what it answers.
    pub fn run(&self) -> Result<(), NotDone> {
        let command = ctl::parse(&self.words).map_err(NotDone::Words)?;
        let client = Client::connect(&self.socket, WITHIN).map_err(CtlError::from)?;
        if ctl::run(client, &command, self.json, &mut std::io::stdout().lock())? == Over::DeviceEnded {
            vhost_blk::say!("the device has ended");
        }
        Ok(())
    }
}
