//! A kernel that is built: where its source comes from, and how it is configured.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use guest_wire::Fs;

use super::package::PackageSource;

/// A kernel that is built from source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeSource {
    /// Where the source comes from.
    pub origin: Origin,
    /// Patch files, mailboxes, or directories of them, applied in order.
    pub patches: Vec<PathBuf>,
    /// What the configuration is made of, in order; the first is the base.
    pub config: Vec<ConfigPart>,
    /// The compiler, as `CC=` takes it; make's default (`gcc`) if absent.
    pub cc: Option<String>,
    /// More variables for make.
    pub make: BTreeMap<String, String>,
}

/// Where source comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A git repository, or a directory with source.
    Git {
        /// A path, or a URL that git fetches from.
        repository: String,
        /// What to build; `HEAD` for a working tree.
        rev: String,
        /// Whether the working tree is built as it is, with what is not committed.
        dirty: bool,
    },
    /// An archive as kernel.org has them.
    Tarball {
        /// A path, or a URL.
        location: String,
        /// Its sum, in lower-case hexadecimal.
        sha256: String,
    },
    /// The distribution's own source, a `linux-source-*` package.
    Package(PackageSource),
}

/// One step towards a `.config`; later parts change what earlier ones set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigPart {
    /// `make tinyconfig`.
    Tiny,
    /// `make defconfig`.
    Default,
    /// A whole `.config`, which a person names.
    Whole(PathBuf),
    /// Options that are set on top.
    Fragment {
        /// What it is called in messages.
        name: String,
        /// A file in the format of `.config`.
        path: PathBuf,
    },
}

/// A word that is no part of a configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoPart {
    /// There is no ready fragment of this name, but these.
    Unknown(Vec<String>),
    /// It is a base, and others stand before it.
    Late,
}

impl NoPart {
    /// What is wrong with the word, and what to do; `file` is how a file of one's own is written.
    pub(crate) fn say(&self, word: &str, file: &str) -> (String, String) {
        match self {
            NoPart::Unknown(known) => {
                let known: Vec<&str> = known.iter().map(String::as_str).chain(ConfigPart::BASES).collect();
                let hint = host::suggest::hint(word, "parts", &known);
                (format!("no ready fragment `{word}`"), format!("{hint}; {file}"))
            }
            NoPart::Late => (
                format!("`{word}` does not come first"),
                "it is a whole configuration, on top of which the others are set: put it before them, or leave it out (tinyconfig is the base then)".to_owned(),
            ),
        }
    }
}

impl ConfigPart {
    /// Words that stand for a base.
    pub(crate) const BASES: [&'static str; 2] = ["tinyconfig", "defconfig"];

    /// What a word of `config = […]` stands for: a base, a ready fragment of this repository (`base`, `btrfs`), or a
    /// file. `first` may be a whole configuration: a file that is not called `*.config`, or only `.config`.
    ///
    /// # Errors
    /// There is no ready fragment of this name, or it is a base and not the first.
    pub(crate) fn from_word(word: &str, first: bool, ready: &Path, folder: &Path) -> Result<Self, NoPart> {
        match word {
            _ if !first && ConfigPart::BASES.contains(&word) => return Err(NoPart::Late),
            "tinyconfig" => return Ok(ConfigPart::Tiny),
            "defconfig" => return Ok(ConfigPart::Default),
            _ => {}
        }
        let path = folder.join(word);
        let is_file = word.contains(['/', '.']);
        if !is_file {
            let fragment = ready.join(format!("{word}.config"));
            return if fragment.is_file() {
                Ok(ConfigPart::Fragment {
                    name: word.to_owned(),
                    path: fragment,
                })
            } else {
                Err(NoPart::Unknown(ready_fragments(ready)))
            };
        }
        let name = Path::new(word).file_name().unwrap_or_default().to_string_lossy();
        if first && (name == ".config" || !name.ends_with(".config")) {
            return Ok(ConfigPart::Whole(path));
        }
        Ok(ConfigPart::Fragment {
            name: name.into_owned(),
            path,
        })
    }

    /// Whether something can be set on top of it, and it on top of nothing.
    #[must_use]
    pub(crate) fn is_base(&self) -> bool {
        !matches!(self, ConfigPart::Fragment { .. })
    }

    /// What a kernel is configured with if nothing is said: what boots in our machine, with these file systems.
    #[must_use]
    pub(crate) fn usual(fs: &[Fs], ready: &Path) -> Vec<ConfigPart> {
        let fragment = |name: &str| ConfigPart::Fragment {
            name: name.to_owned(),
            path: ready.join(format!("{name}.config")),
        };
        let names = ["base"]
            .into_iter()
            .chain(fs.iter().map(|fs| fs.as_str()))
            .chain(["debug"]);
        std::iter::once(ConfigPart::Tiny).chain(names.map(fragment)).collect()
    }
}

impl fmt::Display for ConfigPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigPart::Tiny => f.write_str("tinyconfig"),
            ConfigPart::Default => f.write_str("defconfig"),
            ConfigPart::Whole(path) => path.display().fmt(f),
            ConfigPart::Fragment { name, .. } => f.write_str(name),
        }
    }
}

/// Names of the ready fragments.
#[must_use]
pub(crate) fn ready_fragments(ready: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(ready).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .strip_suffix(".config")
                .map(str::to_owned)
        })
        .collect();
    names.sort();
    names
}

impl Origin {
    /// Source that shares a build directory with other versions of itself, so that a neighbouring one costs an
    /// incremental build.
    #[must_use]
    pub(crate) fn line(&self) -> String {
        match self {
            // However a directory is spelled, it is that one.
            Origin::Git { repository, .. } => match Path::new(repository).canonicalize() {
                Ok(folder) if !is_url(repository) => format!("git {}", folder.display()),
                _ => format!("git {repository}"),
            },
            // linux-6.1.170.tar.xz and linux-6.1.176.tar.xz are neighbours.
            Origin::Tarball { location, .. } => {
                let name = location.rsplit('/').next().unwrap_or(location);
                let mut numbers = name.split('.');
                format!(
                    "tarball {}.{}",
                    numbers.next().unwrap_or_default(),
                    numbers.next().unwrap_or_default()
                )
            }
            Origin::Package(source) => format!("source-package {}", source.packages.join(" ")),
        }
    }
}

/// Whether git fetches from it, rather than it being a path: `https://…`, `git@host:path`.
#[must_use]
pub(crate) fn is_url(location: &str) -> bool {
    let scp_like = location
        .split_once(':')
        .is_some_and(|(host, _)| !host.is_empty() && !host.contains('/'));
    location.contains("://") || scp_like
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_a_line_share_a_build_folder() {
        let tarball = |location: &str| Origin::Tarball {
            location: location.to_owned(),
            sha256: String::new(),
        };
        let line = tarball("https://cdn/linux-6.1.170.tar.xz").line();
        assert_eq!(line, tarball("/home/a/linux-6.1.176.tar.gz").line());
        assert_ne!(line, tarball("linux-6.12.1.tar.xz").line());
    }

    #[test]
    fn a_folder_has_one_build_folder_however_it_is_spelled() {
        let git = |repository: &str| Origin::Git {
            repository: repository.to_owned(),
            rev: "HEAD".to_owned(),
            dirty: true,
        };
        let here = std::env::current_dir().unwrap();
        assert_eq!(git("src/..").line(), git(&here.to_string_lossy()).line());
        assert_ne!(git("src").line(), git(".").line());
        assert_eq!(git("https://git/linux").line(), "git https://git/linux");
    }

    #[test]
    fn a_base_behind_others_is_refused_and_not_passed_over() {
        let of = |word: &str, first: bool| ConfigPart::from_word(word, first, Path::new("ready"), Path::new(""));
        assert_eq!(of("defconfig", true), Ok(ConfigPart::Default));
        for base in ConfigPart::BASES {
            assert_eq!(of(base, false), Err(NoPart::Late));
        }
        let (what, help) = NoPart::Late.say("defconfig", "");
        assert_eq!(what, "`defconfig` does not come first");
        assert!(help.contains("put it before them"), "{help}");
    }

    #[test]
    fn urls_are_told_from_paths() {
        for url in ["https://git/linux", "git@host:linux.git", "file:///srv/linux"] {
            assert!(is_url(url), "{url}");
        }
        for path in ["../linux", "/home/a/linux", "linux", "./a:b"] {
            assert!(!is_url(path), "{path}");
        }
    }
}
