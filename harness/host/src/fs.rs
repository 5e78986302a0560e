//! File systems by name.

use std::fmt;
use std::str::FromStr;

use crate::suggest;

/// A file system that golden images are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fs {
    /// btrfs.
    Btrfs,
    /// ext4.
    Ext4,
    /// XFS.
    Xfs,
}

impl Fs {
    /// All names, as mount(2) takes them.
    pub const NAMES: [&'static str; 3] = ["btrfs", "ext4", "xfs"];

    /// The name that mount(2) takes.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Fs::Btrfs => "btrfs",
            Fs::Ext4 => "ext4",
            Fs::Xfs => "xfs",
        }
    }
}

impl fmt::Display for Fs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no file system.
#[derive(Debug, thiserror::Error)]
#[error("unknown file system `{word}`; {hint}")]
pub struct UnknownFs {
    word: String,
    hint: String,
}

impl FromStr for Fs {
    type Err = UnknownFs;

    fn from_str(word: &str) -> Result<Self, UnknownFs> {
        match word {
            "btrfs" => Ok(Fs::Btrfs),
            "ext4" => Ok(Fs::Ext4),
            "xfs" => Ok(Fs::Xfs),
            _ => Err(UnknownFs {
                word: word.to_owned(),
                hint: suggest::hint(word, "file systems", &Fs::NAMES),
            }),
        }
    }
}
