//! What happens to a request: a pure function of the rules, what they have seen so far, the seed and the request.
//!
//! Nothing here does I/O, looks at a clock or knows a ring. `Decision::ask` reads; `Armed::watch` and `Armed::hit`
//! write down what was decided; so the same requests in the same order meet the same faults.
//!
//! A request takes the first matching action that says *when* it completes (`delay`, `hold`, `reorder`) and the first
//! that says *how* (`fail`, `short`, …), so that a request can be held and then fail. The first that says what becomes
//! of the device (`cut`, `disconnect`) goes before both: such a request never completes, and no other rule is applied
//! to it. A rule counts every request that looks like its trigger, whether or not an earlier rule got it: `nth=3` is
//! the third such request, not the third left over. What is said of the time (`after`, `before`, `when`, `first-after`,
//! `covers`) is a part of what a request looks like, and so is that the action can be done to it: `drop any` does not
//! mean reads.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;

use smallvec::SmallVec;
use vhost_blk_api::op::Op;
use vhost_blk_api::plan::{Action, Event, Facts, Lose, Order, Rule, Torn, Until, Var, Window};
use vhost_blk_api::rng::Rng;

/// A rule in force: named, and with what it has counted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Armed {
    /// The rule's name, its own or given.
    pub(crate) name: String,
    pub(crate) rule: Rule,
    /// Requests that looked like its trigger.
    pub(crate) seen: u64,
    /// Requests to which it was applied.
    pub(crate) hits: u64,
    /// Whether its `first-after` has come and no request that it means since.
    primed: bool,
    /// The rows of requests for its `covers`, each operation's its own.
    rows: SmallVec<[(Op, Range<u64>); 1]>,
}

/// What rules know beside requests and their own counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct World {
    /// Marks that were made since the plan came into force.
    pub(crate) marks: BTreeSet<String>,
    /// State variables that are not 0.
    pub(crate) vars: BTreeMap<String, u64>,
    /// Names of the rules in force that were applied to some request.
    pub(crate) applied: BTreeSet<String>,
}

/// When a request completes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Timing {
    /// After this time.
    Delay {
        time: Duration,
        /// The action's word.
        action: &'static str,
    },
    /// When something else has happened, or after `max`.
    Hold {
        /// What is waited for.
        until: Until,
        /// The longest wait.
        max: Duration,
    },
    /// Never, unless it is released.
    Hang,
    /// When its window is full, or `max` after its first.
    Reorder {
        /// Requests in the window.
        window: Window,
        /// Their order.
        order: Order,
        /// The longest wait of its first.
        max: Duration,
    },
}

/// What becomes of the device as a request arrives, which is then never answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeviceOutcome {
    /// Its power goes.
    Cut {
        /// What of the volatile write cache is lost.
        lose: Lose,
        /// Whether the last write is torn.
        torn: Option<Torn>,
        /// Seed of what is to be chosen.
        seed: u64,
    },
    /// It disconnects the front end.
    Disconnect,
}

/// What was decided for one request. Rules are meant by index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Decision {
    /// Rules whose trigger the request looks like.
    pub(crate) seen: SmallVec<[usize; 8]>,
    /// When it completes, and the rule that says so; `None` is at once, or never if `device` says so.
    pub(crate) timing: Option<(usize, Timing)>,
    /// How it completes, and the rule that says so; `None` is as the disk says.
    pub(crate) outcome: Option<(usize, PickedAction)>,
    /// What becomes of the device, and the rule that says so.
    pub(crate) device: Option<(usize, DeviceOutcome)>,
}

/// Decides for the request with this ordinal (its number since the plan came into force), asking every rule: what
/// [`Rules`](super::index::Rules), which asks only those that can match, is compared with.
#[cfg(test)]
pub(crate) fn decide(rules: &[Armed], world: &World, seed: u64, ordinal: u64, facts: &Facts) -> Decision {
    let mut decision = Decision::default();
    for (index, armed) in rules.iter().enumerate() {
        decision.ask(index, armed, world, seed, ordinal, facts);
    }
    decision.settle();
    decision
}

impl Decision {
    /// Lets one more rule have its say, in their order.
    pub(crate) fn ask(&mut self, index: usize, armed: &Armed, world: &World, seed: u64, ordinal: u64, facts: &Facts) {
        let trigger = &armed.rule.trigger;
        if !armed.looks(facts) || !armed.is_its_time(world, facts) {
            return;
        }
        self.seen.push(index);
        let count = armed.seen + 1;
        let taken = match armed.rule.action {
            Action::Cut { .. } | Action::Disconnect => self.device.is_some(),
            _ if armed.rule.action.is_timing() => self.timing.is_some(),
            _ => self.outcome.is_some(),
        };
        if taken
            || trigger.nth.is_some_and(|nth| nth != count)
            || trigger.every.is_some_and(|every| !count.is_multiple_of(every))
            || trigger.limit.is_some_and(|limit| armed.hits >= limit)
        {
            return;
        }
        let mut rng = Rng::for_choice(seed, &armed.name, ordinal);
        if trigger.probability.is_some_and(|probability| !rng.chance(probability)) {
            return;
        }
        match chosen(&armed.rule.action, armed.hits, rng) {
            Chosen::Timing(timing) => self.timing = Some((index, timing)),
            Chosen::Outcome(picked) => self.outcome = Some((index, picked)),
            Chosen::Device(device) => self.device = Some((index, device)),
        }
    }

    /// Ends the row of rules: a request that is never answered completes neither at some time nor in some way.
    pub(crate) fn settle(&mut self) {
        if self.device.is_some() {
            (self.timing, self.outcome) = (None, None);
        }
    }

    /// The rules that were applied.
    pub(crate) fn applied(&self) -> impl Iterator<Item = usize> + use<> {
        let timing = self.timing.as_ref().map(|(index, _)| *index);
        let outcome = self.outcome.as_ref().map(|(index, _)| *index);
        let device = self.device.as_ref().map(|(index, _)| *index);
        [timing, outcome, device].into_iter().flatten()
    }
}

/// An action that says how a request completes, with the random numbers for it. What it comes to is the business of
/// those who complete requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PickedAction {
    pub(crate) action: Action,
    pub(crate) rng: Rng,
}

/// What an action comes to for one request.
pub(crate) enum Chosen {
    Timing(Timing),
    Outcome(PickedAction),
    Device(DeviceOutcome),
}

/// What an action comes to for a request, after so many hits and with these random numbers.
pub(crate) fn chosen(action: &Action, hits: u64, mut rng: Rng) -> Chosen {
    let name = action.name();
    Chosen::Timing(match action {
        Action::Delay { span, spread } => Timing::Delay {
            time: span.draw(*spread, &mut rng),
            action: name,
        },
        Action::Slow { span, over } => {
            let (part, whole) = (u128::from(hits.min(*over)), u128::from(*over).max(1));
            let more = (span.max - span.min).as_micros() * part / whole;
            Timing::Delay {
                time: span.min + Duration::from_micros(u64::try_from(more).unwrap_or(u64::MAX)),
                action: name,
            }
        }
        Action::Hold { until, max } => Timing::Hold {
            until: until.clone(),
            max: *max,
        },
        Action::Hang => Timing::Hang,
        Action::Reorder { window, order, max } => Timing::Reorder {
            window: *window,
            order: *order,
            max: *max,
        },
        Action::Disconnect => return Chosen::Device(DeviceOutcome::Disconnect),
        Action::Cut { lose, torn } => {
            return Chosen::Device(DeviceOutcome::Cut {
                lose: *lose,
                torn: *torn,
                seed: rng.next_u64(),
            });
        }
        _ => {
            return Chosen::Outcome(PickedAction {
                action: action.clone(),
                rng,
            });
        }
    })
}

/// The order in which a window of `len` requests completes: a list of their indices.
#[must_use]
pub fn permutation(order: Order, len: usize, seed: u64, rule: &str, window_number: u64) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..len).collect();
    match order {
        Order::Reverse => indices.reverse(),
        Order::Rotate => indices.rotate_left(1.min(len)),
        Order::Shuffle => {
            let mut rng = Rng::for_choice(seed, rule, window_number);
            for last in (1..len).rev() {
                let bound = u64::try_from(last).unwrap_or(0) + 1;
                indices.swap(last, usize::try_from(rng.below(bound)).unwrap_or(last));
            }
        }
    }
    indices
}

impl World {
    /// A variable's value; 0 if it was never set.
    #[must_use]
    pub(crate) fn var(&self, name: &str) -> u64 {
        self.vars.get(name).copied().unwrap_or(0)
    }

    /// Sets a variable.
    pub(crate) fn set(&mut self, var: &Var) {
        self.vars.insert(var.name.clone(), var.value);
    }
}

/// A row of requests with one more range: the old row goes on, or a new one begins.
fn longer(goes_on: Option<Range<u64>>, piece: Range<u64>) -> Range<u64> {
    goes_on.map_or(piece.start, |row| row.start)..piece.end
}

impl Armed {
    /// A rule that has seen nothing yet; without a name of its own it gets `rN`.
    #[must_use]
    pub(crate) fn new(rule: Rule, number: usize) -> Armed {
        let name = rule.name.clone().unwrap_or_else(|| format!("r{number}"));
        Armed {
            name,
            rule,
            seen: 0,
            hits: 0,
            primed: false,
            rows: SmallVec::new(),
        }
    }

    /// The mark until which it holds.
    fn awaited_mark(&self) -> Option<&String> {
        match &self.rule.action {
            Action::Hold {
                until: Until::Mark(name),
                ..
            } => Some(name),
            _ => None,
        }
    }

    /// Whether what the trigger says beside the request's looks is so now.
    fn is_its_time(&self, world: &World, facts: &Facts) -> bool {
        let trigger = &self.rule.trigger;
        let happened = |event: &Event| match event {
            Event::Rule(name) => world.applied.contains(name),
            Event::Mark(name) => world.marks.contains(name),
        };
        trigger.after.as_ref().is_none_or(happened)
            && !trigger.before.as_ref().is_some_and(happened)
            // What is waited for has happened: there is nothing to hold a request for.
            && !self.awaited_mark().is_some_and(|name| world.marks.contains(name))
            && trigger
                .when
                .as_ref()
                .is_none_or(|when| world.var(&when.name) == when.value)
            && (trigger.first_after.is_none() || self.primed)
            && trigger
                .covers
                .as_ref()
                .is_none_or(|sectors| self.completes(sectors, facts))
    }

    /// Whether a request looks like its trigger, and its action can be done to it: `short any` does not mean what moves
    /// no data, and so on.
    fn looks(&self, facts: &Facts) -> bool {
        self.rule.action.goes_with(facts.op) && self.rule.trigger.matcher.matches(facts)
    }

    /// Whether these sectors are covered by a row of requests with this one, and were not without it.
    fn completes(&self, sectors: &Range<u64>, facts: &Facts) -> bool {
        let covers = |row: &Range<u64>| row.start <= sectors.start && row.end >= sectors.end;
        let mut row = self.row(facts.op).cloned();
        facts.pieces().any(|piece| {
            let goes_on = row.take().filter(|row| row.end == piece.start);
            let covered = goes_on.as_ref().is_some_and(covers);
            covers(row.insert(longer(goes_on, piece))) && !covered
        })
    }

    /// The row of requests of an operation so far.
    fn row(&self, op: Op) -> Option<&Range<u64>> {
        self.rows.iter().find(|(of, _)| *of == op).map(|(_, row)| row)
    }

    /// Takes note of a request for `covers`.
    fn go_on(&mut self, facts: &Facts) {
        // A flush lies nowhere: it neither ends a row nor begins one.
        if facts.op == Op::Flush {
            return;
        }
        let last = facts.pieces().fold(self.row(facts.op).cloned(), |row, piece| {
            Some(longer(row.filter(|row| row.end == piece.start), piece))
        });
        let Some(last) = last else { return };
        match self.rows.iter_mut().find(|(of, _)| *of == facts.op) {
            Some((_, row)) => *row = last,
            None => self.rows.push((facts.op, last)),
        }
    }

    /// Whether it must look at every request, whatever the request looks like.
    pub(crate) fn watches(&self) -> bool {
        self.rule.trigger.first_after.is_some() || self.rule.trigger.covers.is_some()
    }

    /// Takes note of a request for `first-after` and `covers`.
    pub(crate) fn watch(&mut self, facts: &Facts) {
        let trigger = &self.rule.trigger;
        if let Some(op) = trigger.first_after {
            if op == facts.op {
                self.primed = true;
            } else if self.primed && self.looks(facts) {
                self.primed = false;
            }
        }
        if trigger.covers.is_some() && self.looks(facts) {
            self.go_on(facts);
        }
    }

    /// Takes note of being applied.
    pub(crate) fn hit(&mut self, world: &mut World) {
        if self.hits == 0 {
            world.applied.insert(self.name.clone());
        }
        self.hits += 1;
        if let Some(var) = &self.rule.set {
            world.set(var);
        }
    }

    /// Writes a decision of `decide` down in the rules' counters and the state variables.
    #[cfg(test)]
    pub(crate) fn record(rules: &mut [Armed], world: &mut World, decision: &Decision, facts: &Facts) {
        for armed in rules.iter_mut() {
            armed.watch(facts);
        }
        for index in &decision.seen {
            if let Some(armed) = rules.get_mut(*index) {
                armed.seen += 1;
            }
        }
        for index in decision.applied() {
            if let Some(armed) = rules.get_mut(index) {
                armed.hit(world);
            }
        }
    }
}

#[cfg(test)]
mod tests;
