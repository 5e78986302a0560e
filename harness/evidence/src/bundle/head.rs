//! `bundle.json`: what has no file of its own, and the size of each file that belongs to the bundle.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

use super::error::BundleError;
use crate::needs::Need;
use crate::parts::{Ending, ProgramKind, RuleHits};
use crate::steal::StealPoint;

/// The version that is written, and the only one that is read.
pub(super) const VERSION: u64 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    pub(super) version: u64,
    pub(super) kind: ProgramKind,
    pub(super) needs: Vec<Need<String>>,
    pub(super) ending: Ending,
    pub(super) rules: Vec<RuleHits>,
    /// None in bundles of before it was looked at.
    #[serde(default)]
    pub(super) steal: Vec<StealPoint>,
    pub(super) parts: Parts,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Parts {
    #[serde(rename = "console.log")]
    pub(super) console: Part,
    #[serde(rename = "events.jsonl")]
    pub(super) events: Part,
    #[serde(rename = "trace.jsonl")]
    pub(super) trace: Part,
    /// `null` if nobody checked the file system; it has to be said.
    #[serde(rename = "fsck.log", deserialize_with = "said")]
    pub(super) fsck: Option<Checked>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    pub(super) bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Checked {
    pub(super) clean: bool,
    pub(super) bytes: u64,
}

/// Unlike the default for an `Option`, this wants the field to be there.
fn said<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Checked>, D::Error> {
    Option::deserialize(deserializer)
}

impl Head {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|source| BundleError::Encode { source })?;
        bytes.push(b'\n');
        Ok(bytes)
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
        serde_json::from_slice(bytes).map_err(malformed)
    }
}
