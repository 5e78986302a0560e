//! The guest's events against the count and the hash with which they end, and those on the way there.

use guest_wire::{Event, EventSeal};

use crate::bundle::EvidenceBundle;
use crate::hang::StallKind;
use crate::parts::{Ending, Timed};

/// What is wrong with the events. A job that did not finish has no end to compare with: it is whole up to its last
/// [`Event::SoFar`], and has the samples that its stall was seen in.
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
        if matches!(timed.event, Event::SoFar { .. }) && seal.so_far() != timed.event {
            return Some(format!(
                "the guest's first {at} events are not those that it sent: their count or hash is another one"
            ));
        }
        seal.add(timed.uptime_ms, &timed.event);
    }
    if let Ending::Stalled(stall) = &evidence.ending {
        let is_of_stall = |timed: &&Timed| matches!(&timed.event, Event::Sample(sample) if sample.phase == stall.phase);
        let samples = evidence.events.iter().filter(is_of_stall).count();
        // That of a starved guest was seen from outside.
        if stall.how != StallKind::Starved && samples < stall.samples {
            return Some(format!(
                "the stall was seen in {} samples, and the guest's events have {samples}",
                stall.samples
            ));
        }
    }
    finished.then(|| "the guest's events have no end".to_owned())
}
