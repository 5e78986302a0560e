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
use host::words::quoted;
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
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

    use std::process::Command;

    use host::cache::Cache;
    use kernels::{ConfigPart, Origin};

    use super::*;
    use crate::maker::Maker;
    use crate::request::When;

    /// Commits of which two touch fs, and one between them does not; a side that forked off before `v1`.
    const HISTORY: &str = "
        git init -q -b main; mkdir fs mm
        commit() { echo \"$1\" > $2; git add -A; git commit -qm \"$1\"; }
        commit zero Makefile; git branch side
        commit one fs/a.c; git tag v1
        commit two fs/b.c
        commit three mm/c.c
        commit four fs/d.c
        commit five fs/e.c
        git checkout -q side; mkdir -p fs; commit aside fs/side.c; git checkout -q main
        git merge -q --no-ff -m merge side
        commit six fs/f.c; git tag v2
    ";

    fn trees(dir: &Path, paths: &[&str]) -> (Vec<Commit>, Trees) {
        let linux = dir.join("linux");
        if !linux.is_dir() {
            std::fs::create_dir(&linux).unwrap();
            let mut command = Command::new("sh");
            command.args(["-ec", HISTORY]).current_dir(&linux).env("HOME", dir);
            for who in ["AUTHOR", "COMMITTER"] {
                command.env(format!("GIT_{who}_NAME"), "a");
                command.env(format!("GIT_{who}_EMAIL"), "a@b");
            }
            assert!(command.status().unwrap().success());
        }
        let repository = Repository::open(&linux).unwrap();
        let [old, new] = ["v1", "v2"].map(|rev| repository.commit("", rev).unwrap());
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let commits = repository.range(&old, &new, false, &paths).unwrap();
        let cache = Cache::at(dir.join("cache"));
        let tree = |commit: &Commit| Ok(tree(commit, &repository));
        let trees = Trees {
            trees: commits.iter().map(tree).collect(),
            ids: commits.iter().map(|commit| short(&commit.id)).collect(),
            patched_over: None,
            again: Vec::new(),
            parents: parents(&commits),
            own_parents: own_parents(&commits),
            repo: Repo::open(&cache).unwrap(),
            cache,
            repository,
            source: TreeSource {
                origin: Origin::Git {
                    repository: String::new(),
                    rev: String::new(),
                    dirty: false,
                },
                patches: Vec::new(),
                config: vec![ConfigPart::Tiny],
                cc: None,
                make: std::collections::BTreeMap::new(),
            },
            patches: CommonPatches::default(),
            progress: Progress::hidden(),
            ahead: Background::new(When::Never),
        };
        (commits, trees)
    }

    fn at(commits: &[Commit], subject: &str) -> usize {
        commits.iter().position(|commit| commit.subject == subject).unwrap()
    }

    /// The files that the newest commit without another one lacks.
    fn lacks(trees: &Trees, item: usize) -> Vec<String> {
        let tip = trees
            .repo
            .listing(trees.trees.last().unwrap().as_ref().unwrap())
            .unwrap();
        let without = trees.repo.listing(&trees.without(item).unwrap().unwrap()).unwrap();
        let mut lacks: Vec<String> = tip.into_keys().filter(|path| !without.contains_key(path)).collect();
        lacks.sort();
        lacks
    }

    #[test]
    fn a_commit_is_taken_back_and_not_what_paths_leave_out_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let (commits, trees) = trees(dir.path(), &["fs"]);
        let four = at(&commits, "four");
        assert_eq!(commits[trees.parents[four][0]].subject, "two");
        assert_eq!(lacks(&trees, four), ["fs/d.c"]);
        // What it follows on is no item, and the next one follows on an item.
        let old = &commits[0].id;
        let outside = trees.predecessors(four, old).unwrap();
        let three = trees.repository.commit("", "v2~4").unwrap();
        assert_eq!(outside.len(), 1, "{outside:?}");
        assert_eq!((outside[0].name.as_str(), outside[0].is_older), (&three[..12], false));
        assert_eq!(outside[0].tree.id, trees.repository.tree(&three).unwrap());
        assert!(trees.predecessors(at(&commits, "five"), old).unwrap().is_empty());
    }

    #[test]
    fn trees_are_compared_within_some_folders() {
        let dir = tempfile::tempdir().unwrap();
        let (commits, trees) = trees(dir.path(), &[]);
        let pair = [(commits[0].tree.clone(), commits.last().unwrap().tree.clone())];
        let differ = |within: &[&str]| trees.repository.differences_within(&pair, within).unwrap().remove(0);
        let all = differ(&[]);
        assert!(all.contains(&("mm/c.c".to_owned(), true)) && all.len() == 6, "{all:?}");
        assert_eq!(differ(&["mm", "Makefile"]), [("mm/c.c".to_owned(), true)]);
        assert_eq!(differ(&["fs"]).len(), 5);
    }

    #[test]
    fn a_shallow_clone_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (_, trees) = trees(dir.path(), &[]);
        let apart = |repository: &Repository, one: &str, other: &str| {
            let [one, other] = [one, other].map(|rev| repository.commit("", rev).unwrap());
            apart(repository, &one, &other).unwrap().message
        };
        let said = apart(&trees.repository, "side", "v1");
        assert!(said.contains("their histories part at"), "{said}");
        let address = format!("file://{}", dir.path().join("linux").display());
        let clone = dir.path().join("clone");
        let cloned = Command::new("git")
            .args(["clone", "-q", "--bare", "--depth", "1", "--no-single-branch", &address])
            .arg(&clone)
            .status();
        assert!(cloned.unwrap().success());
        let said = apart(&Repository::open(&clone).unwrap(), "side", "v2");
        assert!(said.contains("this is a shallow clone"), "{said}");
    }

    #[test]
    fn what_forked_off_before_the_range_follows_on_what_is_older() {
        let dir = tempfile::tempdir().unwrap();
        let (commits, trees) = trees(dir.path(), &[]);
        let aside = at(&commits, "aside");
        assert_eq!(trees.parents[aside], [0]);
        assert_eq!(lacks(&trees, aside), ["fs/side.c"]);
        let outside = trees.predecessors(aside, &commits[0].id).unwrap();
        assert!(outside.len() == 1 && outside[0].is_older, "{outside:?}");
        // A merge is no change of its own, and both of its parents are items.
        let merge = at(&commits, "merge");
        assert!(trees.without(merge).unwrap().is_none());
        assert!(trees.predecessors(merge, &commits[0].id).unwrap().is_empty());
    }
}
