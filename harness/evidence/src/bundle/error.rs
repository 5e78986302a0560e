//! Why a bundle cannot be written or read.

use std::path::PathBuf;

use exit::{Exit, ExitError};

/// Why a bundle cannot be written or read: the file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be written.
    #[error("cannot write {}: {source}", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Something has no form as JSON.
    #[error("evidence cannot be written as JSON; this is a bug of bioscope")]
    Encode {
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A file is there and cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is not there.
    #[error("{} is missing, so the cell's evidence is incomplete; run the cell again", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// A part has not the size that it was written with.
    #[error(
        "{} has {found} bytes and not the {bytes} that bundle.json names, so it was cut or changed; run the cell \
         again, or correct bundle.json if the change was meant",
        file.display()
    )]
    Torn {
        /// The file.
        file: PathBuf,
        /// The size that it was written with.
        bytes: u64,
        /// The size that it has.
        found: u64,
    },
    /// A part is no UTF-8.
    #[error("{} is not UTF-8 text, so it was changed; run the cell again", file.display())]
    NotText {
        /// The file.
        file: PathBuf,
    },
    /// A line is not what stands in such a file.
    #[error(
        "line {line} of {} is not understood; run the cell again, or use the bioscope that wrote it",
        file.display()
    )]
    Malformed {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The bundle is of a version that is not known.
    #[error(
        "{} is of version {found}, and this bioscope reads version {known}; run the cell again, or use the bioscope \
         that wrote it",
        file.display()
    )]
    Version {
        /// The file.
        file: PathBuf,
        /// The version that it names.
        found: u64,
        /// The version that is read here.
        known: u64,
    },
}

impl ExitError for BundleError {
    fn exit(&self) -> Exit {
        match self {
            BundleError::Write { .. } => Exit::CannotCreate,
            BundleError::Encode { .. } => Exit::Internal,
            BundleError::Read { .. } | BundleError::Missing { .. } => Exit::NoInput,
            BundleError::Torn { .. }
            | BundleError::NotText { .. }
            | BundleError::Malformed { .. }
            | BundleError::Version { .. } => Exit::Data,
        }
    }
}
