//! A verdict as it is stored: words side by side, of which not every combination makes sense.

use std::fmt;

use guest_wire::Phase;

use crate::cause::Cause;
use crate::judgement::Judgement;
use crate::stage::Stage;
use crate::verdict::{FailureKind, Verdict};
use crate::word::VerdictWord;

/// The fields that make a verdict and its line.
#[derive(Debug)]
pub(crate) struct StoredVerdict {
    pub(crate) verdict: VerdictWord,
    pub(crate) cause: Option<Cause>,
    pub(crate) phase: Option<Phase>,
    pub(crate) place: Option<String>,
    pub(crate) detail: String,
}

/// Why stored fields make no verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoredError {
    /// A failure has a cause.
    CauseMissing,
    /// A hang has a phase.
    PhaseMissing,
    /// Nothing but a hang has a phase.
    PhaseWithoutHang,
    /// Nothing but a failure has this field.
    WithoutFailure(&'static str),
    /// A broken cell has a stage.
    StageMissing(String),
    /// This verdict is never expected.
    NeverExpected(VerdictWord),
}

impl fmt::Display for StoredError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = |words: Vec<&str>| words.join(", ");
        match self {
            StoredError::CauseMissing => {
                let causes = words(Cause::ALL.map(Cause::word).to_vec());
                write!(f, "`cause` is missing, and a failure has one of {causes}")
            }
            StoredError::PhaseMissing => {
                let phases = words(Phase::ALL.map(Phase::name).to_vec());
                write!(f, "`phase` is missing, and a hang has one of {phases}")
            }
            StoredError::PhaseWithoutHang => {
                f.write_str("`phase` stands without cause \"hang\", and only a hang has one")
            }
            StoredError::WithoutFailure(field) => {
                write!(
                    f,
                    "`{field}` stands without verdict \"fail\", and only a failure has one"
                )
            }
            StoredError::StageMissing(detail) => write!(
                f,
                "`detail` names no stage, and that of a broken cell begins with one of {}, and a colon: {detail:?}",
                words(Stage::all().map(Stage::word).collect())
            ),
            StoredError::NeverExpected(verdict) => write!(
                f,
                "`verdict` {:?} is never expected, only \"fail\" and \"inconclusive\" are",
                verdict.word()
            ),
        }
    }
}

impl From<&Judgement> for StoredVerdict {
    fn from(judgement: &Judgement) -> StoredVerdict {
        let failure = judgement.verdict.failure();
        StoredVerdict {
            verdict: judgement.verdict.as_word(),
            cause: judgement.verdict.cause(),
            phase: failure.and_then(|failure| failure.kind.phase()),
            place: failure.and_then(|failure| failure.place.clone()),
            detail: judgement.detail(),
        }
    }
}

impl TryFrom<StoredVerdict> for Judgement {
    type Error = StoredError;

    fn try_from(stored: StoredVerdict) -> Result<Judgement, StoredError> {
        let StoredVerdict {
            verdict,
            cause,
            phase,
            place,
            detail,
        } = stored;
        let only_of_failures = [
            ("cause", cause.is_some()),
            ("phase", phase.is_some()),
            ("place", place.is_some()),
        ];
        let unexpected = only_of_failures.into_iter().find(|(_, stands)| *stands);
        if let Some((field, _)) = unexpected.filter(|_| verdict != VerdictWord::Fail) {
            return Err(StoredError::WithoutFailure(field));
        }
        Ok(match verdict {
            VerdictWord::Pass => Judgement::new(Verdict::Pass, detail),
            VerdictWord::Inconclusive => Judgement::new(Verdict::Inconclusive, detail),
            VerdictWord::Skipped => Judgement::new(Verdict::Skipped, detail),
            VerdictWord::Fail => {
                let kind = failure_kind(cause.ok_or(StoredError::CauseMissing)?, phase)?;
                Judgement::fail(kind, place.as_deref(), detail)
            }
            VerdictWord::Broken => match staged(&detail) {
                Some((stage, rest)) => Judgement::broken(stage, rest),
                None => return Err(StoredError::StageMissing(detail)),
            },
        })
    }
}

/// The stage and the rest of a broken cell's detail.
fn staged(detail: &str) -> Option<(Stage, &str)> {
    let (word, rest) = detail.split_once(": ")?;
    Some((Stage::from_word(word)?, rest))
}

fn failure_kind(cause: Cause, phase: Option<Phase>) -> Result<FailureKind, StoredError> {
    if phase.is_some() && cause != Cause::Hang {
        return Err(StoredError::PhaseWithoutHang);
    }
    Ok(match cause {
        Cause::Corruption => FailureKind::Corruption,
        Cause::Hang => FailureKind::Hang {
            phase: phase.ok_or(StoredError::PhaseMissing)?,
        },
        Cause::Leak => FailureKind::Leak,
        Cause::Crash => FailureKind::Crash,
        Cause::Warning => FailureKind::Warning,
        Cause::Error => FailureKind::Error,
    })
}
