//! A trace for people: a line a request and event, in the order in which they began.

use std::fmt::Write as _;
use std::ops::Range;

use super::reader::{RequestLine, requests};
use super::record::{Complete, Record, Status, Submit};
use crate::op::Op;
use crate::plan::units::print_bytes;

/// What of a trace is wanted; nothing given is everything.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only requests of this operation.
    pub op: Option<Op>,
    /// Only requests to which this rule was applied.
    pub rule: Option<String>,
    /// Only requests that ended so.
    pub status: Option<Status>,
    /// Only requests that touch these sectors, with one of their ranges.
    pub sectors: Option<Range<u64>>,
    /// Only from this mark on, the last of the name.
    pub from: Option<String>,
    /// Only up to this mark, the first of the name after `from`.
    pub to: Option<String>,
}

/// A mark that the trace does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no mark `{name}` in the trace: {}",
    if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) }
)]
pub struct NoMark {
    pub(crate) name: String,
    /// The marks there are.
    pub(crate) known: Vec<String>,
}

/// A rule that the trace does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no rule `{name}` in the trace: {}",
    if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) }
)]
pub struct NoRule {
    pub(crate) name: String,
    /// The rules there are.
    pub(crate) known: Vec<String>,
}

impl Filter {
    /// Checks that the trace has the rule that is wanted, whether or not it was applied to any request.
    ///
    /// # Errors
    /// There is no such rule.
    pub fn check(&self, records: &[Record]) -> Result<(), NoRule> {
        let Some(name) = &self.rule else { return Ok(()) };
        let mut known: Vec<String> = Vec::new();
        // A part of a trace may have requests without the rules that they met.
        let names = records.iter().flat_map(|record| match record {
            Record::RuleAdded { name, .. } => std::slice::from_ref(name),
            Record::Submit(submit) => submit.rules.as_slice(),
            _ => &[],
        });
        for found in names {
            if found == name {
                return Ok(());
            }
            if !known.contains(found) {
                known.push(found.clone());
            }
        }
        Err(NoRule {
            name: name.clone(),
            known,
        })
    }

    /// The records between the marks.
    ///
    /// # Errors
    /// There is no such mark.
    pub fn part<'a>(&self, records: &'a [Record]) -> Result<&'a [Record], NoMark> {
        let range = self.range(records)?;
        Ok(records.get(range).unwrap_or_default())
    }

    /// Where the records between the marks are.
    ///
    /// # Errors
    /// There is no such mark.
    pub(crate) fn range(&self, records: &[Record]) -> Result<Range<usize>, NoMark> {
        let is = |record: &Record, name: &str| matches!(record, Record::Mark { name: found, .. } if found == name);
        let missing = |name: &str| NoMark {
            name: name.to_owned(),
            known: marks(records),
        };
        let start = match &self.from {
            Some(name) => records
                .iter()
                .rposition(|record| is(record, name))
                .ok_or_else(|| missing(name))?,
            None => 0,
        };
        let rest = records.get(start..).unwrap_or_default();
        let end = match &self.to {
            Some(name) => {
                rest.iter()
                    .position(|record| is(record, name))
                    .ok_or_else(|| missing(name))?
                    + 1
            }
            None => rest.len(),
        };
        Ok(start..start + end)
    }

    /// Whether a request is wanted.
    #[must_use]
    pub(crate) fn wants(&self, line: &RequestLine) -> bool {
        let submit = &line.submit;
        let status = line.complete.as_ref().map(|complete| complete.status);
        self.op.is_none_or(|op| op == submit.op)
            && self.rule.as_ref().is_none_or(|rule| submit.rules.contains(rule))
            && self.status.is_none_or(|wanted| status == Some(wanted))
            && self.sectors.as_ref().is_none_or(|sectors| touches(submit, sectors))
    }

    /// Whether what is no request is wanted: not where only some requests are, but for what changes a place of the disk
    /// where that is asked for.
    fn wants_event(&self, record: &Record) -> bool {
        let changes_disk = || {
            matches!(
                record,
                Record::Rollback { .. }
                    | Record::Present { .. }
                    | Record::Resize { .. }
                    | Record::Cut { .. }
                    | Record::Missed { .. }
            )
        };
        self.op.is_none() && self.rule.is_none() && self.status.is_none() && (self.sectors.is_none() || changes_disk())
    }
}

/// Whether a request touches these sectors, with one of its ranges. What has no length lies in the sector that it
/// begins with.
fn touches(submit: &Submit, sectors: &Range<u64>) -> bool {
    let touches = |start: u64, count: u64| start < sectors.end && sectors.start < start.saturating_add(count.max(1));
    match submit.ranges.as_slice() {
        [] => submit.op != Op::Flush && touches(submit.sector, submit.len.div_ceil(512)),
        ranges => ranges
            .iter()
            .any(|range| touches(range.sector, u64::from(range.sectors))),
    }
}

fn marks(records: &[Record]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for record in records {
        if let Record::Mark { name, .. } = record
            && !names.contains(name)
        {
            names.push(name.clone());
        }
    }
    names
}

/// What stands above the lines.
pub const HEADER: &str = "       ms    seq  q op               sector     len  tag     status    latency  rules";

/// The listing of a part of a trace.
#[must_use]
pub fn listing(records: &[Record], filter: &Filter) -> String {
    let mut lines: Vec<(u64, String)> = requests(records)
        .iter()
        .filter(|line| filter.wants(line))
        .map(|line| (line.submit.t_us, request(line, "for ever")))
        .collect();
    lines.extend(
        records
            .iter()
            .filter(|record| filter.wants_event(record))
            .filter_map(event),
    );
    lines.sort_by_key(|(t_us, _)| *t_us);
    let mut text = format!("{HEADER}\n");
    for (t_us, what) in lines {
        let _ = writeln!(text, "{}", line(t_us, &what));
    }
    text
}

/// A line: when it was, and what.
pub(super) fn line(t_us: u64, what: &str) -> String {
    format!("{:>9.3} {what}", milliseconds(t_us))
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a run are far below 2^52")]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// A request's line, without the time; `out` stands where its latency would, as long as it has not ended.
pub(super) fn request(line: &RequestLine, out: &str) -> String {
    let submit = &line.submit;
    let tag = submit.tag.map_or_else(String::new, |tag| tag.to_string());
    let (status, latency) = match &line.complete {
        Some(Complete { status, latency_us, .. }) => (status.name(), time(*latency_us)),
        None => ("-", out.to_owned()),
    };
    let text = format!(
        "{:>6} {:>2} {:<12} {:>10} {:>7}  {tag:<7} {status:<8} {latency:>8}  {}",
        submit.seq,
        submit.queue,
        submit.op.name(),
        submit.sector,
        print_bytes(submit.len),
        rules(line)
    );
    text.trim_end().to_owned()
}

/// The rules that were applied, and what they did.
fn rules(line: &RequestLine) -> String {
    let Some(complete) = &line.complete else {
        return line.submit.rules.join(", ");
    };
    let timing = complete.timing.iter().map(|note| {
        let by = note
            .released_by
            .map_or_else(String::new, |by| format!(" until {}", by.name()));
        format!("{} {}{by}", note.rule, note.action)
    });
    let outcome = complete
        .outcome
        .iter()
        .map(|note| format!("{} {}", note.rule, note.action));
    timing.chain(outcome).collect::<Vec<_>>().join(", ")
}

/// What is no request.
pub(super) fn event(record: &Record) -> Option<(u64, String)> {
    let (t_us, what) = match record {
        Record::Start { .. } | Record::Submit(_) | Record::Complete(_) => return None,
        Record::Malformed { t_us, queue, problem } => (t_us, format!("malformed request in queue {queue}: {problem}")),
        Record::QueueDead { t_us, queue, problem } => (t_us, format!("queue {queue} is dead: {problem}")),
        Record::Mark { t_us, name, .. } => (t_us, format!("mark {name}")),
        Record::RuleAdded { t_us, name, text } => (t_us, format!("rule {name}: {text}")),
        Record::RuleRemoved { t_us, name } => (t_us, format!("rule {name} off")),
        Record::PlanSet { t_us, seed } => (t_us, format!("new plan with seed {seed}")),
        Record::Cleared { t_us } => (t_us, "all rules off".to_owned()),
        Record::Rollback { t_us, to: None } => (t_us, "rollback to the golden image".to_owned()),
        Record::Rollback { t_us, to: Some(mark) } => (t_us, format!("rollback to {mark}")),
        Record::Present {
            t_us,
            at,
            undecided,
            kept,
            ..
        } => (
            t_us,
            format!(
                "as after a power cut at {at}: {} of {undecided} undecided requests are there",
                kept.len()
            ),
        ),
        Record::Resize { t_us, from, bytes } => (
            t_us,
            format!(
                "the disk has {} now, it had {}",
                print_bytes(*bytes),
                print_bytes(*from)
            ),
        ),
        Record::Cut {
            t_us, volatile, lost, ..
        } => (
            t_us,
            format!("power cut: {lost} of {volatile} requests that were not durable are lost"),
        ),
        Record::Power { t_us } => (t_us, "power on".to_owned()),
        Record::HangUp { t_us, .. } => (t_us, "hung up on the front end".to_owned()),
        Record::Diverged {
            t_us, expected, found, ..
        } => (t_us, format!("the replay ends: {found} instead of {expected}")),
        Record::Missed { t_us, lines } => (t_us, format!("{lines} lines are missing here: the file took no more")),
        Record::Connect { t_us, connection } => (t_us, format!("front end {connection} connected")),
        Record::Disconnect { t_us, connection } => (t_us, format!("front end {connection} is gone")),
    };
    Some((*t_us, format!("-- {what}")))
}

/// Microseconds, in a unit that fits.
pub(super) fn time(us: u64) -> String {
    match us {
        0..10_000 => format!("{us} us"),
        10_000..10_000_000 => format!("{} ms", us / 1000),
        _ => format!("{} s", us / 1_000_000),
    }
}
