//! Why a bundle cannot be written or read.

use std::path::PathBuf;

use exit::{Exit, ExitError};

/// Why a bundle cannot be written or read: the file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be written.
    #[error("cannot write {}: {source}", file.display())]
    Write {
        /// The file of the bundle that was to be written or removed.
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Something has no form as JSON.
    #[error("evidence cannot be written as JSON; this is a bug of bioscope")]
    Encode {
        /// What serde_json refused.
        source: serde_json::Error,
    },
    /// A file is there and cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// A file of the bundle, such as `trace.jsonl`.
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A file is not there.
    #[error("{} is missing, so the cell's evidence is incomplete; run the cell again", file.display())]
    Missing {
        /// A file that `bundle.json` names, or `bundle.json` itself.
        file: PathBuf,
    },
    /// A part has not the size that it was written with.
    #[error(
        "{} has {found} bytes and not the {bytes} that bundle.json names, so it was cut or changed; run the cell again",
        file.display()
    )]
    Torn {
        /// A file that `bundle.json` names.
        file: PathBuf,
        /// The size that it was written with.
        bytes: u64,
        /// The size that it has now.
        found: u64,
    },
    /// A file is not what was written.
    #[error("{} was changed after it was written; run the cell again", file.display())]
    Changed {
        /// `bundle.json`, or a file that it names.
        file: PathBuf,
    },
    /// A part is no UTF-8.
    #[error("{} is not UTF-8 text, so it was changed; run the cell again", file.display())]
    NotText {
        /// A file of the bundle, such as `console.log`.
        file: PathBuf,
    },
    /// A line is not what stands in such a file.
    #[error(
        "line {line} of {} is not understood; run the cell again, or use the bioscope that wrote it",
        file.display()
    )]
    Malformed {
        /// A JSON file, or one of JSON lines.
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What serde_json expected there.
        source: serde_json::Error,
    },
    /// The bundle is of a version that is not known.
    #[error(
        "{} is of version {found}, and this bioscope reads version {known}{}; run the cell again, or use the bioscope \
         that wrote it",
        file.display(),
        if *found == 1 { " (version 1 has neither hashes nor the guest's own reading of its log)" } else { "" }
    )]
    Version {
        /// Path of `bundle.json`.
        file: PathBuf,
        /// As `bundle.json` has it.
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
            | BundleError::Changed { .. }
            | BundleError::NotText { .. }
            | BundleError::Malformed { .. }
            | BundleError::Version { .. } => Exit::Data,
        }
    }
}
