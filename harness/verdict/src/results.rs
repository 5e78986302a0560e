//! Results: one cell's and a run's, as they stand in `cell.json` and `results.json`.

use std::path::{Path, PathBuf};

use guest_wire::{Fs, Phase};
use host::exit::Exit;
use serde::{Deserialize, Serialize};

use crate::{Cause, Judgement, Verdict};

/// A cell's result. The fields' names are the interface of `results.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Kernel id.
    pub kernel: String,
    /// File system.
    pub fs: Fs,
    /// Case.
    pub case: String,
    /// The verdict.
    pub verdict: Verdict,
    /// The cause, for a failure.
    pub cause: Option<Cause>,
    /// For a hang: the phase that never ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// One line: where and what.
    pub detail: String,
    /// Where a failure shows, in words that stay the same from run to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Whether kernels.toml expects just this; a pass is expected where nothing else is said.
    pub expected: bool,
    /// Whether the thing under test is known to have happened.
    pub armed: bool,
    /// Host time from the job's start to the verdict, in milliseconds; the first case of a boot carries the boot.
    pub duration_ms: u64,
    /// For a finished case on btrfs: what the file that was written costs on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extents: Option<Extents>,
    /// Where the evidence is.
    pub dir: PathBuf,
    /// How the cell's machine began.
    #[serde(default)]
    pub machine: Begun,
    /// More lines of evidence, most telling first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
}

/// What one file costs on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extents {
    /// File extents, holes left out.
    pub count: u64,
    /// Bytes of data in them.
    pub data_bytes: u64,
    /// Bytes that are allocated on disk for them.
    pub allocated_bytes: u64,
}

/// How a machine began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Begun {
    /// From power-on.
    #[default]
    Booted,
    /// From a snapshot of the booted guest.
    Restored,
}

/// What kernels.toml declares of a cell other than a pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The verdict.
    pub verdict: Verdict,
    /// The failure's cause; any if absent.
    pub cause: Option<Cause>,
    /// For a hang: the phase that never ends; any if absent.
    #[serde(default)]
    pub phase: Option<Phase>,
    /// Why, for a person.
    pub why: String,
}

/// `results.json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Results {
    /// Every cell, in the matrix's order.
    pub cells: Vec<Cell>,
}

/// What a run came to, worst first; each has an exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tally {
    /// A failure or a pass that kernels.toml does not expect.
    Unexpected,
    /// Cells that say nothing about the kernel.
    NoVerdict,
    /// Everything as declared.
    AsExpected,
}

impl Tally {
    /// How `cargo xtask test` ends.
    #[must_use]
    pub fn exit(self) -> Exit {
        match self {
            Tally::AsExpected => Exit::Success,
            Tally::Unexpected => Exit::Unexpected,
            Tally::NoVerdict => Exit::NoAnswer,
        }
    }
}

impl Cell {
    /// A cell from its judgement.
    #[must_use]
    pub fn new(kernel: &str, fs: Fs, case: &str, judgement: Judgement, expect: Option<&Expected>) -> Cell {
        let expected = is_expected(&judgement, expect);
        Cell {
            kernel: kernel.to_owned(),
            fs,
            case: case.to_owned(),
            verdict: judgement.verdict,
            cause: judgement.cause,
            phase: judgement.phase,
            detail: judgement.detail,
            place: judgement.place,
            expected,
            armed: judgement.armed,
            duration_ms: 0,
            extents: None,
            dir: PathBuf::new(),
            machine: Begun::Booted,
            evidence: judgement.evidence,
        }
    }

    /// Reads a cell's result from its directory, if it left one.
    #[must_use]
    pub fn load(dir: &Path) -> Option<Cell> {
        serde_json::from_slice(&std::fs::read(dir.join("cell.json")).ok()?).ok()
    }

    /// Writes the cell's result into its directory.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn save(&self) -> std::io::Result<()> {
        host::atomic::write(&self.dir.join("cell.json"), &serde_json::to_vec_pretty(self)?)
    }

    /// What it counts as.
    #[must_use]
    pub fn tally(&self) -> Tally {
        match (self.verdict, self.expected) {
            (Verdict::Broken, _) | (Verdict::Inconclusive, false) => Tally::NoVerdict,
            (_, true) => Tally::AsExpected,
            (_, false) => Tally::Unexpected,
        }
    }
}

/// Whether a verdict is what was declared. A broken rig never is: it is no verdict on the kernel.
fn is_expected(judgement: &Judgement, expect: Option<&Expected>) -> bool {
    match (judgement.verdict, expect) {
        (Verdict::Broken, _) => false,
        (Verdict::Skipped, _) => true,
        (verdict, None) => verdict == Verdict::Pass,
        (verdict, Some(expect)) => {
            verdict == expect.verdict
                && (expect.cause.is_none() || expect.cause == judgement.cause)
                && (expect.phase.is_none() || expect.phase == judgement.phase)
        }
    }
}

impl Results {
    /// The run's outcome: an unexpected failure outweighs a missing verdict.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let has = |tally: Tally| self.cells.iter().any(|cell| cell.tally() == tally);
        if has(Tally::Unexpected) {
            Tally::Unexpected
        } else if has(Tally::NoVerdict) {
            Tally::NoVerdict
        } else {
            Tally::AsExpected
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(verdict: Verdict, cause: Option<Cause>, expect: Option<(Verdict, Option<Cause>)>) -> Cell {
        let judgement = Judgement {
            verdict,
            cause,
            phase: None,
            detail: String::new(),
            place: None,
            armed: true,
            evidence: Vec::new(),
        };
        let expect = expect.map(|(verdict, cause)| Expected {
            verdict,
            cause,
            phase: None,
            why: "a bug".into(),
        });
        Cell::new("k", Fs::Btrfs, "c", judgement, expect.as_ref())
    }

    #[test]
    fn a_cell_counts_by_what_was_expected_of_it() {
        use Verdict::{Broken, Fail, Inconclusive, Pass, Skipped};
        let hang = Some((Fail, Some(Cause::Hang)));
        for (verdict, cause, expect, tally) in [
            (Pass, None, None, Tally::AsExpected),
            (Skipped, None, None, Tally::AsExpected),
            (Skipped, None, hang, Tally::AsExpected),
            (Fail, Some(Cause::Hang), None, Tally::Unexpected),
            (Fail, Some(Cause::Hang), hang, Tally::AsExpected),
            (Fail, Some(Cause::Hang), Some((Fail, None)), Tally::AsExpected),
            // The wrong failure is news, and so is a pass where a failure is known.
            (Fail, Some(Cause::Corruption), hang, Tally::Unexpected),
            (Pass, None, hang, Tally::Unexpected),
            (Inconclusive, None, None, Tally::NoVerdict),
            (Inconclusive, None, hang, Tally::NoVerdict),
            (Inconclusive, None, Some((Inconclusive, None)), Tally::AsExpected),
            (Broken, None, None, Tally::NoVerdict),
            (Broken, None, hang, Tally::NoVerdict),
        ] {
            assert_eq!(
                cell(verdict, cause, expect).tally(),
                tally,
                "{verdict} {cause:?}, expected {expect:?}"
            );
        }
    }

    #[test]
    fn an_unexpected_failure_outweighs_a_missing_verdict() {
        let pass = cell(Verdict::Pass, None, None);
        let broken = cell(Verdict::Broken, None, None);
        let fail = cell(Verdict::Fail, Some(Cause::Leak), None);
        let code = |cells: &[&Cell]| {
            Results {
                cells: cells.iter().copied().cloned().collect(),
            }
            .tally()
            .exit()
            .code()
        };
        assert_eq!(code(&[&pass]), 0);
        assert_eq!(code(&[&pass, &broken]), 2);
        assert_eq!(code(&[&broken, &fail, &pass]), 1);
    }
}
