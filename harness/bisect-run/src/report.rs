//! What a bisection came to: for the terminal, and as a directory to post from.

mod log;
mod mail;
mod result;
mod sides;

use serde::Serialize;

use super::bench::Machines;
use super::files::put;
use super::maker::Maker;
use super::plan::{Planned, untestable_end};
use bisect::driver::{percent, short};
use bisect::search::{Conclusion, Direction, End, RunOutcome};
use bisect::state::State;
use exit::{Exit, Failure};
pub(crate) use result::{BisectReport, FOLDER, states};
use sides::Side;

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
    /// How often the kernel of the good end was run, and what it means if it never was.
    good_end_runs: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    good_end: Option<String>,
    /// Items that the answer leaves out by a guess that nothing checks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unchecked: Vec<String>,
    kernels: usize,
    runs: u32,
    /// Time of builds and of runs, in milliseconds.
    build_ms: u64,
    run_ms: u64,
    /// What was spared by making kernels where and while they cost least, by an estimate.
    spared_ms: i64,
    skipped: Vec<(String, String)>,
    /// What the first changed item follows on that is no item of the range, and what it showed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outside: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reverted: Option<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    hunks: &'a [String],
    seed: u64,
    error: f64,
}

impl BisectReport<'_> {
    /// Writes the directory.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write<M: Maker>(&self, bench: &mut Machines<'_, M>) -> Result<(), Failure> {
        let folder = self.dir.join(FOLDER);
        let json =
            serde_json::to_string_pretty(&self.file()).map_err(|error| Failure::foreign(Exit::Internal, &error))?;
        put(&folder.join("result.json"), json.as_bytes())?;
        put(&folder.join("runs.txt"), log::runs(self).as_bytes())?;
        if let Some(log) = log::git(self) {
            put(&folder.join("bisect.log"), log.as_bytes())?;
        }
        let sides = match self.sides() {
            Some((bad, good)) => vec![
                Side::write(self, bench, bad, RunOutcome::Failed, &folder.join("bad"))?,
                Side::write(self, bench, good, RunOutcome::Passed, &folder.join("good"))?,
            ],
            None => Vec::new(),
        };
        if let [bad, good] = sides.as_slice() {
            put(&folder.join("reproduce.sh"), sides::script(bad, good).as_bytes())?;
        }
        let text = match sides.as_slice() {
            [bad, good] if self.contradiction().is_none() => mail::mail(self, bad, good),
            // Without what only a terminal shows.
            _ => anstream::adapter::strip_str(&self.render()).to_string(),
        };
        put(&folder.join("report.txt"), text.as_bytes())?;
        Ok(())
    }

    /// `result.json`.
    fn file(&self) -> ResultFile<'_> {
        let names = &self.planned.names;
        let (first_changed, probability) = match self.conclusion {
            Conclusion::Found { .. } if self.contradiction().is_some() => (Vec::new(), 0.0),
            Conclusion::Found { item, probability } => (vec![(names[*item].clone(), *probability)], *probability),
            Conclusion::Among { items, probability } => (
                items.iter().map(|(item, p)| (names[*item].clone(), *p)).collect(),
                *probability,
            ),
            _ => (Vec::new(), 0.0),
        };
        let follows = match self.conclusion {
            Conclusion::Found { item, .. } => self.planned.parents[*item]
                .iter()
                .map(|parent| names[*parent].clone())
                .collect(),
            _ => Vec::new(),
        };
        let skipped = self.state.skipped.iter();
        ResultFile {
            kind: self.planned.kind.to_string(),
            direction: self.planned.direction,
            bad: &self.planned.bad,
            good: &self.planned.good,
            cell: self.cell,
            signature: self.state.pinned.as_ref().map(ToString::to_string),
            first_changed,
            probability,
            follows,
            good_end_runs: self.good_end_runs(),
            good_end: self.good_end(),
            unchecked: self.unchecked.iter().map(|item| names[*item].clone()).collect(),
            kernels: self.kernels(),
            runs: self.state.runs.0,
            build_ms: self.state.builds.values().map(|build| build.ms).sum(),
            run_ms: self.state.runs.1,
            spared_ms: self.spared_ms(),
            skipped: skipped
                .map(|(name, reason)| (name.clone(), reason.to_string()))
                .collect(),
            outside: self.before.iter().map(ToString::to_string).collect(),
            reverted: self.reverted.as_ref().map(ToString::to_string),
            hunks: &self.hunks,
            seed: self.setting.seed,
            error: 1.0 - probability,
        }
    }
}

/// Why a bisection has no result, if it has none.
#[must_use]
pub(crate) fn wrong_ends(conclusion: &Conclusion, planned: &Planned, state: &State) -> Option<String> {
    let ends = planned.ends();
    let [bad, good] = [ends.0, ends.1].map(|end| planned.names[end].as_str());
    let why = |name: &str| match state.skipped.get(name) {
        Some(reason) => reason.to_string(),
        None => "half of its runs or more failed in other ways; they are listed above".to_owned(),
    };
    match conclusion {
        Conclusion::Found { .. } | Conclusion::Among { .. } => None,
        Conclusion::BadEndPasses { passed, rate_below } => Some(format!(
            "the bad end, {}, passed {passed} times and never failed; \
            if it fails at all, then (with 95 %) in less than {} of its runs\n\
            check case and file system, or let it run more often: --patience",
            short(bad),
            percent(*rate_below)
        )),
        Conclusion::GoodEndFails { .. } => Some(format!(
            "both ends fail: {} fails just like {}; name a good end that passes",
            short(good),
            short(bad)
        )),
        Conclusion::EndUntestable(end) => {
            let name = match end {
                End::Bad => bad,
                End::Good => good,
            };
            Some(untestable_end(*end, Some(name), &why(name), planned.beside(*end)))
        }
        Conclusion::Contradiction => Some(
            "no single change explains what was seen: \
            some kernels that fail and some that pass lie the wrong way round. \
            A change that was undone within the range, or one that is of two parts, looks like this; \
            bisect a shorter range"
                .to_owned(),
        ),
    }
}
