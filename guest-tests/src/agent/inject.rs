//! `inject` inside the guest: commands for the disk's device in the words of the host's `cargo xtask inject`, done
//! before it returns.

use std::io;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use guest_wire::{GuestMessage, HostMessage, Want};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::serial::{PORT, Serial};
use crate::reporter::{FD_VARIABLE, ReportError, Reporter};
use crate::test::chain;

/// The program's name; `/init` is called by it, too.
pub(crate) const NAME: &str = "inject";
/// The host refused (`EX_USAGE`).
const REFUSED: u8 = 64;
/// Nobody answers (`EX_UNAVAILABLE`).
const NOBODY: u8 = 69;
/// How long the host may take for an answer; it takes milliseconds.
const WITHIN: Duration = Duration::from_secs(60);

/// Has the host do what the words say.
#[must_use]
pub(crate) fn main(words: Vec<String>) -> ExitCode {
    match tell(Want::Command { words }) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(ReportError::Refused { reason, .. }) => {
            eprintln!("inject: {reason}");
            ExitCode::from(REFUSED)
        }
        Err(error) => {
            eprintln!("inject: the host does not answer: {}", chain(&error));
            ExitCode::from(NOBODY)
        }
    }
}

fn tell(want: Want) -> Result<String, ReportError> {
    if std::env::var_os(FD_VARIABLE).is_some() {
        // Below the agent, which has the port.
        return Reporter::from_env()?.ask(want);
    }
    let mut serial = Serial::open().map_err(|errno| io::Error::other(format!("{PORT}: {errno}")))?;
    // One at a time: what the host answers is for whoever reads it first.
    match rustix::fs::flock(&serial, FlockOperation::LockExclusive) {
        // A kernel without CONFIG_FILE_LOCKING: whoever is in the guest has to tell one thing after another.
        Ok(()) | Err(Errno::NOSYS) => {}
        Err(errno) => return Err(io::Error::from(errno).into()),
    }
    let id = u64::from(std::process::id());
    serial.send(&GuestMessage::Ask { id, want: want.clone() })?;
    let deadline = Instant::now() + WITHIN;
    loop {
        match serial.next_received() {
            Some(Ok(HostMessage::Answer {
                id: answered,
                error,
                text,
            })) if answered == id => {
                return match error {
                    None => Ok(text),
                    Some(reason) => Err(ReportError::Refused { want, reason }),
                };
            }
            // For one that was interrupted before its answer came.
            Some(_) => {}
            None => fill(&mut serial, deadline)?,
        }
    }
}

/// Reads what the host says, waiting for it until `deadline`.
fn fill(serial: &mut Serial, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).map_err(io::Error::other)?;
    match rustix::event::poll(&mut [PollFd::new(&*serial, PollFlags::IN)], Some(&left)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) => serial.fill(),
        Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
