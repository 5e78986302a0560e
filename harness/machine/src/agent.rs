//! What is said on the [line](crate::line) to the agent that runs tests in a guest, until it takes jobs.

use std::io;
use std::time::{Duration, Instant};

use guest_wire::{self as wire, GuestMessage, HostMessage};
use serde::{Deserialize, Serialize};

use crate::line::{Arrival, Line};
use crate::outage::Outage;

/// What an agent says of its guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Greeting {
    /// `uname -r`.
    pub(crate) release: String,
    /// Online CPUs.
    pub(crate) cpus: u32,
    /// Whether it finds a disk that is plugged in.
    pub(crate) hotplug: bool,
}

/// What arrives from an agent.
#[derive(Debug)]
pub enum Incoming {
    /// What the agent said, read from a line of JSON.
    Message(GuestMessage),
    /// A line that is none (firmware or kernel noise, or a guest of another version).
    Noise(String),
    /// QEMU closed the line: it is gone or going.
    Closed,
}

impl Line {
    /// The next thing from the agent, or `None` at `deadline`.
    pub fn next(&mut self, deadline: Instant) -> Option<Incoming> {
        loop {
            return Some(match self.next_text(deadline)? {
                Arrival::Closed => Incoming::Closed,
                Arrival::Text(text) => match wire::from_line(&text) {
                    Ok(message) => Incoming::Message(message),
                    Err(_) if text.trim().is_empty() => continue,
                    Err(error) => Incoming::Noise(error.to_string()),
                },
            });
        }
    }

    /// Sends a message to the agent.
    ///
    /// # Errors
    /// QEMU went away, or the guest stopped reading.
    pub fn send(&mut self, message: &HostMessage) -> io::Result<()> {
        self.send_text(&wire::to_line(message)?)
    }
}

/// Waits for the first words of the agent; none if QEMU closed the line. `end` says how long, and is asked again once
/// it is over: a guest for which the host has no time boots for as long as that takes.
pub(crate) fn greeting(line: &mut Line, mut end: impl FnMut() -> Instant) -> Result<Option<Greeting>, Outage> {
    let mut deadline = end();
    loop {
        match line.next(deadline) {
            Some(Incoming::Message(GuestMessage::Hello {
                release, cpus, hotplug, ..
            })) => {
                return Ok(Some(Greeting { release, cpus, hotplug }));
            }
            Some(Incoming::Message(GuestMessage::Unfit { reason })) => return Err(Outage::Unfit(reason)),
            Some(Incoming::Message(_) | Incoming::Noise(_)) => {}
            Some(Incoming::Closed) => return Ok(None),
            None => {
                let later = end();
                if later <= deadline {
                    return Err(Outage::NoHello);
                }
                deadline = later;
            }
        }
    }
}

/// Has the agent find its disk, and waits until it takes jobs; none if QEMU closed the line. `limit` is what the
/// deadline was made of.
pub(crate) fn find_disk(line: &mut Line, deadline: Instant, limit: Duration) -> Result<Option<()>, Outage> {
    line.send(&HostMessage::FindDisk)
        .map_err(|error| Outage::Rig(format!("the guest cannot be told to find its disk: {error}")))?;
    loop {
        match line.next(deadline) {
            Some(Incoming::Message(GuestMessage::Unfit { reason })) => return Err(Outage::Unfit(reason)),
            Some(Incoming::Message(GuestMessage::Ready)) => return Ok(Some(())),
            Some(Incoming::Message(_) | Incoming::Noise(_)) => {}
            Some(Incoming::Closed) => return Ok(None),
            None => {
                return Err(Outage::OutOfTime {
                    limit_s: limit.as_secs(),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    const HELLO: GuestMessage = GuestMessage::Hello {
        release: String::new(),
        uptime_ms: 0,
        cpus: 1,
        hotplug: true,
    };

    #[test]
    fn a_guest_that_gets_no_time_is_waited_for_and_one_that_says_nothing_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut line = Line::open(ours, File::create(dir.path().join("log")).unwrap()).unwrap();
        let begun = Instant::now();
        assert!(matches!(greeting(&mut line, || begun), Err(Outage::NoHello)));
        let mut asked = 0;
        let said = greeting(&mut line, || {
            asked += 1;
            if asked == 1 {
                return begun;
            }
            theirs.write_all(wire::to_line(&HELLO).unwrap().as_bytes()).unwrap();
            Instant::now() + Duration::from_secs(60)
        });
        assert!(said.unwrap().is_some_and(|greeting| greeting.hotplug));
        assert_eq!(asked, 2);
    }
}
