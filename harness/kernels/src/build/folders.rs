//! The build directories for one source: where each of them stands, and which of them a tree is built in.
//!
//! What a build costs is what differs from a directory's last one. So in a range whose ends are far apart two of them,
//! one near each end, cost less than one that goes to and fro.

use std::time::SystemTime;

use super::line::{self, FOLDER, Memory, name};
use super::uses::Uses;
use crate::source::{Repo, Tree};
use crate::tree::TreeSource;
use host::cache::{self, Cache};

/// A range of versions costs least with a directory near each of its ends; more than two would only take up the disk.
const FOLDERS: usize = 2;
/// What a new directory must leave of the disk: room for artifacts, snapshots and runs.
const SPARE_BYTES: u64 = 4 << 30;

/// From this part of a whole build on, a tree is built in a directory of its own, so that the next one need not come
/// all the way back.
const FAR: f64 = 0.6;

/// Whether a build directory may be begun beside the one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folders {
    /// The nearest of those that are there is used.
    AsTheyAre,
    /// One more is begun for a tree that is far from them: others near it are going to be built.
    OneMore,
}

/// Where a build directory stands: what it holds, and what of it another tree makes anew.
#[derive(Debug)]
pub struct Standing {
    /// Which of the directories for the same source it is, from 0.
    pub(super) nth: usize,
    /// What was built in it last, without what mended it for today's tools,
    pub tree: Tree,
    /// and when that came to its end.
    pub used: Option<SystemTime>,
    /// What its objects read.
    pub uses: Uses,
}

/// What is known of the other directories for the same source.
pub(super) fn others(cache: &Cache, source: &TreeSource, than: usize) -> Vec<Memory> {
    let what = line::what(source);
    let others = (0..FOLDERS).filter(|nth| *nth != than);
    others.map(|nth| Memory::of(cache, &what, nth)).collect()
}

/// Where the directories for a source stand.
#[must_use]
pub fn standing(cache: &Cache, source: &TreeSource) -> Vec<Standing> {
    let what = line::what(source);
    let standing = |nth| {
        let memory = Memory::of(cache, &what, nth);
        let built = memory.state().built.first()?;
        let tree = built.tree();
        Some(Standing {
            nth,
            tree: Tree {
                id: built.given.clone().unwrap_or_else(|| tree.id.clone()),
                ..tree
            },
            used: memory.used(),
            uses: memory.uses()?,
        })
    };
    (0..FOLDERS).filter_map(standing).collect()
}

/// Whether anything was built for a source in any of its directories.
#[must_use]
pub fn are_begun(cache: &Cache, source: &TreeSource) -> bool {
    let what = line::what(source);
    (0..FOLDERS).any(|nth| !Memory::of(cache, &what, nth).state().built.is_empty())
}

/// Whether one more directory for a source may be begun: there are not too many, and the disk holds another as large.
fn has_room(cache: &Cache, source: &TreeSource) -> bool {
    let what = line::what(source);
    let first = cache.root().join(FOLDER).join(name(&what, 0));
    let is_new = |nth: &usize| Memory::of(cache, &what, *nth).state().built.is_empty();
    (0..FOLDERS).any(|nth| is_new(&nth))
        && cache::free_bytes(cache.root()).is_some_and(|free| free > cache::size_bytes(&first) + SPARE_BYTES)
}

/// Which of the build directories for its source a tree is built in: the one that leaves least to make. The tree is as
/// it was given, without what mends it.
pub(super) fn nearest(cache: &Cache, repo: &Repo, tree: &Tree, source: &TreeSource, folders: Folders) -> usize {
    let part = |standing: &Standing| {
        // A tree whose repository is gone tells nothing any more.
        let differ = repo.differing(&standing.tree, tree).ok()?;
        Some((standing.nth, standing.uses.part(differ.iter().map(String::as_str))))
    };
    let parts = standing(cache, source).iter().filter_map(part).collect::<Vec<_>>();
    let Some((nth, part)) = parts.iter().copied().min_by(|(_, a), (_, b)| a.total_cmp(b)) else {
        return 0;
    };
    let is_free = |nth: &usize| parts.iter().all(|(other, _)| other != nth);
    match folders {
        Folders::OneMore if part >= FAR && has_room(cache, source) => (0..).find(is_free).unwrap_or(nth),
        _ => nth,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::process::Command;

    use super::*;
    use crate::package::{PackageSource, VersionRequest};
    use crate::tree::{ConfigPart, Origin};

    /// Three trees: `near` differs from `first` in a file that one object of ten reads, `far` in one that all do.
    const TREES: &str = "
        git init -q -b main
        tree() { git add -A; git write-tree; }
        echo 1 > a.c; echo 1 > all.h; tree
        echo 2 > a.c; tree
        echo 2 > all.h; tree
    ";

    fn source() -> TreeSource {
        TreeSource {
            origin: Origin::Package(PackageSource {
                suite: "a".to_owned(),
                packages: vec!["linux-source-1".to_owned()],
                version: VersionRequest::Latest,
            }),
            patches: Vec::new(),
            config: vec![ConfigPart::Tiny],
            cc: None,
            make: BTreeMap::new(),
        }
    }

    fn trees(dir: &Path) -> [Tree; 3] {
        std::fs::create_dir(dir).expect("a directory");
        let output = Command::new("sh")
            .args(["-ec", TREES])
            .current_dir(dir)
            .output()
            .expect("sh");
        let ids = String::from_utf8(output.stdout).expect("text");
        let tree = |id: &str| Tree {
            id: id.to_owned(),
            name: id.to_owned(),
            alternates: vec![dir.join(".git/objects")],
        };
        let ids: Vec<Tree> = ids.lines().map(tree).collect();
        ids.try_into().expect("three trees")
    }

    /// One of the directories, as a build of a tree leaves it.
    fn build(cache: &Cache, nth: usize, tree: &Tree) {
        let what = line::what(&source());
        let dir = cache
            .folder(&format!("{FOLDER}/{}", name(&what, nth)))
            .expect("a directory");
        let state = serde_json::json!({
            "what": what, "configs": {}, "whole": {},
            "built": [{
                "tree": "mended", "given": tree.id, "alternates": tree.alternates, "name": "a", "config": "c",
                "with": "w", "closure": "x", "artifact": "y",
            }],
        });
        std::fs::write(dir.join("state.json"), state.to_string()).expect("a file");
        std::fs::write(dir.join("uses"), "10\n0-9\tall.h\n3\ta.c\n").expect("a file");
    }

    #[test]
    fn a_tree_goes_where_least_of_it_is_made() {
        let dir = tempfile::tempdir().expect("a directory");
        let [first, near, far] = trees(&dir.path().join("linux"));
        let cache = Cache::at(dir.path().join("cache"));
        let repo = Repo::open(&cache).expect("a repository");
        let place = |tree: &Tree, folders| nearest(&cache, &repo, tree, &source(), folders);
        // Nothing is there yet.
        assert_eq!(place(&near, Folders::OneMore), 0);
        build(&cache, 0, &first);
        assert_eq!(place(&near, Folders::OneMore), 0);
        assert_eq!(place(&far, Folders::AsTheyAre), 0);
        // Where the disk has no room for it none is begun.
        let room = cache::free_bytes(cache.root()).expect("a disk") > SPARE_BYTES + (1 << 20);
        assert_eq!(place(&far, Folders::OneMore), usize::from(room));
        build(&cache, 1, &far);
        for folders in [Folders::AsTheyAre, Folders::OneMore] {
            assert_eq!([&first, &near, &far].map(|tree| place(tree, folders)), [0, 0, 1]);
        }
        // Far from both: there are enough.
        build(&cache, 1, &near);
        assert!(place(&far, Folders::OneMore) < 2);
        // A tree whose repository is gone is built somewhere all the same.
        let gone = Tree {
            alternates: Vec::new(),
            ..far
        };
        assert_eq!(place(&gone, Folders::OneMore), 0);
    }

    #[test]
    fn what_another_version_left_tells_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let [first, _, far] = trees(&dir.path().join("linux"));
        let cache = Cache::at(dir.path().join("cache"));
        let repo = Repo::open(&cache).expect("a repository");
        build(&cache, 0, &first);
        std::fs::remove_file(
            cache
                .root()
                .join(FOLDER)
                .join(name(&line::what(&source()), 0))
                .join("uses"),
        )
        .expect("uses");
        assert!(standing(&cache, &source()).is_empty());
        assert_eq!(nearest(&cache, &repo, &far, &source(), Folders::OneMore), 0);
    }
}
