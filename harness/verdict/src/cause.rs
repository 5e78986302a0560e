//! The six ways in which a kernel fails, as words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// In what way the kernel failed: the word alone, as `kernels.toml` and a bisection's signature have it.
///
/// A failure itself says more, see [`FailureKind`](crate::FailureKind).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// Data, size or metadata is not what the system calls promised.
    Corruption,
    /// A task will never go on.
    Hang,
    /// Something is held that nothing will let go.
    Leak,
    /// An oops, a BUG, a panic, a sanitizer's report.
    Crash,
    /// A WARN or a lock debugging report.
    Warning,
    /// A system call answered what it must not answer.
    Error,
}

impl Cause {
    /// Every cause, in the order in which messages list them.
    pub const ALL: [Cause; 6] = [
        Cause::Corruption,
        Cause::Hang,
        Cause::Leak,
        Cause::Crash,
        Cause::Warning,
        Cause::Error,
    ];

    /// The word used in reports, `kernels.toml` and `results.json`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Cause::Corruption => "corruption",
            Cause::Hang => "hang",
            Cause::Leak => "leak",
            Cause::Crash => "crash",
            Cause::Warning => "warning",
            Cause::Error => "error",
        }
    }

    /// The inverse of [`word`](Cause::word); none for a word that is no cause's.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Cause> {
        Cause::ALL.into_iter().find(|cause| cause.word() == word)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
