//! What our own rules did to requests, as far as a guest can tell: read from the device's trace. Pure.
//!
//! A *told* fault is a request that completed with an error by a rule. A *silent* one moved other data than it should,
//! or none, and reported success. A *held* request did not complete at once because of a rule or of a power cut.
//!
//! An error that no rule made is not among these: it is [`stray`](Faults::stray).

use std::ops::Range;

use vhost_blk_api::op::{Op, SECTOR_BYTES};
use vhost_blk_api::trace::{Record, RequestLine, Status, requests};

/// Microseconds of the device's clock.
type Time = u64;

/// A request that completed with an error by a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// When the guest was told.
    pub(crate) t_us: Time,
    pub(crate) op: Op,
    /// Sectors of 512 bytes.
    pub(crate) sectors: Vec<Range<u64>>,
    /// Whether a part of it was done.
    pub(crate) is_torn: bool,
    /// The rule's name.
    pub(crate) rule: String,
}

/// A request that a rule or a cut kept from completing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) from_us: Time,
    /// None if it never completed.
    pub(crate) until_us: Option<Time>,
    pub(crate) rule: String,
}

/// What rules did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) told: Vec<Told>,
    /// When data was changed, dropped or lost behind the guest's back.
    pub(crate) silent: Vec<Time>,
    pub(crate) held: Vec<Held>,
    /// The rule that first left other content on the disk than was written.
    pub(crate) spoilt_by: Option<String>,
    /// Requests that failed although no rule made them.
    pub(crate) stray: Vec<RequestLine>,
    /// Requests that failed because the disk never went as far.
    pub(crate) beyond_end: Vec<RequestLine>,
}

/// Actions that report success for what was not done as asked.
const SILENT: &[&str] = &["corrupt", "drop", "early", "short"];

/// The action by which a request may fail after a part of it was done.
const TORN: &str = "short";

/// Those of them by which the disk has other content in the end, also without a power cut.
const SPOILING: &[&str] = &["corrupt", "drop", "short"];

impl Faults {
    /// Reads them from the records of a cell.
    pub(crate) fn of(trace: &[Record]) -> Faults {
        let mut faults = Faults::default();
        // A device whose own disk is full fails millions of requests, each of which is held against these.
        let is_of_size = |record: &&Record| matches!(record, Record::Mark { .. } | Record::Resize { .. });
        let sizes: Vec<&Record> = trace.iter().filter(is_of_size).collect();
        for request in requests(trace) {
            faults.request(request, &sizes);
        }
        for record in trace {
            if let Record::Resize { t_us, from, bytes } = record
                && bytes < from
            {
                faults.silent.push(*t_us);
            }
            if let Record::Cut { t_us, rule, .. } = record {
                faults.silent.push(*t_us);
                faults.held.push(Held {
                    from_us: *t_us,
                    until_us: power_after(trace, *t_us),
                    rule: rule.clone().unwrap_or_else(|| "the power cut".to_owned()),
                });
            }
        }
        faults
    }

    fn request(&mut self, request: RequestLine, sizes: &[&Record]) {
        let submit = &request.submit;
        let Some(complete) = &request.complete else {
            if let Some(rule) = submit.rules.first() {
                self.held.push(Held {
                    from_us: submit.t_us,
                    until_us: None,
                    rule: rule.clone(),
                });
            }
            return;
        };
        if let Some(timing) = &complete.timing {
            self.held.push(Held {
                from_us: submit.t_us,
                until_us: Some(complete.t_us),
                rule: timing.rule.clone(),
            });
        }
        match (complete.status, &complete.outcome) {
            (Status::IoErr | Status::Unsupp, Some(outcome)) => self.told.push(Told {
                t_us: complete.t_us,
                op: submit.op,
                sectors: sectors(&request),
                is_torn: outcome.action == TORN,
                rule: outcome.rule.clone(),
            }),
            (Status::IoErr, None) if reaches_beyond(&request, largest_by(sizes, complete.t_us)) => {
                self.beyond_end.push(request);
            }
            (Status::IoErr, None) if reaches_beyond(&request, size_at(sizes, complete.t_us)) => self.told.push(Told {
                t_us: complete.t_us,
                op: submit.op,
                sectors: sectors(&request),
                is_torn: false,
                rule: "resize".to_owned(),
            }),
            (Status::IoErr, None) => self.stray.push(request),
            (Status::Ok, Some(outcome)) if SILENT.contains(&outcome.action.as_str()) => {
                self.silent.push(complete.t_us);
                let writes = matches!(submit.op, Op::Write | Op::WriteZeroes | Op::Discard);
                if writes && SPOILING.contains(&outcome.action.as_str()) {
                    self.spoilt_by.get_or_insert_with(|| outcome.rule.clone());
                }
            }
            _ => {}
        }
    }

    /// Whether the guest was told of an error, or was given wrong data, at any time.
    pub(crate) fn any(&self) -> bool {
        !self.told.is_empty() || !self.silent.is_empty()
    }
}

/// The disk's size in bytes at a moment, if a command gave it one before.
fn size_at(sizes: &[&Record], us: Time) -> Option<u64> {
    sizes.iter().rev().find_map(|record| match record {
        Record::Resize { t_us, bytes, .. } if *t_us <= us => Some(*bytes),
        _ => None,
    })
}

/// The largest size that the disk has had by then; none if no mark tells any.
fn largest_by(sizes: &[&Record], us: Time) -> Option<u64> {
    let found = sizes.iter().filter_map(|record| match record {
        Record::Mark { t_us, disk_bytes, .. } if *t_us <= us => *disk_bytes,
        Record::Resize { t_us, from, bytes } if *t_us <= us => Some(*from.max(bytes)),
        _ => None,
    });
    found.max().filter(|_| {
        sizes.iter().any(|record| {
            matches!(
                record,
                Record::Mark {
                    disk_bytes: Some(_),
                    ..
                }
            )
        })
    })
}

/// Whether a request reaches beyond an end of the disk.
fn reaches_beyond(request: &RequestLine, bytes: Option<u64>) -> bool {
    let beyond = |range: &Range<u64>| bytes.is_some_and(|bytes| range.end.saturating_mul(SECTOR_BYTES) > bytes);
    sectors(request).iter().any(beyond)
}

/// When the power came back after a cut.
fn power_after(trace: &[Record], cut_us: Time) -> Option<Time> {
    trace.iter().find_map(|record| match record {
        Record::Power { t_us } | Record::Rollback { t_us, .. } if *t_us >= cut_us => Some(*t_us),
        _ => None,
    })
}

fn sectors(request: &RequestLine) -> Vec<Range<u64>> {
    let submit = &request.submit;
    match submit.op {
        Op::Read | Op::Write => {
            std::iter::once(submit.sector..submit.sector.saturating_add(submit.len.div_ceil(SECTOR_BYTES))).collect()
        }
        Op::Discard | Op::WriteZeroes => submit
            .ranges
            .iter()
            .map(|range| range.sector..range.sector.saturating_add(u64::from(range.sectors)))
            .collect(),
        Op::Flush | Op::GetId => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::stray;

    /// As of a device whose own disk is full. Each request against each record would take hours.
    #[test]
    fn a_device_that_fails_everything_is_judged_in_time() {
        let failed = (0..100_000).flat_map(|seq| stray(seq, 1_000_000 + seq, Op::Write, 2048));
        let trace: Vec<Record> = failed.collect();
        assert_eq!(Faults::of(&trace).stray.len(), 100_000);
    }
}
