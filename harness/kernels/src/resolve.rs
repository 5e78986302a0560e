//! From what `kernels.toml` asks for to the package files that hold the kernel: a pure function over a suite's index.

use exit::{Exit, ExitError};
use std::collections::BTreeSet;

use super::apt::index::{Entry, Index};
use super::lock::Pinned;
use super::package::{PackageSource, VersionRequest};
use super::version;
use host::suggest;

/// Packages that a kernel is split into, or that a metapackage points at. From Debian's 7.x on `linux-binary-…` holds
/// the image, `linux-modules-…` the modules, and `linux-base-…` the configuration and the list of what is built in.
const FOLLOWED: [&str; 5] = [
    "linux-image-",
    "linux-binary-",
    "linux-modules-",
    "linux-base-",
    "linux-source-",
];
/// A package with fewer files than this is a metapackage or a shell: no kernel fits into it.
const KERNEL_KIB_MIN: u64 = 256;
/// How many alternatives an error names.
const NEAREST_MAX: usize = 6;

/// Why the archive does not have what is asked for.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The package is there, but not this version.
    #[error("{suite} does not hold {package}; it holds {held}; {next}")]
    VersionGone {
        /// The archive's suite, as kernels.toml names it.
        suite: String,
        /// The package and the version asked for, with a space between.
        package: String,
        /// The versions on offer.
        held: String,
        /// Advice for a person, which ends the message.
        next: String,
    },
    /// No package of the suite has the name, or matches the glob.
    #[error("{suite} holds no package {package}; nearest on offer: {nearest}; {next}")]
    PackageGone {
        /// The archive's suite, as kernels.toml names it.
        suite: String,
        /// As kernels.toml has it, a name or a glob.
        package: String,
        /// Names with versions.
        nearest: String,
        /// Advice for a person, which ends the message.
        next: String,
    },
    /// The packages found hold no kernel.
    #[error(
        "{package} {version} of {suite} holds no kernel, nor does a package that it depends on; name a linux-image-… \
        package"
    )]
    NoKernel {
        /// The archive's suite, as kernels.toml names it.
        suite: String,
        /// The package that was looked into first.
        package: String,
        /// The version that the suite has of it.
        version: String,
    },
}

impl ExitError for ResolveError {
    fn exit(&self) -> Exit {
        Exit::NoInput
    }
}

/// The package files that serve `source` for the kernel `id`.
///
/// # Errors
/// The index does not hold what is asked for.
pub fn resolve(id: &str, source: &PackageSource, index: &Index) -> Result<Pinned, ResolveError> {
    let mut visited = BTreeSet::new();
    let mut debs = BTreeSet::new();
    let mut first = None;
    for pattern in &source.packages {
        let root = root(id, pattern, &source.version, index)?;
        first.get_or_insert(root);
        collect(root, index, &mut visited, &mut debs);
    }
    let (package, version) = first
        .map(|entry| (entry.deb.name.clone(), entry.deb.version.clone()))
        .unwrap_or_default();
    if debs.is_empty() {
        return Err(ResolveError::NoKernel {
            suite: index.suite.clone(),
            package,
            version,
        });
    }
    Ok(Pinned {
        id: id.to_owned(),
        suite: source.suite.clone(),
        package: source.packages.clone(),
        version,
        debs: debs.into_iter().collect(),
    })
}

/// Why a pin cannot be fetched any more, if the index no longer holds one of its files.
#[must_use]
pub fn missing(pinned: &Pinned, source: &PackageSource, index: &Index) -> Option<ResolveError> {
    let gone = pinned
        .debs
        .iter()
        .find(|deb| index.get(&deb.name, &deb.version).is_none())?;
    Some(gone_error(
        &pinned.id,
        &gone.name,
        &VersionRequest::Exactly(gone.version.clone()),
        source.version == VersionRequest::Latest,
        index,
    ))
}

/// The entry of a package asked for by name or glob: the highest version that fits.
fn root<'a>(id: &str, pattern: &str, wanted: &VersionRequest, index: &'a Index) -> Result<&'a Entry, ResolveError> {
    let matcher = suggest::glob(pattern).ok();
    let fits = |entry: &&Entry| match wanted {
        VersionRequest::Latest => true,
        VersionRequest::Exactly(version) => entry.deb.version == *version,
    };
    index
        .names()
        .filter(|name| *name == pattern || matcher.as_ref().is_some_and(|glob| glob.is_match(name)))
        .flat_map(|name| index.versions(name))
        .filter(fits)
        .max_by(|a, b| version::compare(&a.deb.version, &b.deb.version))
        .ok_or_else(|| gone_error(id, pattern, wanted, false, index))
}

fn collect<'a>(
    entry: &'a Entry,
    index: &'a Index,
    visited: &mut BTreeSet<&'a str>,
    debs: &mut BTreeSet<super::lock::Deb>,
) {
    if !visited.insert(&entry.deb.name) {
        return;
    }
    if entry.installed_kib >= KERNEL_KIB_MIN {
        debs.insert(entry.deb.clone());
    }
    for (name, version) in dependencies(&entry.depends) {
        let found = match version {
            Some(version) => index.get(name, version),
            None => index.versions(name).last(),
        };
        if let Some(dependency) = found {
            collect(dependency, index, visited, debs);
        }
    }
}

/// Names that are followed, with the version if it is bound to one. Of alternatives the first is taken.
fn dependencies(depends: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    depends.split(',').filter_map(|group| {
        let wanted = group.split('|').next()?.trim();
        let (name, bound) = wanted.split_once(' ').unwrap_or((wanted, ""));
        let followed = FOLLOWED.iter().any(|prefix| name.starts_with(prefix));
        let exact = bound
            .trim()
            .strip_prefix("(=")
            .and_then(|rest| rest.strip_suffix(')'))
            .map(str::trim);
        followed.then_some((name, exact))
    })
}

fn gone_error(id: &str, package: &str, wanted: &VersionRequest, lock_only: bool, index: &Index) -> ResolveError {
    let update = format!("`cargo xtask update {id}`");
    let suite = index.suite.clone();
    let package = package.to_owned();
    let held: Vec<&str> = index
        .versions(&package)
        .iter()
        .map(|entry| entry.deb.version.as_str())
        .collect();
    if held.is_empty() {
        let next = if lock_only {
            format!("{update} takes what is on offer now")
        } else {
            format!("name one of these in kernels.toml, then {update}")
        };
        return ResolveError::PackageGone {
            nearest: nearest(&package, wanted, index),
            suite,
            package,
            next,
        };
    }
    let next = if lock_only {
        format!("{update} takes it")
    } else {
        format!("put one of these (or \"latest\") into kernels.toml, then {update}")
    };
    ResolveError::VersionGone {
        suite,
        package: format!("{package} {wanted}"),
        held: held.join(", "),
        next,
    }
}

/// The packages of the same flavour that are nearest in version, or in name if no version is given.
fn nearest(package: &str, wanted: &VersionRequest, index: &Index) -> String {
    let flavour = flavour(package);
    let mut offers: Vec<&Entry> = index
        .names()
        .filter(|name| name.starts_with("linux-image-") && self::flavour(name) == flavour)
        .flat_map(|name| index.versions(name))
        .filter(|entry| entry.installed_kib >= KERNEL_KIB_MIN || flavour.is_none())
        .collect();
    offers.sort_by(|a, b| version::compare(&a.deb.version, &b.deb.version));
    let at = match wanted {
        VersionRequest::Latest => offers.len(),
        VersionRequest::Exactly(version) => {
            offers.partition_point(|entry| version::compare(&entry.deb.version, version).is_lt())
        }
    };
    let start = at
        .saturating_sub(NEAREST_MAX / 2)
        .min(offers.len().saturating_sub(NEAREST_MAX));
    let names: Vec<String> = offers
        .iter()
        .skip(start)
        .take(NEAREST_MAX)
        .map(|entry| format!("{} {}", entry.deb.name, entry.deb.version))
        .collect();
    if names.is_empty() {
        "none of this flavour".to_owned()
    } else {
        names.join(", ")
    }
}

/// What follows the version in a package's name: `cloud-amd64-unsigned` of `linux-image-6.1.0-50-cloud-amd64-unsigned`.
fn flavour(package: &str) -> Option<&str> {
    let words = package.match_indices('-').map(|(at, _)| &package[at + 1..]);
    words
        .skip(2)
        .find(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
}
