//! The build directories for one source: where each of them stands, and which of them a tree is built in.
//!
//! What a build costs is what differs from a directory's last one. So in a range whose ends are far apart two of them,
//! one near each end, cost less than one that goes to and fro.

use std::time::SystemTime;

use super::line::{self, FOLDER, Memory, name};
use super::uses::Uses;
use crate::source::{Repo, Tree};
use crate::stock;
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

/// Whether one more directory for a source may be begun: there are not too many, and the disk holds another as large.
fn has_room(cache: &Cache, source: &TreeSource) -> bool {
    let what = line::what(source);
    let first = cache.root().join(FOLDER).join(name(&what, 0));
    let is_new = |nth: &usize| Memory::of(cache, &what, *nth).state().built.is_empty();
    (0..FOLDERS).any(|nth| is_new(&nth))
        && cache::free_bytes(cache.root()).is_some_and(|free| free > stock::size_bytes(&first) + SPARE_BYTES)
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
