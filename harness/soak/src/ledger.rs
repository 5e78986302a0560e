//! What rules did to which sectors: read from the device's trace, and asked when fio finds a block that is not what it
//! wrote. Pure.
//!
//! A sector is *injured* from the moment at which a rule had a say in what became of it until the guest has written it
//! wholly once more, by a request that came after that moment and in which no rule had a say. A difference in a sector
//! that is not injured has no explanation.

use std::collections::BTreeMap;
use std::ops::Range;

use vhost_blk_api::op::Op;
use vhost_blk_api::plan::{Action, Corruption, Rule, Sectors};
use vhost_blk_api::trace::{Complete, OutcomeNote, Record, Status, Submit};

use super::sectors::{Disk, Lost, SECTOR_BYTES, Standing};
use super::workload::{DISK_BYTES, Workload};

/// Something that a rule did to a request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Injection {
    /// The request; none for a power cut by command.
    pub(crate) seq: u64,
    pub(crate) op: Op,
    /// The rule's name.
    pub(crate) rule: String,
    /// The rule's action.
    pub(crate) action: String,
    /// The sectors that it concerns.
    pub(crate) sectors: Range<u64>,
    /// Whether at least one of these sectors must differ, unless something came after it.
    pub(crate) somewhere: bool,
    /// Whether the guest was told that all is well.
    pub(crate) silent: bool,
}

/// A request that was submitted and not completed.
#[derive(Debug, Clone)]
struct Open {
    line: u64,
    submit: Submit,
}

/// What the trace tells of rules and sectors.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    line: u64,
    rules: BTreeMap<String, Rule>,
    open: BTreeMap<u64, Open>,
    disk: Disk,
    /// Whether the device remembers what is durable: from the first rule on that wants it.
    remembers: bool,
    /// All injections of the round.
    injections: Vec<Injection>,
    /// Those that a read of this phase met.
    reads: Vec<usize>,
    /// Requests of this phase that failed by a rule.
    failures: Vec<(Op, Range<u64>)>,
    /// The action of the last rule of this round by which a write failed.
    failed_to_write: Option<String>,
    /// The last rule that cut the power or the connection.
    blow: String,
    /// What the trace says that no device should do.
    problems: Vec<String>,
    /// Requests of the round.
    requests: u64,
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

impl Ledger {
    /// Begins a round: every slot is about to be filled anew.
    pub(crate) fn begin_round(&mut self, workload: &Workload) {
        self.disk.begin_round(workload);
        self.injections.clear();
        self.failed_to_write = None;
        self.requests = 0;
        self.begin_phase();
    }

    /// Begins a phase of a round.
    pub(crate) fn begin_phase(&mut self) {
        self.reads.clear();
        self.failures.clear();
    }

    /// Takes the next line of the trace.
    pub(crate) fn take(&mut self, record: &Record) {
        self.line += 1;
        match record {
            Record::Submit(submit) => {
                self.requests += 1;
                let open = Open {
                    line: self.line,
                    submit: submit.clone(),
                };
                if self.open.insert(submit.seq, open).is_some() {
                    self.problems
                        .push(format!("request {} was submitted twice", submit.seq));
                }
            }
            Record::Complete(complete) => match self.open.remove(&complete.seq) {
                Some(open) => self.completed(&open, complete),
                None => self.problems.push(format!(
                    "request {} was completed, and was not outstanding",
                    complete.seq
                )),
            },
            Record::PlanSet { .. } | Record::Cleared { .. } => self.rules.clear(),
            Record::RuleRemoved { name, .. } => drop(self.rules.remove(name)),
            Record::RuleAdded { name, text, .. } => self.armed(name, text),
            Record::Cut {
                rule,
                seq,
                volatile,
                lost,
                torn_bytes,
                ..
            } => {
                let lost = match lost {
                    0 => Lost::Nothing,
                    lost if lost == volatile => Lost::All,
                    _ => Lost::Some,
                };
                self.cut(rule.as_deref(), *seq, lost, torn_bytes.is_some());
            }
            Record::HangUp { rule, .. } => self.blow = rule.clone().unwrap_or_else(|| "a command".to_owned()),
            Record::Malformed { .. } | Record::QueueDead { .. } | Record::Missed { .. } => {
                self.problems.push(format!("the trace has {record:?}"));
            }
            _ => {}
        }
    }

    fn armed(&mut self, name: &str, text: &str) {
        let Ok(rule) = text.parse::<Rule>() else {
            self.problems.push(format!("the trace has a rule that is none: {text}"));
            return;
        };
        if !self.remembers && matches!(rule.action, Action::Cut { .. } | Action::Early(_)) {
            // What was written before counts as durable.
            self.remembers = true;
            self.disk.settle();
        }
        self.rules.insert(name.to_owned(), rule);
    }

    fn completed(&mut self, open: &Open, complete: &Complete) {
        let submit = &open.submit;
        let ranges = ranges(submit);
        if complete.status == Status::Dropped {
            if changes(submit.op) {
                let by = self.inject(submit, self.blow.clone(), "dropped", false, false);
                self.injure_all(&ranges, by, false);
            }
            return;
        }
        if complete.status != Status::Ok {
            self.fail(submit, &ranges, complete.outcome.as_ref());
        }
        let Some(outcome) = &complete.outcome else {
            return self.done(open, &ranges);
        };
        if submit.op == Op::Flush {
            // One that is answered early does its work some time later.
            if outcome.action == "early" {
                self.disk.flush_early(self.line);
            }
            return;
        }
        let silent = complete.status == Status::Ok;
        let rule = outcome.rule.clone();
        let corruption = match self.rules.get(&rule).map(|rule| &rule.action) {
            Some(Action::Corrupt(corruption)) => Some(*corruption),
            _ => None,
        };
        if submit.op == Op::Read {
            if silent {
                let somewhere = match corruption {
                    Some(corruption) => surely_differs(corruption),
                    None => outcome.bytes.is_some_and(|bytes| bytes + SECTOR_BYTES <= submit.len),
                };
                let by = self.inject(submit, rule, &outcome.action, somewhere, true);
                self.reads.push(by);
            }
            return;
        }
        let somewhere = corruption.is_some_and(surely_differs);
        let by = self.inject(submit, rule, &outcome.action, somewhere, silent);
        match (outcome.action.as_str(), corruption) {
            ("short", _) => self.short(open, by, outcome.bytes.unwrap_or(0)),
            ("corrupt", Some(corruption)) => self.corrupted(&ranges, open.line, by, corruption),
            // Nothing was done.
            ("fail" | "drop", _) => self.injure_all(&ranges, by, submit.op == Op::Write),
            // Whatever it does, nothing that is found there is anybody else's doing.
            _ => {
                for range in &ranges {
                    self.disk.changed(range, open.line, self.line, false);
                }
                self.injure_all(&ranges, by, false);
            }
        }
    }

    /// A request failed: a rule made it, or something is wrong.
    fn fail(&mut self, submit: &Submit, ranges: &[Range<u64>], outcome: Option<&OutcomeNote>) {
        let Some(outcome) = outcome else {
            self.problems.push(format!(
                "request {} ({} at sector {}, {} bytes) failed, and no rule made it",
                submit.seq, submit.op, submit.sector, submit.len
            ));
            return;
        };
        let place = ranges.first().map_or(0..0, |first| {
            first.start..ranges.last().map_or(first.end, |last| last.end)
        });
        self.failures.push((submit.op, place));
        if submit.op == Op::Write {
            self.failed_to_write = Some(outcome.action.clone());
        }
    }

    /// A request in which no rule had a say.
    fn done(&mut self, open: &Open, ranges: &[Range<u64>]) {
        match open.submit.op {
            Op::Flush => self.disk.flush(open.line, self.line),
            op if changes(op) => {
                for range in ranges {
                    self.disk.done(range, open.line, self.line, op);
                }
            }
            _ => {}
        }
    }

    /// A write of which only the first bytes were done.
    fn short(&mut self, open: &Open, by: usize, bytes: u64) {
        let submit = &open.submit;
        let moved = bytes.min(submit.len);
        let (whole, touched) = (moved / SECTOR_BYTES, moved.div_ceil(SECTOR_BYTES));
        let (start, end) = (submit.sector, submit.sector + submit.len / SECTOR_BYTES);
        let torn = start + whole..start + touched;
        self.disk.done(&(start..start + whole), open.line, self.line, submit.op);
        self.disk.changed(&torn, open.line, self.line, false);
        self.disk.injure(&torn, by, self.line, false);
        self.disk.injure(&(start + touched..end), by, self.line, true);
    }

    /// A write that reported success and put something else there, or put it elsewhere.
    fn corrupted(&mut self, ranges: &[Range<u64>], submitted: u64, by: usize, corruption: Corruption) {
        for range in ranges {
            self.disk.changed(range, submitted, self.line, false);
        }
        let sure = match corruption {
            Corruption::Misdirect(_) | Corruption::Zero(Sectors::All) | Corruption::Stale(Sectors::All) => true,
            Corruption::Flip(_) | Corruption::Zero(_) | Corruption::Stale(_) => false,
        };
        self.injure_all(ranges, by, sure);
        let Corruption::Misdirect(distance) = corruption else {
            return;
        };
        let end = DISK_BYTES / SECTOR_BYTES;
        for range in ranges {
            let Some(start) = range.start.checked_add_signed(distance) else {
                continue;
            };
            let moved = start..start + (range.end - range.start);
            if moved.end > end {
                continue;
            }
            // What is written there at the same time may come after it.
            let is_busy = |open: &Open| self::ranges(&open.submit).iter().any(|busy| overlap(busy, &moved));
            let sure = !self.open.values().any(is_busy);
            self.disk.changed(&moved, submitted, self.line, false);
            self.disk.injure(&moved, by, self.line, sure);
        }
    }

    fn cut(&mut self, rule: Option<&str>, seq: Option<u64>, lost: Lost, torn: bool) {
        self.blow = rule.unwrap_or("a command").to_owned();
        let last = seq.and_then(|seq| self.open.get(&seq)).map(|open| open.submit.clone());
        let last_changes = last.as_ref().is_some_and(|submit| changes(submit.op));
        let by = self.injections.len();
        self.injections.push(Injection {
            seq: seq.unwrap_or(0),
            op: last.map_or(Op::Flush, |submit| submit.op),
            rule: self.blow.clone(),
            action: "cut".to_owned(),
            sectors: 0..0,
            somewhere: false,
            silent: true,
        });
        // The last write is the only one that is torn; without a write that came as the power went it is one that was
        // completed.
        if lost != Lost::Nothing || (torn && !last_changes) {
            self.disk.lose(lost, by, self.line);
        } else {
            self.disk.settle();
        }
        // Of what was out, something may have been done, and even answered: its line then follows.
        let out = self.open.values().filter(|open| changes(open.submit.op));
        let out: Vec<Range<u64>> = out.flat_map(|open| ranges(&open.submit)).collect();
        self.injure_all(&out, by, false);
    }

    fn inject(&mut self, submit: &Submit, rule: String, action: &str, somewhere: bool, silent: bool) -> usize {
        let ranges = ranges(submit);
        self.injections.push(Injection {
            seq: submit.seq,
            op: submit.op,
            rule,
            action: action.to_owned(),
            sectors: ranges.first().map_or(0, |range| range.start)..ranges.last().map_or(0, |range| range.end),
            somewhere,
            silent,
        });
        self.injections.len() - 1
    }

    fn injure_all(&mut self, ranges: &[Range<u64>], by: usize, sure: bool) {
        for range in ranges {
            self.disk.injure(range, by, self.line, sure);
        }
    }

    /// What explains that this sector differs from what the guest wrote.
    #[must_use]
    pub(crate) fn explain(&self, sector: u64) -> Option<&Injection> {
        let injury = self.disk.injured_by(sector).and_then(|by| self.injections.get(by));
        let read = || {
            let mut reads = self.reads.iter().filter_map(|by| self.injections.get(*by));
            reads.find(|injection| injection.sectors.contains(&sector))
        };
        injury.or_else(read)
    }

    /// The action of a rule that made a write of this round fail, if one did.
    #[must_use]
    pub(crate) fn failed_to_write(&self) -> Option<&str> {
        self.failed_to_write.as_deref()
    }

    /// Whether a rule made a request fail in this phase that is this one, or part of it; any place will do without
    /// sectors.
    #[must_use]
    pub(crate) fn failed(&self, ops: &[Op], sectors: &Range<u64>) -> bool {
        let place = |range: &Range<u64>| sectors.is_empty() || overlap(range, sectors);
        self.failures.iter().any(|(op, range)| ops.contains(op) && place(range))
    }

    /// Injections of this phase's reads.
    pub(crate) fn reads(&self) -> impl Iterator<Item = &Injection> {
        self.reads.iter().filter_map(|by| self.injections.get(*by))
    }

    /// Whether all sectors of an injection are to hold a pattern, and not zeros.
    #[must_use]
    pub(crate) fn lies_in_patterns(&self, injection: &Injection, workload: &Workload) -> bool {
        let mut sectors = injection.sectors.clone();
        sectors.all(|sector| {
            let slot = workload.slot_at(sector * SECTOR_BYTES);
            slot.is_some_and(|slot| !slot.is_zeros())
        })
    }

    /// Injections that stand, each with the sectors that surely differ by it and whether none of its sectors was
    /// touched since.
    #[must_use]
    pub(crate) fn standing(&self) -> Vec<(&Injection, Vec<u64>, bool)> {
        let standing = self.disk.standing().into_iter();
        standing
            .filter_map(|(by, Standing { count, sure })| {
                let injection = self.injections.get(by)?;
                let whole = count == injection.sectors.end - injection.sectors.start;
                Some((injection, sure, whole))
            })
            .collect()
    }

    /// Requests of the round so far.
    #[must_use]
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Requests that were submitted and never completed.
    #[must_use]
    pub(crate) fn outstanding(&self) -> Vec<u64> {
        self.open.keys().copied().collect()
    }

    /// Takes what the trace says that no device should do.
    pub(crate) fn problems(&mut self) -> Vec<String> {
        std::mem::take(&mut self.problems)
    }
}

/// Whether something that was moved so differs in at least one place from what it should be. An even number of inverted
/// bits may be one, twice.
fn surely_differs(corruption: Corruption) -> bool {
    match corruption {
        Corruption::Flip(bits) => bits % 2 == 1,
        Corruption::Zero(_) | Corruption::Stale(_) | Corruption::Misdirect(_) => true,
    }
}

/// Whether it changes the disk.
fn changes(op: Op) -> bool {
    matches!(op, Op::Write | Op::Discard | Op::WriteZeroes)
}

/// The sectors of a request.
fn ranges(submit: &Submit) -> Vec<Range<u64>> {
    match submit.op {
        Op::Flush | Op::GetId => Vec::new(),
        Op::Read | Op::Write => std::iter::once(submit.sector..submit.sector + submit.len / SECTOR_BYTES).collect(),
        Op::Discard | Op::WriteZeroes => submit
            .ranges
            .iter()
            .map(|range| range.sector..range.sector + u64::from(range.sectors))
            .collect(),
    }
}

#[cfg(test)]
mod tests;
