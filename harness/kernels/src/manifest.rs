//! `kernels.toml`: which kernels there are, where each comes from, and which failures of it are known.

use host::exit::{Exit, ExitError};
use std::fmt;
use std::path::{Path, PathBuf};

use globset::GlobMatcher;
use guest_wire::Fs;

use super::diagnostic::Diagnostic;
use super::parse;
use super::tree::{Origin, TreeSource};
use host::suggest::{self, PatternError};
use verdict::results::Expected;

/// A parsed `kernels.toml`.
#[derive(Debug, Clone)]
pub struct Manifest {
    kernels: Vec<Kernel>,
}

/// One `[[kernel]]`.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Its name in reports and on the command line.
    pub id: String,
    /// Where it comes from.
    pub source: Source,
    /// File systems of the default matrix, as mount(2) calls them.
    pub fs: Vec<Fs>,
    /// Failures that are known.
    pub expect: Vec<Expect>,
    /// Stable line that it belongs to (`6.1`): orders kernels for bisection.
    pub line: Option<String>,
    /// Whether it is part of the matrix when no kernel is asked for.
    pub default: bool,
    /// The group that it is run with: `truth`.
    pub group: Option<String>,
}

/// Where a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Packages of a distribution.
    Package(PackageSource),
    /// It is built from source.
    Tree(Box<TreeSource>),
    /// Files that are there already.
    Image {
        /// A bzImage or an ELF vmlinux.
        image: PathBuf,
        /// Folder that holds, or is, `lib/modules/RELEASE`.
        modules: Option<PathBuf>,
    },
}

impl Source {
    /// The packages of a distribution that it is made of, if it is.
    #[must_use]
    pub fn packages(&self) -> Option<&PackageSource> {
        match self {
            Source::Package(source) => Some(source),
            Source::Tree(tree) => match &tree.origin {
                Origin::Package(source) => Some(source),
                Origin::Git { .. } | Origin::Tarball { .. } => None,
            },
            Source::Image { .. } => None,
        }
    }
}

/// A kernel in a distribution's archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageSource {
    /// The archive's suite: `bookworm-security`.
    pub suite: String,
    /// Names, or globs of which the highest version is taken.
    pub packages: Vec<String>,
    /// Which version.
    pub version: Wanted,
}

/// Which version of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The highest on offer when the lock was last moved.
    Latest,
    /// This one.
    Exactly(String),
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Wanted::Latest => "latest",
            Wanted::Exactly(version) => version,
        })
    }
}

/// One `[[kernel.expect]]`: a failure that is known and does not make a run fail.
#[derive(Debug, Clone)]
pub struct Expect {
    /// File systems that it is about.
    pub fs: GlobMatcher,
    /// Cases that it is about.
    pub case: GlobMatcher,
    /// What is expected, and why: the bug, the commit.
    pub expected: Expected,
    /// Line in `kernels.toml`.
    pub line: usize,
}

impl Expect {
    /// Whether this is about a case on a file system.
    #[must_use]
    pub fn covers(&self, fs: Fs, case: &str) -> bool {
        self.fs.is_match(fs.as_str()) && self.case.is_match(case)
    }
}

/// Why `kernels.toml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It says something wrong.
    #[error(transparent)]
    Malformed(#[from] Box<Diagnostic>),
    /// No kernel has the name asked for.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

impl ExitError for ManifestError {
    fn exit(&self) -> Exit {
        match self {
            ManifestError::Read { .. } => Exit::NoInput,
            ManifestError::Malformed(_) => Exit::Data,
            ManifestError::Pattern(error) => error.exit(),
        }
    }
}

impl Manifest {
    /// Reads a manifest; relative paths in it start at its folder.
    ///
    /// # Errors
    /// The file cannot be read or says something wrong.
    pub fn load(file: &Path) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(file).map_err(|source| ManifestError::Read {
            file: file.to_owned(),
            source,
        })?;
        Manifest::parse(file, &text)
    }

    /// Takes a manifest from its text; `file` is for messages and for relative paths.
    ///
    /// # Errors
    /// The text says something wrong.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ManifestError> {
        let kernels = parse::kernels(file, text).map_err(Box::new)?;
        Ok(Manifest { kernels })
    }

    /// All kernels, in the file's order.
    #[must_use]
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// The kernels of a group.
    #[must_use]
    pub fn group(&self, name: &str) -> Vec<&Kernel> {
        self.kernels
            .iter()
            .filter(|kernel| kernel.group.as_deref() == Some(name))
            .collect()
    }

    /// The kernels that any of the globs matches; without globs those of the default matrix. A group's name stands for its kernels.
    ///
    /// # Errors
    /// A glob is malformed or matches nothing; the error lists what exists.
    pub fn select(&self, patterns: &[impl AsRef<str>]) -> Result<Vec<&Kernel>, ManifestError> {
        if patterns.is_empty() {
            return Ok(self.kernels.iter().filter(|kernel| kernel.default).collect());
        }
        let names: Vec<&str> = self.kernels.iter().map(|kernel| kernel.id.as_str()).collect();
        let in_group = |kernel: &Kernel| {
            let named = |group: &str| patterns.iter().any(|pattern| pattern.as_ref() == group);
            kernel.group.as_deref().is_some_and(named)
        };
        let globs: Vec<&str> = patterns
            .iter()
            .map(AsRef::as_ref)
            .filter(|pattern| self.group(pattern).is_empty())
            .collect();
        let chosen = suggest::select("kernels", &globs, &names)?;
        let wanted = |(index, kernel): &(usize, &Kernel)| chosen.contains(index) || in_group(kernel);
        Ok(self
            .kernels
            .iter()
            .enumerate()
            .filter(wanted)
            .map(|(_, kernel)| kernel)
            .collect())
    }
}

impl Kernel {
    /// A kernel that no manifest names: files given on the command line.
    #[must_use]
    pub fn from_image(id: &str, image: &Path, modules: Option<&Path>) -> Self {
        Kernel {
            id: id.to_owned(),
            source: Source::Image {
                image: image.to_owned(),
                modules: modules.map(Path::to_owned),
            },
            fs: vec![Fs::Btrfs],
            expect: Vec::new(),
            line: None,
            default: true,
            group: None,
        }
    }

    /// A kernel that no manifest names: source given on the command line.
    #[must_use]
    pub fn from_tree(id: &str, source: TreeSource, fs: Vec<Fs>) -> Self {
        Kernel {
            id: id.to_owned(),
            source: Source::Tree(Box::new(source)),
            fs,
            expect: Vec::new(),
            line: None,
            default: true,
            group: None,
        }
    }

    /// The first known failure that covers a case on a file system.
    #[must_use]
    pub fn expected(&self, fs: Fs, case: &str) -> Option<&Expect> {
        self.expect.iter().find(|expect| expect.covers(fs, case))
    }
}
