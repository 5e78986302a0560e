//! The verdict, and the failure that it may hold.

use std::fmt;

use guest_wire::Phase;

use crate::cause::Cause;
use crate::stage::Stage;
use crate::word::VerdictWord;

/// What a cell showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The thing under test happened and every oracle was content.
    Pass,
    /// The kernel did something wrong.
    Fail(Failure),
    /// The thing under test never happened; says nothing about the kernel.
    Inconclusive,
    /// The case does not apply here.
    Skipped,
    /// Our own rig went wrong; says nothing about the kernel.
    Broken {
        /// Where it went wrong.
        stage: Stage,
    },
}

/// What the kernel did wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the oracles and the console show of it.
    pub kind: FailureKind,
    /// Where it shows, in words that stay the same from run to run: the phase and the function of a hang, the function
    /// that a report names, the oracle of a finding, how a program ended. None if nothing is known of it.
    pub place: Option<String>,
}

/// In what way the kernel failed, with what belongs to that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// See [`Cause::Corruption`].
    Corruption,
    /// See [`Cause::Hang`].
    Hang {
        /// The phase that never ended.
        phase: Phase,
    },
    /// See [`Cause::Leak`].
    Leak,
    /// See [`Cause::Crash`].
    Crash,
    /// See [`Cause::Warning`].
    Warning,
    /// See [`Cause::Error`].
    Error,
}

impl FailureKind {
    /// The kind without what belongs to it.
    #[must_use]
    pub fn cause(self) -> Cause {
        match self {
            FailureKind::Corruption => Cause::Corruption,
            FailureKind::Hang { .. } => Cause::Hang,
            FailureKind::Leak => Cause::Leak,
            FailureKind::Crash => Cause::Crash,
            FailureKind::Warning => Cause::Warning,
            FailureKind::Error => Cause::Error,
        }
    }

    pub(crate) fn phase(self) -> Option<Phase> {
        match self {
            FailureKind::Hang { phase } => Some(phase),
            _ => None,
        }
    }
}

impl Verdict {
    /// The word used in reports, `kernels.toml` and `results.json`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        self.as_word().word()
    }

    pub(crate) fn as_word(&self) -> VerdictWord {
        match self {
            Verdict::Pass => VerdictWord::Pass,
            Verdict::Fail(_) => VerdictWord::Fail,
            Verdict::Inconclusive => VerdictWord::Inconclusive,
            Verdict::Skipped => VerdictWord::Skipped,
            Verdict::Broken { .. } => VerdictWord::Broken,
        }
    }

    /// What the kernel did wrong; none for any verdict but a failure.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Verdict::Fail(failure) => Some(failure),
            _ => None,
        }
    }

    /// The failure's cause, if it is one.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.failure().map(|failure| failure.kind.cause())
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
