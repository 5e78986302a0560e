//! What a soak comes to.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
use vhost_blk_api::plan::words;

use super::round::Round;

/// What came of an action.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct ActionSum {
    /// Rules with it.
    pub(crate) rules: u64,
    /// Requests to which they were applied.
    pub(crate) hits: u64,
    /// Rounds in which one was applied.
    pub(crate) rounds: u64,
    /// Blocks that differed by it, in either comparison.
    pub(crate) explained: u64,
}

/// What all rounds come to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Summary {
    pub(crate) kernel: String,
    /// Where the device kept what was written: its `--storage`.
    pub(crate) storage: String,
    /// The soak's seed.
    pub(crate) seed: u64,
    /// Rounds done.
    pub(crate) rounds: u64,
    /// Seconds that it took.
    pub(crate) seconds: u64,
    /// Machines booted.
    pub(crate) boots: u64,
    /// Requests that the devices saw.
    pub(crate) requests: u64,
    /// Blocks that differed in either comparison, and a rule explains why.
    pub(crate) explained: u64,
    /// Requests that fio saw fail, by a rule.
    pub(crate) errors: u64,
    /// Damage of which the guest was told nothing, that was there to be noticed.
    pub(crate) silent: u64,
    /// What fio noticed of it.
    pub(crate) noticed: u64,
    /// Times that held requests were let go.
    pub(crate) releases: u64,
    /// Times that the power was given back.
    pub(crate) powers: u64,
    /// What no rule explains.
    pub(crate) findings: u64,
    /// Rounds that did not come to their end.
    pub(crate) broke_off: u64,
    pub(crate) actions: BTreeMap<String, ActionSum>,
}

impl Summary {
    /// Of nothing yet.
    #[must_use]
    pub(crate) fn new(kernel: &str, storage: &str, seed: u64) -> Summary {
        let actions = words::ACTIONS
            .iter()
            .map(|action| (action.name.to_owned(), ActionSum::default()));
        Summary {
            kernel: kernel.to_owned(),
            storage: storage.to_owned(),
            seed,
            actions: actions.collect(),
            ..Summary::default()
        }
    }

    /// Adds a round.
    pub(crate) fn add(&mut self, round: &Round) {
        self.rounds += 1;
        self.requests += round.requests;
        self.releases += round.nudges.releases;
        self.powers += round.nudges.powers;
        self.findings += round.findings.len() as u64;
        self.broke_off += u64::from(round.broke_off.is_some());
        let mut applied = BTreeSet::new();
        for rule in &round.rules {
            let action = self.actions.entry(rule.action.clone()).or_default();
            action.rules += 1;
            action.hits += rule.hits;
            if rule.hits > 0 {
                applied.insert(&rule.action);
            }
        }
        for action in applied {
            self.actions.entry(action.clone()).or_default().rounds += 1;
        }
        for tally in round.phases.values() {
            self.errors += tally.errors;
            self.silent += tally.silent;
            self.noticed += tally.noticed;
            for (action, count) in &tally.explained {
                self.explained += count;
                self.actions.entry(action.clone()).or_default().explained += count;
            }
        }
    }

    /// Whether all is explained.
    #[must_use]
    pub(crate) fn is_clean(&self) -> bool {
        self.findings == 0 && self.broke_off == 0
    }

    /// For a person.
    #[must_use]
    pub(crate) fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header([
            "action",
            "rules",
            "hits",
            "rounds with hits",
            "differing blocks explained",
        ]);
        for (action, sum) in &self.actions {
            let numbers = [sum.rules, sum.hits, sum.rounds, sum.explained].map(|number| number.to_string());
            table.add_row(std::iter::once(action.clone()).chain(numbers));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        format!(
            "{table}\n\n{} rounds in {} min {} s on {}, disk in {}: {} requests, {} errors and {} differing blocks \
            that rules explain, {} findings\n\
             damage told as success: fio noticed {} of {} that were there to be noticed",
            self.rounds,
            self.seconds / 60,
            self.seconds % 60,
            self.kernel,
            self.storage,
            self.requests,
            self.errors,
            self.explained,
            self.findings + self.broke_off,
            self.noticed,
            self.silent
        )
    }
}
