//! What of a batch is done together, before its requests are completed one after the other.

use std::ops::Range;

use smallvec::SmallVec;
use vhost_blk_api::op::{Op, SECTOR_BYTES};

use super::Device;
use super::state::{Pending, Round};
use crate::power::gate::Power;
use crate::request::completion::{AtWork, Effect};
use crate::request::execute::gather;

/// Most requests of a round that are looked at: each is compared with all before it.
const LOOK_MAX: usize = 128;

impl Device {
    /// Does the work of those requests that no rule has a say in, where a disk is quicker with many at once than one by
    /// one. What cannot be done so is left, and done when the request is completed.
    pub(super) fn do_together(&self, round: &mut Round) {
        if !self.disk.is_in_file() {
            return;
        }
        // In the order in which locks are taken: who resizes has the power's while it waits for the overlay's.
        let stale = || round.ready.iter().all(|ready| ready.pending.completion.is_stale());
        let Some(power) = self.gate.power_unless(stale) else {
            return;
        };
        let Some(mut together) = self.disk.together() else {
            return;
        };
        let mut effects: SmallVec<[(usize, Effect); 32]> = SmallVec::new();
        let mut earlier = Places::default();
        // Until all is done: a ring that is stopped meanwhile, or whose front end is gone, waits for that.
        let mut at_work = AtWork::default();
        for (index, ready) in round.ready.iter().enumerate().take(LOOK_MAX) {
            let pending = &ready.pending;
            // What overlaps is done in its order: after those before it, of which some are only done as they complete.
            let apart = earlier.are_apart_from(pending);
            earlier.add(pending);
            let plain = pending.outcome.is_none() && ready.done.is_none();
            let powered = *power
                == (Power {
                    on: true,
                    cuts: pending.cuts,
                });
            if powered && plain && apart && at_work.enter(&pending.completion) {
                let added = gather(
                    &pending.request,
                    self.target(pending),
                    pending.completion.mem(),
                    &mut together,
                );
                effects.extend(added.map(|effect| (index, effect)));
            }
        }
        // If that fails each is tried by itself, to see which of them it was.
        let finished = together.finish();
        drop(at_work);
        if finished.is_ok() {
            for (index, effect) in effects {
                if let Some(ready) = round.ready.get_mut(index) {
                    ready.done = Some(effect);
                }
            }
        }
    }
}

/// Sectors that requests touch, and whether they change them.
#[derive(Default)]
struct Places(SmallVec<[(Range<u64>, bool); 32]>);

impl Places {
    fn add(&mut self, pending: &Pending) {
        for_each_place(pending, |sectors, changes| self.0.push((sectors, changes)));
    }

    /// Whether a request can be done before those that touch these places, and nobody sees a difference.
    fn are_apart_from(&self, pending: &Pending) -> bool {
        let mut apart = true;
        for_each_place(pending, |sectors, changes| {
            apart &= self.0.iter().all(|(other, other_changes)| {
                !(changes || *other_changes) || other.end <= sectors.start || sectors.end <= other.start
            });
        });
        apart
    }
}

fn for_each_place(pending: &Pending, mut each: impl FnMut(Range<u64>, bool)) {
    let facts = &pending.request.facts;
    let changes = facts.op != Op::Read;
    match (facts.op, &pending.outcome) {
        (Op::Flush | Op::GetId, _) => {}
        (_, Some((_, outcome))) if outcome.goes_elsewhere() => each(0..u64::MAX, changes),
        (Op::Read | Op::Write, _) => {
            let end = facts.sector.saturating_add(facts.len.div_ceil(SECTOR_BYTES));
            each(facts.sector..end, changes);
        }
        (Op::Discard | Op::WriteZeroes, _) => {
            for range in &pending.request.ranges {
                each(range.sector..range.sector.saturating_add(range.sectors.into()), changes);
            }
        }
    }
}
