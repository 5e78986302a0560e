//! What fio reported, held against what rules did. Pure.

use std::collections::{BTreeMap, BTreeSet};

use guest_wire::soak::{Range, SoakReport};
use serde::Serialize;
use vhost_blk_api::op::Op;

use super::ledger::Ledger;
use super::sectors::{SECTOR_BYTES, sectors_of};
use super::workload::{Slot, Workload};

/// The phases of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Phase {
    /// fio writes, trims and reads while rules are in force.
    Writing,
    /// fio reads all back and compares, while rules are in force.
    Reading,
    /// The same, without a rule: what is on the disk.
    Checking,
}

/// Something that no rule explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) phase: Phase,
    /// What it is, in a sentence.
    pub(crate) what: String,
    /// The part of the disk that it is about.
    pub(crate) range: Option<Range>,
}

/// What came of a phase.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// Blocks that differed and whose difference a rule explains, by the rule's action.
    pub(crate) explained: BTreeMap<String, u64>,
    /// Requests that fio saw fail, by a rule.
    pub(crate) errors: u64,
    /// Injections of which the guest was told that all is well, and that were there to be noticed.
    pub(crate) silent: u64,
    /// Those of them that fio noticed.
    pub(crate) noticed: u64,
}

/// What writes that a rule made fail leave behind in the guest's kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Aftermath {
    /// Writes of the round of which fio was told that they failed, by a rule.
    pub(crate) refused: Vec<Range>,
    /// Whether there may have been a write-back that failed, and no sync was told since. Linux keeps that with the disk
    /// (`errseq_t`), also when nobody has it open, and tells whoever opens it next, at his first sync: maybe rounds
    /// later.
    pub(crate) untold: bool,
}

impl Aftermath {
    /// Before another round: what fio is to write then was never refused.
    pub(crate) fn next_round(&mut self) {
        self.refused.clear();
    }

    /// Takes note of a phase in which fio wrote.
    fn after(&mut self, ledger: &Ledger, reports: &[SoakReport]) {
        let syncs = |report: &SoakReport| match report {
            SoakReport::Job(job) => job.syncs > 0,
            SoakReport::Failed { op, .. } => is_sync(op),
            _ => false,
        };
        self.untold = ledger.failed_to_write().is_some() || (self.untold && !reports.iter().any(syncs));
    }
}

/// Judges a phase that has ended; all lines that the trace has of it were taken.
pub(crate) fn phase(
    ledger: &Ledger,
    workload: &Workload,
    phase: Phase,
    reports: &[SoakReport],
    aftermath: &mut Aftermath,
) -> (Tally, Vec<Finding>) {
    let mut judge = Judge {
        ledger,
        workload,
        phase,
        aftermath,
        tally: Tally::default(),
        findings: Vec::new(),
        differing: BTreeSet::new(),
    };
    for report in reports {
        judge.report(report);
    }
    match phase {
        Phase::Writing => judge.aftermath.after(ledger, reports),
        Phase::Reading => judge.noticed_reads(),
        Phase::Checking => {
            judge.noticed_changes();
            judge.read_all(reports);
        }
    }
    (judge.tally, judge.findings)
}

struct Judge<'a> {
    ledger: &'a Ledger,
    workload: &'a Workload,
    phase: Phase,
    aftermath: &'a mut Aftermath,
    tally: Tally,
    findings: Vec<Finding>,
    /// Offsets of blocks that differed.
    differing: BTreeSet<u64>,
}

impl Judge<'_> {
    fn find(&mut self, range: Option<Range>, what: String) {
        self.findings.push(Finding {
            phase: self.phase,
            what,
            range,
        });
    }

    fn report(&mut self, report: &SoakReport) {
        match report {
            SoakReport::Mismatch { block, first } => {
                self.differing.insert(block.offset);
                let sector = (block.offset + first) / SECTOR_BYTES;
                let action = self.ledger.explain(sector).map(|injection| injection.action.as_str());
                match action.or_else(|| self.never_asked_for(*block)) {
                    Some(action) => *self.tally.explained.entry(action.to_owned()).or_default() += 1,
                    None => {
                        let what = format!(
                            "the block of {} bytes at offset {} differs from what fio wrote, first at byte {first} \
                            (sector {sector}), and no rule explains it",
                            block.len, block.offset
                        );
                        self.find(Some(*block), what);
                    }
                }
            }
            SoakReport::Failed { op, range, error } => {
                let told_late = self.phase == Phase::Writing && self.aftermath.untold && is_sync(op);
                if told_late || is_explained(self.ledger, self.phase, op, *range) {
                    self.tally.errors += 1;
                    if op == "write" {
                        self.aftermath.refused.push(*range);
                    }
                } else {
                    let what = format!(
                        "{op} of {} bytes at offset {} failed ({error}), and no rule made it",
                        range.len, range.offset
                    );
                    self.find(Some(*range), what);
                }
            }
            SoakReport::Ready
            | SoakReport::Unfit { .. }
            | SoakReport::Job(_)
            | SoakReport::Said { .. }
            | SoakReport::End { .. } => {}
        }
    }

    /// The action of the rule because of which the kernel refused to write a block, without asking the device: after a
    /// write-back that failed (see [`is_explained`]) it does so with the next direct write, wherever that goes.
    fn never_asked_for(&self, block: Range) -> Option<&str> {
        let holds = |refused: &Range| (refused.offset..refused.offset + refused.len).contains(&block.offset);
        let refused = self.aftermath.refused.iter().any(holds);
        refused.then(|| self.ledger.failed_to_write()).flatten()
    }

    fn differs(&self, sector: u64) -> bool {
        let offset = sector * SECTOR_BYTES;
        let slot: Option<&Slot> = self.workload.slot_at(offset);
        slot.is_some_and(|slot| {
            self.differing
                .contains(&(offset - (offset - slot.range.offset) % slot.block))
        })
    }

    /// Reads that were damaged on their way to the guest are noticed.
    fn noticed_reads(&mut self) {
        let reads: Vec<_> = self.ledger.reads().cloned().collect();
        for injection in reads {
            if !injection.somewhere || !self.ledger.lies_in_patterns(&injection, self.workload) {
                continue;
            }
            self.tally.silent += 1;
            if injection.sectors.clone().any(|sector| self.differs(sector)) {
                self.tally.noticed += 1;
            } else {
                self.missed(&injection, "no block of it differed");
            }
        }
    }

    /// What surely lies wrong on the disk is noticed.
    fn noticed_changes(&mut self) {
        for (injection, sure, whole) in self.ledger.standing() {
            let patterns = self.ledger.lies_in_patterns(injection, self.workload);
            let somewhere = injection.somewhere && whole && patterns;
            let sure: Vec<u64> = sure
                .into_iter()
                .filter(|sector| self.workload.slot_at(sector * SECTOR_BYTES).is_some())
                .collect();
            if sure.is_empty() && !somewhere {
                continue;
            }
            let all = sure.iter().all(|sector| self.differs(*sector));
            let any = !somewhere || injection.sectors.clone().any(|sector| self.differs(sector));
            if injection.silent {
                self.tally.silent += 1;
            }
            if all && any {
                self.tally.noticed += u64::from(injection.silent);
            } else {
                let injection = injection.clone();
                self.missed(&injection, "fio read back what it wrote");
            }
        }
    }

    fn missed(&mut self, injection: &super::ledger::Injection, how: &str) {
        let range = Range {
            offset: injection.sectors.start * SECTOR_BYTES,
            len: (injection.sectors.end - injection.sectors.start) * SECTOR_BYTES,
        };
        let what = format!(
            "{} of request {} ({} at sector {}) by {} went unnoticed: {how}",
            injection.action, injection.seq, injection.op, injection.sectors.start, injection.rule
        );
        self.find(Some(range), what);
    }

    /// fio has read every block of every slot.
    fn read_all(&mut self, reports: &[SoakReport]) {
        for slot in &self.workload.slots {
            let reads = reports.iter().find_map(|report| match report {
                SoakReport::Job(job) if job.name == slot.name => Some(job.reads),
                _ => None,
            });
            if reads != Some(slot.blocks()) {
                let (reads, blocks, name) = (reads.unwrap_or(0), slot.blocks(), &slot.name);
                self.find(
                    Some(slot.range),
                    format!("fio read {reads} of the {blocks} blocks of {name}"),
                );
            }
        }
    }
}

/// Whether fio's word for an operation is one for making all durable.
fn is_sync(op: &str) -> bool {
    matches!(op, "sync" | "datasync")
}

/// Whether a rule made a request fail that fio, or what zeroes beside it, saw fail as this.
fn is_explained(ledger: &Ledger, phase: Phase, op: &str, range: Range) -> bool {
    let sectors = sectors_of(range);
    // fio opens the disk of a job that trims without O_DIRECT. What the kernel could not write back for it is told to
    // whoever reads, writes or flushes next; the last to close the disk is told of the rest, so nothing of it is left
    // for a later phase, but for syncs (see [`Aftermath`]).
    let not_written_back = phase == Phase::Writing && ledger.failed_to_write().is_some();
    match op {
        "read" => ledger.failed(&[Op::Read], &sectors) || not_written_back,
        "write" => ledger.failed(&[Op::Write], &sectors) || not_written_back,
        "trim" => ledger.failed(&[Op::Discard], &sectors) || not_written_back,
        // The place that fio tells with it is that of the last request.
        sync if is_sync(sync) => ledger.failed(&[Op::Flush], &(0..0)) || not_written_back,
        // The kernel writes zeros where the device does not zero.
        "zero" => ledger.failed(&[Op::WriteZeroes, Op::Write], &sectors),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
