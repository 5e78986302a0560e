//! The result of a bisection: what it is made of, and its text for the terminal.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anstyle::{Effects, Style};

use crate::plan::Planned;
use crate::predecessor::Checked;
use crate::revert::Reverted;
use crate::setting::Setting;
use bisect::driver::{percent, short};
use bisect::search::{Conclusion, Direction, RunOutcome};
use bisect::state::{Kind, State};
use host::words::counted;

const BOLD: Style = Style::new().effects(Effects::BOLD);

/// Items that a line names.
const NAMED_MAX: usize = 8;
/// Where the report lies in the bisection's directory.
pub(crate) const FOLDER: &str = "report";

/// A result to post.
pub(crate) struct BisectReport<'a> {
    /// The range.
    pub(crate) planned: &'a Planned,
    /// What was done.
    pub(crate) state: &'a State,
    /// What it came to.
    pub(crate) conclusion: &'a Conclusion,
    /// The cell, for a person.
    pub(crate) cell: &'a str,
    /// What the runs had in common.
    pub(crate) setting: &'a Setting,
    /// What the change follows on that is no item.
    pub(crate) before: Vec<Checked>,
    /// What the newest item shows with the change taken back.
    pub(crate) reverted: Option<Reverted>,
    /// Items that the answer leaves out by a guess that nothing checks.
    pub(crate) unchecked: Vec<usize>,
    /// Of two trees: the hunks that are the change.
    pub(crate) hunks: Vec<String>,
    /// The bisection's directory.
    pub(crate) dir: &'a Path,
}

impl BisectReport<'_> {
    pub(super) fn name(&self, item: usize) -> String {
        name_of(self.planned, item)
    }

    /// What shows that the change is another one than was found.
    pub(crate) fn contradiction(&self) -> Option<&Checked> {
        self.before.iter().find(|checked| checked.contradicts())
    }

    /// How often the kernel of the good end was run.
    pub(super) fn good_end_runs(&self) -> usize {
        let (_, good) = self.planned.ends();
        self.state.shown_by(&self.planned.names[good]).count()
    }

    /// What it means that the good end was never run, if it was not.
    pub(super) fn good_end(&self) -> Option<String> {
        let (_, good) = self.planned.ends();
        let is_asked = matches!(self.conclusion, Conclusion::Found { .. } | Conclusion::Among { .. });
        if self.planned.kind == Kind::Delta || !is_asked || self.good_end_runs() > 0 {
            return None;
        }
        let passes = self.sides().map(|(_, passes)| passes);
        let passes = match passes.filter(|item| self.shows(*item, RunOutcome::Passed)) {
            Some(item) => format!(", as {} was run and passes", short(&self.planned.names[item])),
            None => String::new(),
        };
        Some(format!(
            "the good end, {}, was never run, as it costs most to make: that it passes is only what the command line \
            says. The result does not depend on it{passes}",
            short(&self.planned.names[good])
        ))
    }

    /// What the answer leaves out unchecked, for a person.
    fn unchecked(&self) -> Option<String> {
        let names: Vec<&str> = self
            .unchecked
            .iter()
            .map(|item| short(&self.planned.names[*item]))
            .collect();
        let more = names.len().saturating_sub(NAMED_MAX);
        let shown = &names[..names.len() - more];
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        (!names.is_empty()).then(|| {
            format!(
                "not checked: {}{more}; they seem to change nothing that reaches the build, but they or what they \
                follow on do not build or were skipped, so one of them may be the change after all",
                shown.join(", ")
            )
        })
    }

    /// What a person should know who is told of a change: what was not run or not checked, and what was run beside it.
    pub(super) fn notes(&self) -> Vec<String> {
        let reverted = self.reverted.as_ref().filter(|reverted| reverted.was_run());
        self.good_end()
            .into_iter()
            .chain(self.unchecked())
            .chain(self.before.iter().map(ToString::to_string))
            .chain(reverted.map(ToString::to_string))
            .collect()
    }

    /// Whether a run of an item's kernel showed this.
    fn shows(&self, item: usize, outcome: RunOutcome) -> bool {
        let mut shown = self.state.shown_by(&self.planned.names[item]);
        shown.any(|shown| shown.outcome == outcome)
    }

    /// What was found.
    fn headline(&self) -> String {
        let mut text = String::new();
        let (word, before) = match self.planned.direction {
            Direction::Regression => ("fails since", "still passes"),
            Direction::Fix => ("fixed in", "still fails"),
        };
        match self.conclusion {
            Conclusion::Found { item, probability } => {
                let name = self.name(*item);
                let _ = match self.contradiction() {
                    None => writeln!(
                        text,
                        "{BOLD}{word} {name}{BOLD:#}  (probability {})",
                        percent(*probability)
                    ),
                    Some(_) => writeln!(
                        text,
                        "{BOLD}not found{BOLD:#}: {name} is next to the change, but is not it"
                    ),
                };
                let parents = &self.planned.parents[*item];
                for parent in parents {
                    let what = if self.planned.is_before(*parent, self.state) {
                        before
                    } else {
                        "was not tested"
                    };
                    let _ = writeln!(text, "    {} {what}", self.name(*parent));
                }
                if let Some(tested) = self
                    .planned
                    .tested_before(*item, self.state)
                    .filter(|tested| !parents.contains(tested))
                {
                    let _ = writeln!(text, "    {} {before}", self.name(tested));
                }
            }
            Conclusion::Among { items, probability } => {
                let _ = writeln!(
                    text,
                    "{BOLD}{word} one of {}{BOLD:#}, which cannot be told apart  (probability {})",
                    counted(items.len(), self.planned.noun()),
                    percent(*probability)
                );
                for (item, probability) in items {
                    let _ = writeln!(text, "    {}  {}", self.name(*item), percent(*probability));
                }
            }
            _ => {}
        }
        text
    }

    /// For the terminal.
    #[must_use]
    pub(crate) fn render(&self) -> String {
        let mut text = self.headline();
        if let Some(signature) = &self.state.pinned {
            let _ = writeln!(text, "    {signature}");
        }
        for line in self.good_end().into_iter().chain(self.unchecked()) {
            let _ = writeln!(text, "    {line}");
        }
        for item in &self.planned.skip {
            let _ = writeln!(text, "    skipped {}: by --skip", short(&self.planned.names[*item]));
        }
        for (name, reason) in &self.state.skipped {
            let _ = writeln!(text, "    skipped {}: {reason}", short(name));
        }
        for checked in &self.before {
            let _ = writeln!(text, "    {checked}");
        }
        if let Some(reverted) = &self.reverted {
            let _ = writeln!(text, "    {reverted}");
        }
        if self.planned.kind == Kind::Series {
            text.push_str(&states(self.planned, self.state));
        }
        let others = self
            .state
            .shown
            .iter()
            .filter(|shown| shown.outcome == RunOutcome::Other)
            .count();
        if others > 0 {
            let _ = writeln!(
                text,
                "    {} failed in another way, which says nothing of the change",
                counted(others, "run")
            );
        }
        let _ = writeln!(text, "{}", self.costs_here());
        let _ = writeln!(text, "report: {}", self.dir.join(FOLDER).join("report.txt").display());
        text
    }

    /// What it took.
    pub(super) fn costs(&self) -> String {
        let build_ms: u64 = self.state.builds.values().map(|build| build.ms).sum();
        format!(
            "{} on {}: {:.0} s of runs, {:.0} s to make or fetch kernels",
            counted(self.state.runs.0 as usize, "run"),
            counted(self.kernels(), "kernel"),
            self.state.runs.1 as f64 / 1000.0,
            build_ms as f64 / 1000.0
        )
    }

    /// What it took, and what was spared. Nobody on a mailing list asks for that.
    fn costs_here(&self) -> String {
        let spared_s = self.spared_ms() as f64 / 1000.0;
        match spared_s {
            1.0.. => format!(
                "{}, about {spared_s:.0} s less than without a look at what each build costs",
                self.costs()
            ),
            _ => self.costs(),
        }
    }

    /// What was spared by making kernels where they cost least, and those that cost least, in milliseconds.
    pub(super) fn spared_ms(&self) -> i64 {
        self.state.builds.values().map(|build| build.spared_ms).sum()
    }

    /// Kernels that were run.
    pub(super) fn kernels(&self) -> usize {
        let run: BTreeSet<&str> = self.state.shown.iter().map(|shown| shown.item.as_str()).collect();
        run.len()
    }

    /// The item on the bad side of the change, and the one on the good side, if just one change was found.
    pub(super) fn sides(&self) -> Option<(usize, usize)> {
        let Conclusion::Found { item, .. } = self.conclusion else {
            return None;
        };
        let first = self.planned.parents[*item].first().copied();
        let before = self.planned.tested_before(*item, self.state).or(first)?;
        Some(match self.planned.direction {
            Direction::Regression => (*item, before),
            Direction::Fix => (before, *item),
        })
    }
}

/// What each state of a series does.
pub(crate) fn states(planned: &Planned, state: &State) -> String {
    let mut text = String::new();
    for (item, name) in planned.names.iter().enumerate() {
        let shown: Vec<RunOutcome> = state.shown_by(name).map(|shown| shown.outcome).collect();
        let count = |outcome: RunOutcome| shown.iter().filter(|of| **of == outcome).count();
        let what = match state.skipped.get(name) {
            Some(reason) => reason.to_string(),
            None if count(RunOutcome::Failed) > 0 => {
                format!("builds, fails in {} of {} runs", count(RunOutcome::Failed), shown.len())
            }
            None if count(RunOutcome::Other) > 0 => "builds, fails in another way".to_owned(),
            None if count(RunOutcome::Passed) > 0 => {
                format!("builds, passes {}", counted(count(RunOutcome::Passed), "run"))
            }
            None => "was not tried".to_owned(),
        };
        let _ = writeln!(text, "    {} {what}", name_of(planned, item));
    }
    text
}

/// An item, for a person.
fn name_of(planned: &Planned, item: usize) -> String {
    match planned.labels.get(item).map(String::as_str) {
        None | Some("") => planned.names[item].clone(),
        Some(label) => format!("{} ({label})", short(&planned.names[item])),
    }
}

#[cfg(test)]
mod tests;
