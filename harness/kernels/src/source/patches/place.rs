//! Whether a source has a place for what a diff changes, and how much of its paths is prefix.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use super::super::error::SourceError;
use super::super::repo::{Repo, Tree};
use super::diff::{Diff, Named};
use super::mail::Mail;
use host::tool;

const DEADLINE: Duration = Duration::from_secs(600);
/// Bytes of the paths that git is asked about at once; the system allows a command some more.
const BYTES_AT_ONCE: usize = 64 << 10;
/// Prefixes, the usual one first.
const STRIPS: [usize; 3] = [1, 0, 2];
/// Directories of other projects that a kernel never had at its top.
const OF_OTHERS: [&str; 10] = [
    "cmds",
    "common",
    "e2fsck",
    "kernel-shared",
    "libfrog",
    "libxfs",
    "misc-utils",
    "sys-utils",
    "testcases",
    "tests",
];

/// The files and directories of a tree, as far as they were asked for.
#[derive(Default)]
pub(super) struct Place {
    known: HashSet<String>,
    /// Files that patches make, with how many parts of the path were taken off.
    made: HashSet<(usize, String)>,
}

/// How a diff fits a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fit {
    /// Files that it changes are there.
    Here,
    /// So are they, but only such as every project has.
    AtTop,
    /// Nothing says otherwise.
    Perhaps,
    /// There is nothing at all where it changes files.
    Elsewhere,
}

impl Place {
    /// Looks up what some mails' diffs name.
    ///
    /// # Errors
    /// git fails.
    pub(super) fn learn<'a>(
        &mut self,
        repo: &Repo,
        tree: &Tree,
        mails: impl Iterator<Item = &'a Mail>,
    ) -> Result<(), SourceError> {
        let mut wanted = BTreeSet::new();
        for mail in mails {
            for file in mail.diffs.iter().flat_map(|titled| &titled.diff.files) {
                if !file.is_old && !mail.tag.names_project && !is_of_others(file) {
                    let paths = STRIPS
                        .iter()
                        .filter_map(|strip| Some((*strip, file.path(*strip)?.to_owned())));
                    self.made.extend(paths);
                }
                for path in STRIPS.iter().filter_map(|strip| file.path(*strip)) {
                    // git refuses to look for what leads out of the tree.
                    if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
                        continue;
                    }
                    let mut ends = path.match_indices('/').map(|(at, _)| &path[..at]);
                    let top = ends.next();
                    wanted.extend(top.into_iter().chain(ends.next_back()).chain([path]).map(str::to_owned));
                }
            }
        }
        let wanted: Vec<String> = wanted.into_iter().collect();
        let mut bytes = 0;
        let chunks = wanted.chunk_by(|one, _| {
            bytes += one.len() + 1;
            let is_more = bytes < BYTES_AT_ONCE;
            bytes = if is_more { bytes } else { 0 };
            is_more
        });
        for some in chunks {
            let mut command = repo.git(&tree.alternates)?;
            command
                // A directory is wanted also where something in it is.
                .args(["ls-tree", "-t", "-z", "--name-only", &tree.id, "--"])
                .args(some);
            let finished = tool::run_ok(&mut command, DEADLINE)?;
            let names = String::from_utf8_lossy(&finished.stdout).into_owned();
            self.known.extend(names.split('\0').map(str::to_owned));
        }
        Ok(())
    }

    /// How many parts of a diff's paths are prefix, if that can be told.
    pub(super) fn strip(&self, diff: &Diff) -> Option<usize> {
        let is = |fit: Fit| STRIPS.into_iter().find(|strip| self.fit(diff, *strip, false) == fit);
        // `fs/Makefile` is that file, and not the one at the top below a directory of any name.
        diff.strip.or_else(|| is(Fit::Here)).or_else(|| is(Fit::AtTop))
    }

    /// Whether a diff is for another source. `names_project`: its mail says so.
    pub(super) fn is_foreign(&self, diff: &Diff, names_project: bool) -> bool {
        // What says that it is for another project makes no places here.
        let fits = STRIPS.map(|strip| self.fit(diff, strip, !names_project));
        let is_here = fits.iter().any(|fit| matches!(fit, Fit::Here | Fit::AtTop));
        !is_here && (fits[0] == Fit::Elsewhere || names_project)
    }

    /// A directory that a diff makes at the top of the source, as few patches for a kernel do.
    pub(super) fn new_top<'a>(&self, diff: &'a Diff, strip: usize) -> Option<&'a str> {
        let made = diff.files.iter().filter(|file| !file.is_old);
        let mut tops = made.filter_map(|file| Some(file.path(strip)?.split_once('/')?.0));
        tops.find(|top| !self.known.contains(*top))
    }

    fn fit(&self, diff: &Diff, strip: usize, with_made: bool) -> Fit {
        let has = |path: &str| self.known.contains(path);
        let (mut is_here, mut is_at_top, mut is_elsewhere) = (false, false, false);
        let mut is_all = true;
        for file in &diff.files {
            let Some(path) = file.path(strip) else { continue };
            if with_made && file.is_old && self.made.contains(&(strip, path.to_owned())) {
                is_here = true;
                continue;
            }
            is_all &= !file.is_old || (has(path) && path.contains('/'));
            match (path.split_once('/'), path.rsplit_once('/')) {
                // A patch may make a directory at the top.
                (Some((top, _)), _) if !has(top) => is_elsewhere |= file.is_old || is_of_others(file),
                (_, Some((folder, _))) => is_here |= has(path) || (!file.is_old && has(folder)),
                // Every project has a Makefile.
                _ => is_at_top |= has(path),
            }
        }
        // Names of directories in other projects are some of ours.
        let is_unusual = strip > 1 && !(is_all && diff.files.iter().any(|file| file.is_old));
        match (is_here, is_at_top, is_elsewhere) {
            _ if is_unusual => Fit::Perhaps,
            (true, _, _) => Fit::Here,
            (_, true, false) => Fit::AtTop,
            (false, _, true) => Fit::Elsewhere,
            _ => Fit::Perhaps,
        }
    }
}

/// Whether a file's path is one of another project's.
fn is_of_others(file: &Named) -> bool {
    let tops = [0, 1].map(|strip| file.path(strip).and_then(|path| path.split_once('/')));
    tops.into_iter().flatten().any(|(top, _)| OF_OTHERS.contains(&top))
}
