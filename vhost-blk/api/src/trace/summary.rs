//! What a trace comes to: latencies by operation, faults by rule, how many requests were out over time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Range;

use super::reader::{RequestLine, requests};
use super::record::{Record, Status};
use super::show::{Filter, NoMark, time};
use crate::op::Op;
use crate::plan::units::print_bytes;

/// Slices of time in the picture of the queue depth.
const SLICES: u64 = 60;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The summary of the part of a trace that a filter wants.
///
/// # Errors
/// The trace does not have a mark of the filter's.
pub fn summary(all: &[Record], filter: &Filter) -> Result<String, NoMark> {
    let range = filter.range(all)?;
    let records = all.get(range.clone()).unwrap_or_default();
    let lines: Vec<RequestLine> = requests(records)
        .into_iter()
        .filter(|line| filter.wants(line))
        .collect();
    let mut text = String::new();
    by_op(&mut text, &lines);
    histograms(&mut text, &lines);
    by_rule(&mut text, &rules(all, range, &lines));
    depth(&mut text, &lines);
    let malformed = records
        .iter()
        .filter(|record| matches!(record, Record::Malformed { .. }))
        .count();
    if malformed > 0 {
        let _ = writeln!(text, "\n{malformed} chains were no requests");
    }
    let missed = records.iter().map(|record| match record {
        Record::Missed { lines, .. } => *lines,
        _ => 0,
    });
    let missed = missed.fold(0, u64::saturating_add);
    if missed > 0 {
        let _ = writeln!(
            text,
            "\nINCOMPLETE: {missed} lines are missing, for the file took no more"
        );
    }
    Ok(text)
}

/// The latencies of those that were answered: how long one was out that was dropped says nothing of the disk.
fn latencies(lines: &[RequestLine], op: Op) -> Vec<u64> {
    let of_op = lines.iter().filter(|line| line.submit.op == op);
    let ended = of_op.filter_map(|line| line.complete.as_ref());
    let mut latencies: Vec<u64> = ended
        .filter(|complete| complete.status != Status::Dropped)
        .map(|complete| complete.latency_us)
        .collect();
    latencies.sort_unstable();
    latencies
}

/// The value that this share of a sorted row does not exceed; none of an empty row.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied()
}

const OPS: [Op; 6] = [Op::Read, Op::Write, Op::Flush, Op::Discard, Op::WriteZeroes, Op::GetId];

fn by_op(text: &mut String, lines: &[RequestLine]) {
    text.push_str("operation      requests   errors  no answer     moved      p50      p95      p99      max\n");
    for op in OPS {
        let of_op: Vec<&RequestLine> = lines.iter().filter(|line| line.submit.op == op).collect();
        if of_op.is_empty() {
            continue;
        }
        let ended = || of_op.iter().filter_map(|line| line.complete.as_ref());
        let errors = ended()
            .filter(|complete| matches!(complete.status, Status::IoErr | Status::Unsupp))
            .count();
        let answered = ended().filter(|complete| complete.status != Status::Dropped).count();
        let moved = ended().fold(0u64, |sum, complete| sum.saturating_add(complete.bytes));
        let sorted = latencies(lines, op);
        let at = |percent| percentile(&sorted, percent).map_or_else(|| "-".to_owned(), time);
        let _ = writeln!(
            text,
            "{:<12} {:>10} {errors:>8} {:>10} {:>9} {:>8} {:>8} {:>8} {:>8}",
            op.name(),
            of_op.len(),
            of_op.len() - answered,
            print_bytes(moved),
            at(50),
            at(95),
            at(99),
            at(100)
        );
    }
}

fn histograms(text: &mut String, lines: &[RequestLine]) {
    for op in OPS {
        let sorted = latencies(lines, op);
        if sorted.is_empty() {
            continue;
        }
        // Buckets of powers of two: the key is the first microsecond that is too long.
        let mut buckets: BTreeMap<u64, usize> = BTreeMap::new();
        for latency in &sorted {
            let below = latency.saturating_add(1).checked_next_power_of_two();
            *buckets.entry(below.unwrap_or(u64::MAX)).or_default() += 1;
        }
        let most = buckets.values().copied().max().unwrap_or(1);
        let _ = writeln!(text, "\nlatency of {}", op.name());
        for (below, count) in buckets {
            let bar = "#".repeat((count * 40).div_ceil(most));
            let _ = writeln!(text, "  < {:>8} {count:>8} {bar}", time(below));
        }
    }
}

/// A rule while it is in force.
struct Life<'a> {
    name: &'a str,
    text: &'a str,
    /// The record that ended it.
    end: Option<usize>,
    /// Requests to which it was applied.
    applied: usize,
    /// How many of them are wanted.
    wanted: usize,
}

/// The rules that were in force in a part of a trace, in their order: a name may have stood for one after the other.
fn rules<'a>(all: &'a [Record], part: Range<usize>, wanted: &[RequestLine]) -> Vec<Life<'a>> {
    let wanted: BTreeSet<u64> = wanted.iter().map(|line| line.submit.seq).collect();
    let mut lives: Vec<Life<'a>> = Vec::new();
    for (index, record) in all.iter().enumerate().take(part.end) {
        match record {
            Record::RuleAdded { name, text, .. } => lives.push(Life {
                name,
                text,
                end: None,
                applied: 0,
                wanted: 0,
            }),
            Record::RuleRemoved { name, .. } => {
                let life = lives.iter_mut().rfind(|life| life.name == name && life.end.is_none());
                if let Some(life) = life {
                    life.end = Some(index);
                }
            }
            Record::PlanSet { .. } | Record::Cleared { .. } => {
                lives.iter_mut().for_each(|life| life.end = life.end.or(Some(index)));
            }
            Record::Submit(submit) if index >= part.start => {
                for name in &submit.rules {
                    let is_it = |life: &Life<'_>| life.name == name && life.end.is_none();
                    let at = lives.iter().rposition(is_it).unwrap_or_else(|| {
                        // The line that added it is missing.
                        lives.push(Life {
                            name,
                            text: "",
                            end: None,
                            applied: 0,
                            wanted: 0,
                        });
                        lives.len() - 1
                    });
                    if let Some(life) = lives.get_mut(at) {
                        life.applied += 1;
                        life.wanted += usize::from(wanted.contains(&submit.seq));
                    }
                }
            }
            _ => {}
        }
    }
    lives.retain(|life| life.end.is_none_or(|end| end >= part.start));
    lives
}

fn by_rule(text: &mut String, rules: &[Life<'_>]) {
    if rules.is_empty() {
        return;
    }
    text.push_str("\nrule           requests\n");
    for rule in rules {
        let never = if rule.applied == 0 { "  never applied:" } else { "" };
        let line = format!("{:<12} {:>10}{never}  {}", rule.name, rule.wanted, rule.text);
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

/// Most requests that were out at once, in each of some slices of the time.
fn depth(text: &mut String, lines: &[RequestLine]) {
    let Some(start) = lines.iter().map(|line| line.submit.t_us).min() else {
        return;
    };
    let ends = lines.iter().map(|line| {
        line.complete
            .as_ref()
            .map_or(line.submit.t_us, |complete| complete.t_us)
    });
    let end = ends.max().unwrap_or(start).max(start.saturating_add(1));
    let mut changes: Vec<(u64, i64)> = Vec::new();
    for line in lines {
        match &line.complete {
            // It comes and goes within one microsecond.
            Some(complete) if complete.t_us == line.submit.t_us => changes.push((complete.t_us, 0)),
            Some(complete) => changes.extend([(line.submit.t_us, 1), (complete.t_us, -1)]),
            None => changes.push((line.submit.t_us, 1)),
        }
    }
    // What ends when another begins makes room for it.
    changes.sort_unstable();
    // A trace may come from anywhere: its times may be as large as numbers are.
    let slice_of = |t_us: u64| {
        let slice = u128::from(t_us - start) * u128::from(SLICES) / u128::from(end - start).max(1);
        u64::try_from(slice).unwrap_or(SLICES).min(SLICES - 1)
    };
    let mut most = vec![0i64; usize::try_from(SLICES).unwrap_or(1)];
    let (mut out, mut slice) = (0i64, 0u64);
    for (t_us, change) in changes {
        // Slices in which nothing happened are as deep as what went before.
        while slice < slice_of(t_us) {
            slice += 1;
            raise(&mut most, slice, out);
        }
        out += change;
        raise(&mut most, slice, if change == 0 { out + 1 } else { out });
    }
    let deepest = most.iter().copied().max().unwrap_or(0).max(1);
    let bar = |depth: &i64| {
        let level = usize::try_from(depth * 8 / deepest).unwrap_or(0);
        if *depth == 0 {
            ' '
        } else {
            BARS[level.saturating_sub(1).min(7)]
        }
    };
    let picture: String = most.iter().map(bar).collect();
    let _ = writeln!(
        text,
        "\nrequests out at once over {}: at most {deepest}\n|{picture}|",
        time(end - start)
    );
}

fn raise(most: &mut [i64], slice: u64, depth: i64) {
    if let Some(deepest) = usize::try_from(slice).ok().and_then(|slice| most.get_mut(slice)) {
        *deepest = depth.max(*deepest);
    }
}
