//! The device's trace against the numbers of its marks.

use vhost_blk_api::trace::Record;

use crate::bundle::EvidenceBundle;
use crate::parts::{begin_mark, end_mark};

/// What is wrong with the trace.
pub(super) fn gap(evidence: &EvidenceBundle) -> Option<String> {
    let trace = &evidence.trace;
    let case = &evidence.context.case;
    let missed = trace.iter().find_map(|record| match record {
        Record::Missed { lines, .. } => Some(lines),
        _ => None,
    });
    if let Some(lines) = missed {
        return Some(format!("the device could not write {lines} lines of its trace"));
    }
    let number = |record: Option<&Record>, wanted: &str| match record {
        Some(Record::Mark { name, records, .. }) if name == wanted => Some(*records),
        _ => None,
    };
    let (begin, end) = (begin_mark(case), end_mark(case));
    let Some(before) = number(trace.first(), &begin) else {
        return Some(format!("the device's trace does not begin at the mark {begin}"));
    };
    let Some(after) = number(trace.last(), &end) else {
        return Some(format!("the device's trace does not end at the mark {end}"));
    };
    let (Some(before), Some(after)) = (before, after) else {
        return Some("the device does not say how long its trace is".to_owned());
    };
    let (wanted, found) = (after.saturating_sub(before), trace.len() as u64 - 1);
    (wanted != found).then(|| {
        format!("the device wrote {wanted} records from the mark {begin} to the mark {end}, and there are {found}")
    })
}
