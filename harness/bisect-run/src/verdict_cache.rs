//! Results of runs, kept in the cache: an identical kernel with the same cell and seed gets its result at once, in
//! whichever bisection it was run first.
//!
//! A bisection never takes two runs of one kernel with one seed, so what is kept is as good as a run of its own. Only
//! what says something is kept.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use std::{fs, io};

use evidence::EvidenceBundle;
use host::cache::Cache;
use kernels::store;
use run::cell_file;
use verdict::Verdict;
use verdict::results::Cell;

/// Where they are, in the cache.
const FOLDER: &str = "judged";
/// How long one that nobody asks for is kept.
const KEEP: Duration = Duration::from_secs(30 * 24 * 3600);

/// Results that are kept.
#[derive(Debug, Clone)]
pub(crate) struct VerdictCache(Cache);

impl VerdictCache {
    /// Those of a cache; what nobody asked for in a month goes.
    #[must_use]
    pub(crate) fn of(cache: &Cache) -> VerdictCache {
        let judged = VerdictCache(cache.clone());
        let old = |dir: &Path| {
            let used = fs::metadata(dir.join(cell_file::NAME)).and_then(|meta| meta.modified());
            used.is_ok_and(|used| SystemTime::now().duration_since(used).is_ok_and(|age| age > KEEP))
        };
        let entries = fs::read_dir(cache.root().join(FOLDER)).into_iter().flatten().flatten();
        for dir in entries.map(|entry| entry.path()).filter(|dir| old(dir)) {
            // Tidying up is not what anybody waits for.
            let _ = fs::remove_dir_all(dir);
        }
        judged
    }

    fn place(&self, parts: &[String]) -> PathBuf {
        self.0.root().join(FOLDER).join(store::hash(parts))
    }

    /// Copies a result with its evidence into a directory, as one of a kernel that is called so now, if there is one.
    #[must_use]
    pub(crate) fn take(&self, parts: &[String], kernel: &str, into: &Path) -> Option<Cell> {
        let place = self.place(parts);
        let mut cell = cell_file::load(&place)?;
        let evidence = EvidenceBundle::load(&place).ok()?;
        fs::create_dir_all(into).ok()?;
        evidence.save(into).ok()?;
        into.clone_into(&mut cell.dir);
        kernel.clone_into(&mut cell.kernel);
        cell_file::save(&cell, into).ok()?;
        if let Ok(file) = fs::File::options().append(true).open(place.join(cell_file::NAME)) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(cell)
    }

    /// How long the runs took that are kept, in milliseconds.
    #[must_use]
    pub(crate) fn durations_ms(&self) -> Vec<u64> {
        let entries = fs::read_dir(self.0.root().join(FOLDER)).into_iter().flatten().flatten();
        let cells = entries.filter_map(|entry| cell_file::load(&entry.path()));
        cells.map(|cell| cell.duration_ms).collect()
    }

    /// Keeps a result, if it says something. One that cannot be kept is one less to go by, and no more.
    pub(crate) fn keep(&self, parts: &[String], cell: &Cell) {
        if !matches!(cell.verdict(), Verdict::Pass | Verdict::Fail(_)) {
            return;
        }
        // Whole or not at all: a verdict must never stand beside another run's evidence.
        let _ = self.put(parts, cell);
    }

    fn put(&self, parts: &[String], cell: &Cell) -> io::Result<()> {
        let evidence = EvidenceBundle::load(&cell.dir).map_err(io::Error::other)?;
        let scratch = self.0.scratch(FOLDER).map_err(io::Error::other)?;
        let made = scratch.path().join("made");
        fs::create_dir(&made)?;
        evidence.save(&made).map_err(io::Error::other)?;
        cell_file::save(cell, &made)?;
        let place = self.place(parts);
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        scratch.publish_folder("made", &place).map_err(io::Error::other)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]
mod tests {
    use super::*;
    use evidence::context::{CellContext, KernelIdentity};
    use evidence::parts::{Ending, ProgramKind};
    use guest_wire::Fs;
    use verdict::{FailureKind, Judgement, Stage};

    fn cell(dir: &Path, judgement: Judgement) -> Cell {
        Cell {
            dir: dir.to_owned(),
            ..Cell::new("k", Fs::Btrfs, "partial-write", judgement, None)
        }
    }

    #[test]
    fn what_says_something_is_kept_with_its_evidence_and_what_does_not_is_not() {
        let root = tempfile::tempdir().unwrap();
        let judged = VerdictCache::of(&Cache::at(root.path().join("cache")));
        let ran = root.path().join("run");
        fs::create_dir(&ran).unwrap();
        let context = CellContext::new(KernelIdentity::default(), Fs::Btrfs, "partial-write");
        EvidenceBundle::silent(ProgramKind::Test, &[], context, Ending::Finished, "boot".to_owned())
            .save(&ran)
            .unwrap();
        let fail = Judgement::fail(FailureKind::Corruption, None, "data");
        let key = |seed: u64| vec!["artifact".to_owned(), seed.to_string()];
        judged.keep(&key(1), &cell(&ran, fail.clone()));
        judged.keep(&key(2), &cell(&ran, Judgement::broken(Stage::Boot, "data")));
        let into = root.path().join("other");
        let taken = judged.take(&key(1), "other", &into).unwrap();
        assert_eq!(taken.kernel, "other");
        assert_eq!((&taken.judgement, taken.dir.as_path()), (&fail, into.as_path()));
        assert_eq!(fs::read_to_string(into.join("console.log")).unwrap(), "boot");
        assert_eq!(cell_file::load(&into).unwrap(), taken);
        // What is kept anew takes the place of all of it.
        let stale = judged.place(&key(1)).join("stale");
        fs::write(&stale, "").unwrap();
        judged.keep(&key(1), &cell(&ran, Judgement::new(Verdict::Pass, "")));
        assert!(!stale.exists());
        assert_eq!(judged.take(&key(1), "k", &into).unwrap().verdict(), &Verdict::Pass);
        for seed in [2, 3] {
            assert!(judged.take(&key(seed), "k", &root.path().join("none")).is_none());
        }
    }
}
