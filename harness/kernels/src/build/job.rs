//! One kernel to build: what determines it, and what make is told.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::config::has_modules;
use super::error::BuildError;
use super::fragment::{self, Asked, Version};
use super::make::{self, Make};
use super::toolchain::Toolchain;
use crate::source::{Listing, Repo, Tree};
use crate::tree::{ConfigPart, TreeSource};
use host::cache::CacheError;
use host::progress::Progress;

/// Below this version (of the kernel) its host tools define variables twice, which compilers since gcc 10 refuse.
const COMMON_BELOW: (u32, u32) = (5, 7);
/// Below this version nobody has tried whether today's compilers do.
const TRIED_SINCE: (u32, u32) = (5, 4);

/// One kernel to build.
pub(super) struct Job<'a> {
    pub(super) id: &'a str,
    pub(super) tree: &'a Tree,
    /// What it was before it was mended for today's tools.
    pub(super) given: &'a Tree,
    pub(super) source: &'a TreeSource,
    pub(super) all: Listing,
    /// The tree's own version.
    pub(super) version: Version,
    pub(super) toolchain: String,
    pub(super) variables: BTreeMap<String, String>,
    /// The configuration's files with their content, in order.
    pub(super) parts: Vec<(PathBuf, String)>,
    /// What its fragments ask for, in order.
    pub(super) asked: Vec<Asked>,
}

impl<'a> Job<'a> {
    pub(super) fn new(
        repo: &Repo,
        id: &'a str,
        tree: &'a Tree,
        given: &'a Tree,
        source: &'a TreeSource,
    ) -> Result<Self, BuildError> {
        let all = repo.listing(tree)?;
        let makefile = repo.file(tree, "Makefile")?.unwrap_or_default();
        let version = version_of(&String::from_utf8_lossy(&makefile));
        let tools = Toolchain::of(source);
        let parts = source
            .config
            .iter()
            .filter_map(|part| match part {
                ConfigPart::Whole(path) | ConfigPart::Fragment { path, .. } => Some(path),
                ConfigPart::Tiny | ConfigPart::Default => None,
            })
            .map(|path| {
                let read = |source| BuildError::Config {
                    id: id.to_owned(),
                    path: path.clone(),
                    source,
                };
                Ok((path.clone(), read_part(path).map_err(read)?))
            })
            .collect::<Result<Vec<(PathBuf, String)>, BuildError>>()?;
        let whole = usize::from(matches!(source.config.first(), Some(ConfigPart::Whole(_))));
        let mut asked = Vec::new();
        for (path, text) in parts.iter().skip(whole) {
            asked.extend(fragment::parse(path, text)?);
        }
        Ok(Job {
            id,
            tree,
            given,
            source,
            all,
            version,
            toolchain: tools.versions()?,
            variables: variables(source, &tools, version),
            parts,
            asked,
        })
    }

    /// The release that the tree is of, without the third number.
    fn release(&self) -> (u32, u32) {
        (self.version.0, self.version.1)
    }

    /// What a result depends on besides source and configuration.
    pub(super) fn with(&self) -> String {
        let variables: Vec<String> = self
            .variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        // ccache gives back what the compiler would have made.
        let variables = variables.join(" ").replace("ccache ", "");
        format!("{}; {variables}", self.toolchain)
    }

    /// Makes image and modules; gives back how many objects were made.
    pub(super) fn make(&self, make: &Make<'_>, whole: Option<u64>, progress: &Progress) -> Result<u64, BuildError> {
        let mut targets = vec!["bzImage"];
        if has_modules(make.objects) {
            targets.push("modules");
        }
        let step = progress.count(format!("building {}", self.id), whole);
        make.run(&targets, make::jobs(), Some(&step))
    }

    /// Says that the tree is old, if that may be why it does not build.
    pub(super) fn too_old(&self, error: BuildError) -> BuildError {
        match error {
            BuildError::Make { .. } if self.release() < TRIED_SINCE => BuildError::TooOld {
                version: self.release(),
                compiler: self.toolchain.split(';').next().unwrap_or_default().to_owned(),
                source: Box::new(error),
            },
            error => error,
        }
    }
}

/// The text of a part of the configuration. A FIFO would be waited for, a device read for ever.
fn read_part(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    fs::read_to_string(path)
}

/// The release that a tree calls itself, without the third number.
pub(super) fn release_of(repo: &Repo, tree: &Tree) -> Result<(u32, u32), BuildError> {
    let makefile = repo.file(tree, "Makefile")?.unwrap_or_default();
    let (major, minor, _) = version_of(&String::from_utf8_lossy(&makefile));
    Ok((major, minor))
}

/// Writes a file of a build.
pub(super) fn write(path: &Path, text: &str) -> Result<(), BuildError> {
    host::atomic::write(path, text.as_bytes()).map_err(|source| CacheError::io("write", path, source).into())
}

/// `VERSION`, `PATCHLEVEL` and `SUBLEVEL` of a kernel's Makefile.
fn version_of(makefile: &str) -> Version {
    let number = |name: &str| {
        let mut lines = makefile.lines().filter_map(|line| {
            line.strip_prefix(name)?
                .trim_start()
                .trim_start_matches(':')
                .strip_prefix('=')
        });
        let digits = |value: &str| value.trim().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
        lines.next().and_then(digits).unwrap_or(0)
    };
    (number("VERSION"), number("PATCHLEVEL"), number("SUBLEVEL"))
}

/// What make is told, so that the same source comes to the same bytes whoever builds it, when and how often.
fn variables(source: &TreeSource, tools: &Toolchain, version: Version) -> BTreeMap<String, String> {
    let cc = tools.compiler.as_str();
    let ccache = host::tool::find("ccache").is_some() && !cc.contains("ccache");
    let with_ccache = |cc: &str| if ccache { format!("ccache {cc}") } else { cc.to_owned() };
    let mut variables = BTreeMap::new();
    let mut set = |name: &str, value: &str| drop(variables.insert(name.to_owned(), value.to_owned()));
    set("KBUILD_BUILD_TIMESTAMP", "Thu Jan  1 00:00:00 UTC 2026");
    set("KBUILD_BUILD_USER", "bioscope");
    set("KBUILD_BUILD_HOST", "bioscope");
    set("KBUILD_BUILD_VERSION", "1");
    // Set and empty: no `+` for a tree that git would call changed.
    set("LOCALVERSION", "");
    set("CC", &with_ccache(cc));
    // Before 5.18 `LLVM=-15` links by `ld.lld`, before 5.7 `LLVM=1` by `ld`; the artifact's name says another.
    if source.make.contains_key("LLVM") {
        set("LD", &tools.linker);
    }
    // A warning that only a newer compiler gives is no reason not to build.
    set("KCFLAGS", "-Wno-error");
    if (version.0, version.1) < COMMON_BELOW {
        set("HOSTCFLAGS", "-fcommon");
    }
    variables.extend(source.make.clone());
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_makefiles_version_is_read() {
        let makefile = "# SPDX-License-Identifier: GPL-2.0\nVERSION = 6\nPATCHLEVEL = 1\nSUBLEVEL = 192\n";
        assert_eq!(version_of(makefile), (6, 1, 192));
        assert_eq!(version_of(""), (0, 0, 0));
        let makefile = "VERSION=5\nPATCHLEVEL\t:= 4 # long\nSUBLEVEL = 286\nEXTRAVERSION = -rc3\nVERSION = 9\n";
        assert_eq!(version_of(makefile), (5, 4, 286));
    }

    #[test]
    fn make_takes_the_linker_that_the_name_says() {
        let linker = |make: &[(&str, &str)]| {
            let make = make
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let source = TreeSource {
                origin: crate::tree::Origin::Git {
                    repository: "linux".to_owned(),
                    rev: "HEAD".to_owned(),
                    dirty: false,
                },
                patches: Vec::new(),
                config: Vec::new(),
                cc: None,
                make: make.collect(),
            };
            variables(&source, &Toolchain::of(&source), (5, 10, 0)).remove("LD")
        };
        assert_eq!(linker(&[("LLVM", "-15")]).as_deref(), Some("ld.lld-15"));
        assert_eq!(linker(&[("LLVM", "1"), ("LD", "ld.bfd")]).as_deref(), Some("ld.bfd"));
        assert_eq!(linker(&[]), None);
    }

    #[test]
    fn a_part_that_is_no_regular_file_is_not_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let fifo = dir.path().join("my.config");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.expect("mkfifo").success());
        for path in [fifo.as_path(), dir.path()] {
            assert_eq!(
                read_part(path).expect_err("an error").to_string(),
                "it is no regular file"
            );
        }
    }
}
