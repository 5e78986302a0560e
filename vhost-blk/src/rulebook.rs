//! The rule book: the rules in force, what they know of the world, what was counted, and the script of a replay.
//!
//! It answers one question: what is to become of the next request? `index.rs` finds the rules that can match,
//! `decide.rs` is the answer as a pure function, `replay.rs` gives the answers of an earlier run in its place,
//! `counters.rs` counts. The device asks it under the lock of its state, so requests are decided on one after the
//! other.
//!
//! It knows nothing of requests that wait, of the disk, or of a ring. It writes to the trace what is done to the rules,
//! for a replay needs to know.

mod counters;
pub mod decide;
pub(crate) mod index;
pub mod replay;

use std::collections::HashSet;

use thiserror::Error;
use vhost_blk_api::control::RuleStatus;
use vhost_blk_api::plan::file::name_taken;
use vhost_blk_api::plan::{Action, Facts, Plan, Rule, RuleError, Var};
use vhost_blk_api::trace::Record;

use self::counters::Counters;
use self::decide::{Armed, World};
use self::index::Rules;
use self::replay::{Change, Divergence, Look, Script, Scripted};
use crate::trace;

/// Rules, world, counters and script of a device.
#[derive(Debug, Default)]
pub(crate) struct RuleBook {
    seed: u64,
    rules: Rules,
    world: World,
    counters: Counters,
    /// Decisions of an earlier run, in place of the rules' own.
    script: Option<Script>,
    wants_history: bool,
}

/// A command named a rule that is not in force.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "no rule is named `{name}`: known rules: {}",
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
)]
pub struct UnknownRule {
    name: String,
    known: Vec<String>,
}

/// A plan of rules' texts.
///
/// # Errors
/// A rule cannot be read, or two have one name: its index, and what is wrong.
pub(crate) fn read_plan(seed: u64, rules: &[String]) -> Result<Plan, (usize, RuleError)> {
    let mut plan = Plan {
        seed,
        rules: Vec::with_capacity(rules.len()),
    };
    let mut names = HashSet::new();
    for (index, text) in rules.iter().enumerate() {
        let rule: Rule = text.parse().map_err(|error| (index, error))?;
        if let Some(name) = &rule.name
            && !names.insert(name.clone())
        {
            return Err((index, name_taken(text, name)));
        }
        plan.rules.push(rule);
    }
    Ok(plan)
}

impl RuleBook {
    /// Seed of every random choice.
    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// Whether a rule was put in force that cannot do its work unless it is known what is durable.
    pub(crate) fn wants_history(&self) -> bool {
        self.wants_history
    }

    /// Whether a rule of this name is in force.
    pub(crate) fn in_force(&self, name: &str) -> Result<(), UnknownRule> {
        if self.rules.iter().any(|armed| armed.name == name) {
            return Ok(());
        }
        Err(UnknownRule {
            name: name.to_owned(),
            known: self.rules.iter().map(|armed| armed.name.clone()).collect(),
        })
    }

    /// The rules in force, in their order; `holding` says how many requests one of a name makes wait.
    pub(crate) fn statuses(&self, holding: impl Fn(&str) -> usize) -> Vec<RuleStatus> {
        let status = |armed: &Armed| RuleStatus {
            name: armed.name.clone(),
            text: armed.rule.to_string(),
            seen: armed.seen,
            hits: armed.hits,
            holding: holding(&armed.name),
        };
        self.rules.iter().map(status).collect()
    }

    /// What is to become of the next request, as the rules say.
    pub(crate) fn decide(&mut self, facts: &Facts) -> Scripted {
        self.counters.ordinal += 1;
        let decision = self.rules.decide(&self.world, self.seed, self.counters.ordinal, facts);
        self.rules.record(&mut self.world, &decision, facts);
        let name = |index: usize| {
            let armed = self.rules.get(index);
            armed.map(|armed| armed.name.clone()).unwrap_or_default()
        };
        Scripted {
            timing: decision.timing.map(|(index, timing)| (name(index), timing)),
            outcome: decision.outcome.map(|(index, outcome)| (name(index), outcome)),
            device: decision.device.map(|(index, device)| (name(index), device)),
        }
    }

    /// What is to become of the next request, as it was in the trace that is replayed. What was done to the rules
    /// before it is to be done first ([`change`](Self::change)).
    ///
    /// # Errors
    /// It is another one than in the trace; the script is over then.
    pub(crate) fn decide_again(&mut self, seq: u64, found: Look) -> Result<Scripted, Box<Divergence>> {
        self.counters.ordinal += 1;
        let Some(script) = &mut self.script else {
            return Ok(Scripted::default());
        };
        let scripted = script.next(seq, found)?;
        for rule in scripted.rules() {
            self.rules.applied(&mut self.world, rule);
        }
        Ok(scripted)
    }

    /// Makes the decisions of a script from here on, in place of the rules' own. The book is one without rules that
    /// began with the script's seed.
    pub(crate) fn replay(&mut self, script: Script) {
        self.script = Some(script);
    }

    /// The script, if the decisions of a trace are made again, so that no rule is asked.
    pub(crate) fn script(&self) -> Option<&Script> {
        self.script.as_ref()
    }

    /// What was done to the rules in the trace that is replayed, up to its next request; to be asked until there is no
    /// more of it.
    pub(crate) fn change(&mut self) -> Option<Change> {
        self.script.as_mut().and_then(Script::change)
    }

    /// Notes a mark.
    pub(crate) fn mark(&mut self, name: &str) {
        self.world.marks.insert(name.to_owned());
    }

    /// Sets a state variable.
    pub(crate) fn set_var(&mut self, var: &Var) {
        self.world.set(var);
    }

    /// What is to be said in the end of rules that were never applied, those included that were taken off before;
    /// nothing if there are none.
    pub(crate) fn never_fired(&mut self) -> Option<String> {
        self.take_off();
        self.counters.never_fired(self.script.is_some())
    }

    /// Adds a rule, which `text` says, after those in force; returns its name.
    ///
    /// # Errors
    /// Its name is taken.
    pub(crate) fn add(&mut self, text: &str, rule: &Rule, trace: &trace::Writer) -> Result<String, RuleError> {
        if let Some(name) = &rule.name
            && self.rules.iter().any(|armed| armed.name == *name)
        {
            return Err(name_taken(text, name));
        }
        let taken = self.rules.iter().map(|armed| armed.name.clone()).collect();
        Ok(self.arm_beside(rule, &taken, trace))
    }

    /// Replaces all rules and the seed, and sets all counters back.
    pub(crate) fn replace(&mut self, plan: &Plan, trace: &trace::Writer) {
        self.take_off();
        trace.write(|| Record::PlanSet {
            t_us: trace.now_us(),
            seed: plan.seed,
        });
        self.install(plan, trace);
    }

    /// Puts a plan in force in a book without rules.
    pub(crate) fn install(&mut self, plan: &Plan, trace: &trace::Writer) {
        self.seed = plan.seed;
        self.counters.begin_plan();
        self.rules.clear();
        self.world = World::default();
        // A rule without a name must not get one that a later rule brings along.
        let mut taken: HashSet<String> = plan.rules.iter().filter_map(|rule| rule.name.clone()).collect();
        for rule in &plan.rules {
            let name = self.arm_beside(rule, &taken, trace);
            taken.insert(name);
        }
    }

    /// Takes one rule off.
    pub(crate) fn remove(&mut self, name: &str, trace: &trace::Writer) {
        let Self { counters, rules, .. } = self;
        counters.take_off(rules.iter().filter(|armed| armed.name == name));
        rules.remove(name);
        trace.write(|| Record::RuleRemoved {
            t_us: trace.now_us(),
            name: name.to_owned(),
        });
    }

    /// Takes all rules off and forgets the world.
    pub(crate) fn clear(&mut self, trace: &trace::Writer) {
        self.take_off();
        self.world = World::default();
        trace.write(|| Record::Cleared { t_us: trace.now_us() });
    }

    /// Puts a rule in force that has its name.
    pub(crate) fn put_in_force(&mut self, armed: Armed, trace: &trace::Writer) {
        // One that had this name before and was taken off is not meant any more.
        self.world.applied.remove(&armed.name);
        self.wants_history |= matches!(armed.rule.action, Action::Cut { .. } | Action::Early(_));
        trace.write(|| Record::RuleAdded {
            t_us: trace.now_us(),
            name: armed.name.clone(),
            text: armed.rule.to_string(),
        });
        self.rules.push(armed);
    }

    /// Takes all rules off, and keeps in mind which of them never fired.
    fn take_off(&mut self) {
        let Self { counters, rules, .. } = self;
        counters.take_off(rules.iter());
        rules.clear();
    }

    /// Puts a rule in force. If it has no name it gets one that is not taken: a set, for a plan may have very many
    /// rules, and the device stands still meanwhile.
    fn arm_beside(&mut self, rule: &Rule, taken: &HashSet<String>, trace: &trace::Writer) -> String {
        let armed = loop {
            self.counters.rules_made += 1;
            let armed = Armed::new(rule.clone(), self.counters.rules_made);
            if rule.name.is_some() || !taken.contains(&armed.name) {
                break armed;
            }
        };
        let name = armed.name.clone();
        self.put_in_force(armed, trace);
        name
    }
}
