//! `bundle.json`: what has no file of its own, and what is known of each file that belongs to the bundle.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use super::error::BundleError;
use super::files::{PartFile, sha256};
use crate::context::{CellContext, Clocks};
use crate::needs::Need;
use crate::parts::{Ending, LostPart, Owner, ProgramKind, RuleHits, VmEnd};

/// The version that is written, and the only one that is read.
pub(super) const VERSION: u64 = 2;
/// Stands in the place of the seal while the hash is made of which the seal consists.
pub(super) const UNSEALED: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) version: u64,
    pub(super) kind: ProgramKind,
    pub(super) needs: Vec<Need<String>>,
    pub(super) context: CellContext,
    pub(super) ending: Ending,
    /// `null` if nobody checked the file system; it has to be said.
    #[serde(deserialize_with = "said")]
    pub(super) fsck: Option<Answer>,
    /// `null` if nothing came before; it has to be said.
    #[serde(deserialize_with = "said")]
    pub(super) earlier: Option<Before>,
    pub(super) rules: Vec<RuleHits>,
    /// `null` while QEMU ran; it has to be said.
    #[serde(deserialize_with = "said")]
    pub(super) qemu_end: Option<VmEnd>,
    pub(super) clocks: Clocks,
    pub(super) lost: Vec<LostPart>,
    pub(super) parts: Parts,
    /// Hash of the whole file with zeros in this field's place.
    pub(super) seal: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    #[serde(rename = "console.log")]
    pub(super) console: PartFile,
    #[serde(rename = "events.jsonl")]
    pub(super) events: PartFile,
    #[serde(rename = "trace.jsonl")]
    pub(super) trace: PartFile,
    /// `null` if nobody checked the file system; it has to be said.
    #[serde(rename = "fsck.log", deserialize_with = "said")]
    pub(super) fsck: Option<PartFile>,
    #[serde(rename = "qemu.log")]
    pub(super) qemu: PartFile,
}

/// What the checker said in one word.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    pub(super) clean: bool,
}

/// The beginning of `console.log` that is not the case's own.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Before {
    pub(super) owner: Owner,
    pub(super) bytes: usize,
}

/// Unlike the default for an `Option`, this wants the field to be there.
fn said<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(deserializer)
}

impl Head {
    /// The file's content, sealed.
    pub(super) fn into_bytes(mut self) -> Result<Vec<u8>, BundleError> {
        UNSEALED.clone_into(&mut self.seal);
        let text = serde_json::to_string_pretty(&self).map_err(|source| BundleError::Encode { source })? + "\n";
        Ok(seal(&text).into_bytes())
    }

    pub(super) fn from_bytes(bytes: &[u8], file: &Path) -> Result<Head, BundleError> {
        /// What every version has.
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let malformed = |source: serde_json::Error| BundleError::Malformed {
            file: file.to_owned(),
            line: source.line(),
            source,
        };
        let Versioned { version } = serde_json::from_slice(bytes).map_err(malformed)?;
        if version != VERSION {
            return Err(BundleError::Version {
                file: file.to_owned(),
                found: version,
                known: VERSION,
            });
        }
        let head: Head = serde_json::from_slice(bytes).map_err(malformed)?;
        let text = String::from_utf8_lossy(bytes);
        if head.seal.len() != UNSEALED.len()
            || sha256(replace_last(&text, &head.seal, UNSEALED).as_bytes()) != head.seal
        {
            return Err(BundleError::Changed { file: file.to_owned() });
        }
        Ok(head)
    }
}

/// The same with the hash in the place of [`UNSEALED`].
pub(super) fn seal(text: &str) -> String {
    replace_last(text, UNSEALED, &sha256(text.as_bytes()))
}

fn replace_last(text: &str, from: &str, to: &str) -> String {
    match text.rfind(from) {
        Some(at) => [&text[..at], to, &text[at + from.len()..]].concat(),
        None => text.to_owned(),
    }
}
