//! Rules put in force and taken off while the device runs.

use std::collections::HashSet;
use std::fmt::Write as _;

use thiserror::Error;
use vhost_blk_api::control::RuleStatus;
use vhost_blk_api::plan::file::name_taken;
use vhost_blk_api::plan::{Action, Plan, Rule, RuleError, Var};
use vhost_blk_api::trace::{Record, ReleasedBy};

use crate::decide::{Armed, World};
use crate::device::{Device, Pending, State};
use crate::history::Keep;
use crate::replay::{Change, Script};
use crate::schedule::Released;

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

/// Whether a rule of this name is in force.
fn in_force(state: &State, name: &str) -> Result<(), UnknownRule> {
    if state.rules.iter().any(|armed| armed.name == name) {
        return Ok(());
    }
    let known = state.rules.iter().map(|armed| armed.name.clone()).collect();
    Err(UnknownRule {
        name: name.to_owned(),
        known,
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
        let mut state = self.lock();
        let released = self.replace(&mut state, &plan);
        drop(state);
        self.complete_released(released);
        Ok(())
    }

    fn replace(&self, state: &mut State, plan: &Plan) -> Vec<Released<Pending>> {
        take_off(state);
        let released = state.schedule.clear();
        self.trace().write(|| Record::PlanSet {
            t_us: self.trace().now_us(),
            seed: plan.seed,
        });
        self.install(state, plan);
        released
    }

    /// Takes one rule off and lets go what it keeps waiting; returns how many requests that were. In a replay it stays, as with [`clear_rules`](Self::clear_rules).
    ///
    /// # Errors
    /// No rule has this name.
    pub fn remove_rule(&self, name: &str) -> Result<usize, UnknownRule> {
        let mut state = self.lock();
        in_force(&state, name)?;
        let released = if state.script.is_some() {
            state.schedule.release(Some(name))
        } else {
            self.take_one_off(&mut state, name)
        };
        drop(state);
        Ok(self.complete_released(released))
    }

    fn take_one_off(&self, state: &mut State, name: &str) -> Vec<Released<Pending>> {
        let mut unfired = std::mem::take(&mut state.unfired);
        unfired.add(statuses(state).filter(|rule| rule.name == name));
        state.unfired = unfired;
        state.rules.remove(name);
        self.trace().write(|| Record::RuleRemoved {
            t_us: self.trace().now_us(),
            name: name.to_owned(),
        });
        state.schedule.clear_rule(name)
    }

    /// Takes all rules off and lets go everything that waits; returns how many requests that were. In a replay the rules, their counters and their windows
    /// stay: they are the trace's.
    pub fn clear_rules(&self) -> usize {
        let mut state = self.lock();
        let released = if state.script.is_some() {
            state.schedule.remove(|_| true, ReleasedBy::Clear)
        } else {
            self.take_all_off(&mut state)
        };
        drop(state);
        self.complete_released(released)
    }

    fn take_all_off(&self, state: &mut State) -> Vec<Released<Pending>> {
        take_off(state);
        state.world = World::default();
        let released = state.schedule.clear();
        self.trace().write(|| Record::Cleared {
            t_us: self.trace().now_us(),
        });
        released
    }

    /// Whether the decisions of a trace are made again, so that no rule is asked.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.lock().script.is_some()
    }

    /// What is to be said in the end of a guest that did not do all that it did in the trace that is replayed.
    #[must_use]
    pub fn replay_ending(&self) -> Option<String> {
        self.lock().script.as_ref().and_then(Script::ending)
    }

    /// Does to the rules what was done to them in the trace that is replayed, up to its next request; returns what that lets go.
    pub(crate) fn catch_up(&self, state: &mut State) -> Vec<Released<Pending>> {
        let mut released = Vec::new();
        while let Some(change) = state.script.as_mut().and_then(Script::change) {
            match change {
                Change::Plan { seed } => released.extend(self.replace(
                    state,
                    &Plan {
                        seed,
                        rules: Vec::new(),
                    },
                )),
                Change::Clear => released.extend(self.take_all_off(state)),
                Change::Remove { name } => released.extend(self.take_one_off(state, &name)),
                Change::Rule(armed) => self.put_in_force(state, *armed),
            }
        }
        released
    }

    /// Lets go what one rule keeps waiting, or all that is held; returns how many requests that were.
    ///
    /// # Errors
    /// No rule has this name.
    pub fn release(&self, rule: Option<&str>) -> Result<usize, UnknownRule> {
        let mut state = self.lock();
        if let Some(name) = rule {
            in_force(&state, name)?;
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
        let is_replay = state.script.is_some();
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
                _ if is_replay => "in a replay nobody asks for its trigger".to_owned(),
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
        let mut taken: HashSet<String> = plan.rules.iter().filter_map(|rule| rule.name.clone()).collect();
        for rule in &plan.rules {
            let name = self.arm_beside(state, rule, &taken);
            taken.insert(name);
        }
    }

    fn arm(&self, state: &mut State, rule: &Rule) -> String {
        let taken = state.rules.iter().map(|armed| armed.name.clone()).collect();
        self.arm_beside(state, rule, &taken)
    }

    /// Puts a rule in force. If it has no name it gets one that is not taken: a set, for a plan may have very many rules, and the device stands still meanwhile.
    fn arm_beside(&self, state: &mut State, rule: &Rule, taken: &HashSet<String>) -> String {
        let armed = loop {
            state.rules_made += 1;
            let armed = Armed::new(rule.clone(), state.rules_made);
            if rule.name.is_some() || !taken.contains(&armed.name) {
                break armed;
            }
        };
        let name = armed.name.clone();
        self.put_in_force(state, armed);
        name
    }

    fn put_in_force(&self, state: &mut State, armed: Armed) {
        // One that had this name before and was taken off is not meant any more.
        state.world.applied.remove(&armed.name);
        let wants = matches!(armed.rule.action, Action::Cut { .. } | Action::Early(_));
        if wants && !self.disk().history.is_kept() {
            // From here on it must be known what is durable.
            self.disk().history.keep(Keep::Volatile);
        }
        self.trace().write(|| Record::RuleAdded {
            t_us: self.trace().now_us(),
            name: armed.name.clone(),
            text: armed.rule.to_string(),
        });
        state.rules.push(armed);
    }
}
