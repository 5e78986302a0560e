//! A verdict's word, without what belongs to it.

use serde::{Deserialize, Serialize};

/// `verdict` of `cell.json` and `results.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum VerdictWord {
    Pass,
    Fail,
    Inconclusive,
    Skipped,
    Broken,
}

impl VerdictWord {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            VerdictWord::Pass => "pass",
            VerdictWord::Fail => "fail",
            VerdictWord::Inconclusive => "inconclusive",
            VerdictWord::Skipped => "skipped",
            VerdictWord::Broken => "broken",
        }
    }
}
