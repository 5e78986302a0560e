//! The file systems that cells are about, by their names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A file system that golden images are made of and that a guest mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fs {
    /// btrfs, with checksums and copy-on-write unless a file says otherwise.
    Btrfs,
    /// ext4, written in place.
    Ext4,
    /// XFS, written in place.
    Xfs,
}

impl Fs {
    /// Every file system, in the order in which tables and reports show them.
    pub const ALL: [Fs; 3] = [Fs::Btrfs, Fs::Ext4, Fs::Xfs];
    /// All names, as mount(2) takes them.
    pub const NAMES: [&'static str; 3] = [Fs::Btrfs.as_str(), Fs::Ext4.as_str(), Fs::Xfs.as_str()];

    /// The name that mount(2) takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
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

/// A word that is no file system of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown file system `{word}`; known file systems: {}", Fs::NAMES.join(", "))]
pub struct UnknownFs {
    pub(crate) word: String,
}

impl FromStr for Fs {
    type Err = UnknownFs;

    fn from_str(word: &str) -> Result<Fs, UnknownFs> {
        Fs::ALL
            .into_iter()
            .find(|fs| fs.as_str() == word)
            .ok_or_else(|| UnknownFs { word: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_enum_agree() {
        assert_eq!(Fs::ALL.map(Fs::as_str), Fs::NAMES);
        for name in Fs::NAMES {
            let fs: Fs = name.parse().unwrap();
            assert_eq!(fs.as_str(), name);
            assert_eq!(serde_json::to_string(&fs).unwrap(), format!("\"{name}\""));
        }
        assert_eq!(
            "brtfs".parse::<Fs>().unwrap_err().to_string(),
            "unknown file system `brtfs`; known file systems: btrfs, ext4, xfs"
        );
    }
}
