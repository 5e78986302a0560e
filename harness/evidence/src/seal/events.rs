//! The guest's events against the count and the hash with which they end.

use guest_wire::{Event, EventSeal};

use crate::bundle::EvidenceBundle;

/// What is wrong with the events. A job that did not finish has no end to compare with.
pub(super) fn gap(evidence: &EvidenceBundle, finished: bool) -> Option<String> {
    let first = evidence.events.first();
    if first.is_some_and(|first| first.event != Event::Begin) {
        return Some("the guest's events do not start where the job begins".to_owned());
    }
    let mut seal = EventSeal::default();
    for (at, timed) in evidence.events.iter().enumerate() {
        if let Event::End { events, .. } = &timed.event {
            let after = evidence.events.len() - at - 1;
            return if after > 0 {
                Some(format!("{after} events came after the job's end"))
            } else if *events != at as u64 {
                Some(format!("the guest sent {events} events, and there are {at}"))
            } else if seal.end() != timed.event {
                Some("the guest's events are not those that it sent: their hash is another one".to_owned())
            } else {
                None
            };
        }
        seal.add(timed.uptime_ms, &timed.event);
    }
    finished.then(|| "the guest's events have no end".to_owned())
}
