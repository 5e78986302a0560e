//! A range of releases: the kernels of one line of kernels.toml, by version.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use super::maker::{Maker, unfit};
use super::plan::Planned;
use super::scope;
use bisect::search::Direction;
use bisect::signature::{Obstacle, Reason};
use bisect::state::Kind;
use exit::{Exit, Failure};
use host::progress::Progress;
use host::suggest;
use host::words::quoted;
use kernels::package::VersionRequest;
use kernels::{self, Artifact, Kernel, Lock, Manifest, Options, version};
use run::prepare;

/// The range between two kernels of a line.
///
/// # Errors
/// A kernel is unknown, they are one, have no line or different ones, or no version.
pub(crate) fn range<'a>(
    manifest: &'a Manifest,
    lock: &Lock,
    bad: &str,
    good: &str,
) -> Result<(Planned, Vec<&'a Kernel>), Failure> {
    let (bad_end, good_end) = (end(manifest, "--bad", bad)?, end(manifest, "--good", good)?);
    if bad == good {
        return Err(usage(format!(
            "--bad and --good are both {bad}: a bisection needs a kernel that fails and another one that passes"
        )));
    }
    let (line, other) = (line_of(bad_end)?, line_of(good_end)?);
    if line != other {
        return Err(usage(format!(
            "{bad} is of line {line} and {good} of line {other}: \
            releases are bisected within a line; `--tree` bisects commits"
        )));
    }
    let must = |kernel: &Kernel| {
        version_of(kernel, lock).ok_or_else(|| {
            usage(format!(
                "{0} has no version to order it by: releases are packages with a `version`, \
                or with \"latest\" once `cargo xtask update {0}` pinned one",
                kernel.id
            ))
        })
    };
    let (bad_version, good_version) = (must(bad_end)?, must(good_end)?);
    let direction = match version::compare(&bad_version, &good_version) {
        Ordering::Less => Direction::Fix,
        Ordering::Greater => Direction::Regression,
        Ordering::Equal => {
            return Err(usage(format!(
                "{bad} and {good} are of the same version, {bad_version}: there is nothing between"
            )));
        }
    };
    let (old, new) = match direction {
        Direction::Fix => ((bad_end, bad_version), (good_end, good_version)),
        Direction::Regression => ((good_end, good_version), (bad_end, bad_version)),
    };
    let (kernels, notes) = between(manifest, lock, line, &old, &new);
    let names: Vec<String> = kernels.iter().map(|(kernel, _)| kernel.id.clone()).collect();
    let planned = Planned {
        kind: Kind::Releases,
        bad: bad.to_owned(),
        good: good.to_owned(),
        scope: scope(line, &kernels),
        parents: Planned::line(names.len()),
        labels: kernels.iter().map(|(_, version)| version.clone()).collect(),
        names,
        same: Vec::new(),
        skip: Vec::new(),
        direction,
        terms: Planned::terms(direction),
        build_cost: 3.0,
        notes,
    };
    Ok((planned, kernels.into_iter().map(|(kernel, _)| kernel).collect()))
}

/// What the range depends on besides its ends: an id may stand for another version once a newer one is pinned, or in
/// another manifest, or for one that is built otherwise.
fn scope(line: &str, kernels: &[Versioned<'_>]) -> Vec<String> {
    let versions = kernels
        .iter()
        .map(|(kernel, version)| format!("{} {version} ({})", kernel.id, scope::made(&kernel.source)));
    std::iter::once(format!("line {line}")).chain(versions).collect()
}

fn usage(message: String) -> Failure {
    Failure::new(Exit::Usage, message)
}

/// An end of the range.
fn end<'a>(manifest: &'a Manifest, option: &str, id: &str) -> Result<&'a Kernel, Failure> {
    let kernels = manifest.kernels();
    kernels.iter().find(|kernel| kernel.id == id).ok_or_else(|| {
        let ids: Vec<&str> = kernels.iter().map(|kernel| kernel.id.as_str()).collect();
        usage(format!(
            "{option} {id}: no kernel of kernels.toml has this id; {}",
            suggest::hint(id, "kernels", &ids)
        ))
    })
}

fn line_of(kernel: &Kernel) -> Result<&str, Failure> {
    kernel.line.as_deref().ok_or_else(|| {
        usage(format!(
            "{} has no `line` in kernels.toml, which orders kernels for bisection; add one, like `line = \"6.1\"`",
            kernel.id
        ))
    })
}

/// The version that orders a kernel, if it has one.
fn version_of(kernel: &Kernel, lock: &Lock) -> Option<String> {
    match &kernel.source.packages()?.version {
        VersionRequest::Exactly(version) => Some(version.clone()),
        VersionRequest::Latest => lock.get(&kernel.id).map(|pinned| pinned.version.clone()),
    }
}

/// A kernel with the version that orders it.
type Versioned<'a> = (&'a Kernel, String);

/// The kernels of a line from one end to the other by version, and which ones have none.
fn between<'a>(
    manifest: &'a Manifest,
    lock: &Lock,
    line: &str,
    old: &Versioned<'a>,
    new: &Versioned<'a>,
) -> (Vec<Versioned<'a>>, Vec<String>) {
    let mut notes = Vec::new();
    let mut kernels = vec![old.clone()];
    let of_line = |kernel: &&Kernel| kernel.line.as_deref() == Some(line);
    for kernel in manifest.kernels().iter().filter(of_line) {
        match version_of(kernel, lock) {
            None => notes.push(format!("{} is left out: it has no version to order it by", kernel.id)),
            Some(version) => {
                let (after, before) = (version::compare(&version, &old.1), version::compare(&version, &new.1));
                if after.is_gt() && before.is_lt() {
                    kernels.push((kernel, version));
                }
            }
        }
    }
    kernels.push(new.clone());
    kernels.sort_by(|a, b| version::compare(&a.1, &b.1));
    (kernels, notes)
}

/// How `cargo xtask test` is told to run a kernel of a manifest, which is one that was named on the command line, or
/// kernels.toml.
pub(crate) fn again_kernel(id: &str, named: Option<&Path>) -> String {
    // The command may be given elsewhere.
    let named = named.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    let manifest = named.map(|path| format!(" --manifest {}", quoted(&path.to_string_lossy())));
    format!("--kernel '{id}'{}", manifest.unwrap_or_default())
}

/// Fetches and unpacks kernels of kernels.toml.
pub(crate) struct Releases<'a> {
    /// The kernels of the range.
    pub(crate) kernels: Vec<&'a Kernel>,
    /// kernels.toml.
    pub(crate) manifest: &'a Path,
    /// Whether it was named on the command line.
    pub(crate) manifest_named: bool,
    /// Never use the network.
    pub(crate) offline: bool,
}

impl Maker for Releases<'_> {
    fn again(&self, item: usize) -> String {
        again_kernel(&self.kernels[item].id, self.manifest_named.then_some(self.manifest))
    }

    fn place(&self, _item: usize) -> PathBuf {
        prepare::cache()
            .map(|cache| cache.root().join("store"))
            .unwrap_or_default()
    }

    fn make(&mut self, item: usize) -> Result<Result<Artifact, Reason>, Failure> {
        let options = Options {
            offline: self.offline,
            ..Options::default()
        };
        let lock = prepare::lock_of(self.manifest);
        match kernels::prepare(
            &self.kernels[item..=item],
            &lock,
            &prepare::cache()?,
            &options,
            &Progress::stderr(),
        ) {
            Ok(artifacts) => artifacts
                .into_iter()
                .next()
                .map(Ok)
                .ok_or_else(|| Failure::new(Exit::Internal, "the kernel was not prepared")),
            // The archive does not hold it any more; those around it may still tell.
            Err(error @ kernels::Error::Resolve(_)) => Ok(Err(unfit(Obstacle::NotHeld, &error))),
            Err(error) => Err(Failure::from(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

    use super::*;

    #[test]
    fn another_version_under_the_same_id_is_another_range() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernels.toml");
        let scope = |newest: &str| {
            let kernel = |id: &str, version: &str| {
                format!(
                    "[[kernel]]\nid = \"{id}\"\nsuite = \"bookworm\"\npackage = \"linux-image-{id}\"\n\
                    version = \"{version}\"\nline = \"6.1\"\nfs = [\"btrfs\"]\n"
                )
            };
            std::fs::write(&path, kernel("a", "6.1.9-1") + &kernel("b", newest)).unwrap();
            let lock = Lock::load(&dir.path().join("kernels.lock")).unwrap();
            let manifest = Manifest::load(&path).unwrap();
            range(&manifest, &lock, "b", "a").unwrap().0.scope
        };
        let first = scope("6.1.10-1");
        assert_eq!(first[0], "line 6.1");
        assert!(
            first[1].starts_with("a 6.1.9-1 (") && first[2].starts_with("b 6.1.10-1 ("),
            "{first:?}"
        );
        assert_eq!(scope("6.1.10-1"), first);
        assert_ne!(scope("6.1.11-1"), first);
    }

    #[test]
    fn the_same_version_of_another_package_or_otherwise_built_is_another_range() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kernels.toml");
        let scope = |how: &str| {
            let kernel = |id: &str, version: &str| {
                format!(
                    "[[kernel]]\nid = \"{id}\"\nsuite = \"bookworm\"\n{how}\nversion = \"{version}\"\nline = \"6.1\"\n\
                    fs = [\"btrfs\"]\n"
                )
            };
            std::fs::write(&path, kernel("a", "6.1.9-1") + &kernel("b", "6.1.10-1")).unwrap();
            let lock = Lock::load(&dir.path().join("kernels.lock")).unwrap();
            let manifest = Manifest::load(&path).unwrap();
            range(&manifest, &lock, "b", "a").unwrap().0.scope
        };
        let source = "source-package = \"linux-source-6.1\"\nconfig = [\"tinyconfig\", \"./my.config\"]";
        let my_config = dir.path().join("my.config");
        std::fs::write(&my_config, "CONFIG_A=y\n").unwrap();
        let built = scope(source);
        let all = [
            scope("package = \"linux-image-amd64\""),
            scope("package = \"linux-image-rt-amd64\""),
            built.clone(),
            scope(&format!("{source}\nmake = [\"V=1\"]")),
        ];
        let apart: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(apart.len(), all.len(), "{all:?}");
        std::fs::write(&my_config, "CONFIG_A=m\n").unwrap();
        assert_ne!(scope(source), built);
    }
}
