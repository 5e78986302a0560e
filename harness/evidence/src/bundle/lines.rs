//! Files of one JSON object a line.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::BundleError;

pub(super) fn write<T: Serialize>(items: &[T]) -> Result<Vec<u8>, BundleError> {
    let mut bytes = Vec::new();
    for item in items {
        serde_json::to_writer(&mut bytes, item).map_err(|source| BundleError::Encode { source })?;
        bytes.push(b'\n');
    }
    Ok(bytes)
}

pub(super) fn read<T: DeserializeOwned>(text: &str, file: &Path) -> Result<Vec<T>, BundleError> {
    let parsed = text.lines().enumerate().map(|(index, line)| {
        serde_json::from_str(line).map_err(|source| BundleError::Malformed {
            file: file.to_owned(),
            line: index + 1,
            source,
        })
    });
    parsed.collect()
}
