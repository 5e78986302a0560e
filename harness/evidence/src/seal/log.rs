//! The guest's own reading of its kernel's log: from mark to mark, without a gap.

use guest_wire::{Event, LogPiece};

use crate::bundle::EvidenceBundle;

/// The pieces in which the guest sent what it read.
pub(super) fn pieces(evidence: &EvidenceBundle) -> impl Iterator<Item = &LogPiece> {
    evidence.events.iter().filter_map(|timed| match &timed.event {
        Event::Log(piece) => Some(piece),
        _ => None,
    })
}

/// What is wrong with that reading. A job that did not finish was not read to its end.
pub(super) fn gap(evidence: &EvidenceBundle, finished: bool) -> Option<String> {
    missing(evidence).or_else(|| not_between_marks(evidence).filter(|_| finished))
}

/// The first records that nobody has.
pub(super) fn missing(evidence: &EvidenceBundle) -> Option<String> {
    let gap = gaps(evidence).next()?;
    Some(format!(
        "the guest's reading of its kernel's log is not whole between records {} and {}",
        gap.first, gap.last
    ))
}

/// Whether records are missing, and each time the guest said so: its kernel printed more at once than its log has room
/// for, or more in all than was sent.
pub(super) fn overran(evidence: &EvidenceBundle) -> bool {
    let mut gaps = gaps(evidence).peekable();
    gaps.peek().is_some() && gaps.all(|gap| gap.is_told)
}

/// Records of which some are missing.
struct Gap {
    first: u64,
    last: u64,
    /// Whether the guest says that it does not have them, or did not send them.
    is_told: bool,
}

fn gaps(evidence: &EvidenceBundle) -> impl Iterator<Item = Gap> {
    let mut next = None;
    pieces(evidence).filter_map(move |piece| {
        let first = next.unwrap_or(piece.first);
        let follows = first == piece.first;
        next = Some(piece.last.saturating_add(1));
        let has_numbers_only = piece.records.is_empty() && piece.digests.is_empty() && piece.last >= piece.first;
        let whole = is_whole(piece);
        (!whole || !follows).then_some(Gap {
            first,
            last: piece.last,
            is_told: (whole || has_numbers_only) && (follows || first < piece.first && piece.overran),
        })
    })
}

/// Whether a piece has each of its records, with their texts or without.
fn is_whole(piece: &LogPiece) -> bool {
    let numbers = piece.records.iter().map(|record| record.seq);
    match piece.digests.len() as u64 {
        0 => piece.last >= piece.first && numbers.eq(piece.first..=piece.last),
        digests => piece.records.is_empty() && piece.last.checked_sub(piece.first) == Some(digests - 1),
    }
}

/// Whether the reading does not go from mark to mark.
fn not_between_marks(evidence: &EvidenceBundle) -> Option<String> {
    let case = &evidence.context.case;
    let mut records = pieces(evidence).flat_map(|piece| &piece.records);
    let first = records.next();
    let last = pieces(evidence).last().and_then(|piece| piece.records.last());
    let is = |record: Option<&guest_wire::LogRecord>, mark: &str| {
        record.is_some_and(|record| record.text == format!("bioscope: {mark} {case}"))
    };
    if first.is_none() {
        Some("the guest did not read its kernel's log, so nothing witnesses that the console is whole".to_owned())
    } else if !is(first, "begin") {
        Some("the guest's reading of its kernel's log does not start where the case begins".to_owned())
    } else if !is(last, "end") {
        Some("the guest's reading of its kernel's log does not go on until the case ends".to_owned())
    } else {
        None
    }
}
