//! What a suite holds: the kernel packages of its `Packages` index.

use std::collections::BTreeMap;

use super::super::lock::Deb;
use super::super::version;

/// Kernel packages all begin so; the rest of the index is not kept.
const PREFIX: &str = "linux-";

/// The kernel packages of one suite.
#[derive(Debug, Clone, Default)]
pub struct Index {
    pub(crate) suite: String,
    packages: BTreeMap<String, Vec<Entry>>,
}

/// One version of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The file.
    pub(crate) deb: Deb,
    /// `Depends` and `Pre-Depends`, as they stand.
    pub(crate) depends: String,
    /// Size of its files in KiB.
    pub(crate) installed_kib: u64,
}

impl Index {
    /// Reads the text of a `Packages` file.
    #[must_use]
    pub fn parse(suite: &str, text: &str) -> Self {
        let mut index = Index {
            suite: suite.to_owned(),
            packages: BTreeMap::new(),
        };
        for stanza in text.split("\n\n") {
            let named = stanza.trim_start_matches('\n').strip_prefix("Package: ");
            if named.is_some_and(|name| name.starts_with(PREFIX))
                && let Some(entry) = entry(stanza)
            {
                index.packages.entry(entry.deb.name.clone()).or_default().push(entry);
            }
        }
        for entries in index.packages.values_mut() {
            entries.sort_by(|a, b| version::compare(&a.deb.version, &b.deb.version));
        }
        index
    }

    /// The versions held of a package, lowest first.
    #[must_use]
    pub(crate) fn versions(&self, name: &str) -> &[Entry] {
        self.packages.get(name).map_or(&[], Vec::as_slice)
    }

    /// One version of a package.
    #[must_use]
    pub(crate) fn get(&self, name: &str, version: &str) -> Option<&Entry> {
        self.versions(name).iter().find(|entry| entry.deb.version == version)
    }

    /// All package names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.packages.keys().map(String::as_str)
    }
}

fn entry(stanza: &str) -> Option<Entry> {
    let field = |name: &str| {
        stanza
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':').map(str::trim))
    };
    let depends: Vec<&str> = ["Pre-Depends", "Depends"].into_iter().filter_map(field).collect();
    Some(Entry {
        deb: Deb {
            name: field("Package")?.to_owned(),
            version: field("Version")?.to_owned(),
            sha256: field("SHA256")?.to_ascii_lowercase(),
            size: field("Size")?.parse().ok()?,
        },
        depends: depends.join(", "),
        installed_kib: field("Installed-Size")
            .and_then(|size| size.parse().ok())
            .unwrap_or(u64::MAX),
    })
}
