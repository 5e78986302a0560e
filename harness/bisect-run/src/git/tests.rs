//! Ranges of a repository that is made.

#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use std::process::Command;

use host::cache::Cache;
use kernels::{ConfigPart, Origin};

use super::*;
use crate::maker::{Maker, Outside};
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
    assert_eq!(
        (outside[0].name.as_str(), outside[0].why),
        (&three[..12], Outside::LeftOut)
    );
    let tree = outside[0].tree.as_ref().unwrap();
    assert_eq!(Some(&tree.id), trees.repository.tree(&three).unwrap().as_ref());
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
    assert!(outside.len() == 1 && outside[0].why == Outside::Older, "{outside:?}");
    // A merge is no change of its own, and both of its parents are items.
    let merge = at(&commits, "merge");
    assert!(trees.without(merge).unwrap().is_none());
    assert!(trees.predecessors(merge, &commits[0].id).unwrap().is_empty());
}

/// Runs a script in a directory.
fn sh(dir: &Path, script: &str) {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(dir).env("HOME", dir);
    assert!(command.status().unwrap().success(), "{script}");
}

#[test]
fn what_a_shallow_clone_lacks_is_told_of_the_commit_at_its_end() {
    let dir = tempfile::tempdir().unwrap();
    drop(trees(dir.path(), &[]));
    sh(
        dir.path(),
        "mv linux whole
        git -C whole rev-parse side v1 > whole/.git/shallow
        git clone -q file://$PWD/whole linux",
    );
    let (commits, trees) = trees(dir.path(), &[]);
    let outside = trees.predecessors(at(&commits, "aside"), &commits[0].id).unwrap();
    assert_eq!(outside.len(), 1);
    assert_eq!(outside[0].why, Outside::Missing);
    assert!(trees.without(at(&commits, "aside")).unwrap().is_none());
    assert!(
        trees
            .predecessors(at(&commits, "two"), &commits[0].id)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_predecessor_to_which_a_patch_does_not_apply_is_none_the_less() {
    let dir = tempfile::tempdir().unwrap();
    let (commits, trees) = trees(dir.path(), &["fs"]);
    sh(
        dir.path(),
        "cd linux; echo more >> fs/e.c; git diff > ../more.patch; git checkout -q .",
    );
    let patch = dir.path().join("more.patch");
    let (patches, _) = CommonPatches::of(&[patch], &trees.repo, &trees.repository, &commits).unwrap();
    let trees = Trees { patches, ..trees };
    let outside = trees.predecessors(at(&commits, "four"), &commits[0].id).unwrap();
    assert_eq!(outside.len(), 1);
    assert!(outside[0].tree.as_ref().unwrap_err().contains("fs/e.c"), "{outside:?}");
}

#[test]
fn a_partial_clone_says_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let (commits, whole) = trees(dir.path(), &[]);
    sh(
        dir.path(),
        "git -C linux config uploadpack.allowFilter true
        git clone -q --bare --filter=blob:none file://$PWD/linux partial",
    );
    let range = CommitRange {
        tree: GivenTree::default(),
        ends: crate::request::Ends {
            bad: "v2".to_owned(),
            good: "v1".to_owned(),
        },
        first_parent: false,
        skip: Vec::new(),
        term_old: None,
        term_new: None,
        paths: Vec::new(),
    };
    let said = |repository: &Repository| skipped(&range, repository, &commits).unwrap().1.join("\n");
    assert!(!said(&whole.repository).contains("partial clone"));
    let partial = Repository::open(&dir.path().join("partial")).unwrap();
    let notes = said(&partial);
    assert!(
        notes.contains("this is a partial clone and lacks 6 files of the commits"),
        "{notes}"
    );
    // What is said helps.
    sh(dir.path(), "git -C partial fetch -q --refetch --no-filter");
    assert!(!said(&partial).contains("partial clone"));
}
