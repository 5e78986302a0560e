//! The sectors of the disk: what a rule did to which of them, and what a power cut could still take. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use guest_wire::soak;
use vhost_blk_api::op::Op;

use super::workload::{DISK_BYTES, Workload};

pub(crate) const SECTOR_BYTES: u64 = 512;

/// Whole sectors of bytes.
#[must_use]
pub(crate) fn sectors_of(range: soak::Range) -> Range<u64> {
    range.offset / SECTOR_BYTES..(range.offset + range.len).div_ceil(SECTOR_BYTES)
}

/// What is wrong with a sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Injury {
    /// Index of the injection.
    by: usize,
    /// The trace's line.
    line: u64,
    /// Whether its content is surely not what the guest wrote.
    sure: bool,
}

/// A change that no flush made durable yet.
#[derive(Debug, Clone)]
struct Volatile {
    /// Line of its submission.
    submitted: u64,
    /// Line of its completion.
    completed: u64,
    sectors: Range<u64>,
    /// Whether all of it is what the guest wrote there.
    plain: bool,
}

/// What a cut took of what was volatile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    Nothing,
    Some,
    All,
}

/// What stands of an injection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Sectors that it injured and that nothing healed since.
    pub(super) count: u64,
    /// Those of them that surely differ.
    pub(super) sure: Vec<u64>,
}

/// The sectors' state.
#[derive(Debug)]
pub(super) struct Disk {
    injuries: Vec<Option<Injury>>,
    /// Whether zeros are what a sector should hold.
    zeros: Vec<bool>,
    volatile: Vec<Volatile>,
    /// Line of the last completion of a flush that did something.
    flushed: u64,
}

impl Default for Disk {
    fn default() -> Self {
        let sectors = index(DISK_BYTES / SECTOR_BYTES);
        Disk {
            injuries: vec![None; sectors],
            zeros: vec![false; sectors],
            volatile: Vec::new(),
            flushed: 0,
        }
    }
}

impl Disk {
    /// Every slot is about to be filled anew.
    pub(super) fn begin_round(&mut self, workload: &Workload) {
        self.injuries.fill(None);
        self.zeros.fill(false);
        for slot in workload.slots.iter().filter(|slot| slot.is_zeros()) {
            for sector in sectors_of(slot.range) {
                if let Some(zeros) = self.zeros.get_mut(index(sector)) {
                    *zeros = true;
                }
            }
        }
    }

    /// From this line on an injection has a say in what these sectors hold.
    pub(super) fn injure(&mut self, range: &Range<u64>, by: usize, line: u64, sure: bool) {
        for sector in range.clone() {
            // What was zeros before may be zeros again.
            let sure = sure && !self.is_zeros(sector);
            if let Some(injury) = self.injuries.get_mut(index(sector)) {
                *injury = Some(Injury { by, line, sure });
            }
        }
    }

    /// A change in which no rule had a say. It heals what was injured before it was submitted.
    pub(super) fn done(&mut self, range: &Range<u64>, submitted: u64, completed: u64, op: Op) {
        self.changed(range, submitted, completed, op == Op::Write);
        for sector in range.clone() {
            let heals = op == Op::Write || self.is_zeros(sector);
            if let Some(injury) = self.injuries.get_mut(index(sector)) {
                *injury = injury.filter(|injury| !heals || injury.line > submitted);
            }
        }
    }

    /// These sectors hold something new that is not durable.
    pub(super) fn changed(&mut self, range: &Range<u64>, submitted: u64, completed: u64, plain: bool) {
        if !range.is_empty() {
            self.volatile.push(Volatile {
                submitted,
                completed,
                sectors: range.clone(),
                plain,
            });
        }
    }

    /// A flush: what was completed before it was submitted is durable.
    pub(super) fn flush(&mut self, submitted: u64, completed: u64) {
        self.volatile.retain(|volatile| volatile.completed > submitted);
        self.flushed = completed;
    }

    /// A flush that was answered early: what was before it is durable some time later.
    pub(super) fn flush_early(&mut self, completed: u64) {
        self.flushed = completed;
    }

    /// All is durable.
    pub(super) fn settle(&mut self) {
        self.volatile.clear();
    }

    /// The power went, and took what was volatile.
    pub(super) fn lose(&mut self, lost: Lost, by: usize, line: u64) {
        for volatile in std::mem::take(&mut self.volatile) {
            let sure = lost == Lost::All && volatile.plain && volatile.submitted > self.flushed;
            self.injure(&volatile.sectors, by, line, sure);
        }
    }

    /// The injection that has a say in what a sector holds.
    pub(super) fn injured_by(&self, sector: u64) -> Option<usize> {
        let injury = self.injuries.get(index(sector)).copied().flatten();
        injury.map(|injury| injury.by)
    }

    /// What stands, by injection.
    pub(super) fn standing(&self) -> BTreeMap<usize, Standing> {
        let mut all: BTreeMap<usize, Standing> = BTreeMap::new();
        for (sector, injury) in (0..).zip(&self.injuries) {
            let Some(injury) = injury else { continue };
            let standing = all.entry(injury.by).or_default();
            standing.count += 1;
            if injury.sure {
                standing.sure.push(sector);
            }
        }
        all
    }

    fn is_zeros(&self, sector: u64) -> bool {
        self.zeros.get(index(sector)).copied().unwrap_or(false)
    }
}

fn index(sector: u64) -> usize {
    usize::try_from(sector).unwrap_or(usize::MAX)
}
