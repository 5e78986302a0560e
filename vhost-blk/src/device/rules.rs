//! Commands that change the rules while the device runs, and release the requests that old rules held.

use vhost_blk_api::control::RuleStatus;
use vhost_blk_api::plan::{Plan, Rule, RuleError, Var};
use vhost_blk_api::trace::{Record, ReleasedBy};

use super::Device;
use super::state::{Pending, State};
use crate::power::log::Keep;
use crate::request::schedule::Released;
use crate::rulebook::replay::{Change, Script};
use crate::rulebook::{UnknownRule, read_plan};

impl Device {
    /// Adds a rule after those in force; returns its name.
    ///
    /// # Errors
    /// The rule cannot be read, or its name is taken.
    pub fn add_rule(&self, text: &str) -> Result<String, RuleError> {
        let rule: Rule = text.parse()?;
        let mut state = self.lock();
        let name = state.book.add(text, &rule, &self.trace)?;
        self.keep_what_rules_want(&state);
        drop(state);
        self.trace.flush();
        Ok(name)
    }

    /// Replaces all rules and the seed, sets all counters back, and lets go what is held. With a bad rule nothing
    /// changes.
    ///
    /// # Errors
    /// A rule cannot be read, or two have one name: its index, and what is wrong.
    pub fn set_plan(&self, seed: u64, rules: &[String]) -> Result<(), (usize, RuleError)> {
        let plan = read_plan(seed, rules)?;
        let mut state = self.lock();
        let released = self.replace(&mut state, &plan);
        drop(state);
        self.complete_released(released);
        Ok(())
    }

    fn replace(&self, state: &mut State, plan: &Plan) -> Vec<Released<Pending>> {
        let released = state.schedule.clear();
        state.book.replace(plan, &self.trace);
        self.keep_what_rules_want(state);
        released
    }

    /// Takes one rule off and lets go what it keeps waiting; returns how many requests that were. In a replay it stays,
    /// as with [`clear_rules`](Self::clear_rules).
    ///
    /// # Errors
    /// No rule has this name.
    pub(crate) fn remove_rule(&self, name: &str) -> Result<usize, UnknownRule> {
        let mut state = self.lock();
        state.book.in_force(name)?;
        let released = if state.book.script().is_some() {
            state.schedule.release(Some(name))
        } else {
            state.book.remove(name, &self.trace);
            state.schedule.clear_rule(name)
        };
        drop(state);
        Ok(self.complete_released(released))
    }

    /// Takes all rules off and lets go everything that waits; returns how many requests that were. In a replay the
    /// rules, their counters and their windows stay: they are the trace's.
    pub fn clear_rules(&self) -> usize {
        let mut state = self.lock();
        let released = if state.book.script().is_some() {
            state.schedule.remove(|_| true, ReleasedBy::Clear)
        } else {
            state.book.clear(&self.trace);
            state.schedule.clear()
        };
        drop(state);
        self.complete_released(released)
    }

    /// Makes the decisions of a script from here on, in place of the rules' own. The device is one without rules that
    /// began with the script's seed.
    pub fn replay(&self, script: Script) {
        // It may cut the power.
        self.disk.keep_history(Keep::Volatile);
        let mut state = self.lock();
        state.book.replay(script);
        let released = self.catch_up(&mut state);
        drop(state);
        self.complete_released(released);
    }

    /// Whether the decisions of a trace are made again, so that no rule is asked.
    pub(crate) fn is_replay(&self) -> bool {
        self.lock().book.script().is_some()
    }

    /// What is to be said in the end of a guest that did not do all that it did in the trace that is replayed.
    pub(crate) fn replay_ending(&self) -> Option<String> {
        self.lock().book.script().and_then(Script::ending)
    }

    /// Does to the rules what was done to them in the trace that is replayed, up to its next request; returns what that
    /// lets go.
    pub(super) fn catch_up(&self, state: &mut State) -> Vec<Released<Pending>> {
        let mut released = Vec::new();
        while let Some(change) = state.book.change() {
            match change {
                Change::Plan { seed } => released.extend(self.replace(
                    state,
                    &Plan {
                        seed,
                        rules: Vec::new(),
                    },
                )),
                Change::Clear => {
                    state.book.clear(&self.trace);
                    released.extend(state.schedule.clear());
                }
                Change::Remove { name } => {
                    state.book.remove(&name, &self.trace);
                    released.extend(state.schedule.clear_rule(&name));
                }
                Change::Rule(armed) => state.book.put_in_force(*armed, &self.trace),
            }
        }
        self.keep_what_rules_want(state);
        released
    }

    /// Lets go what one rule keeps waiting, or all that is held; returns how many requests that were.
    ///
    /// # Errors
    /// No rule has this name.
    pub fn release(&self, rule: Option<&str>) -> Result<usize, UnknownRule> {
        let mut state = self.lock();
        if let Some(name) = rule {
            state.book.in_force(name)?;
        }
        let released = state.schedule.release(rule);
        drop(state);
        Ok(self.complete_released(released))
    }

    /// The rules in force, in their order.
    pub(crate) fn rules(&self) -> Vec<RuleStatus> {
        let state = self.lock();
        state.book.statuses(|name| state.schedule.holding(name))
    }

    /// What is to be said in the end of rules that were never applied, those included that were taken off before;
    /// nothing if there are none.
    pub(crate) fn never_fired(&self) -> Option<String> {
        self.lock().book.never_fired()
    }

    /// Puts a name into the trace, and lets rules know of it; returns how many requests that let go.
    pub fn mark(&self, name: &str) -> usize {
        // A thread that holds the device's lock must not wait for the history.
        let no_export = self.disk.history.is_kept().then(|| self.gate.no_export(|| false));
        let mut state = self.lock();
        self.trace.write(|| Record::Mark {
            t_us: self.trace.now_us(),
            name: name.to_owned(),
            // The trace knows.
            records: None,
            disk_bytes: Some(self.disk.bytes()),
        });
        state.book.mark(name);
        self.disk.history.mark(name);
        let released = state.schedule.marked(name);
        drop((state, no_export));
        self.complete_released(released)
    }

    /// Sets a state variable.
    pub fn set_var(&self, var: &Var) {
        self.lock().book.set_var(var);
    }
}
