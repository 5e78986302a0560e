//! Why a kernel is not built.

use exit::{Exit, ExitError};
use std::path::PathBuf;

use super::super::source::SourceError;
use super::super::unpack::UnpackError;
use super::config::Vanished;
use super::fragment::BadLine;
use host::cache::CacheError;
use host::tool::ToolError;

/// How many vanished options an error lists.
const VANISHED_MAX: usize = 12;

/// Why a kernel is not built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The source cannot be had.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A part of the configuration cannot be read.
    #[error("cannot read {}, which the configuration of {id} names", path.display())]
    Config {
        /// The kernel's id.
        id: String,
        /// The part's file, as kernels.toml or `--config` names it.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A line of a fragment is not understood.
    #[error(transparent)]
    Line(#[from] BadLine),
    /// Options did not survive.
    #[error(
        "{id}: {} of the fragments' options did not survive `make olddefconfig`:\n{}\nset what they depend on in the \
        same fragment, take back in a later one what an earlier one asks for (`# CONFIG_NAME is not \
        set`), say which versions have them (`# bioscope: from 5.18`, in a line before), or take them out",
        vanished.len(), list(vanished)
    )]
    Vanished {
        /// The kernel's id.
        id: String,
        /// Those that have another value in the `.config` than in a fragment.
        vanished: Vec<Vanished>,
    },
    /// Options name files that are no part of the source.
    #[error(
        "{id}: its configuration names files that are no part of its source, so a change in them would go unseen, and \
        the old kernel be tested:\n{}\nclear what no test needs in a fragment (`CONFIG_EXTRA_FIRMWARE=\"\"`; a guest \
        brings an initramfs of its own), or put the files into the source and name them from its top",
        options.iter().map(|option| format!("  {option}")).collect::<Vec<_>>().join("\n")
    )]
    External {
        /// The kernel's id.
        id: String,
        /// As they stand in `.config`.
        options: Vec<String>,
    },
    /// make ended with an error; what it printed is in a log.
    #[error("make {targets} failed:\n{said}\nthe whole log: {}", log.display())]
    Make {
        /// What was to be made.
        targets: String,
        /// The compiler's own words.
        said: String,
        /// Where all of them are.
        log: PathBuf,
    },
    /// A program of the build was ended from outside, or there was not enough memory. That says nothing of the source.
    #[error(
        "make {targets} was ended from outside: {said}; most often memory ran out: free some, and try again; the whole \
        log: {}",
        log.display()
    )]
    Ended {
        /// What was to be made.
        targets: String,
        /// What says so.
        said: String,
        /// Where all of it is.
        log: PathBuf,
    },
    /// make failed on a tree that is older than what was tried with this compiler.
    #[error(
        "{source}\nthis tree is of {}.{}, older than what this compiler ({compiler}) is known to build: name an older \
        one with `cc`, like \"gcc-10\"",
        version.0, version.1
    )]
    TooOld {
        /// The tree's version.
        version: (u32, u32),
        /// What the compiler calls itself.
        compiler: String,
        /// What went wrong.
        source: Box<BuildError>,
    },
    /// What was built is no kernel that boots.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A host tool failed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

impl BuildError {
    /// Whether a kernel was built that cannot be booted, which is a matter of this source and its configuration.
    #[must_use]
    pub fn is_unbootable(&self) -> bool {
        use UnpackError::{NeedsModules, NoBuiltin, NoModules, NotAKernel};
        let BuildError::Unpack(error) = self else { return false };
        matches!(
            error,
            NotAKernel { .. } | NeedsModules { .. } | NoModules { .. } | NoBuiltin { .. }
        )
    }
}

impl ExitError for BuildError {
    fn exit(&self) -> Exit {
        match self {
            BuildError::Source(error) => error.exit(),
            BuildError::Config { .. } => Exit::NoInput,
            BuildError::Vanished { .. } | BuildError::External { .. } | BuildError::Line(_) => Exit::Data,
            BuildError::Make { .. } | BuildError::Ended { .. } | BuildError::TooOld { .. } => Exit::Build,
            BuildError::Unpack(error) => error.exit(),
            BuildError::Tool(error) => error.exit(),
            BuildError::Cache(error) => error.exit(),
        }
    }
}

fn list(vanished: &[Vanished]) -> String {
    let mut lines: Vec<String> = vanished
        .iter()
        .take(VANISHED_MAX)
        .map(|lost| format!("  {lost}"))
        .collect();
    if vanished.len() > VANISHED_MAX {
        lines.push(format!("  and {} more", vanished.len() - VANISHED_MAX));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_cannot_be_booted_is_told_from_a_disk_that_cannot_be_written() {
        let no_disk = UnpackError::NeedsModules {
            path: PathBuf::new(),
            how: String::new(),
            release: "6.1.0".to_owned(),
        };
        assert!(BuildError::from(no_disk).is_unbootable());
        let full = CacheError::DiskFull { path: PathBuf::new() };
        assert!(!BuildError::from(UnpackError::from(full)).is_unbootable());
    }
}
