//! The distribution's archive, reached through apt alone: it finds the mirror, the proxy and the keys of this machine,
//! and verifies every signature and sum.

pub mod index;
pub mod root;
pub mod sources;

use std::path::PathBuf;

use crate::cache::CacheError;
use crate::tool::ToolError;

/// Why the archive is of no help.
#[derive(Debug, thiserror::Error)]
pub enum AptError {
    /// The machine's apt has no Debian archive that we could ask for other suites.
    #[error(
        "none of {} names a Debian archive; add one (`Types: deb`, `URIs:` of a mirror, `Suites:`, `Components: main`)",
        looked_in.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    NoMirror {
        /// Files read.
        looked_in: Vec<PathBuf>,
    },
    /// The network may not be used, and what is needed is not cached.
    #[error("{needed} is not cached and --offline forbids the network; run once without --offline")]
    Offline {
        /// What is needed.
        needed: String,
    },
    /// The archive cannot be reached.
    #[error("cannot reach the archive for {needed}: {detail}; check the network and any proxy in apt's configuration")]
    Unreachable {
        /// What was asked for.
        needed: String,
        /// apt's own words.
        detail: String,
    },
    /// The archive has no such suite.
    #[error("the archive has no suite {suite}: {detail}")]
    NoSuite {
        /// The suite.
        suite: String,
        /// apt's own words.
        detail: String,
    },
    /// A signature or sum is wrong.
    #[error("the archive's data for {needed} does not verify: {detail}")]
    NotVerified {
        /// What was asked for.
        needed: String,
        /// apt's own words.
        detail: String,
    },
    /// apt itself failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl AptError {
    /// The program's exit code for this error.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            AptError::NoMirror { .. } => 69,
            AptError::NoSuite { .. } => 66,
            AptError::NotVerified { .. } => 67,
            AptError::Offline { .. } | AptError::Unreachable { .. } => 68,
            AptError::Tool(error) => error.exit_code(),
            AptError::Cache(error) => error.exit_code(),
        }
    }

    /// Whether it may be that the index is older than the archive.
    #[must_use]
    pub fn is_stale_index(&self) -> bool {
        matches!(self, AptError::Unreachable { detail, .. } if detail.contains("404"))
    }
}

/// Tells from apt's own words why it failed.
fn classify(needed: &str, error: ToolError) -> AptError {
    let ToolError::Failed { stderr, .. } = &error else {
        return AptError::Tool(error);
    };
    let (needed, detail) = (needed.to_owned(), stderr.clone());
    let says = |words: &[&str]| words.iter().any(|word| stderr.contains(word));
    if says(&[
        "NO_PUBKEY",
        "GPG error",
        "BADSIG",
        "EXPKEYSIG",
        "not signed",
        "Hash Sum mismatch",
        "Clearsigned",
    ]) {
        AptError::NotVerified { needed, detail }
    } else if says(&["does not have a Release file"]) && !says(&["resolve", "connect", "Connection"]) {
        AptError::NoSuite { suite: needed, detail }
    } else if says(&[
        "Failed to fetch",
        "Could not resolve",
        "Unable to fetch",
        "does not have a Release file",
    ]) {
        AptError::Unreachable { needed, detail }
    } else {
        AptError::Tool(error)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn said(stderr: &str) -> AptError {
        let status = std::process::ExitStatus::from_raw(100 << 8);
        classify(
            "suite x",
            ToolError::Failed {
                program: "apt-get".into(),
                status,
                stderr: stderr.to_owned(),
            },
        )
    }

    #[test]
    fn apts_words_are_told_apart() {
        let offline = "E: Failed to fetch http://mirror/debian/dists/x/InRelease  Could not resolve 'mirror'; E: Some index files failed to download";
        assert_eq!(said(offline).exit_code(), 68);
        assert_eq!(
            said("E: The repository 'http://mirror/debian x Release' does not have a Release file.").exit_code(),
            66
        );
        assert_eq!(
            said("E: GPG error: http://mirror x InRelease: NO_PUBKEY 0E98404D386FA1D9").exit_code(),
            67
        );
        assert_eq!(said("E: Sub-process returned an error code").exit_code(), 70);
        assert!(said("E: Failed to fetch http://mirror/a.deb  404  Not Found").is_stale_index());
    }
}
