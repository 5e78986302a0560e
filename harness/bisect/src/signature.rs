//! Pins a failure, so that another run can be told to show the same one, another one, none, or nothing.
//!
//! A bisection that takes any failure for the one it looks for ends at the wrong commit; that is how most wrong
//! bisections come about. What is pinned is the case, the cause and the place (the phase and function of a hang, the
//! oracle of a finding, how a program ended), and, for a report in the kernel's log, its kind and the innermost
//! functions of its stack. Of those everything that changes from build to build is taken off: offsets, addresses, line
//! numbers, modules, the compiler's suffixes, and the functions that only make the report.

mod machinery;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::search::RunOutcome;
use verdict::results::Cell;
use verdict::{Cause, Failure, Stage, Verdict, console};

/// Functions of a report's stack that are kept, innermost first.
const FRAMES_KEPT: usize = 5;
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
        }
    }

    /// The signature of a cell that failed, with the kernel's log of its case; none of one that did not fail.
    #[must_use]
    pub fn of(cell: &Cell, console: &str) -> Option<Signature> {
        let failure = cell.verdict().failure()?;
        Some(Signature::of_failure(&cell.case, failure, console))
    }

    fn of_failure(case: &str, failure: &Failure, console: &str) -> Signature {
        let cause = failure.kind.cause();
        let report = matches!(cause, Cause::Crash | Cause::Warning)
            .then(|| report(console, cause))
            .flatten();
        let place = failure.place.as_deref().map(place);
        match report {
            None => Signature {
                case: case.to_owned(),
                cause,
                kind: None,
                place,
                frames: Vec::new(),
            },
            Some((kind, frames)) => Signature {
                case: case.to_owned(),
                cause,
                kind: Some(kind),
                place: place.or_else(|| frames.first().cloned()),
                frames,
            },
        }
    }

    /// How a run of the same case compares with this failure.
    #[must_use]
    pub fn compare(&self, cell: &Cell, console: &str) -> Comparison {
        let obstacle = match cell.verdict() {
            Verdict::Pass => return Comparison::Pass,
            Verdict::Fail(failure) => {
                let found = Signature::of_failure(&cell.case, failure, console);
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
        let callers =
            |signature: &Signature| -> Vec<String> { signature.frames.iter().take(FRAMES_COMPARED).cloned().collect() };
        self.case == found.case
            && self.cause == found.cause
            && (self.kind.is_none() || self.kind == found.kind)
            && (self.place.is_none() || self.place == found.place)
            && (self.frames.is_empty() || callers(self) == callers(found))
    }
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
        Ok(())
    }
}

/// A place without what changes from build to build.
fn place(place: &str) -> String {
    match place.split_once(": ") {
        // The phase and function of a hang.
        Some((phase, function)) => format!("{phase}: {}", function_name(function)),
        None => function_name(place).to_owned(),
    }
}

/// The first report of a cause in the kernel's log: its kind, and the functions of its stack that say something.
fn report(log: &str, cause: Cause) -> Option<(String, Vec<String>)> {
    let report = console::reports(log).into_iter().find(|report| report.cause == cause)?;
    let mut frames: Vec<String> = Vec::new();
    let mut in_trace = false;
    // The next "end trace" or the first stack ends what belongs to the report.
    for line in log.lines().skip(report.index + 1).map(console::message) {
        if line.starts_with("---[ end trace") {
            break;
        }
        if let Some(function) = line.strip_prefix("RIP: 0010:").and_then(frame) {
            if frames.is_empty() && !machinery::is_machinery(&function) {
                frames.push(function);
            }
        } else if line.starts_with("Call Trace:") {
            in_trace = true;
        } else if in_trace {
            if ["<TASK>", "</TASK>", "<IRQ>", "</IRQ>", "?"]
                .iter()
                .any(|mark| line.starts_with(mark))
            {
                continue;
            }
            let Some(function) = frame(line) else { break };
            if !machinery::is_machinery(&function) && frames.last() != Some(&function) {
                frames.push(function);
            }
        }
    }
    frames.truncate(FRAMES_KEPT);
    Some((kind(&report), frames))
}

/// What sort of report a line opens, without numbers.
fn kind(report: &console::KernelReport) -> String {
    let line = report.line.as_str();
    let from = line.find(report.opening).and_then(|at| line.get(at..)).unwrap_or(line);
    let upto = |end: &str| {
        from.split(end)
            .next()
            .unwrap_or(from)
            .trim_end_matches(['.', '!'])
            .to_owned()
    };
    match report.opening {
        "WARNING: CPU:" => "WARNING".to_owned(),
        // A reason, as far as it has no numbers or names in it.
        "Kernel panic - not syncing"
        | "WARNING: possible"
        | "WARNING: inconsistent lock"
        | "WARNING: suspicious RCU" => upto(" in: ")
            .split(|c: char| c.is_ascii_digit())
            .next()
            .unwrap_or_default()
            .trim_end()
            .to_owned(),
        // The sanitizers say what, and then where.
        "BUG: KASAN" | "BUG: KFENCE" | "BUG: KMSAN" | "UBSAN:" => upto(" in "),
        // The file, and then the line.
        "kernel BUG at" => upto(":"),
        // The condition, and then the file.
        "assertion failed:" | "BTRFS: assertion failed" => upto(", in "),
        opening => opening.trim_end_matches([':', ' ', '(']).to_owned(),
    }
}

/// The function of a stack's line `function+0x12/0x34 [module]`.
fn frame(line: &str) -> Option<String> {
    let (name, offset) = line.split_once("+0x")?;
    let hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let (at, size) = offset.split_whitespace().next()?.split_once("/0x")?;
    let named = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'$'));
    (named && hex(at) && hex(size)).then(|| function_name(name).to_owned())
}

/// A function's name without what the compiler appends to that of a part or a copy of it.
fn function_name(name: &str) -> &str {
    let cut = [".isra", ".constprop", ".part", ".cold", ".llvm", ".lto_priv"];
    let at = cut.iter().filter_map(|suffix| name.find(suffix)).min();
    at.and_then(|at| name.get(..at))
        .filter(|name| !name.is_empty())
        .unwrap_or(name)
}

#[cfg(test)]
mod tests;
