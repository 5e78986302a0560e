//! One command and what comes back, printed; of the trace as long as it comes.

use std::io::{self, ErrorKind, Write};

use thiserror::Error;

use super::say;
use crate::control::{Client, ClientError, Command, Subscription};
use crate::trace::show::HEADER;
use crate::trace::{Live, Record};

/// Why there is no answer, or only a part of it.
#[derive(Debug, Error)]
pub enum CtlError {
    /// The device refuses, or does not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A line of the trace is none of this version.
    #[error("the device says what is no record of a trace ({source}): {line}; are both of one version?")]
    Record {
        /// The line.
        line: String,
        /// What serde_json expected.
        source: serde_json::Error,
    },
    /// The answer cannot be printed.
    #[error("cannot write what the device answered: {0}")]
    Output(io::Error),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// The answer was printed.
    Answered,
    /// The device has ended, and its trace with it.
    DeviceEnded,
    /// Nobody reads any more: a pager was left.
    NobodyReads,
}

/// Has a device do this, and prints what it says: in words, or the lines of its answer as they are.
///
/// # Errors
/// The device refuses, goes away, or says what is not understood; what it says cannot be printed.
pub fn run(mut client: Client, command: &Command, json: bool, out: &mut impl Write) -> Result<Over, CtlError> {
    if *command == Command::Subscribe {
        return listen(client.subscribe()?, json, out);
    }
    let reply = client.call(command)?;
    let said = if json {
        serde_json::to_string(&reply).map_err(|error| CtlError::Output(error.into()))?
    } else {
        say(command, &reply)
    };
    Ok(match print(out, format!("{said}\n").as_bytes())? {
        true => Over::Answered,
        false => Over::NobodyReads,
    })
}

/// Prints the trace as it comes, until the device ends or nobody reads any more.
fn listen(lines: Subscription, json: bool, out: &mut impl Write) -> Result<Over, CtlError> {
    let mut live = Live::default();
    if !json && !print(out, format!("{HEADER}\n").as_bytes())? {
        return Ok(Over::NobodyReads);
    }
    for line in lines {
        let line = line?;
        let shown = if json {
            Some(line)
        } else {
            let record: Record = serde_json::from_slice(&line).map_err(|source| CtlError::Record {
                line: String::from_utf8_lossy(&line).trim_end().to_owned(),
                source,
            })?;
            live.add(record).map(|line| format!("{line}\n").into_bytes())
        };
        if let Some(shown) = shown
            && !print(out, &shown)?
        {
            return Ok(Over::NobodyReads);
        }
    }
    if !json {
        for line in live.end() {
            if !print(out, format!("{line}\n").as_bytes())? {
                return Ok(Over::NobodyReads);
            }
        }
    }
    Ok(Over::DeviceEnded)
}

/// Prints at once, also into a pipe; says whether somebody reads it.
fn print(out: &mut impl Write, text: &[u8]) -> Result<bool, CtlError> {
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CtlError::Output(error)),
    }
}
