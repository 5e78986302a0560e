//! Moments of the guest's log and of the device as moments of the host.
//!
//! One offset does not do for the guest. Under emulation its clocks have been seen to run six times as fast as the
//! host's, when the kernel measured them while the host was busy. Its events have both times, so a moment between two
//! events lies between the two on the host as well. After the last one the clock goes on as it ran over the whole job:
//! two events that were sent one after the other tell nothing of half a minute.

use crate::context::{Clocks, Offset};
use crate::parts::Timed;

/// By how much a moment between two events may differ from a steady clock's.
const UNSTEADY_US: i64 = 100_000;

/// What is known of a cell's clocks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Times {
    /// Events: the guest's uptime, and when they arrived.
    points: Vec<(i64, i64)>,
    /// What is to be added to the log's time to have the guest's uptime, and by how much that may be wrong.
    log: Option<(i64, i64)>,
    guest: Option<Offset>,
    device: Option<Offset>,
}

impl Times {
    pub(crate) fn of(events: &[Timed], clocks: Clocks) -> Times {
        let point = |timed: &Timed| (micros(timed.uptime_ms), micros(timed.host_ms));
        let log = clocks.log.zip(clocks.guest);
        Times {
            points: events.iter().map(point).collect(),
            log: log.map(|(log, guest)| {
                let within = log.within_us.saturating_sub(guest.within_us);
                (log.add_us.saturating_sub(guest.add_us), signed(within))
            }),
            guest: clocks.guest,
            device: clocks.device,
        }
    }

    /// The earliest and the latest that a moment of the device's clock can have been.
    pub(crate) fn of_device(&self, device_us: u64) -> Option<(i64, i64)> {
        let offset = self.device?;
        let (host_us, within) = (offset.host_us(device_us), signed(offset.within_us));
        Some((host_us.saturating_sub(within), host_us.saturating_add(within)))
    }

    /// The earliest and the latest that a moment of the log's clock can have been.
    pub(crate) fn of_log(&self, log_us: u64) -> Option<(i64, i64)> {
        let (add, within) = self.log?;
        let guest_us = signed(log_us).saturating_add(add);
        let slack = within.saturating_add(UNSTEADY_US);
        let host_us = self.steady(guest_us)?;
        // What was printed before an event was sent was printed before that arrived.
        let later = self
            .points
            .iter()
            .find(|(at, _)| *at >= guest_us.saturating_add(within));
        let latest = later.map_or(i64::MAX, |(_, arrived)| arrived.saturating_add(slack));
        Some((host_us.saturating_sub(slack), host_us.saturating_add(slack).min(latest)))
    }

    /// A moment of the guest's uptime, if its clock is steady between two events; before them by the first two.
    fn steady(&self, guest_us: i64) -> Option<i64> {
        if let (Some((at, arrived)), Some(guest)) = (self.points.last(), self.guest)
            && let Ok(since_us) = u64::try_from(guest_us.saturating_sub(*at))
        {
            return Some(arrived.saturating_add(guest.scaled(since_us)));
        }
        let after = self.points.partition_point(|(at, _)| *at < guest_us);
        let after = after.clamp(1, self.points.len().checked_sub(1)?.max(1));
        let (from, to) = (
            self.points.get(after - 1)?,
            self.points.get(after).or(self.points.last())?,
        );
        let (guest_step, host_step) = (to.0.saturating_sub(from.0), to.1.saturating_sub(from.1));
        if guest_step <= 0 {
            return Some(to.1.saturating_add(guest_us.saturating_sub(to.0)));
        }
        let since = guest_us.saturating_sub(from.0).saturating_mul(host_step) / guest_step;
        Some(from.1.saturating_add(since))
    }
}

fn micros(ms: u64) -> i64 {
    signed(ms.saturating_mul(1000))
}

fn signed(us: u64) -> i64 {
    i64::try_from(us).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use guest_wire::Event;

    use super::*;

    fn times(points: &[(u64, u64)]) -> Times {
        let timed = |(uptime_ms, host_ms): &(u64, u64)| Timed {
            host_ms: *host_ms,
            uptime_ms: *uptime_ms,
            event: Event::Begin,
        };
        let events: Vec<Timed> = points.iter().map(timed).collect();
        let offset = |add_us| {
            Some(Offset {
                rate_ppm: 1_000_000,
                add_us,
                within_us: 1000,
            })
        };
        let clocks = Clocks {
            guest: offset(0),
            log: offset(20_000),
            device: offset(-5_000),
        };
        Times::of(&events, clocks)
    }

    #[test]
    fn a_clock_that_runs_too_fast_is_followed_from_event_to_event() {
        // As recorded: 11 s of the guest in 1.7 s of the host.
        let times = times(&[
            (65_221, 35),
            (68_161, 491),
            (73_120, 1247),
            (75_008, 1503),
            (76_659, 1750),
        ]);
        let (earliest, latest) = times.of_log(74_356_708).unwrap_or_default();
        assert!(
            (1_300_000..1_420_000).contains(&earliest) && (1_420_000..1_540_000).contains(&latest),
            "{earliest} to {latest}"
        );
    }

    #[test]
    fn figures_beyond_all_bounds() {
        let wild = times(&[(0, u64::MAX), (u64::MAX, 0), (7, u64::MAX / 1000)]);
        for us in [0, 1, 7_000, u64::MAX / 2, u64::MAX] {
            assert!(wild.of_log(us).is_some(), "{us}");
        }
        let offset = |add_us| {
            Some(Offset {
                rate_ppm: 0,
                add_us,
                within_us: u64::MAX,
            })
        };
        let clocks = Clocks {
            guest: offset(i64::MAX),
            log: offset(i64::MIN),
            device: offset(i64::MIN),
        };
        let wild = Times::of(&[], clocks);
        assert_eq!(wild.of_log(u64::MAX), None);
        assert!(wild.of_device(u64::MAX).is_some());
    }

    #[test]
    fn after_the_events_the_clock_goes_on_as_over_all_of_them() {
        let times = times(&[(1000, 10), (1999, 1009), (2000, 1019)]);
        assert_eq!(times.steady(32_000_000), Some(31_019_000));
        assert_eq!(times.steady(0), Some(-990_000));
        assert_eq!(times.of_device(6_000), Some((0, 2_000)));
        assert_eq!(Times::default().of_log(1), None);
        assert_eq!(self::times(&[(1000, 10)]).steady(1_500_000), Some(510_000));
        assert_eq!(self::times(&[]).steady(1), None);
    }
}
