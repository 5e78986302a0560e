//! Why source cannot be had.

use std::path::PathBuf;

use exit::{Exit, ExitError};
use host::cache::CacheError;
use host::tool::ToolError;

/// Why source cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file or directory that was named cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What was named.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// The directory holds no kernel.
    #[error(
        "{} holds no kernel source: there is no Kconfig and Makefile at its top; name the top directory of a Linux tree",
        path.display()
    )]
    NotLinux {
        /// What was named.
        path: PathBuf,
    },
    /// What lies behind a link could change unseen.
    #[error(
        "{} is a link to {}, which lies outside of this source: a change there would go unseen, and the old kernel be \
        tested; put a copy in its place",
        link.display(), target.display()
    )]
    Outside {
        /// The link.
        link: PathBuf,
        /// As the link has it.
        target: PathBuf,
    },
    /// It is no repository, and a revision was asked for.
    #[error(
        "{} is no git repository, so there is no revision {rev} in it; `dirty = true` (or --tree without --rev) \
        builds the folder as it is",
        path.display()
    )]
    NotGit {
        /// What was named.
        path: PathBuf,
        /// As it was asked for.
        rev: String,
    },
    /// The repository has no such revision.
    #[error(
        "{repository} has no revision `{rev}`{hint}; expected a commit, tag or branch (a shallow clone lacks old \
        ones: `git fetch --unshallow`)"
    )]
    NoRevision {
        /// The repository's path or address, for a person.
        repository: String,
        /// What was asked for.
        rev: String,
        /// Names that are near.
        hint: String,
    },
    /// Files of a revision were never fetched.
    #[error(
        "{} is a partial clone and lacks {files} of the files of {rev}; check that out there once, which fetches them: \
        `git -C {} checkout {rev}`",
        repository.display(), repository.display()
    )]
    Partial {
        /// The repository.
        repository: PathBuf,
        /// As it was asked for.
        rev: String,
        /// How many it lacks.
        files: usize,
    },
    /// git or apt did not get it.
    #[error("cannot fetch {what}: {reason}; check the address and the network")]
    Fetch {
        /// The repository or the archive, for a person.
        what: String,
        /// git's or apt's own words.
        reason: String,
    },
    /// The network may not be used.
    #[error("{what} is not cached and --offline forbids the network; run once without --offline")]
    Offline {
        /// What would have to be fetched, for a person.
        what: String,
    },
    /// The archive is not the one that is pinned.
    #[error(
        "{location} has sha256 {found}, kernels.toml says {wanted}; if the file was meant to change, put the new sum \
        there"
    )]
    Mismatch {
        /// Where it came from.
        location: String,
        /// SHA-256 in kernels.toml, in lower-case hexadecimal.
        wanted: String,
        /// SHA-256 of what came, in lower-case hexadecimal.
        found: String,
    },
    /// The archive is damaged, or is none.
    #[error("{what} is no archive of a kernel's source: {reason}")]
    Archive {
        /// The archive's address or file name.
        what: String,
        /// What does not fit: how tar failed, or what the archive lacks.
        reason: String,
    },
    /// A patch does not apply.
    #[error(
        "{patch} does not apply to {to}:\n{reason}\nnothing was built; rebase the patch onto this source, or leave it \
        out"
    )]
    Patch {
        /// The mail by its subject, or the patch's file as it was named or found in a directory.
        patch: String,
        /// What it was to be applied to.
        to: String,
        /// git's own words.
        reason: String,
    },
    /// A file `series` lists what is not there.
    #[error(
        "cannot read {name}, which line {line} of {} lists; expected a file beside it",
        series.display()
    )]
    Listed {
        /// The file with the list.
        series: PathBuf,
        /// Counted from 1.
        line: usize,
        /// As it is listed.
        name: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// What is to be applied of a file or directory cannot be told.
    #[error("no patches can be taken from {}: {reason}", patch.display())]
    NoPatch {
        /// The file or directory.
        patch: PathBuf,
        /// What was looked for.
        reason: String,
    },
    /// A host tool failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl ExitError for SourceError {
    fn exit(&self) -> Exit {
        match self {
            SourceError::Read { .. }
            | SourceError::Listed { .. }
            | SourceError::NotLinux { .. }
            | SourceError::NotGit { .. }
            | SourceError::Partial { .. }
            | SourceError::NoRevision { .. } => Exit::NoInput,
            SourceError::Patch { .. }
            | SourceError::NoPatch { .. }
            | SourceError::Archive { .. }
            | SourceError::Outside { .. } => Exit::Data,
            SourceError::Mismatch { .. } => Exit::NotVerified,
            SourceError::Fetch { .. } | SourceError::Offline { .. } => Exit::Network,
            SourceError::Tool(error) => error.exit(),
            SourceError::Cache(error) => error.exit(),
        }
    }
}
