//! Recorded cells (`harness/tests/fixtures/README.md`), and their evidence as it would be if a test's change of it were
//! true.

use std::path::PathBuf;

use evidence::EvidenceBundle;
use guest_wire::{Event, EventSeal};
use vhost_blk_api::trace::Record;

/// Where recorded cells are.
pub fn cells() -> PathBuf {
    crate::clone::package().join("tests/fixtures/cells")
}

/// Counts and hashes anew what there is of the guest's events and the device's trace, as they would if that were all
/// there ever was.
pub fn reseal(evidence: &mut EvidenceBundle) {
    let mut seal = EventSeal::default();
    for timed in &mut evidence.events {
        match timed.event {
            Event::End { .. } => timed.event = seal.end(),
            Event::SoFar { .. } => timed.event = seal.so_far(),
            _ => {}
        }
        seal.add(timed.uptime_ms, &timed.event);
    }
    let first = match evidence.trace.first() {
        Some(Record::Mark { records, .. }) => records.unwrap_or(0),
        _ => 0,
    };
    for (number, record) in (first..).zip(&mut evidence.trace) {
        if let Record::Mark { records, .. } = record {
            *records = Some(number);
        }
    }
}
