//! Count and hash of a job's events, by which the host knows that it heard all of them.

use serde::Serialize;

use crate::digest::{FNV_OFFSET, fnv};
use crate::event::Event;

/// Counts and hashes a job's events: the guest those that it sends, the judge those that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventSeal {
    events: u64,
    hash: u64,
}

impl Default for EventSeal {
    fn default() -> EventSeal {
        EventSeal {
            events: 0,
            hash: FNV_OFFSET,
        }
    }
}

impl EventSeal {
    /// Takes in an event with the time that it was sent with.
    pub fn add(&mut self, uptime_ms: u64, event: &Event) {
        #[derive(Serialize)]
        struct Sealed<'a>(u64, &'a Event);
        // No event lacks a form as JSON.
        let bytes = serde_json::to_vec(&Sealed(uptime_ms, event)).unwrap_or_default();
        self.hash = fnv(self.hash, &bytes);
        self.events += 1;
    }

    /// The event that says what was sent so far.
    #[must_use]
    pub fn so_far(self) -> Event {
        Event::SoFar {
            events: self.events,
            hash: self.hash,
        }
    }

    /// The event that ends the job.
    #[must_use]
    pub fn end(self) -> Event {
        Event::End {
            events: self.events,
            hash: self.hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(events: &[(u64, Event)]) -> Event {
        let mut seal = EventSeal::default();
        for (uptime_ms, event) in events {
            seal.add(*uptime_ms, event);
        }
        seal.end()
    }

    #[test]
    fn order_time_and_content_count() {
        let note = |text: &str| Event::Note { text: text.into() };
        let whole = sealed(&[(1, Event::Begin), (2, note("a")), (3, note("b"))]);
        for other in [
            vec![(1, Event::Begin), (3, note("b"))],
            vec![(1, Event::Begin), (2, note("b")), (3, note("a"))],
            vec![(1, Event::Begin), (2, note("a")), (4, note("b"))],
            vec![(1, Event::Begin), (2, note("a")), (3, note("B"))],
        ] {
            assert_ne!(sealed(&other), whole, "{other:?}");
        }
        assert!(matches!(whole, Event::End { events: 3, .. }));
    }

    #[test]
    fn a_seal_stays_what_it_was() {
        // Recorded cells hold seals: the hash and the form of an event must not change.
        assert_eq!(
            sealed(&[(1, Event::Begin), (20, Event::Note { text: "é\n".into() })]),
            Event::End {
                events: 2,
                hash: 6_630_427_477_826_089_080
            }
        );
    }
}
