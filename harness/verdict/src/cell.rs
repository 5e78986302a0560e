//! One cell's result, as it stands in `cell.json` and in `results.json`.

use std::path::PathBuf;

use guest_wire::{Fs, Phase};
use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::expected::{Expected, ExpectedVerdict};
use crate::judgement::Judgement;
use crate::stored::{StoredError, StoredVerdict};
use crate::verdict::Verdict;
use crate::word::VerdictWord;

/// A cell's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredCell", into = "StoredCell")]
pub struct Cell {
    /// The kernel's id in kernels.toml, or that of a kernel given on the command line.
    pub kernel: String,
    /// File system.
    pub fs: Fs,
    /// Full name of the case: `test` or `test.variant`.
    pub case: String,
    /// The verdict and its grounds.
    pub judgement: Judgement,
    /// Whether kernels.toml expects just this; a pass is expected where nothing else is said.
    pub expected: bool,
    /// Host time from the job's start to the verdict, in milliseconds; the first case of a boot carries the boot.
    pub duration_ms: u64,
    /// For a finished case on btrfs: what the file that was written costs on disk.
    pub extents: Option<Extents>,
    /// Where the evidence is.
    pub dir: PathBuf,
    /// How the cell's machine began.
    pub machine: Begun,
}

/// What one file costs on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extents {
    /// File extents, holes left out.
    pub count: u64,
    /// Bytes of the file that they hold.
    pub data_bytes: u64,
    /// Bytes that are allocated on disk for them.
    pub allocated_bytes: u64,
}

/// How a machine began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Begun {
    /// The kernel booted from power-on.
    #[default]
    Booted,
    /// From a snapshot of the booted guest.
    Restored,
}

impl Cell {
    /// A cell of a machine that booted, without cost and place yet; `expect` decides on [`expected`](Cell::expected).
    #[must_use]
    pub fn new(kernel: &str, fs: Fs, case: &str, judgement: Judgement, expect: Option<&Expected>) -> Cell {
        Cell {
            kernel: kernel.to_owned(),
            fs,
            case: case.to_owned(),
            expected: is_expected(&judgement.verdict, expect),
            judgement,
            duration_ms: 0,
            extents: None,
            dir: PathBuf::new(),
            machine: Begun::Booted,
        }
    }

    /// The judgement's verdict, without its grounds.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.judgement.verdict
    }

    /// One line: where and what; the stage of a broken cell first.
    #[must_use]
    pub fn detail(&self) -> String {
        self.judgement.detail()
    }
}

/// Whether a verdict is what was declared. A broken rig never is: it is no verdict on the kernel.
fn is_expected(verdict: &Verdict, expect: Option<&Expected>) -> bool {
    match (verdict, expect) {
        (Verdict::Broken { .. }, _) => false,
        // A failure that is known cannot show in a case that does not apply: either is wrong.
        (Verdict::Skipped, Some(expect)) => !matches!(expect.verdict, ExpectedVerdict::Fail(_)),
        (Verdict::Skipped, None) => true,
        (verdict, None) => *verdict == Verdict::Pass,
        (verdict, Some(expect)) => expect.verdict.is_met_by(verdict),
    }
}

/// The fields' names are the interface of `results.json`.
#[derive(Clone, Serialize, Deserialize)]
struct StoredCell {
    kernel: String,
    fs: Fs,
    case: String,
    verdict: VerdictWord,
    cause: Option<Cause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    phase: Option<Phase>,
    detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    expected: bool,
    armed: bool,
    duration_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    extents: Option<Extents>,
    dir: PathBuf,
    #[serde(default)]
    machine: Begun,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    evidence: Vec<String>,
}

impl From<Cell> for StoredCell {
    fn from(cell: Cell) -> StoredCell {
        let stored = StoredVerdict::from(&cell.judgement);
        StoredCell {
            kernel: cell.kernel,
            fs: cell.fs,
            case: cell.case,
            verdict: stored.verdict,
            cause: stored.cause,
            phase: stored.phase,
            detail: stored.detail,
            place: stored.place,
            expected: cell.expected,
            armed: cell.judgement.armed,
            duration_ms: cell.duration_ms,
            extents: cell.extents,
            dir: cell.dir,
            machine: cell.machine,
            evidence: cell.judgement.evidence,
        }
    }
}

impl TryFrom<StoredCell> for Cell {
    type Error = StoredError;

    fn try_from(stored: StoredCell) -> Result<Cell, StoredError> {
        let judgement = Judgement::try_from(StoredVerdict {
            verdict: stored.verdict,
            cause: stored.cause,
            phase: stored.phase,
            place: stored.place,
            detail: stored.detail,
        })?;
        Ok(Cell {
            kernel: stored.kernel,
            fs: stored.fs,
            case: stored.case,
            judgement: judgement.with_grounds(stored.armed, stored.evidence),
            expected: stored.expected,
            duration_ms: stored.duration_ms,
            extents: stored.extents,
            dir: stored.dir,
            machine: stored.machine,
        })
    }
}

#[cfg(test)]
mod tests;
