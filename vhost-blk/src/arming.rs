//! Rules put in force and taken off while the device runs.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::decide::{Armed, World};
use crate::device::{Device, State};
use crate::history::Keep;
use crate::plan::file::{name_taken, parse_in_plan};
use crate::plan::{Action, Plan, Rule, RuleError, Var};
use crate::trace::Record;

/// A rule in force, as `list` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// Its name.
    pub name: String,
    /// Its text.
    pub text: String,
    /// Requests that looked like its trigger.
    pub seen: u64,
    /// Requests to which it was applied.
    pub hits: u64,
    /// Requests that it makes wait now.
    pub holding: usize,
}

/// Most rules that were taken off before they fired of which names are kept.
const UNFIRED_MAX: usize = 100;

/// Rules that were taken off and had never been applied.
#[derive(Debug, Default)]
pub(crate) struct Unfired {
    rules: Vec<RuleStatus>,
    /// How many more there were.
    more: usize,
}

impl Unfired {
    fn add(&mut self, rules: impl Iterator<Item = RuleStatus>) {
        for rule in rules.filter(|rule| rule.hits == 0) {
            if self.rules.len() < UNFIRED_MAX {
                self.rules.push(rule);
            } else {
                self.more += 1;
            }
        }
    }
}

/// No rule has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("no rule is named `{name}`: known rules: {}", if known.is_empty() { "none".to_owned() } else { known.join(", ") })]
pub struct UnknownRule {
    /// The name.
    pub name: String,
    /// The names there are.
    pub known: Vec<String>,
}

fn statuses(state: &State) -> impl Iterator<Item = RuleStatus> {
    state.rules.iter().map(|armed| RuleStatus {
        name: armed.name.clone(),
        text: armed.rule.to_string(),
        seen: armed.seen,
        hits: armed.hits,
        holding: state.schedule.holding(&armed.name),
    })
}

/// Takes all rules off, and keeps in mind which of them never fired.
fn take_off(state: &mut State) {
    let mut unfired = std::mem::take(&mut state.unfired);
    unfired.add(statuses(state));
    state.unfired = unfired;
    state.rules.clear();
}

impl Device {
    /// Adds a rule after those in force; returns its name.
    ///
    /// # Errors
    /// The rule cannot be read, or its name is taken.
    pub fn add_rule(&self, text: &str) -> Result<String, RuleError> {
        let rule: Rule = text.parse()?;
        let mut state = self.lock();
        if let Some(name) = &rule.name
            && state.rules.iter().any(|armed| armed.name == *name)
        {
            return Err(name_taken(text, name));
        }
        let name = self.arm(&mut state, &rule);
        drop(state);
        self.trace().flush();
        Ok(name)
    }

    /// Replaces all rules and the seed, sets all counters back, and lets go what is held. With a bad rule nothing changes.
    ///
    /// # Errors
    /// A rule cannot be read, or two have one name: its index, and what is wrong.
    pub fn set_plan(&self, seed: u64, rules: &[String]) -> Result<(), (usize, RuleError)> {
        let mut plan = Plan {
            seed,
            rules: Vec::with_capacity(rules.len()),
        };
        for (index, text) in rules.iter().enumerate() {
            let rule = parse_in_plan(text, &plan).map_err(|error| (index, error))?;
            plan.rules.push(rule);
        }
        let mut state = self.lock();
        take_off(&mut state);
        let released = state.schedule.clear();
        self.trace().write(|| Record::PlanSet {
            t_us: self.trace().now_us(),
            seed,
        });
        self.install(&mut state, &plan);
        drop(state);
        self.complete_released(released);
        Ok(())
    }

    /// Takes all rules off and lets go everything that waits; returns how many requests that were.
    pub fn clear_rules(&self) -> usize {
        let mut state = self.lock();
        take_off(&mut state);
        state.world = World::default();
        let released = state.schedule.clear();
        self.trace().write(|| Record::Cleared {
            t_us: self.trace().now_us(),
        });
        drop(state);
        self.complete_released(released)
    }

    /// Lets go what one rule keeps waiting, or all that is held; returns how many requests that were.
    ///
    /// # Errors
    /// No rule has this name.
    pub fn release(&self, rule: Option<&str>) -> Result<usize, UnknownRule> {
        let mut state = self.lock();
        if let Some(name) = rule
            && !state.rules.iter().any(|armed| armed.name == name)
        {
            let known = state.rules.iter().map(|armed| armed.name.clone()).collect();
            return Err(UnknownRule {
                name: name.to_owned(),
                known,
            });
        }
        let released = state.schedule.release(rule);
        drop(state);
        Ok(self.complete_released(released))
    }

    /// The rules in force, in their order.
    #[must_use]
    pub fn rules(&self) -> Vec<RuleStatus> {
        statuses(&self.lock()).collect()
    }

    /// What is to be said in the end of rules that were never applied, those included that were taken off before; nothing if there are none.
    #[must_use]
    pub fn never_fired(&self) -> Option<String> {
        let mut state = self.lock();
        take_off(&mut state);
        let Unfired { rules, more } = std::mem::take(&mut state.unfired);
        drop(state);
        let count = rules.len() + more;
        if count == 0 {
            return None;
        }
        let mut text = format!("{count} {} never fired:", if count == 1 { "rule" } else { "rules" });
        for RuleStatus {
            name, text: rule, seen, ..
        } in rules
        {
            let seen = match seen {
                0 => "no request looked like its trigger".to_owned(),
                1 => "1 request looked like its trigger".to_owned(),
                seen => format!("{seen} requests looked like its trigger"),
            };
            // Writing to a string does not fail.
            let _ = write!(text, "\n  {name}: {rule} ({seen})");
        }
        if more > 0 {
            let _ = write!(text, "\n  and {more} more");
        }
        Some(text)
    }

    /// Puts a name into the trace, and lets rules know of it; returns how many requests that let go.
    pub fn mark(&self, name: &str) -> usize {
        // It may have the history, for which nobody must wait who has the device's lock.
        let no_export = self.disk().history.is_kept().then(|| self.no_export(|| false));
        let mut state = self.lock();
        self.trace().write(|| Record::Mark {
            t_us: self.trace().now_us(),
            name: name.to_owned(),
        });
        state.world.marks.insert(name.to_owned());
        self.disk().history.mark(name);
        let released = state.schedule.marked(name);
        drop((state, no_export));
        self.complete_released(released)
    }

    /// Sets a state variable.
    pub fn set_var(&self, var: &Var) {
        self.lock().world.set(var);
    }

    /// Puts a plan in force in place of what there is.
    pub(crate) fn install(&self, state: &mut State, plan: &Plan) {
        state.seed = plan.seed;
        state.ordinal = 0;
        state.rules.clear();
        state.world = World::default();
        state.rules_made = 0;
        // A rule without a name must not get one that a later rule brings along.
        let reserved: Vec<String> = plan.rules.iter().filter_map(|rule| rule.name.clone()).collect();
        for rule in &plan.rules {
            self.arm_beside(state, rule, &reserved);
        }
    }

    fn arm(&self, state: &mut State, rule: &Rule) -> String {
        self.arm_beside(state, rule, &[])
    }

    fn arm_beside(&self, state: &mut State, rule: &Rule, reserved: &[String]) -> String {
        let armed = loop {
            state.rules_made += 1;
            let armed = Armed::new(rule.clone(), state.rules_made);
            let taken = |name: &String| state.rules.iter().any(|other| other.name == *name) || reserved.contains(name);
            if rule.name.is_some() || !taken(&armed.name) {
                break armed;
            }
        };
        let name = armed.name.clone();
        let wants = matches!(armed.rule.action, Action::Cut { .. } | Action::Early(_));
        if wants && !self.disk().history.is_kept() {
            // From here on it must be known what is durable.
            self.disk().history.keep(Keep::Volatile);
        }
        self.trace().write(|| Record::RuleAdded {
            t_us: self.trace().now_us(),
            name: name.clone(),
            text: armed.rule.to_string(),
        });
        state.rules.push(armed);
        name
    }
}
