//! Requests that we failed, in an order in which a report finds those that it may tell of: a trace may have hundreds of
//! thousands, and a log thousands of reports.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use vhost_blk_api::op::Op;

use crate::faults::Told;
use crate::times::Times;

/// A moment of the host's clock, in microseconds.
type Moment = i64;

/// Whether something came before a report, by the earliest that it and the latest that the report can have been. One
/// that did not come at all has no moment; a report without a time may be the last.
pub(super) fn is_before(earliest: Option<Moment>, latest: Option<Moment>) -> bool {
    earliest.is_some_and(|earliest| latest.is_none_or(|latest| earliest <= latest))
}

/// The earliest that a moment of the device's clock can have been. Without clocks it may have been any.
pub(super) fn earliest(times: &Times, device_us: u64) -> Moment {
    times.of_device(device_us).map_or(Moment::MIN, |(earliest, _)| earliest)
}

/// Requests of one operation for the same sectors.
#[derive(Debug, Default)]
struct Alike {
    /// The earliest that each can have been, in this order, and its place in the trace.
    moments: Vec<(Moment, usize)>,
    /// How many of them lines of the block layer were put down to.
    used: usize,
    /// Those to which one line was put down, by that line.
    once: BTreeMap<String, VecDeque<Moment>>,
}

/// Ranges of sectors, by their beginnings.
#[derive(Debug, Default)]
struct Ranges {
    /// Each with the group of requests that it is of.
    ranges: Vec<(Range<u64>, usize)>,
    /// How far the ranges up to each one go.
    furthest: Vec<u64>,
}

impl Ranges {
    fn sort(&mut self) {
        self.ranges.sort_by_key(|(range, _)| range.start);
        let furthest = self.ranges.iter().scan(0, |furthest, (range, _)| {
            *furthest = range.end.max(*furthest);
            Some(*furthest)
        });
        self.furthest = furthest.collect();
    }

    /// The groups of the ranges that have a sector.
    fn covering(&self, sector: u64) -> impl Iterator<Item = usize> {
        let begun = self.ranges.partition_point(|(range, _)| range.start <= sector);
        let last_first = self.ranges.iter().zip(&self.furthest).take(begun).rev();
        let near = last_first.take_while(move |(_, furthest)| **furthest > sector);
        near.filter(move |((range, _), _)| range.contains(&sector))
            .map(|((_, group), _)| *group)
    }
}

/// Requests that completed with an error by a rule.
#[derive(Debug, Default)]
pub(super) struct FailedRequests {
    groups: Vec<Alike>,
    by_op: BTreeMap<Op, Ranges>,
    /// The first of each operation that was done in part, or not at all.
    first: BTreeMap<(Op, bool), Moment>,
}

impl FailedRequests {
    pub(super) fn of(told: &[Told], times: &Times) -> FailedRequests {
        let mut failed = FailedRequests::default();
        let mut known: BTreeMap<(Op, Vec<(u64, u64)>), usize> = BTreeMap::new();
        for (place, told) in told.iter().enumerate() {
            let moment = earliest(times, told.t_us);
            let first = failed.first.entry((told.op, told.is_torn)).or_insert(moment);
            *first = moment.min(*first);
            let sectors = told.sectors.iter().map(|range| (range.start, range.end)).collect();
            let group = *known.entry((told.op, sectors)).or_insert_with(|| {
                let group = failed.groups.len();
                let of_op = failed.by_op.entry(told.op).or_default();
                let ranges = told.sectors.iter().map(|range| (range.clone(), group));
                of_op.ranges.extend(ranges);
                failed.groups.push(Alike::default());
                group
            });
            failed.groups[group].moments.push((moment, place));
        }
        failed.groups.iter_mut().for_each(|group| group.moments.sort_unstable());
        failed.by_op.values_mut().for_each(Ranges::sort);
        failed
    }

    /// The first of those for which a condition on operation and whether a part was done holds.
    pub(super) fn first(&self, fits: impl Fn(Op, bool) -> bool) -> Option<Moment> {
        let fitting = self.first.iter().filter(|((op, is_torn), _)| fits(*op, *is_torn));
        fitting.map(|(_, moment)| *moment).min()
    }

    /// The first of an operation with a sector in it.
    pub(super) fn first_at(&self, sector: u64, fits: impl Fn(Op) -> bool) -> Option<Moment> {
        let groups = self.covering(sector, fits);
        groups
            .filter_map(|group| Some(self.groups.get(group)?.moments.first()?.0))
            .min()
    }

    fn covering(&self, sector: u64, fits: impl Fn(Op) -> bool) -> impl Iterator<Item = usize> {
        let of_ops = self.by_op.iter().filter(move |(op, _)| fits(**op));
        of_ops.flat_map(move |(_, ranges)| ranges.covering(sector))
    }

    /// Puts a line of the block layer down to a request that came before it, which is used up then; whether there is
    /// one. A write may be told of twice in the same words.
    pub(super) fn put_down(&mut self, line: &str, sector: u64, op: Option<Op>, latest: Option<Moment>) -> bool {
        let same_op = |other: Op| op.is_none_or(|op| op == other);
        let unused = self.covering(sector, same_op).filter_map(|group| {
            let alike = self.groups.get(group)?;
            let (moment, place) = *alike.moments.get(alike.used)?;
            is_before(Some(moment), latest).then_some((place, moment, group))
        });
        if let Some((_, moment, group)) = unused.min() {
            let alike = &mut self.groups[group];
            alike.used += 1;
            alike.once.entry(line.to_owned()).or_default().push_back(moment);
            return true;
        }
        let is_told = |group: &usize| {
            let told = self.groups.get(*group).and_then(|alike| alike.once.get(line));
            is_before(told.and_then(|told| told.front().copied()), latest)
        };
        let written = |other| other == Op::Write && same_op(other);
        let Some(group) = self.covering(sector, written).find(is_told) else {
            return false;
        };
        let told = self.groups[group].once.get_mut(line);
        told.and_then(VecDeque::pop_front).is_some()
    }
}

/// Spans of time that do not meet, by their beginnings.
#[derive(Debug, Default)]
pub(super) struct Spans {
    /// Beginning and end of each, and how long those before it are together.
    spans: Vec<(Moment, Moment, i64)>,
}

impl Spans {
    pub(super) fn of(mut all: Vec<(Moment, Moment)>) -> Spans {
        all.retain(|(begin, end)| begin < end);
        all.sort_unstable();
        let mut spans: Vec<(Moment, Moment, i64)> = Vec::new();
        for (begin, end) in all {
            match spans.last_mut() {
                Some((_, last, _)) if begin <= *last => *last = end.max(*last),
                last => {
                    let before = last.map_or(0, |(begin, end, before)| {
                        before.saturating_add(end.saturating_sub(*begin))
                    });
                    spans.push((begin, end, before));
                }
            }
        }
        Spans { spans }
    }

    /// How much of a window they cover.
    pub(super) fn covered(&self, (from, to): (Moment, Moment)) -> u64 {
        let until = |moment: Moment| {
            let begun = self.spans.partition_point(|(begin, ..)| *begin < moment);
            let last = begun.checked_sub(1).and_then(|last| self.spans.get(last));
            last.map_or(0, |(begin, end, before)| {
                before.saturating_add(moment.min(*end).saturating_sub(*begin))
            })
        };
        u64::try_from(until(to).saturating_sub(until(from))).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sector: u64, t_us: u64) -> Told {
        let sectors = std::iter::once(sector..sector.saturating_add(8)).collect();
        Told {
            t_us,
            op: Op::Write,
            sectors,
            is_torn: false,
            rule: "fault".to_owned(),
        }
    }

    /// As of a disk that fails everything: each of 2,000 lines against each of 200,000 requests took most of a minute.
    #[test]
    fn many_failed_requests_and_many_lines_are_compared_in_time() {
        let here: Vec<Told> = (0..200_000).map(|n| told(8, n)).collect();
        let all_over: Vec<Told> = (0..200_000).map(|n| told(n * 4, n)).collect();
        for (requests, expected_lines) in [(here, 2_000), (all_over, 3)] {
            let mut failed = FailedRequests::of(&requests, &Times::default());
            for sector in [0, 8, 15, 16, 400_001, 799_999, u64::MAX] {
                let has_it = |told: &&Told| told.sectors.iter().any(|range| range.contains(&sector));
                let expected = requests.iter().filter(has_it).count();
                let near = failed.covering(sector, |_| true);
                assert!(near.count() <= expected.min(2), "{sector}");
                assert_eq!(failed.first_at(sector, |_| true).is_some(), expected > 0, "{sector}");
            }
            let put_down = (0..2_000).filter(|n| failed.put_down(&format!("{n}"), 8 + n % 8, None, None));
            assert_eq!(put_down.count(), expected_lines);
        }
    }

    #[test]
    fn a_line_is_put_down_to_what_came_before_it() {
        let times = Times::default();
        let requests = [told(8, 1), told(8, 2), told(12, 3)];
        let mut failed = FailedRequests::of(&requests, &times);
        let put_down: Vec<bool> = ["a", "b", "a", "a", "c"]
            .iter()
            .map(|line| failed.put_down(line, 8, Some(Op::Write), None))
            .collect();
        assert_eq!(put_down, [true, true, true, false, false]);
        assert!(!failed.put_down("d", 12, Some(Op::Read), None));
        assert!(failed.put_down("d", 12, None, None));
        assert!(!failed.put_down("d", 20, None, None));
    }

    #[test]
    fn spans_that_overlap_count_once() {
        let spans = Spans::of([(10, 20), (15, 30), (0, 5), (40, 40), (50, i64::MAX)].into());
        for (window, covered) in [
            ((0, 100), 5 + 20 + 50),
            ((4, 12), 3),
            ((30, 50), 0),
            ((12, 11), 0),
            ((i64::MIN, 0), 0),
            ((60, 70), 10),
        ] {
            assert_eq!(spans.covered(window), covered, "{window:?}");
        }
        assert_eq!(Spans::default().covered((0, 9)), 0);
    }
}
