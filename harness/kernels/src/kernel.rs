//! A kernel of `kernels.toml`: where it comes from, and which failures of it are known.

use std::path::{Path, PathBuf};

use globset::GlobMatcher;
use guest_wire::Fs;
use verdict::results::Expected;

use super::package::PackageSource;
use super::tree::{Origin, TreeSource};

/// A `[[kernel]]` of kernels.toml, or one that the command line gives.
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
    pub(crate) default: bool,
    /// The group that it is run with: `truth`.
    pub(crate) group: Option<String>,
}

/// Where a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Packages of a distribution, fetched and unpacked.
    Package(PackageSource),
    /// A tree that is built here, patched if need be.
    Tree(Box<TreeSource>),
    /// Files that are there already.
    Image {
        /// A bzImage or an ELF vmlinux.
        image: PathBuf,
        /// Directory that holds, or is, `lib/modules/RELEASE`.
        modules: Option<PathBuf>,
    },
    /// Package files that are there already: a kernel's, and those of its modules.
    PackageFiles(Vec<PathBuf>),
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
            Source::Image { .. } | Source::PackageFiles(_) => None,
        }
    }
}

impl Kernel {
    /// A kernel that no manifest names: files given on the command line.
    #[must_use]
    pub(crate) fn from_image(id: &str, image: &Path, modules: Option<&Path>) -> Self {
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

    /// A kernel that no manifest names: package files given on the command line.
    #[must_use]
    pub(crate) fn from_package_files(id: &str, files: Vec<PathBuf>) -> Self {
        Kernel {
            source: Source::PackageFiles(files),
            ..Kernel::from_image(id, Path::new(""), None)
        }
    }

    /// A kernel that no manifest names: source given on the command line.
    #[must_use]
    pub(crate) fn from_tree(id: &str, source: TreeSource, fs: Vec<Fs>) -> Self {
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

/// One `[[kernel.expect]]`: a failure that is known and does not make a run fail.
#[derive(Debug, Clone)]
pub struct Expect {
    /// File systems that it is about.
    pub(crate) fs: GlobMatcher,
    /// Cases that it is about.
    pub(crate) case: GlobMatcher,
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
