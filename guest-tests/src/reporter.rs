//! How a program under the agent reports: JSON lines over a socketpair, whose file descriptor is in the variable
//! `BIOSCOPE_FD`.
//!
//! A program that was started by hand has no agent: its reports then go to standard error and its wishes are granted,
//! so that a test can be tried on any mounted file system.

use std::cell::RefCell;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use guest_wire::{Event, FindingCause, Want};
use serde::{Deserialize, Serialize};

/// Environment variable that holds the descriptor's number.
pub(crate) const FD_VARIABLE: &str = "BIOSCOPE_FD";

/// A line from a program to the agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ProgramMessage {
    /// `{"event":…}`: passed on to the host as it is.
    Event(Event),
    /// `{"want":…}`: the program waits for a [`Reply`].
    Want(Want),
    /// `{"failed":"mount: EINVAL"}`: the phase's outcome, whatever the exit code is; only the agent's own helpers say
    /// it.
    Failed(String),
}

/// The agent's answer to a [`ProgramMessage::Want`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reply {
    /// Why it was not done; `None` is success.
    pub error: Option<String>,
    /// What there is to say of it.
    pub text: String,
}

/// Why a report or a wish did not get through.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The variable does not hold a descriptor's number.
    #[error("{FD_VARIABLE}={value:?} is not the number of a file descriptor")]
    Variable {
        /// The variable's value, which the agent should have set.
        value: String,
    },
    /// The agent is gone.
    #[error("failed to talk to the agent")]
    Io(#[from] io::Error),
    /// A line of the protocol does not parse.
    #[error("the agent's answer is not understood")]
    Json(#[from] serde_json::Error),
    /// The host did not do what was asked.
    #[error("the host refused {want:?}: {reason}")]
    Refused {
        /// What was asked.
        want: Want,
        /// Why the host could not do it, in its words.
        reason: String,
    },
}

/// The program's end of the line to the agent.
#[derive(Debug)]
pub struct Reporter {
    line: Option<RefCell<BufReader<UnixStream>>>,
}

impl Reporter {
    /// The reporter of this process, from its environment.
    ///
    /// # Errors
    /// The variable is set to something else than a number.
    pub(crate) fn from_env() -> Result<Reporter, ReportError> {
        let Some(value) = std::env::var_os(FD_VARIABLE) else {
            return Ok(Reporter { line: None });
        };
        let number = value
            .to_str()
            .and_then(|text| text.parse().ok())
            .filter(|fd: &i32| *fd > 2);
        let number = number.ok_or_else(|| ReportError::Variable {
            value: value.to_string_lossy().into_owned(),
        })?;
        // SAFETY: by the contract of this variable the agent left that descriptor open for this process, and nothing
        // else here knows its number; it is taken once, at the start of `main`.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        Ok(Reporter::over(UnixStream::from(fd)))
    }

    /// A reporter over a given socket.
    #[must_use]
    pub(crate) fn over(stream: UnixStream) -> Reporter {
        Reporter {
            line: Some(RefCell::new(BufReader::new(stream))),
        }
    }

    /// Says whether the thing under test is set up to happen.
    ///
    /// # Errors
    /// The agent is gone.
    pub fn armed(&self, what: &str, holds: bool, detail: impl Into<String>) -> Result<(), ReportError> {
        self.event(Event::Armed {
            what: what.to_owned(),
            holds,
            detail: detail.into(),
        })
    }

    /// Reports what an oracle found wrong.
    ///
    /// # Errors
    /// The agent is gone.
    pub fn finding(&self, cause: FindingCause, oracle: &str, detail: impl Into<String>) -> Result<(), ReportError> {
        self.event(Event::Finding {
            cause,
            oracle: oracle.to_owned(),
            detail: detail.into(),
        })
    }

    /// Adds a line to the evidence.
    ///
    /// # Errors
    /// The agent is gone.
    pub fn note(&self, text: impl Into<String>) -> Result<(), ReportError> {
        self.event(Event::Note { text: text.into() })
    }

    /// Reports any event, a [`Event::Syscall`] for instance.
    ///
    /// # Errors
    /// The agent is gone.
    pub fn event(&self, event: Event) -> Result<(), ReportError> {
        self.send(&ProgramMessage::Event(event))
    }

    /// Says how the phase ended, for the agent's own helpers.
    ///
    /// # Errors
    /// The agent is gone.
    pub(crate) fn failed(&self, what: impl Into<String>) -> Result<(), ReportError> {
        self.send(&ProgramMessage::Failed(what.into()))
    }

    /// Asks the host for something and waits until it is done; gives back what there is to say of it.
    ///
    /// # Errors
    /// The host refused, or the agent is gone.
    pub(crate) fn ask(&self, want: Want) -> Result<String, ReportError> {
        self.send(&ProgramMessage::Want(want.clone()))?;
        let Some(line) = &self.line else {
            return Ok(String::new());
        };
        let mut text = String::new();
        if line.borrow_mut().read_line(&mut text)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let reply: Reply = serde_json::from_str(&text)?;
        match reply.error {
            None => Ok(reply.text),
            Some(reason) => Err(ReportError::Refused { want, reason }),
        }
    }

    fn send(&self, report: &ProgramMessage) -> Result<(), ReportError> {
        let mut text = serde_json::to_string(report)?;
        text.push('\n');
        match &self.line {
            Some(line) => line.borrow_mut().get_mut().write_all(text.as_bytes())?,
            None => io::stderr().write_all(text.as_bytes())?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &str) -> Want {
        Want::Command {
            words: vec![words.to_owned()],
        }
    }

    #[test]
    fn events_and_wants_are_lines() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let agent = std::thread::spawn(move || {
            let mut theirs = BufReader::new(theirs);
            let mut lines = Vec::new();
            for answer in [
                None,
                Some("{\"error\":null,\"text\":\"done\"}\n"),
                Some("{\"error\":\"no such rule\",\"text\":\"\"}\n"),
            ] {
                let mut line = String::new();
                theirs.read_line(&mut line).unwrap();
                lines.push(line);
                if let Some(answer) = answer {
                    theirs.get_mut().write_all(answer.as_bytes()).unwrap();
                }
            }
            lines
        });
        let reporter = Reporter::over(ours);
        reporter.armed("fault-during-write", true, "3 faults").unwrap();
        assert_eq!(reporter.ask(command("release")).unwrap(), "done");
        let refused = reporter.ask(command("fail")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the host refused Command { words: [\"fail\"] }: no such rule"
        );
        assert_eq!(
            agent.join().unwrap(),
            [
                "{\"event\":{\"event\":\"armed\",\"what\":\"fault-during-write\",\
                 \"holds\":true,\"detail\":\"3 faults\"}}\n",
                "{\"want\":{\"command\":{\"words\":[\"release\"]}}}\n",
                "{\"want\":{\"command\":{\"words\":[\"fail\"]}}}\n",
            ]
        );
    }

    #[test]
    fn an_agent_that_died_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let reporter = Reporter::over(ours);
        assert!(reporter.ask(Want::Arm).is_err());
    }
}
