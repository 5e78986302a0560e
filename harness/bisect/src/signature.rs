//! Pins a failure, so that another run can be told to show the same one, another one, none, or nothing.
//!
//! A bisection that takes any failure for the one it looks for ends at the wrong commit; that is how most wrong
//! bisections come about. What is pinned is the case, the cause and the place (the phase and function of a hang, the
//! oracle of a finding, how a program ended), and, for a report in the kernel's log, its kind and the innermost
//! functions of its stack. Of those everything that changes from build to build is taken off: offsets, addresses, line
//! numbers, modules, the compiler's suffixes, and the functions that only make the report.

mod functions;
mod report;
mod words;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::search::RunOutcome;
use verdict::results::Cell;
use verdict::{Cause, Failure, FailureKind, Stage, Verdict};

/// Functions that have to agree: the one that the report is about, and its caller. Farther out, one bug is reached in
/// many ways.
const FRAMES_COMPARED: usize = 2;

/// What identifies a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    pub(crate) case: String,
    /// In what way the kernel failed.
    pub cause: Cause,
    /// The kind of a report in the kernel's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    /// Where it shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) place: Option<String>,
    /// The innermost functions of a report, innermost first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) frames: Vec<String>,
    /// What an oracle or a check says, where the place alone is too coarse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) words: Option<String>,
}

/// How a run compares with a pinned failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// It shows the pinned failure.
    Same,
    /// It shows another failure.
    Other(Signature),
    /// It shows no failure at all.
    Pass,
    /// It says nothing.
    Untestable(Reason),
}

impl Comparison {
    /// What the search makes of it.
    #[must_use]
    pub fn outcome(&self) -> RunOutcome {
        match self {
            Comparison::Same => RunOutcome::Failed,
            Comparison::Other(_) => RunOutcome::Other,
            Comparison::Pass => RunOutcome::Passed,
            Comparison::Untestable(_) => RunOutcome::Untestable,
        }
    }
}

/// Why an item says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What was in the way.
    pub obstacle: Obstacle,
    /// One line for a person.
    pub detail: String,
    /// For a build: files that did not compile, as far as is known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// And those that the compiler points to besides, say where something was declared otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub noted: Vec<String>,
}

/// What is in the way of a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obstacle {
    /// It does not build.
    Build,
    /// Its packages are not to be had any more.
    NotHeld,
    /// It does not boot.
    Boot,
    /// The thing under test never happened.
    Inconclusive,
    /// The case does not apply.
    NotApplicable,
    /// Our own rig went wrong.
    Broken,
}

impl Obstacle {
    /// Whether another run may say something after all: the rig may have been at fault, or chance.
    #[must_use]
    pub(crate) fn may_pass(self) -> bool {
        matches!(self, Obstacle::Boot | Obstacle::Inconclusive | Obstacle::Broken)
    }

    #[must_use]
    pub(crate) fn word(self) -> &'static str {
        match self {
            Obstacle::Build => "does not build",
            Obstacle::NotHeld => "not to be had",
            Obstacle::Boot => "does not boot",
            Obstacle::Inconclusive => "inconclusive",
            Obstacle::NotApplicable => "does not apply",
            Obstacle::Broken => "broken",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.obstacle.word(), self.detail)
    }
}

impl Signature {
    /// One that no failure has: what does not fail is compared with it as long as no failure is pinned.
    #[must_use]
    pub fn none() -> Signature {
        Signature {
            case: String::new(),
            cause: Cause::Error,
            kind: None,
            place: None,
            frames: Vec::new(),
            words: None,
        }
    }

    /// The signature of a cell that failed, with the kernel's log of its case; none of one that did not fail.
    #[must_use]
    pub fn of(cell: &Cell, console: &str) -> Option<Signature> {
        let failure = cell.verdict().failure()?;
        Some(Signature::of_failure(&cell.case, failure, &cell.detail(), console))
    }

    fn of_failure(case: &str, failure: &Failure, detail: &str, console: &str) -> Signature {
        let cause = failure.kind.cause();
        let place = failure.place.as_deref().map(|name| place(failure.kind, name));
        let report = match failure.kind {
            FailureKind::Hang { .. } => None,
            _ => report::of_failure(failure, detail, console),
        };
        let words = match failure.kind {
            FailureKind::Corruption | FailureKind::Leak | FailureKind::Error if report.is_none() => {
                words::of_finding(failure.place.as_deref(), detail)
            }
            _ => None,
        };
        let (kind, frames) = report.map_or_else(Default::default, |(kind, frames)| (Some(kind), frames));
        Signature {
            case: case.to_owned(),
            cause,
            place: place.or_else(|| frames.first().cloned()),
            kind,
            frames,
            words,
        }
    }

    /// How a run of the same case compares with this failure.
    #[must_use]
    pub fn compare(&self, cell: &Cell, console: &str) -> Comparison {
        let obstacle = match cell.verdict() {
            Verdict::Pass => return Comparison::Pass,
            Verdict::Fail(failure) => {
                let found = Signature::of_failure(&cell.case, failure, &cell.detail(), console);
                return if self.is_same(&found) {
                    Comparison::Same
                } else {
                    Comparison::Other(found)
                };
            }
            Verdict::Inconclusive => Obstacle::Inconclusive,
            Verdict::Skipped => Obstacle::NotApplicable,
            Verdict::Broken { stage: Stage::Boot } => Obstacle::Boot,
            Verdict::Broken { .. } => Obstacle::Broken,
        };
        Comparison::Untestable(Reason {
            obstacle,
            detail: cell.detail(),
            files: Vec::new(),
            noted: Vec::new(),
        })
    }

    /// Whether a failure is this one. What is not known of the pinned one is not compared.
    fn is_same(&self, found: &Signature) -> bool {
        self.case == found.case
            && self.cause == found.cause
            && agree(self.kind.as_deref(), found.kind.as_deref(), report::is_same_kind)
            && agree(self.place.as_deref(), found.place.as_deref(), is_same_place)
            && (self.frames.is_empty() || self.callers().eq(found.callers()))
            && agree(self.words.as_deref(), found.words.as_deref(), words::is_same)
    }

    /// The functions that are compared, under the names that count on all versions.
    fn callers(&self) -> impl Iterator<Item = &str> {
        let telling = self.frames.iter().filter(|frame| !klog::is_machinery(frame));
        let names = telling.map(|frame| functions::canonical(frame));
        let mut before = None;
        let apart = names.filter(move |name| before.replace(*name) != Some(*name));
        apart.take(FRAMES_COMPARED)
    }
}

/// Whether what is known of a pinned failure is found again.
fn agree(pinned: Option<&str>, found: Option<&str>, is_same: impl Fn(&str, &str) -> bool) -> bool {
    pinned.is_none_or(|pinned| found.is_some_and(|found| is_same(pinned, found)))
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.case, self.cause)?;
        if let Some(kind) = &self.kind {
            write!(f, ", {kind}")?;
        }
        if let Some(place) = &self.place {
            write!(f, ", {place}")?;
        }
        if !self.frames.is_empty() {
            write!(f, " ({})", self.frames.join(" < "))?;
        }
        if let Some(words) = &self.words {
            write!(f, ", \"{words}\"")?;
        }
        Ok(())
    }
}

/// A place without what changes from build to build.
fn place(kind: FailureKind, place: &str) -> String {
    match (kind, place.split_once(": ")) {
        // The phase and function of a hang.
        (FailureKind::Hang { .. }, Some((phase, function))) => format!("{phase}: {}", klog::function_name(function)),
        (FailureKind::Crash | FailureKind::Warning, _) => klog::function_name(place).to_owned(),
        _ => place.to_owned(),
    }
}

/// Whether two places are one, on whichever versions of the kernel.
fn is_same_place(pinned: &str, found: &str) -> bool {
    // What earlier versions pinned of a check had none of its words.
    const CHECK: &str = "file system check";
    if pinned == CHECK {
        return found.starts_with(CHECK);
    }
    match (pinned.split_once(": "), found.split_once(": ")) {
        (Some((phase, function)), Some((other_phase, other_function))) => {
            phase == other_phase && functions::canonical(function) == functions::canonical(other_function)
        }
        _ => functions::canonical(pinned) == functions::canonical(found),
    }
}

#[cfg(test)]
mod tests;
