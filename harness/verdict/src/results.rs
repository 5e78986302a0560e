//! Cells and runs as they are stored, what was expected of them, and what the comparison comes to.

use exit::Exit;
use serde::{Deserialize, Serialize};

pub use crate::cell::{Begun, Cell, Extents};
pub use crate::expected::{Expected, ExpectedFailure, ExpectedVerdict};
use crate::verdict::Verdict;

/// `results.json`: what a run leaves for programs to read.
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
    /// Whether it is as declared, says nothing of the kernel, or needs a person.
    #[must_use]
    pub fn tally(&self) -> Tally {
        match (self.verdict(), self.expected) {
            (Verdict::Broken { .. }, _) | (Verdict::Inconclusive, false) => Tally::NoVerdict,
            (_, true) => Tally::AsExpected,
            (_, false) => Tally::Unexpected,
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
    use guest_wire::{Fs, Phase};

    use super::*;
    use crate::{Cause, Failure, FailureKind, Judgement, Stage};

    const HANG: Verdict = Verdict::Fail(Failure {
        kind: FailureKind::Hang { phase: Phase::Run },
        place: None,
    });
    const CORRUPTION: Verdict = Verdict::Fail(Failure {
        kind: FailureKind::Corruption,
        place: None,
    });
    const BROKEN: Verdict = Verdict::Broken { stage: Stage::Boot };

    fn cell(verdict: &Verdict, expect: Option<ExpectedVerdict>) -> Cell {
        let expect = expect.map(|verdict| Expected {
            verdict,
            why: "a bug".into(),
        });
        let judgement = Judgement::new(verdict.clone(), "");
        Cell::new("k", Fs::Btrfs, "c", judgement, expect.as_ref())
    }

    #[test]
    fn a_cell_counts_by_what_was_expected_of_it() {
        use Verdict::{Inconclusive, Pass, Skipped};
        let failure = |failure| Some(ExpectedVerdict::Fail(failure));
        let hang = failure(ExpectedFailure::Of(Cause::Hang));
        for (verdict, expect, tally) in [
            (Pass, None, Tally::AsExpected),
            (Skipped, None, Tally::AsExpected),
            // A declared failure that is not even looked for is news as well.
            (Skipped, hang, Tally::Unexpected),
            (Skipped, Some(ExpectedVerdict::Inconclusive), Tally::AsExpected),
            (HANG, None, Tally::Unexpected),
            (HANG, hang, Tally::AsExpected),
            (HANG, failure(ExpectedFailure::Any), Tally::AsExpected),
            (HANG, failure(ExpectedFailure::HangIn(Phase::Run)), Tally::AsExpected),
            // The wrong failure is news, and so is a pass where a failure is known.
            (HANG, failure(ExpectedFailure::HangIn(Phase::Umount)), Tally::Unexpected),
            (CORRUPTION, hang, Tally::Unexpected),
            (Pass, hang, Tally::Unexpected),
            (Inconclusive, None, Tally::NoVerdict),
            (Inconclusive, hang, Tally::NoVerdict),
            (Inconclusive, Some(ExpectedVerdict::Inconclusive), Tally::AsExpected),
            (BROKEN, None, Tally::NoVerdict),
            (BROKEN, hang, Tally::NoVerdict),
        ] {
            assert_eq!(
                cell(&verdict, expect).tally(),
                tally,
                "{verdict:?}, expected {expect:?}"
            );
        }
    }

    #[test]
    fn an_unexpected_failure_outweighs_a_missing_verdict() {
        let pass = cell(&Verdict::Pass, None);
        let broken = cell(&BROKEN, None);
        let fail = cell(&CORRUPTION, None);
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
