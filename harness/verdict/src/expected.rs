//! What `kernels.toml` expects of a cell.

use guest_wire::Phase;
use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::stored::StoredError;
use crate::verdict::Verdict;
use crate::word::VerdictWord;

/// What kernels.toml declares of a cell other than a pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredExpected", into = "StoredExpected")]
pub struct Expected {
    /// What the cell must show to count as expected.
    pub verdict: ExpectedVerdict,
    /// Why, for a person: the bug, or the commit that fixes it.
    pub why: String,
}

/// Verdicts that can be expected; a pass needs no entry, and a broken rig is never expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedVerdict {
    /// The kernel does it wrong.
    Fail(ExpectedFailure),
    /// The thing under test cannot be made to happen.
    Inconclusive,
}

/// Failures that can be expected; the place where one shows cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpectedFailure {
    /// Any failure, whatever its cause.
    Any,
    /// Any failure of this cause.
    Of(Cause),
    /// A hang in this phase; in another one it is unexpected.
    HangIn(Phase),
}

impl ExpectedVerdict {
    /// The words of `verdict` in kernels.toml.
    pub const WORDS: [&str; 2] = [VerdictWord::Fail.word(), VerdictWord::Inconclusive.word()];

    /// The word used in `kernels.toml`.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.as_word().word()
    }

    fn as_word(self) -> VerdictWord {
        match self {
            ExpectedVerdict::Fail(_) => VerdictWord::Fail,
            ExpectedVerdict::Inconclusive => VerdictWord::Inconclusive,
        }
    }

    /// The failure's cause, if only one is expected.
    #[must_use]
    pub fn cause(self) -> Option<Cause> {
        match self {
            ExpectedVerdict::Fail(ExpectedFailure::Of(cause)) => Some(cause),
            ExpectedVerdict::Fail(ExpectedFailure::HangIn(_)) => Some(Cause::Hang),
            ExpectedVerdict::Fail(ExpectedFailure::Any) | ExpectedVerdict::Inconclusive => None,
        }
    }

    fn phase(self) -> Option<Phase> {
        match self {
            ExpectedVerdict::Fail(ExpectedFailure::HangIn(phase)) => Some(phase),
            _ => None,
        }
    }

    pub(crate) fn is_met_by(self, verdict: &Verdict) -> bool {
        match (self, verdict) {
            (ExpectedVerdict::Inconclusive, Verdict::Inconclusive) => true,
            (ExpectedVerdict::Fail(expected), Verdict::Fail(failure)) => match expected {
                ExpectedFailure::Any => true,
                ExpectedFailure::Of(cause) => failure.kind.cause() == cause,
                ExpectedFailure::HangIn(phase) => failure.kind.phase() == Some(phase),
            },
            _ => false,
        }
    }
}

/// `expect` of a run's file.
#[derive(Clone, Serialize, Deserialize)]
struct StoredExpected {
    verdict: VerdictWord,
    cause: Option<Cause>,
    #[serde(default)]
    phase: Option<Phase>,
    why: String,
}

impl From<Expected> for StoredExpected {
    fn from(expected: Expected) -> StoredExpected {
        StoredExpected {
            verdict: expected.verdict.as_word(),
            cause: expected.verdict.cause(),
            phase: expected.verdict.phase(),
            why: expected.why,
        }
    }
}

impl TryFrom<StoredExpected> for Expected {
    type Error = StoredError;

    fn try_from(stored: StoredExpected) -> Result<Expected, StoredError> {
        let verdict = match (stored.verdict, stored.cause, stored.phase) {
            (VerdictWord::Fail, None, None) => ExpectedVerdict::Fail(ExpectedFailure::Any),
            (VerdictWord::Fail, Some(cause), None) => ExpectedVerdict::Fail(ExpectedFailure::Of(cause)),
            (VerdictWord::Fail, Some(Cause::Hang), Some(phase)) => {
                ExpectedVerdict::Fail(ExpectedFailure::HangIn(phase))
            }
            (VerdictWord::Fail, _, Some(_)) => return Err(StoredError::PhaseWithoutHang),
            (VerdictWord::Inconclusive, None, None) => ExpectedVerdict::Inconclusive,
            (VerdictWord::Inconclusive, Some(_), _) => return Err(StoredError::WithoutFailure("cause")),
            (VerdictWord::Inconclusive, None, Some(_)) => return Err(StoredError::WithoutFailure("phase")),
            (verdict, _, _) => return Err(StoredError::NeverExpected(verdict)),
        };
        Ok(Expected {
            verdict,
            why: stored.why,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn every_expectation_survives_being_stored() {
        let failures = Cause::ALL
            .map(ExpectedFailure::Of)
            .into_iter()
            .chain(Phase::ALL.map(ExpectedFailure::HangIn))
            .chain([ExpectedFailure::Any]);
        let verdicts = failures
            .map(ExpectedVerdict::Fail)
            .chain([ExpectedVerdict::Inconclusive]);
        for verdict in verdicts {
            let expected = Expected {
                verdict,
                why: "a bug".to_owned(),
            };
            let text = serde_json::to_string(&expected).unwrap();
            assert_eq!(serde_json::from_str::<Expected>(&text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn it_is_stored_flat() {
        let expected = Expected {
            verdict: ExpectedVerdict::Fail(ExpectedFailure::Of(Cause::Hang)),
            why: "a bug".to_owned(),
        };
        let text = serde_json::to_string(&expected).unwrap();
        assert_eq!(text, r#"{"verdict":"fail","cause":"hang","phase":null,"why":"a bug"}"#);
    }

    #[test]
    fn nonsense_is_refused_by_the_fields_name() {
        for (text, field) in [
            (r#"{"verdict":"pass","cause":null,"why":""}"#, "`verdict`"),
            (r#"{"verdict":"broken","cause":null,"why":""}"#, "`verdict`"),
            (r#"{"verdict":"skipped","cause":null,"why":""}"#, "`verdict`"),
            (r#"{"verdict":"inconclusive","cause":"leak","why":""}"#, "`cause`"),
            (
                r#"{"verdict":"inconclusive","cause":null,"phase":"run","why":""}"#,
                "`phase`",
            ),
            (r#"{"verdict":"fail","cause":"leak","phase":"run","why":""}"#, "`phase`"),
            (r#"{"verdict":"fail","cause":null,"phase":"run","why":""}"#, "`phase`"),
        ] {
            let error = serde_json::from_str::<Expected>(text).unwrap_err().to_string();
            assert!(error.starts_with(field), "{text}: {error}");
        }
    }
}
