//! A unix socket that QEMU connects to. The harness listens first, so that there is nothing to poll for.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags};

/// How long QEMU may take to connect. It does so before it starts or restores a guest, in a tenth of a second; the
/// limit only exists so that a broken QEMU ends in an error.
const CONNECT_WITHIN: Duration = Duration::from_secs(120);

/// A socket that waits for one connection.
pub(crate) struct Listener(UnixListener);

impl Listener {
    /// Listens at `socket`; takes the place of an earlier machine's.
    pub(crate) fn bind(socket: &Path) -> io::Result<Listener> {
        match std::fs::remove_file(socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        UnixListener::bind(socket).map(Listener)
    }

    /// Waits until the process connects; gives nothing if it ended first or does not connect in time.
    pub(crate) fn accept(self, pid: u32) -> io::Result<Option<UnixStream>> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
        let process = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        let deadline = Instant::now() + CONNECT_WITHIN;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
            let mut watched = [
                PollFd::new(&self.0, PollFlags::IN),
                PollFd::new(&process, PollFlags::IN),
            ];
            match rustix::event::poll(&mut watched, Some(&left)) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(errno.into()),
                Ok(_) if watched[0].revents().is_empty() => return Ok(None),
                Ok(_) => {}
            }
            let (stream, _) = self.0.accept()?;
            return Ok(Some(stream));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_connects_and_one_that_ends() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("sock");
        let listener = Listener::bind(&socket).unwrap();
        let _client = UnixStream::connect(&socket).unwrap();
        assert!(listener.accept(std::process::id()).unwrap().is_some());
        // The file of before is still there.
        let listener = Listener::bind(&socket).unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        assert!(listener.accept(child.id()).unwrap().is_none());
        child.wait().unwrap();
    }
}
