//! The rules in force, and an index of them: a request asks only those that its looks do not rule out.
//!
//! Each rule is filed once, by what rules out most: a payload's tag or first bytes, then the sectors, the length, the
//! queue, and at last the operation. A look-up finds every rule that can match and some that do not; whether one does
//! is decided as without the index (`decide.rs`), in the rules' order, so that the index changes nothing but the time.

use std::collections::BTreeMap;
use std::ops::{Deref, Range};

// Rules are few and a look-up comes with every request: a quick hash, with a random seed as std's has.
use foldhash::{HashMap, HashMapExt};
use intervaltree::IntervalTree;
use smallvec::SmallVec;
use vhost_blk_api::op::Op;
use vhost_blk_api::plan::{Facts, PayloadMatch};

use super::decide::{Armed, Decision, World};

/// The rules in force, in their order.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    armed: Vec<Armed>,
    /// Made when it is asked for; what changes the rules takes it away.
    index: Option<Index>,
}

/// Where rules are filed, by their place in the row of rules.
#[derive(Debug)]
struct Index {
    tags: HashMap<(u64, Option<u64>), Vec<usize>>,
    /// By the length of what data begins with, and by that.
    prefixes: BTreeMap<usize, HashMap<Vec<u8>, Vec<usize>>>,
    sectors: Ranges,
    lengths: Ranges,
    queues: HashMap<u16, Vec<usize>>,
    /// By the operation's place in [`Op::MATCHABLE`].
    ops: [Vec<usize>; Op::MATCHABLE.len()],
    /// Those that nothing of this rules out.
    others: Vec<usize>,
    /// Those that look at every request for `first-after` and `covers`.
    watching: Vec<usize>,
}

/// Rules by a range that they name.
#[derive(Debug)]
struct Ranges {
    tree: IntervalTree<u64, usize>,
    /// From the first range's begin to the last one's end: most requests are outside where a plan aims at one place.
    hull: Range<u64>,
}

impl Rules {
    /// Adds one after the others.
    pub(crate) fn push(&mut self, armed: Armed) {
        self.armed.push(armed);
        self.index = None;
    }

    /// Takes one off; whether there was one of this name.
    pub(crate) fn remove(&mut self, name: &str) -> bool {
        let before = self.armed.len();
        self.armed.retain(|armed| armed.name != name);
        self.index = None;
        self.armed.len() < before
    }

    /// Takes all off.
    pub(crate) fn clear(&mut self) {
        *self = Rules::default();
    }

    /// Decides for the request with this ordinal (its number since the plan came into force), as if every rule were
    /// asked.
    #[must_use]
    pub(crate) fn decide(&mut self, world: &World, seed: u64, ordinal: u64, facts: &Facts) -> Decision {
        let index = self.index.get_or_insert_with(|| Index::of(&self.armed));
        let mut decision = Decision::default();
        for number in index.candidates(facts) {
            if let Some(armed) = self.armed.get(number) {
                decision.ask(number, armed, world, seed, ordinal, facts);
            }
        }
        decision.settle();
        decision
    }

    /// Writes a decision down, in the rules' counters and the state variables.
    pub(crate) fn record(&mut self, world: &mut World, decision: &Decision, facts: &Facts) {
        let index = self.index.get_or_insert_with(|| Index::of(&self.armed));
        for number in &index.watching {
            if let Some(armed) = self.armed.get_mut(*number) {
                armed.watch(facts);
            }
        }
        for number in &decision.seen {
            if let Some(armed) = self.armed.get_mut(*number) {
                armed.seen += 1;
            }
        }
        for number in decision.applied() {
            if let Some(armed) = self.armed.get_mut(number) {
                armed.hit(world);
            }
        }
    }
}

impl Rules {
    /// Writes down that a rule was applied which was not asked: so it was in the trace that is replayed.
    pub(crate) fn applied(&mut self, world: &mut World, name: &str) {
        if let Some(armed) = self.armed.iter_mut().find(|armed| armed.name == name) {
            armed.seen += 1;
            armed.hit(world);
        }
    }
}

impl Deref for Rules {
    type Target = [Armed];

    fn deref(&self) -> &[Armed] {
        &self.armed
    }
}

impl Index {
    fn of(rules: &[Armed]) -> Index {
        let mut tags: HashMap<_, Vec<usize>> = HashMap::new();
        let mut prefixes: BTreeMap<usize, HashMap<Vec<u8>, Vec<usize>>> = BTreeMap::new();
        let (mut sectors, mut lengths) = (Vec::new(), Vec::new());
        let mut queues: HashMap<u16, Vec<usize>> = HashMap::new();
        let mut ops: [Vec<usize>; Op::MATCHABLE.len()] = Default::default();
        let mut others = Vec::new();
        for (number, armed) in rules.iter().enumerate() {
            let looks = &armed.rule.trigger.matcher;
            match (&looks.payload, &looks.sectors, &looks.len, looks.queue, looks.op) {
                (Some(PayloadMatch::Tag { tag, page }), ..) => tags.entry((*tag, *page)).or_default().push(number),
                (Some(PayloadMatch::Prefix(bytes)), ..) => {
                    let of_length = prefixes.entry(bytes.len()).or_default();
                    of_length.entry(bytes.clone()).or_default().push(number);
                }
                (None, Some(range), ..) if range.start < range.end => sectors.push((range.clone(), number)),
                (None, None, Some(range), ..) if range.start < range.end => lengths.push((range.clone(), number)),
                (None, None, None, Some(queue), _) => queues.entry(queue).or_default().push(number),
                (None, None, None, None, Some(op)) => match place(op).and_then(|place| ops.get_mut(place)) {
                    Some(of_op) => of_op.push(number),
                    None => others.push(number),
                },
                _ => others.push(number),
            }
        }
        let watching = (0..).zip(rules).filter(|(_, armed)| armed.watches());
        Index {
            tags,
            prefixes,
            sectors: Ranges::of(sectors),
            lengths: Ranges::of(lengths),
            queues,
            ops,
            others,
            watching: watching.map(|(number, _)| number).collect(),
        }
    }

    /// The rules that can match, in their order.
    fn candidates(&self, facts: &Facts) -> SmallVec<[usize; 16]> {
        let mut found = SmallVec::new();
        let mut take = |numbers: Option<&Vec<usize>>| found.extend(numbers.into_iter().flatten().copied());
        take(Some(&self.others));
        take(place(facts.op).and_then(|place| self.ops.get(place)));
        take(self.queues.get(&facts.queue));
        if let Some(tag) = facts.tag {
            take(self.tags.get(&(tag.tag, Some(tag.page))));
            take(self.tags.get(&(tag.tag, None)));
        }
        for (len, of_length) in &self.prefixes {
            take(facts.prefix.bytes().get(..*len).and_then(|bytes| of_length.get(bytes)));
        }
        for place in facts.places() {
            found.extend(self.sectors.overlapping(place));
        }
        found.extend(self.lengths.overlapping(facts.len..facts.len.saturating_add(1)));
        found.sort_unstable();
        // Several ranges of a request may touch what one rule names.
        found.dedup();
        found
    }
}

impl Ranges {
    fn of(ranges: Vec<(Range<u64>, usize)>) -> Ranges {
        let start = ranges.iter().map(|(range, _)| range.start).min();
        let end = ranges.iter().map(|(range, _)| range.end).max();
        Ranges {
            tree: ranges.into_iter().collect(),
            hull: start.unwrap_or(0)..end.unwrap_or(0),
        }
    }

    fn overlapping(&self, range: Range<u64>) -> impl Iterator<Item = usize> + '_ {
        let near = range.start < self.hull.end && range.end > self.hull.start;
        let found = near.then(|| self.tree.query(range));
        found.into_iter().flatten().map(|element| element.value)
    }
}

fn place(op: Op) -> Option<usize> {
    Op::MATCHABLE.iter().position(|known| *known == op)
}

#[cfg(test)]
mod tests;
