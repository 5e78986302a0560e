//! The host's end of the second serial port: the agent's lines in, answers and jobs out.
//!
//! The harness listens and QEMU connects, so there is nothing to poll for. A thread reads and every line is kept in
//! `events.jsonl` as it came, before anybody interprets it: evidence must not depend on our being able to read it.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use guest_wire::{self as wire, GuestMessage, HostMessage};

/// How long QEMU may take to connect; it does so before it starts or restores a guest.
const CONNECTED_WITHIN: Duration = Duration::from_secs(60);

/// What arrives from the guest.
#[derive(Debug)]
pub enum Incoming {
    /// A message.
    Message(GuestMessage),
    /// A line that is none (firmware or kernel noise, or a guest of another version).
    Noise(String),
    /// QEMU closed the line: it is gone or going.
    Closed,
}

/// The line to the agent.
pub struct Channel {
    writer: Option<UnixStream>,
    streams: Receiver<UnixStream>,
    incoming: Receiver<Incoming>,
}

impl Channel {
    /// Listens at `socket` and keeps what arrives in `log`.
    ///
    /// # Errors
    /// The socket or the log cannot be made.
    pub fn listen(socket: &Path, log: &Path) -> std::io::Result<Channel> {
        let listener = UnixListener::bind(socket)?;
        let log = File::create(log)?;
        let (stream_sender, streams) = channel();
        let (sender, incoming) = channel();
        thread::Builder::new().name("agent".into()).spawn(move || {
            serve(&listener, log, &stream_sender, &sender);
            // The receiver may be gone already when a cell ended early.
            let _ = sender.send(Incoming::Closed);
        })?;
        Ok(Channel {
            writer: None,
            streams,
            incoming,
        })
    }

    /// The next thing from the guest, or `None` at `deadline`.
    pub fn next(&mut self, deadline: Instant) -> Option<Incoming> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.incoming.recv_timeout(left) {
            Ok(incoming) => Some(incoming),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Incoming::Closed),
        }
    }

    /// Sends a message to the agent.
    ///
    /// # Errors
    /// QEMU is not connected or went away.
    pub fn send(&mut self, message: &HostMessage) -> std::io::Result<()> {
        if self.writer.is_none() {
            // QEMU may have connected just now, with our thread still on its way to accept it.
            self.writer = self.streams.recv_timeout(CONNECTED_WITHIN).ok();
        }
        let Some(writer) = self.writer.as_mut() else {
            return Err(std::io::ErrorKind::NotConnected.into());
        };
        writer.write_all(wire::to_line(message)?.as_bytes())
    }
}

/// Accepts QEMU's one connection and forwards its lines until it ends.
fn serve(listener: &UnixListener, mut log: File, streams: &Sender<UnixStream>, sender: &Sender<Incoming>) {
    let Ok((stream, _)) = listener.accept() else { return };
    // A guest that stopped reading must not block the harness for ever.
    let _ = stream.set_write_timeout(Some(Duration::from_secs(10)));
    let Ok(writer) = stream.try_clone() else { return };
    if streams.send(writer).is_err() {
        return;
    }
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let _ = log.write_all(&line);
        let text = String::from_utf8_lossy(&line);
        let incoming = match wire::from_line::<GuestMessage>(&text) {
            Ok(message) => Incoming::Message(message),
            Err(_) if text.trim().is_empty() => continue,
            Err(error) => Incoming::Noise(error.to_string()),
        };
        if sender.send(incoming).is_err() {
            return;
        }
    }
}
