//! A range of commits of a repository.

use std::collections::HashMap;
use std::path::Path;

use super::patches::CommonPatches;
use super::plan::Planned;
use super::repository::{Commit, Repository};
use super::trees::{Background, OwnParent, Trees};
use crate::request::{CommitRange, Request};
use crate::scope;
use bisect::search::Direction;
use bisect::state::Kind;
use exit::{Exit, Failure};
use host::places::Places;
use host::progress::Progress;
use host::words::{counted, quoted};
use kernels::given::tree_kernel;
use kernels::source::{self, Repo, Tree};
use kernels::{GivenTree, Kernel, Source, TreeSource};
use run::prepare;

/// Letters of a commit as a kernel's name.
const SHORT: usize = 12;
/// What a build costs, in runs: minutes against seconds.
const BUILD_COST: f64 = 30.0;

/// The range between two commits, and who builds it. Also the bad end as a kernel, for its cells.
///
/// # Errors
/// No repository, an unknown revision, ends that are one or do not follow on each other.
pub(crate) fn range(
    request: &Request,
    range: &CommitRange,
    places: &Places,
) -> Result<(Planned, Trees, Kernel), Failure> {
    let given = &range.tree;
    let kernel = tree_kernel(given, &request.fs, &places.configs())?;
    let source = source_of(&kernel).ok_or_else(|| Failure::new(Exit::Usage, "--tree is no source"))?;
    let repository = Repository::open(&given.tree)?;
    let (bad, good, direction) = ends(range, &repository)?;
    let (old, new) = match direction {
        Direction::Regression => (&good, &bad),
        Direction::Fix => (&bad, &good),
    };
    let cache = prepare::cache()?;
    let repo = Repo::open(&cache)?;
    let progress = Progress::stderr();
    // It is a Linux at both ends.
    let dir = repository.dir.to_string_lossy();
    for end in [&bad, &good] {
        source::git(&repo, &cache, &dir, end, false, request.options.offline, &progress)?;
    }
    let commits = repository.range(old, new, range.first_parent, &range.paths)?;
    let parents = parents(&commits);
    let (skip, mut notes) = skipped(range, &repository, &commits)?;
    let (patches, of_patches) = CommonPatches::of(&given.patch, &repo, &repository, &commits)?;
    notes.extend(of_patches);
    let usual = Planned::terms(direction);
    let planned = Planned {
        kind: Kind::Git,
        scope: scope(range, &repository, &source),
        names: commits.iter().map(|commit| commit.id.clone()).collect(),
        labels: commits.iter().map(|commit| commit.subject.clone()).collect(),
        parents: parents.clone(),
        same: Vec::new(),
        skip,
        direction,
        terms: (
            range.term_old.clone().unwrap_or(usual.0),
            range.term_new.clone().unwrap_or(usual.1),
        ),
        build_cost: BUILD_COST,
        notes,
        bad,
        good,
    };
    let tree = |commit: &Commit| Ok(tree(commit, &repository));
    let again = |commit: &Commit| again(given, &repository.dir, &commit.id);
    let trees = Trees {
        trees: commits.iter().map(tree).collect(),
        ids: commits.iter().map(|commit| short(&commit.id)).collect(),
        patched_over: None,
        again: commits.iter().map(again).collect(),
        parents,
        own_parents: own_parents(&commits),
        repo,
        cache,
        repository,
        source,
        patches,
        progress,
        ahead: Background::new(request.options.ahead),
    };
    Ok((planned, trees, kernel))
}

fn tree(commit: &Commit, repository: &Repository) -> Tree {
    Tree {
        id: commit.tree.clone(),
        name: short(&commit.id),
        alternates: vec![repository.objects.clone()],
    }
}

/// The commits of both ends, the bad one first, and which of them is the newer one.
fn ends(range: &CommitRange, repository: &Repository) -> Result<(String, String, Direction), Failure> {
    let (bad_rev, good_rev) = (&range.ends.bad, &range.ends.good);
    let bad = repository.commit("--bad", bad_rev)?;
    let good = repository.commit("--good", good_rev)?;
    if bad == good {
        return Err(Failure::new(
            Exit::Usage,
            format!(
                "--bad {bad_rev} and --good {good_rev} are the same commit, {}: \
                a bisection needs one that fails and another one that passes",
                short(&bad)
            ),
        ));
    }
    let direction = if repository.contains(&bad, &good)? {
        Direction::Regression
    } else if repository.contains(&good, &bad)? {
        Direction::Fix
    } else {
        return Err(apart(repository, &bad, &good)?);
    };
    Ok((bad, good, direction))
}

/// For each commit the items that it follows on.
fn parents(commits: &[Commit]) -> Vec<Vec<usize>> {
    let index = index(commits);
    let of = |(at, commit): (usize, &Commit)| {
        // What is not in the range forked off before it.
        let mut parents: Vec<usize> = commit
            .parents
            .iter()
            .map(|id| index.get(id.as_str()).copied().unwrap_or(0))
            .collect();
        if at > 0 && parents.is_empty() {
            parents.push(0);
        }
        parents.sort_unstable();
        parents.dedup();
        parents
    };
    commits.iter().enumerate().map(of).collect()
}

/// For each commit its own parents, and which of them are items.
fn own_parents(commits: &[Commit]) -> Vec<Vec<OwnParent>> {
    let index = index(commits);
    let own = |id: &String| OwnParent {
        item: index.get(id.as_str()).copied(),
        commit: id.clone(),
    };
    let of = |commit: &Commit| commit.own_parents.iter().map(own).collect();
    commits.iter().map(of).collect()
}

/// Places of commits in the range, by their ids.
fn index(commits: &[Commit]) -> HashMap<&str, usize> {
    let ids = commits.iter().enumerate();
    ids.map(|(at, commit)| (commit.id.as_str(), at)).collect()
}

/// Items that a person knows not to be testable, and what that person should know beforehand.
fn skipped(
    range: &CommitRange,
    repository: &Repository,
    commits: &[Commit],
) -> Result<(Vec<usize>, Vec<String>), Failure> {
    let mut notes = Vec::new();
    if repository.is_dirty()? {
        notes.push(
            "the working copy has changes that are not committed; it is not looked at, and stays as it is".to_owned(),
        );
    }
    if repository.is_shallow()? {
        notes.push(
            "this is a shallow clone: commits whose parents it lacks count as if they followed on the old end; \
            `git fetch --unshallow` gets them"
                .to_owned(),
        );
    }
    let files = match commits {
        [old, .., new] => repository.missing(&old.id, &new.id)?,
        _ => 0,
    };
    if files > 0 {
        notes.push(format!(
            "this is a partial clone and lacks {} of the commits in the range: the bisection breaks off at a commit \
            that needs one of them; `git -C {} fetch --refetch --no-filter` gets them",
            counted(files, "file"),
            quoted(&repository.dir.to_string_lossy())
        ));
    }
    let index = index(commits);
    let mut skip = Vec::new();
    for rev in &range.skip {
        let commit = repository.commit("--skip", rev)?;
        match index.get(commit.as_str()) {
            Some(at) => skip.push(*at),
            None => notes.push(format!("--skip {rev}: it is not in the range")),
        }
    }
    let merges = commits.iter().filter(|commit| commit.parents.len() > 1).count();
    if merges > 0 {
        notes.push(format!(
            "{merges} of the commits are merges; --first-parent looks at them only as what they merged"
        ));
    }
    Ok((skip, notes))
}

/// How a commit is built: as `test --tree` does it, so that both share a build directory.
fn source_of(kernel: &Kernel) -> Option<TreeSource> {
    match &kernel.source {
        Source::Tree(source) => Some((**source).clone()),
        _ => None,
    }
}

/// What the range depends on besides its ends.
fn scope(range: &CommitRange, repository: &Repository, source: &TreeSource) -> Vec<String> {
    let given = &range.tree;
    let mut scope = vec![repository.dir.to_string_lossy().into_owned()];
    scope.extend(scope::build(source));
    scope.extend(
        given
            .patch
            .iter()
            .map(|patch| format!("--patch {}", scope::file(patch))),
    );
    scope.extend(range.first_parent.then(|| "--first-parent".to_owned()));
    scope.extend(range.skip.iter().map(|rev| format!("--skip {rev}")));
    scope.extend(range.paths.iter().cloned());
    scope
}

/// How `cargo xtask test` is told to run a revision of a tree.
pub(crate) fn again(given: &GivenTree, dir: &Path, rev: &str) -> String {
    let given = GivenTree {
        tree: dir.to_owned(),
        ..given.clone()
    };
    let given = given.absolute();
    let mut words = vec![
        format!("--tree {}", quoted(&given.tree.to_string_lossy())),
        format!("--rev {rev}"),
    ];
    words.extend(build_options(&given));
    words.join(" ")
}

/// The options of the build, as they were given.
pub(crate) fn build_options(given: &GivenTree) -> Vec<String> {
    let config = given.config.iter().map(|part| format!("--config {}", quoted(part)));
    let patch = given
        .patch
        .iter()
        .map(|patch| format!("--patch {}", quoted(&patch.to_string_lossy())));
    let cc = given.cc.iter().map(|cc| format!("--cc {}", quoted(cc)));
    config.chain(patch).chain(cc).collect()
}

/// Ends of which neither contains the other.
fn apart(repository: &Repository, bad: &str, good: &str) -> Result<Failure, Failure> {
    let what = match repository.merge_base(bad, good)? {
        Some(base) => format!(
            "their histories part at {}: test that one (--tree … --rev), \
            and bisect between it and the end that differs from it",
            short(&base)
        ),
        None if repository.is_shallow()? => {
            "this is a shallow clone, whose history ends before they meet; `git fetch --unshallow` gets the rest"
                .to_owned()
        }
        None => "they have no history in common".to_owned(),
    };
    Ok(Failure::new(
        Exit::Usage,
        format!(
            "neither of --bad {} and --good {} contains the other; {what}",
            short(bad),
            short(good)
        ),
    ))
}

/// A commit's id as a person writes it.
#[must_use]
pub(crate) fn short(id: &str) -> String {
    id.chars().take(SHORT).collect()
}

#[cfg(test)]
mod tests;
