//! The second serial port: raw, one message a line.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use guest_wire::{self as wire, GuestMessage, HostMessage, LineError};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::termios::OptionalActions;

use super::lines::Lines;

/// The port's device node.
pub const PORT: &str = "/dev/ttyS1";

/// Opens the port and makes it a plain stream of bytes: no echo, no translation of line ends.
///
/// # Errors
/// There is no such port (its driver is built into every kernel we meet), or it is no terminal.
pub fn open_port() -> Result<OwnedFd, Errno> {
    let port = rustix::fs::open(PORT, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
    let mut settings = rustix::termios::tcgetattr(&port)?;
    settings.make_raw();
    settings.set_speed(115_200)?;
    // Now, without a flush: the host may have spoken already.
    rustix::termios::tcsetattr(&port, OptionalActions::Now, &settings)?;
    Ok(port)
}

/// The line to the host.
#[derive(Debug)]
pub(crate) struct Serial {
    port: OwnedFd,
    lines: Lines,
    received: VecDeque<Result<HostMessage, LineError>>,
}

impl Serial {
    /// Opens [the port](open_port).
    ///
    /// # Errors
    /// There is no such port (its driver is built into every kernel we meet), or it is no terminal.
    pub(crate) fn open() -> Result<Serial, Errno> {
        open_port().map(Serial::over)
    }

    /// The line over any stream.
    #[must_use]
    pub(crate) fn over(port: OwnedFd) -> Serial {
        Serial {
            port,
            lines: Lines::default(),
            received: VecDeque::new(),
        }
    }

    /// Sends one message.
    ///
    /// # Errors
    /// The port fails.
    pub(crate) fn send(&self, message: &GuestMessage) -> io::Result<()> {
        let line = wire::to_line(message)?;
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            let done = rustix::io::retry_on_intr(|| rustix::io::write(&self.port, rest))?;
            rest = &rest[done..];
        }
        Ok(())
    }

    /// Reads once what the port has, blocking if it has nothing.
    ///
    /// # Errors
    /// The port fails or is at its end.
    pub(crate) fn fill(&mut self) -> io::Result<()> {
        let mut buffer = [0u8; 4096];
        let done = rustix::io::retry_on_intr(|| rustix::io::read(&self.port, &mut buffer))?;
        if done == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let lines = self.lines.push(&buffer[..done]);
        self.received.extend(lines.iter().map(|line| wire::from_line(line)));
        Ok(())
    }

    /// The next message that was read already.
    pub(crate) fn next_received(&mut self) -> Option<Result<HostMessage, LineError>> {
        self.received.pop_front()
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// The port fails or is at its end.
    pub(crate) fn wait(&mut self) -> io::Result<Result<HostMessage, LineError>> {
        loop {
            if let Some(message) = self.next_received() {
                return Ok(message);
            }
            self.fill()?;
        }
    }
}

impl AsFd for Serial {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.port.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;

    #[test]
    fn messages_go_both_ways() {
        let (guest, mut host) = UnixStream::pair().unwrap();
        let mut serial = Serial::over(guest.into());
        serial.send(&GuestMessage::Ready).unwrap();
        let mut line = String::new();
        BufReader::new(host.try_clone().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "bioscope/8 {\"say\":\"ready\"}\n");
        host.write_all(b"bioscope/8 {\"do\":\"power-off\"}\nbioscope/1 {}\n")
            .unwrap();
        assert_eq!(serial.wait().unwrap().unwrap(), HostMessage::PowerOff);
        assert!(matches!(serial.wait().unwrap(), Err(LineError::Prefix(_))));
        drop(host);
        assert!(serial.wait().is_err());
    }
}
