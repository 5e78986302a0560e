//! What a bisection came to: for the terminal, and as a directory to post from.

mod log;
mod mail;
mod sides;

use std::fmt::Write as _;
use std::path::Path;

use anstyle::{Effects, Style};
use serde::Serialize;

use super::bench::{Machines, Maker, Setting};
use super::plan::Planned;
use super::revert::Reverted;
use bisect::driver::{percent, short};
use bisect::search::{Conclusion, Direction, End, Outcome};
use bisect::state::{Kind, State};
use host::atomic;
use host::error::Failure;
use host::exit::Exit;
use host::words::counted;
pub use sides::Side;

const BOLD: Style = Style::new().effects(Effects::BOLD);

/// Where the report lies in the bisection's directory.
pub const FOLDER: &str = "report";

/// A result to post.
pub struct Report<'a> {
    /// The range.
    pub planned: &'a Planned,
    /// What was done.
    pub state: &'a State,
    /// What it came to.
    pub conclusion: &'a Conclusion,
    /// The cell, for a person.
    pub cell: &'a str,
    /// What the runs had in common.
    pub setting: &'a Setting,
    /// What the newest item shows with the change taken back.
    pub reverted: Option<Reverted>,
    /// Of two trees: the hunks that are the change.
    pub hunks: Vec<String>,
    /// The bisection's directory.
    pub dir: &'a Path,
}

/// `result.json`.
#[derive(Serialize)]
struct ResultFile<'a> {
    kind: String,
    direction: Direction,
    bad: &'a str,
    good: &'a str,
    cell: &'a str,
    signature: Option<String>,
    /// The first changed item, or the items among which it is, each with its probability.
    first_changed: Vec<(String, f64)>,
    probability: f64,
    /// What the first changed item follows on.
    follows: Vec<String>,
    kernels: usize,
    runs: u32,
    /// Time of builds and of runs, in milliseconds.
    build_ms: u64,
    run_ms: u64,
    skipped: Vec<(String, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reverted: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    hunks: &'a [String],
    seed: u64,
    error: f64,
}

impl Report<'_> {
    fn name(&self, item: usize) -> String {
        match self.planned.labels.get(item).map(String::as_str) {
            None | Some("") => self.planned.names[item].clone(),
            Some(label) => format!("{} ({label})", short(&self.planned.names[item])),
        }
    }

    /// For the terminal.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        let (word, before) = match self.planned.direction {
            Direction::Regression => ("fails since", "still passes"),
            Direction::Fix => ("fixed in", "still fails"),
        };
        match self.conclusion {
            Conclusion::Found { item, probability } => {
                let _ = writeln!(
                    text,
                    "{BOLD}{word} {}{BOLD:#}  (with {})",
                    self.name(*item),
                    percent(*probability)
                );
                for parent in &self.planned.parents[*item] {
                    let _ = writeln!(text, "    {} {before}", self.name(*parent));
                }
            }
            Conclusion::Among { items, probability } => {
                let _ = writeln!(
                    text,
                    "{BOLD}{word} one of {}{BOLD:#}, of which no more can be told  (with {})",
                    counted(items.len(), "item"),
                    percent(*probability)
                );
                for (item, probability) in items {
                    let _ = writeln!(text, "    {}  {}", self.name(*item), percent(*probability));
                }
            }
            _ => {}
        }
        if let Some(signature) = &self.state.pinned {
            let _ = writeln!(text, "    {signature}");
        }
        for (name, reason) in &self.state.skipped {
            let _ = writeln!(text, "    skipped {}: {reason}", short(name));
        }
        if let Some(reverted) = &self.reverted {
            let _ = writeln!(text, "    {reverted}");
        }
        if self.planned.kind == Kind::Series {
            text.push_str(&self.states());
        }
        let others = self
            .state
            .shown
            .iter()
            .filter(|shown| shown.outcome == Outcome::Other)
            .count();
        if others > 0 {
            let _ = writeln!(
                text,
                "    {} failed in another way, which says nothing of the change",
                counted(others, "run")
            );
        }
        let _ = writeln!(text, "{}", self.costs());
        let _ = writeln!(text, "report: {}", self.dir.join(FOLDER).join("report.txt").display());
        text
    }

    /// What each state of a series does.
    fn states(&self) -> String {
        let mut text = String::new();
        for (item, name) in self.planned.names.iter().enumerate() {
            let shown: Vec<Outcome> = self.state.shown_by(name).map(|shown| shown.outcome).collect();
            let count = |outcome: Outcome| shown.iter().filter(|of| **of == outcome).count();
            let what = match self.state.skipped.get(name) {
                Some(reason) => reason.to_string(),
                None if count(Outcome::Failed) > 0 => {
                    format!("builds, fails in {} of {} runs", count(Outcome::Failed), shown.len())
                }
                None if count(Outcome::Other) > 0 => "builds, fails in another way".to_owned(),
                None if count(Outcome::Passed) > 0 => {
                    format!("builds, passes {}", counted(count(Outcome::Passed), "run"))
                }
                None => "was not tried".to_owned(),
            };
            let _ = writeln!(text, "    {} {what}", self.name(item));
        }
        text
    }

    /// What it took.
    fn costs(&self) -> String {
        let build_ms: u64 = self.state.builds.values().map(|build| build.ms).sum();
        format!(
            "{} on {}: {:.0} s of runs, {:.0} s to make or fetch kernels",
            counted(self.state.runs.0 as usize, "run"),
            counted(self.kernels(), "kernel"),
            self.state.runs.1 as f64 / 1000.0,
            build_ms as f64 / 1000.0
        )
    }

    /// Kernels that were run.
    fn kernels(&self) -> usize {
        let run: std::collections::BTreeSet<&str> = self.state.shown.iter().map(|shown| shown.item.as_str()).collect();
        run.len()
    }

    /// The item on the bad side of the change, and the one on the good side, if just one change was found.
    fn sides(&self) -> Option<(usize, usize)> {
        let Conclusion::Found { item, .. } = self.conclusion else {
            return None;
        };
        let before = *self.planned.parents[*item].first()?;
        Some(match self.planned.direction {
            Direction::Regression => (*item, before),
            Direction::Fix => (before, *item),
        })
    }

    /// Writes the directory.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write<M: Maker>(&self, bench: &mut Machines<'_, M>) -> Result<(), Failure> {
        let folder = self.dir.join(FOLDER);
        let (first_changed, probability) = match self.conclusion {
            Conclusion::Found { item, probability } => {
                (vec![(self.planned.names[*item].clone(), *probability)], *probability)
            }
            Conclusion::Among { items, probability } => (
                items
                    .iter()
                    .map(|(item, p)| (self.planned.names[*item].clone(), *p))
                    .collect(),
                *probability,
            ),
            _ => (Vec::new(), 0.0),
        };
        let follows = match self.conclusion {
            Conclusion::Found { item, .. } => self.planned.parents[*item]
                .iter()
                .map(|parent| self.planned.names[*parent].clone())
                .collect(),
            _ => Vec::new(),
        };
        let result = ResultFile {
            kind: self.planned.kind.to_string(),
            direction: self.planned.direction,
            bad: &self.planned.bad,
            good: &self.planned.good,
            cell: self.cell,
            signature: self.state.pinned.as_ref().map(ToString::to_string),
            first_changed,
            probability,
            follows,
            kernels: self.kernels(),
            runs: self.state.runs.0,
            build_ms: self.state.builds.values().map(|build| build.ms).sum(),
            run_ms: self.state.runs.1,
            skipped: self
                .state
                .skipped
                .iter()
                .map(|(name, reason)| (name.clone(), reason.to_string()))
                .collect(),
            reverted: self.reverted.as_ref().map(ToString::to_string),
            hunks: &self.hunks,
            seed: self.setting.seed,
            error: 1.0 - probability,
        };
        let json = serde_json::to_string_pretty(&result).map_err(|error| Failure::of(Exit::Internal, &error))?;
        put(&folder.join("result.json"), &json)?;
        put(&folder.join("runs.txt"), &log::runs(self))?;
        if let Some(log) = log::git(self) {
            put(&folder.join("bisect.log"), &log)?;
        }
        let sides = match self.sides() {
            Some((bad, good)) => vec![
                Side::write(self, bench, bad, Outcome::Failed, &folder.join("bad"))?,
                Side::write(self, bench, good, Outcome::Passed, &folder.join("good"))?,
            ],
            None => Vec::new(),
        };
        if let [bad, good] = sides.as_slice() {
            put(&folder.join("reproduce.sh"), &sides::script(bad, good))?;
            put(&folder.join("report.txt"), &mail::mail(self, bad, good))?;
        } else {
            put(&folder.join("report.txt"), &self.render())?;
        }
        Ok(())
    }
}

/// Why a bisection has no result, if it has none.
#[must_use]
pub fn wrong_ends(conclusion: &Conclusion, planned: &Planned, state: &State) -> Option<String> {
    let why = |name: &str| match state.skipped.get(name) {
        Some(reason) => reason.to_string(),
        None => "half of its runs or more failed in other ways; they are listed above".to_owned(),
    };
    match conclusion {
        Conclusion::Found { .. } | Conclusion::Among { .. } => None,
        Conclusion::BadEndPasses { passed, rate_below } => Some(format!(
            "the bad end, {}, passed {passed} times and never failed; if it fails at all, then (with 95 %) in less than {} of its runs\n\
            check case and file system, or let it run more often: --patience",
            short(&planned.bad),
            percent(*rate_below)
        )),
        Conclusion::GoodEndFails { .. } => Some(format!(
            "both ends fail: {} fails just like {}; name a good end that passes",
            short(&planned.good),
            short(&planned.bad)
        )),
        Conclusion::EndUntestable(end) => {
            let (what, name) = match end {
                End::Bad => ("bad", &planned.bad),
                End::Good => ("good", &planned.good),
            };
            Some(format!("the {what} end, {}, cannot be tested: {}\nname another one", short(name), why(name)))
        }
        Conclusion::Contradiction => Some(
            "no single change explains what was seen: some kernels that fail and some that pass lie the wrong way round. \
            A change that was undone within the range, or one that is of two parts, looks like this; bisect a shorter range"
                .to_owned(),
        ),
    }
}

fn put(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| atomic::write(path, text.as_bytes()))
        .map_err(|error| Failure::cannot_create(&path.display().to_string(), &error))
}
