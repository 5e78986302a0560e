//! Whether a guest's clock runs like the host's. Time limits, watchdogs and the order of events mean nothing in one
//! whose clock does not.

use std::time::{Duration, Instant};

use guest_wire::{GuestMessage, HostMessage};

use crate::agent::Incoming;
use crate::line::Line;
use crate::outage::Outage;

/// By how much a guest's clock may run faster or slower than the host's, in percent.
const TOLERANCE_PERCENT: u128 = 10;
/// Time between two readings while they cannot tell.
const AGAIN: Duration = Duration::from_millis(50);

/// A guest's clock, read at a moment between two of the host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    from: Instant,
    to: Instant,
    uptime_ms: u64,
}

/// How fast a guest's clock runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// Like the host's.
    Right,
    /// For this share of the host's time, in percent.
    Wrong(u128),
    /// The readings are too near to each other to tell.
    Unknown,
}

/// Asks an agent that waits for orders for the time; none if QEMU closed the line.
pub(crate) fn read(line: &mut Line, deadline: Instant) -> Result<Option<Reading>, Outage> {
    let from = Instant::now();
    line.send(&HostMessage::TellTime)
        .map_err(|error| Outage::Rig(format!("the guest cannot be asked for the time: {error}")))?;
    loop {
        match line.next(deadline) {
            Some(Incoming::Message(GuestMessage::Time { uptime_ms })) => {
                let to = Instant::now();
                return Ok(Some(Reading { from, to, uptime_ms }));
            }
            Some(Incoming::Message(GuestMessage::Unfit { reason })) => return Err(Outage::Unfit(reason)),
            Some(Incoming::Message(_) | Incoming::Noise(_)) => {}
            Some(Incoming::Closed) => return Ok(None),
            None => return Err(Outage::NoHello),
        }
    }
}

/// Reads the clock until it is known to run like the host's since `first`; none if QEMU closed the line.
pub(crate) fn check(line: &mut Line, first: Reading, deadline: Instant) -> Result<Option<()>, Outage> {
    loop {
        let Some(last) = read(line, deadline)? else {
            return Ok(None);
        };
        match pace(first, last) {
            Pace::Right => return Ok(Some(())),
            Pace::Wrong(percent) => return Err(Outage::WrongClock { percent }),
            Pace::Unknown => std::thread::sleep(AGAIN),
        }
    }
}

/// Where in its interval a reading was made is not known, and the guest's milliseconds are rounded.
fn pace(first: Reading, last: Reading) -> Pace {
    let (longest, shortest) = (
        last.to.duration_since(first.from).as_micros(),
        last.from.saturating_duration_since(first.to).as_micros(),
    );
    let guest_us = u128::from(last.uptime_ms.saturating_sub(first.uptime_ms)) * 1000;
    let (least, most) = (guest_us.saturating_sub(1000) * 100, (guest_us + 1000) * 100);
    let (low, high) = (100 - TOLERANCE_PERCENT, 100 + TOLERANCE_PERCENT);
    if least >= longest * low && most <= shortest * high {
        Pace::Right
    } else if most < shortest * low || least > longest * high {
        Pace::Wrong(guest_us * 200 / (longest + shortest).max(1))
    } else {
        Pace::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a clock comes to of this pace, read twice so far apart, each time within so long.
    fn paced(percent: u64, apart_ms: u64, within_ms: u64) -> Pace {
        let start = Instant::now();
        let at = |ms: u64| Reading {
            from: start + Duration::from_millis(ms),
            to: start + Duration::from_millis(ms + within_ms),
            uptime_ms: 5_000 + (ms + within_ms / 2) * percent / 100,
        };
        pace(at(0), at(apart_ms))
    }

    #[test]
    fn a_clock_that_runs_like_the_hosts() {
        for percent in [97, 100, 103] {
            assert_eq!(paced(percent, 500, 2), Pace::Right, "{percent}");
        }
    }

    #[test]
    fn a_clock_that_runs_too_fast_or_too_slowly() {
        // As seen of kernels that had measured their TSC on a busy host.
        assert_eq!(paced(1289, 500, 2), Pace::Wrong(1289));
        assert_eq!(paced(647, 500, 40), Pace::Wrong(647));
        assert_eq!(paced(125, 500, 2), Pace::Wrong(125));
        assert_eq!(paced(50, 500, 2), Pace::Wrong(50));
        assert_eq!(paced(0, 500, 2), Pace::Wrong(0));
    }

    #[test]
    fn answers_of_a_busy_host_are_waited_for_longer() {
        for percent in [97, 110, 125] {
            assert_eq!(paced(percent, 5, 2), Pace::Unknown);
            assert_eq!(paced(percent, 500, 400), Pace::Unknown);
        }
        assert_eq!(paced(100, 10_000, 400), Pace::Right);
        assert_eq!(paced(125, 10_000, 400), Pace::Wrong(125));
    }
}
