//! The distribution's archive, reached through apt alone: it finds the mirror, the proxy and the keys of this machine,
//! and verifies every signature and sum.

pub mod index;
pub(crate) mod root;
pub mod sources;

use exit::{Exit, ExitError};
use std::path::PathBuf;

use host::cache::CacheError;
use host::tool::ToolError;

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
        /// For a person: an index of a suite, a package's name and version.
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
    #[error(
        "the archive has no suite {suite}: {detail}; name another in kernels.toml, or use a mirror that still has \
        this one"
    )]
    NoSuite {
        /// As kernels.toml names it.
        suite: String,
        /// apt's own words.
        detail: String,
    },
    /// A signature or sum is wrong.
    #[error(
        "the archive's data for {needed} does not verify: {detail}; nothing of it was kept; try again later, or with \
        another mirror: one that is being updated and a proxy that alters files look like this, too"
    )]
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
    /// Whether it may be that the index is older than the archive.
    #[must_use]
    pub(crate) fn is_stale_index(&self) -> bool {
        let AptError::Unreachable { detail, .. } = self else {
            return false;
        };
        // The words of an archive that is reached through http, and of one that is a directory. An address or a version
        // may have the number in it, too.
        detail.split_whitespace().any(|word| word == "404") || detail.contains("File not found")
    }
}

impl ExitError for AptError {
    fn exit(&self) -> Exit {
        match self {
            AptError::NoMirror { .. } => Exit::Unavailable,
            AptError::NoSuite { .. } => Exit::NoInput,
            AptError::NotVerified { .. } => Exit::NotVerified,
            AptError::Offline { .. } | AptError::Unreachable { .. } => Exit::Network,
            AptError::Tool(error) => error.exit(),
            AptError::Cache(error) => error.exit(),
        }
    }
}

/// Tells from apt's own words why it failed. `said` is all that it told: of a source that cannot be reached the reason
/// stands only on standard output, and of a file with a wrong sum before so many lines that the error's tail lacks it.
fn classify(suite: &str, needed: &str, said: &str, error: ToolError) -> AptError {
    const NETWORK: [&str; 7] = [
        "Could not resolve",
        "Could not connect",
        "Cannot initiate the connection",
        "Unable to connect",
        "Connection",
        "Temporary failure",
        "timed out",
    ];
    const SIGNATURE: [&str; 8] = [
        "NO_PUBKEY",
        "GPG error",
        "BADSIG",
        "EXPKEYSIG",
        "not signed",
        "Hash Sum mismatch",
        "unexpected size",
        "Clearsigned",
    ];
    let ToolError::Failed { stderr, .. } = &error else {
        return AptError::Tool(error);
    };
    let (needed, suite) = (needed.to_owned(), suite.to_owned());
    let says = |words: &[&str]| words.iter().any(|word| stderr.contains(word) || said.contains(word));
    let detail = |words: &[&str]| {
        let line = said
            .lines()
            .map(str::trim)
            .find(|line| words.iter().any(|word| line.contains(word)));
        line.map_or_else(
            || stderr.clone(),
            |line| line.trim_start_matches("W: ").trim_start_matches("E: ").to_owned(),
        )
    };
    if says(&SIGNATURE) {
        let detail = detail(&SIGNATURE);
        return AptError::NotVerified { needed, detail };
    }
    // Of a suite that is not there, the first line that says so; else apt's last words.
    let absent = ["does not have a Release file"];
    let network = says(&NETWORK);
    let detail = if says(&absent) && !network {
        detail(&absent)
    } else {
        detail(&NETWORK)
    };
    if says(&absent) && !network {
        AptError::NoSuite { suite, detail }
    } else if says(&["Failed to fetch", "Unable to fetch"]) || network {
        AptError::Unreachable { needed, detail }
    } else {
        AptError::Tool(error)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn said(stdout: &str, stderr: &str) -> AptError {
        let status = std::process::ExitStatus::from_raw(100 << 8);
        let error = ToolError::Failed {
            program: "apt-get".into(),
            status,
            stderr: stderr.to_owned(),
        };
        classify("trixie", "the index of trixie", stdout, error)
    }

    const NO_RELEASE: &str = "E: The repository 'http://mirror/debian trixie Release' does not have a Release file.";

    #[test]
    fn apts_words_are_told_apart() {
        let gone = "Ign:1 http://mirror/debian trixie InRelease\nErr:2 http://mirror/debian trixie Release\n  404  \
            Not Found\n";
        assert_eq!(said(gone, NO_RELEASE).exit().code(), 66);
        let signature = "E: GPG error: http://mirror trixie InRelease: NO_PUBKEY 0E98404D386FA1D9";
        assert_eq!(said("", signature).exit().code(), 67);
        assert_eq!(said("", "E: Sub-process returned an error code").exit().code(), 70);
        let missing = said("", "E: Failed to fetch http://mirror/a.deb  404  Not Found");
        assert!(missing.is_stale_index() && missing.exit().code() == 68);
        let folder =
            "E: Failed to fetch file:/mirror/a.deb  File not found - /mirror/a.deb (2: No such file or directory)";
        assert!(said("", folder).is_stale_index());
        let port = "E: Failed to fetch http://127.0.0.1:40404/a_6.1.404.deb  Could not connect to 127.0.0.1:40404";
        assert!(!said("", port).is_stale_index());
    }

    #[test]
    fn an_archive_out_of_reach_says_why() {
        let stdout = "Ign:1 http://mirror/debian trixie InRelease\nErr:2 http://mirror/debian trixie Release\n  Could \
            not resolve 'mirror'\n";
        let error = said(stdout, NO_RELEASE);
        assert_eq!(error.exit().code(), 68);
        insta::assert_snapshot!(
            error,
            @"cannot reach the archive for the index of trixie: Could not resolve 'mirror'; check the network and any \
            proxy in apt's configuration"
        );
    }
}
