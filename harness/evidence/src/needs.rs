//! What a case needs of the device for its cell to count.

use serde::{Deserialize, Serialize};

/// What the device must have seen for a case to count.
///
/// `Name` is the name of a rule: borrowed in the tables of cases, owned in a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need<Name = &'static str> {
    /// The rule of this name fired at least so often.
    Hits(Name, u64),
    /// A held request was let go because of what the rule waited for, not because its time was up.
    ReleasedByCondition(Name),
    /// The guest's write of pages with this tag reached the device in at least so many requests.
    WriteRequests {
        /// Payload tag of the pages.
        tag: u64,
        /// A write that arrives in fewer requests was not split as the case needs it.
        at_least: usize,
    },
}

impl Need {
    /// The same, for a bundle.
    #[must_use]
    pub fn into_owned(self) -> Need<String> {
        match self {
            Need::Hits(name, at_least) => Need::Hits(name.to_owned(), at_least),
            Need::ReleasedByCondition(name) => Need::ReleasedByCondition(name.to_owned()),
            Need::WriteRequests { tag, at_least } => Need::WriteRequests { tag, at_least },
        }
    }
}
