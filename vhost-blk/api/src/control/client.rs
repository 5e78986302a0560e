//! Talks to a running device.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::protocol::{Command, CommandLine, LINE_BYTES_MAX, Reply, ReplyLine, VERSION};

/// A connection to a device's control socket.
#[derive(Debug)]
pub struct Client {
    path: PathBuf,
    stream: BufReader<UnixStream>,
    timeout: Duration,
}

/// A command that was not done, or whose answer did not come.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Nobody listens at the socket.
    #[error("cannot connect to the control socket {}: {source}: is the device running?", path.display())]
    Connect {
        /// The socket that the device was to listen at.
        path: PathBuf,
        /// The system's answer: no such file, or refused.
        source: io::Error,
    },
    /// The device does not answer in time.
    #[error("the device at {} did not answer within {timeout_ms} ms", path.display())]
    Timeout {
        /// The socket, by which a person knows the device.
        path: PathBuf,
        /// The time allowed.
        timeout_ms: u128,
    },
    /// The device hung up.
    #[error("the device at {} hung up: {source}", path.display())]
    Gone {
        /// The socket, by which a person knows the device.
        path: PathBuf,
        /// The system's answer, or an end of file in the middle of a line.
        source: io::Error,
    },
    /// The answer is none that this version knows.
    #[error("the device at {} answered something unknown: {source}: are both of one version?", path.display())]
    Answer {
        /// The socket, by which a person knows the device.
        path: PathBuf,
        /// What serde_json expected.
        source: serde_json::Error,
    },
    /// The device is well and says that the command cannot be done.
    #[error("{message}")]
    Refused {
        /// The device's own words, for a person.
        message: String,
        /// For a bad rule: where in its text, in characters from 1.
        column: Option<usize>,
        /// For a bad rule of a plan: its index.
        rule_index: Option<usize>,
    },
}

/// The lines of a running device's trace.
#[derive(Debug)]
pub struct Subscription {
    client: Client,
}

impl Iterator for Subscription {
    /// A line, with its end.
    type Item = Result<Vec<u8>, ClientError>;

    /// Waits for the next line, as long as it takes; nothing once the device has ended.
    fn next(&mut self) -> Option<Self::Item> {
        let mut line = Vec::new();
        let stream = self.client.stream.by_ref();
        match stream.take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            // One that was killed may leave a part of a line.
            Ok(_) if line.last() != Some(&b'\n') => None,
            Ok(_) => Some(Ok(line)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => Some(Err(self.client.io_error(error))),
        }
    }
}

impl Client {
    /// Connects; `timeout` is also the time that each answer may take.
    ///
    /// # Errors
    /// Nobody listens there.
    pub fn connect(path: &Path, timeout: Duration) -> Result<Client, ClientError> {
        let stream = UnixStream::connect(path).map_err(|source| ClientError::Connect {
            path: path.to_owned(),
            source,
        })?;
        Ok(Client {
            path: path.to_owned(),
            stream: BufReader::new(stream),
            timeout,
        })
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// The device refuses, is gone, or does not answer in time. After a timeout the connection is of no more use.
    pub fn call(&mut self, command: &Command) -> Result<Reply, ClientError> {
        let deadline = Instant::now() + self.timeout;
        let line = CommandLine {
            v: VERSION,
            command: command.clone(),
        };
        let mut text = serde_json::to_vec(&line).map_err(|source| self.answer_error(source))?;
        text.push(b'\n');
        self.stream
            .get_ref()
            .set_write_timeout(Some(self.timeout))
            .map_err(|error| self.io_error(error))?;
        match self.stream.get_mut().write_all(&text) {
            // A device that hangs up on a client has said before why.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(self.io_error(error)),
            _ => {}
        }
        let answer = self.read_line(deadline)?;
        let answer: ReplyLine = serde_json::from_slice(&answer).map_err(|source| self.answer_error(source))?;
        match answer.reply {
            Reply::Error {
                message,
                column,
                rule_index,
            } => Err(ClientError::Refused {
                message,
                column,
                rule_index,
            }),
            reply => Ok(reply),
        }
    }

    /// Listens to the device's trace: gives its lines as they are written, until the device ends.
    ///
    /// # Errors
    /// The device is gone, or does not answer in time.
    pub fn subscribe(mut self) -> Result<Subscription, ClientError> {
        self.call(&Command::Subscribe)?;
        self.stream
            .get_ref()
            .set_read_timeout(None)
            .map_err(|error| self.io_error(error))?;
        Ok(Subscription { client: self })
    }

    fn read_line(&mut self, deadline: Instant) -> Result<Vec<u8>, ClientError> {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            // Each part of the line gets what is left of the time: many small parts must not stretch it.
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.io_error(io::ErrorKind::TimedOut.into()));
            }
            self.stream
                .get_ref()
                .set_read_timeout(Some(left))
                .map_err(|error| self.io_error(error))?;
            let room = LINE_BYTES_MAX.saturating_sub(line.len() as u64);
            match self.stream.by_ref().take(room).read_until(b'\n', &mut line) {
                Ok(0) => return Err(self.io_error(io::ErrorKind::UnexpectedEof.into())),
                Ok(_) => {}
                Err(error) => return Err(self.io_error(error)),
            }
        }
        Ok(line)
    }

    fn io_error(&self, source: io::Error) -> ClientError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::Timeout {
                path,
                timeout_ms: self.timeout.as_millis(),
            },
            _ => ClientError::Gone { path, source },
        }
    }

    fn answer_error(&self, source: serde_json::Error) -> ClientError {
        ClientError::Answer {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a panic here is the test's failure")]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_silent_device_is_a_timeout() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("mute");
        let _listener = UnixListener::bind(&path).expect("bind");
        let mut client = Client::connect(&path, Duration::from_millis(50)).expect("connect");
        let error = client.call(&Command::List).expect_err("nobody answers");
        assert!(matches!(error, ClientError::Timeout { timeout_ms: 50, .. }), "{error}");
        let missing = Client::connect(&dir.path().join("none"), Duration::from_millis(50));
        assert!(matches!(missing, Err(ClientError::Connect { .. })));
    }
}
