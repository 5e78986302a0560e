//! Whether a source has a place for what a diff changes, and how much of its paths is prefix.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::super::error::SourceError;
use super::super::repo::{Repo, Tree};
use super::diff::Diff;
use host::tool;

const DEADLINE: Duration = Duration::from_secs(600);
/// Paths that git is asked about at once.
const AT_ONCE: usize = 500;
/// Prefixes, the usual one first.
const STRIPS: [usize; 2] = [1, 0];

/// The files and directories of a tree, as far as they were asked for.
pub(super) struct Place {
    known: HashSet<String>,
}

/// How a diff fits a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Files that it changes are there.
    Here,
    /// Nothing says otherwise.
    Perhaps,
    /// There is nothing at all where it changes files.
    Elsewhere,
}

impl Place {
    /// Looks up what some diffs name.
    ///
    /// # Errors
    /// git fails.
    pub(super) fn of<'a>(
        repo: &Repo,
        tree: &Tree,
        diffs: impl Iterator<Item = &'a Diff>,
    ) -> Result<Place, SourceError> {
        let mut wanted = BTreeSet::new();
        for file in diffs.flat_map(|diff| &diff.files) {
            for path in STRIPS.iter().filter_map(|strip| file.path(*strip)) {
                // git refuses to look for what leads out of the tree.
                if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
                    continue;
                }
                let mut ends = path.match_indices('/').map(|(at, _)| &path[..at]);
                let top = ends.clone().next();
                wanted.extend(top.into_iter().chain(ends.next_back()).chain([path]).map(str::to_owned));
            }
        }
        let wanted: Vec<String> = wanted.into_iter().collect();
        let mut known = HashSet::new();
        for some in wanted.chunks(AT_ONCE) {
            let mut command = repo.git(&tree.alternates)?;
            command
                // A directory is wanted also where something in it is.
                .args(["ls-tree", "-t", "-z", "--name-only", &tree.id, "--"])
                .args(some);
            let finished = tool::run_ok(&mut command, DEADLINE)?;
            let names = String::from_utf8_lossy(&finished.stdout).into_owned();
            known.extend(names.split('\0').map(str::to_owned));
        }
        Ok(Place { known })
    }

    /// How many parts of a diff's paths are prefix, if that can be told.
    pub(super) fn strip(&self, diff: &Diff) -> Option<usize> {
        let here = || STRIPS.into_iter().find(|strip| self.fit(diff, *strip) == Fit::Here);
        diff.strip.or_else(here)
    }

    /// Whether a diff is for another source. `names_project`: its mail says so.
    pub(super) fn is_foreign(&self, diff: &Diff, names_project: bool) -> bool {
        let fits = STRIPS.map(|strip| self.fit(diff, strip));
        !fits.contains(&Fit::Here) && (fits[0] == Fit::Elsewhere || names_project)
    }

    fn fit(&self, diff: &Diff, strip: usize) -> Fit {
        let (mut is_here, mut is_at_top, mut is_elsewhere) = (false, false, false);
        for file in &diff.files {
            let Some(path) = file.path(strip) else { continue };
            let has = |path: &str| self.known.contains(path);
            match (path.split_once('/'), path.rsplit_once('/')) {
                (Some((top, _)), _) if !has(top) => is_elsewhere = true,
                (_, Some((folder, _))) => is_here |= has(path) || (!file.is_old && has(folder)),
                // Every project has a Makefile.
                _ => is_at_top |= has(path),
            }
        }
        match (is_here, is_at_top, is_elsewhere) {
            (true, _, _) | (_, true, false) => Fit::Here,
            (false, _, true) => Fit::Elsewhere,
            _ => Fit::Perhaps,
        }
    }
}
