//! A verdict with its grounds.

use crate::stage::Stage;
use crate::verdict::{Failure, FailureKind, Verdict};

/// A verdict with its grounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// What the cell showed, in one of five words.
    pub verdict: Verdict,
    /// One line: where and what. The stage of a broken cell is the verdict's and does not stand in it.
    detail: String,
    /// Whether the thing under test is known to have happened.
    pub armed: bool,
    /// More lines of evidence, most telling first.
    pub evidence: Vec<String>,
}

impl Judgement {
    /// A judgement that is not known to be armed and has no more evidence than its line.
    #[must_use]
    pub fn new(verdict: Verdict, detail: impl Into<String>) -> Judgement {
        Judgement {
            verdict,
            detail: detail.into(),
            armed: false,
            evidence: Vec::new(),
        }
    }

    /// The kernel did something wrong.
    #[must_use]
    pub fn fail(kind: FailureKind, place: Option<&str>, detail: impl Into<String>) -> Judgement {
        let place = place.map(str::to_owned);
        Judgement::new(Verdict::Fail(Failure { kind, place }), detail)
    }

    /// Our own side went wrong.
    #[must_use]
    pub fn broken(stage: Stage, detail: impl Into<String>) -> Judgement {
        Judgement::new(Verdict::Broken { stage }, detail)
    }

    /// The same with what else is known: whether it is armed, and lines of evidence, most telling first.
    #[must_use]
    pub fn with_grounds(mut self, armed: bool, evidence: Vec<String>) -> Judgement {
        self.armed = armed;
        self.evidence = evidence;
        self
    }

    /// One line: where and what; the stage of a broken cell first.
    #[must_use]
    pub fn detail(&self) -> String {
        match self.verdict {
            Verdict::Broken { stage } => format!("{stage}: {}", self.detail),
            _ => self.detail.clone(),
        }
    }
}
