//! A kernel in a distribution's archive.

use std::fmt;

/// A kernel in a distribution's archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSource {
    /// The archive's suite: `bookworm-security`.
    pub suite: String,
    /// Names, or globs of which the highest version is taken.
    pub packages: Vec<String>,
    /// Version of the first of the packages.
    pub version: VersionRequest,
}

/// Which version of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VersionRequest {
    /// The highest on offer when the lock was last moved.
    Latest,
    /// This one and no other: `6.1.170-3`.
    Exactly(String),
}

impl fmt::Display for VersionRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VersionRequest::Latest => "latest",
            VersionRequest::Exactly(version) => version,
        })
    }
}
