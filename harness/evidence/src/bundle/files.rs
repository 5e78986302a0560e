//! The files of a bundle: how they are written and read, and what is known of each.

use std::fs;
use std::path::Path;

use host::atomic;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::BundleError;

/// What `bundle.json` says of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartFile {
    pub(super) bytes: u64,
    /// Lines of the file.
    pub(super) records: u64,
    pub(super) sha256: String,
}

impl PartFile {
    fn of(bytes: &[u8]) -> PartFile {
        PartFile {
            bytes: bytes.len() as u64,
            records: bytes.split_inclusive(|byte| *byte == b'\n').count() as u64,
            sha256: sha256(bytes),
        }
    }
}

/// The hash of some bytes, in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn write(file: &Path, bytes: &[u8]) -> Result<(), BundleError> {
    atomic::write(file, bytes).map_err(|source| BundleError::Write {
        file: file.to_owned(),
        source,
    })
}

pub(super) fn save_part(dir: &Path, name: &str, bytes: &[u8]) -> Result<PartFile, BundleError> {
    write(&dir.join(name), bytes)?;
    Ok(PartFile::of(bytes))
}

pub(super) fn load_part(dir: &Path, name: &str, wanted: &PartFile) -> Result<String, BundleError> {
    let file = dir.join(name);
    let bytes = read(&file)?;
    let found = PartFile::of(&bytes);
    if found.bytes != wanted.bytes {
        return Err(BundleError::Torn {
            file,
            bytes: wanted.bytes,
            found: found.bytes,
        });
    }
    if found != *wanted {
        return Err(BundleError::Changed { file });
    }
    String::from_utf8(bytes).map_err(|_| BundleError::NotText { file })
}

pub(super) fn read(file: &Path) -> Result<Vec<u8>, BundleError> {
    atomic::read(file).map_err(|source| {
        let file = file.to_owned();
        match source.kind() {
            std::io::ErrorKind::NotFound => BundleError::Missing { file },
            _ => BundleError::Read { file, source },
        }
    })
}

/// Removes a file that may be there.
pub(super) fn remove(file: &Path) -> Result<(), BundleError> {
    match fs::remove_file(file) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(BundleError::Write {
            file: file.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}
