//! Judges stored cells again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use evidence::context::CellContext;
use evidence::parts::LostPart;
use evidence::steal::{self, StealPoint};
use evidence::{EvidenceBundle, judge};
use guest_wire::Fs;
use verdict::results::{Cell, Expected, Results, Tally};
use verdict::{Judgement, Stage, Verdict};

use crate::cell_file;
use crate::resolved::Run;

/// The file that every complete bundle has.
const BUNDLE: &str = "bundle.json";

/// A stored cell, judged again.
#[derive(Debug, Clone)]
pub struct Rejudged {
    /// The cell as it is judged now.
    pub now: Cell,
    /// The cell as it was stored, if it was.
    pub stored: Option<Cell>,
    /// Why the stored cell cannot be read, if there is one.
    pub unreadable: Option<String>,
}

impl Rejudged {
    /// Whether the verdict, or its place, is another one than the stored one.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.stored
            .as_ref()
            .is_some_and(|stored| stored.verdict() != self.now.verdict())
    }
}

/// What judging again comes to: a verdict on the kernel that is not the stored one needs a person, too.
#[must_use]
pub fn tally(cells: &[Rejudged]) -> Tally {
    let results = Results {
        cells: cells.iter().map(|cell| cell.now.clone()).collect(),
    };
    let changed = |cell: &Rejudged| cell.differs() && !matches!(cell.now.verdict(), Verdict::Broken { .. });
    if cells.iter().any(changed) {
        Tally::Unexpected
    } else {
        results.tally()
    }
}

/// Judges the cell of a directory, or all cells below it. Of a run's directory these are all cells of the run, also
/// those that left nothing.
///
/// # Errors
/// The directory cannot be read.
pub fn rejudge(dir: &Path) -> std::io::Result<Vec<Rejudged>> {
    let mut places = BTreeSet::new();
    if is_cell(dir) {
        places.insert(dir.to_path_buf());
    } else {
        find(dir, &mut places)?;
    }
    if let Ok(run) = Run::load(dir) {
        let run = Run {
            dir: dir.to_path_buf(),
            ..run
        };
        for trial in &run.trials {
            let cases = trial.cases.iter();
            places.extend(cases.map(|case| run.cell_dir(&trial.kernel, trial.fs, &case.name)));
        }
    }
    Ok(places.iter().map(|place| cell(place)).collect())
}

fn is_cell(dir: &Path) -> bool {
    [BUNDLE, cell_file::NAME].iter().any(|name| dir.join(name).is_file())
}

fn find(dir: &Path, places: &mut BTreeSet<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_symlink() || !path.is_dir() {
            continue;
        }
        if is_cell(&path) {
            places.insert(path);
        } else {
            find(&path, places)?;
        }
    }
    Ok(())
}

/// Judges one cell. Evidence that is missing, cut or unreadable makes it broken.
fn cell(dir: &Path) -> Rejudged {
    let (stored, unreadable) = match cell_file::read(dir) {
        Ok(stored) => (stored, None),
        Err(error) => (None, Some(format!("cannot read {}: {error}", cell_file::NAME))),
    };
    let now = match EvidenceBundle::load(dir) {
        Ok(evidence) => {
            let context = &evidence.context;
            let expectation = context.expectation.as_ref();
            let judgement = strange(context, stored.as_ref()).unwrap_or_else(|| judge(&evidence));
            Cell::new(&context.kernel.id, context.fs, &context.case, judgement, expectation)
        }
        Err(error) => {
            let judgement = Judgement::broken(Stage::Evidence, exit::on_one_line(&error));
            let (kernel, fs, case) = named(dir);
            match &stored {
                Some(stored) => Cell::new(&stored.kernel, stored.fs, &stored.case, judgement, None),
                None => Cell::new(&kernel, fs, &case, judgement, None),
            }
        }
    };
    let now = match &stored {
        Some(stored) => Cell {
            duration_ms: stored.duration_ms,
            extents: stored.extents,
            machine: stored.machine,
            dir: dir.to_path_buf(),
            ..now
        },
        None => Cell {
            dir: dir.to_path_buf(),
            ..now
        },
    };
    Rejudged {
        now,
        stored,
        unreadable,
    }
}

/// A bundle that is not that of the cell beside it: files of two cells were mixed.
fn strange(context: &CellContext, stored: Option<&Cell>) -> Option<Judgement> {
    let stored = stored?;
    let name = |kernel: &str, fs: Fs, case: &str| format!("{kernel} {fs} {case}");
    let (of, is) = (
        name(&stored.kernel, stored.fs, &stored.case),
        name(&context.kernel.id, context.fs, &context.case),
    );
    (of != is).then(|| {
        let what = format!(
            "{BUNDLE} is of {is}, and {} of {of}; files of two cells were mixed",
            cell_file::NAME
        );
        Judgement::broken(Stage::Evidence, what)
    })
}

/// Gives a stored cell what the console said after the cell was judged, as that is its own, and what the host took from
/// the guest until then; judges it again. What could not be read of the console is lost. If it cannot be judged again,
/// the cell has no result any more.
///
/// # Errors
/// Its evidence is not there any more, or cannot be written.
pub fn amend(
    cell: &Cell,
    belated: Result<&str, &std::io::Error>,
    steal: &[StealPoint],
    expect: Option<&Expected>,
) -> std::io::Result<Cell> {
    // It was reached without these words.
    cell_file::remove(&cell.dir)?;
    let mut evidence = EvidenceBundle::load(&cell.dir).map_err(std::io::Error::other)?;
    match belated {
        Ok(text) => evidence.console.push_str(text),
        Err(error) => evidence.lost.push(LostPart {
            part: "console.log".to_owned(),
            why: format!("its end cannot be read: {error}"),
        }),
    }
    for point in steal {
        steal::add(&mut evidence.steal, *point);
    }
    let judgement = judge(&evidence);
    let amended = Cell {
        dir: cell.dir.clone(),
        duration_ms: cell.duration_ms,
        extents: cell.extents,
        machine: cell.machine,
        ..Cell::new(&cell.kernel, cell.fs, &cell.case, judgement, expect)
    };
    evidence.save(&cell.dir).map_err(std::io::Error::other)?;
    cell_file::save(&amended, &cell.dir)?;
    Ok(amended)
}

/// What a cell's directory says by its place, `KERNEL/FS/CASE`.
fn named(dir: &Path) -> (String, Fs, String) {
    let mut names = dir.iter().rev().map(|name| name.to_string_lossy().into_owned());
    let case = names.next().unwrap_or_default();
    let fs = names.next().and_then(|name| name.parse().ok());
    let kernel = names.next().filter(|_| fs.is_some()).unwrap_or_default();
    (kernel, fs.unwrap_or(Fs::Btrfs), case)
}

#[cfg(test)]
mod tests {
    use evidence::context::KernelIdentity;
    use evidence::parts::{Ending, ProgramKind};
    use verdict::FailureKind;

    use super::*;

    /// Leaves a cell of which the guest never answered.
    fn leave(dir: &Path, stored: Judgement) {
        std::fs::create_dir_all(dir).unwrap();
        let kernel = KernelIdentity {
            id: "k".to_owned(),
            ..KernelIdentity::default()
        };
        let context = CellContext::new(kernel, Fs::Ext4, "overlap");
        EvidenceBundle::silent(ProgramKind::Test, &[], context, Ending::NoHello, "boot".to_owned())
            .save(dir)
            .unwrap();
        cell_file::save(&Cell::new("k", Fs::Ext4, "overlap", stored, None), dir).unwrap();
    }

    #[test]
    fn a_cell_is_judged_by_its_evidence_and_compared_with_what_was_stored() {
        let root = tempfile::tempdir().unwrap();
        let (same, other) = (root.path().join("k/ext4/same"), root.path().join("k/ext4/other"));
        leave(&same, Judgement::broken(Stage::Boot, "the guest never answered"));
        leave(&other, Judgement::new(Verdict::Pass, "every oracle was content"));
        std::fs::create_dir(root.path().join("k/ext4/overlap.boot1")).unwrap();
        let cells = rejudge(root.path()).unwrap();
        assert_eq!(cells.len(), 2);
        let differs = |dir: &Path| rejudge(dir).unwrap().iter().map(Rejudged::differs).collect::<Vec<_>>();
        assert_eq!((differs(&same), differs(&other)), (vec![false], vec![true]));
        assert_eq!(tally(&cells), Tally::NoVerdict);
    }

    #[test]
    fn evidence_that_is_not_whole_makes_a_cell_broken() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("k/ext4/overlap");
        for name in EvidenceBundle::FILES.into_iter().filter(|name| *name != "fsck.log") {
            leave(&dir, Judgement::fail(FailureKind::Leak, None, "a leak"));
            std::fs::remove_file(dir.join(name)).unwrap();
            let [cell] = &rejudge(root.path()).unwrap()[..] else {
                panic!("one cell")
            };
            assert_eq!(cell.now.verdict(), &Verdict::Broken { stage: Stage::Evidence });
            assert!(cell.now.detail().contains(name), "{}", cell.now.detail());
        }
        std::fs::remove_file(dir.join(cell_file::NAME)).unwrap();
        assert!(rejudge(root.path()).unwrap().is_empty());
    }

    #[test]
    fn a_pass_does_not_outlive_words_that_nobody_could_judge() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("k/ext4/overlap");
        leave(&dir, Judgement::new(Verdict::Pass, "every oracle was content"));
        let cell = Cell {
            dir: dir.clone(),
            ..cell_file::load(&dir).unwrap()
        };
        std::fs::remove_file(dir.join("console.log")).unwrap();
        assert!(amend(&cell, Ok("BUG: a word"), &[], None).is_err());
        assert!(cell_file::load(&dir).is_none());
    }

    #[test]
    fn a_bundle_of_another_cell_is_no_evidence() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("k/ext4/overlap");
        leave(&dir, Judgement::broken(Stage::Boot, "the guest never answered"));
        let other = Judgement::new(Verdict::Pass, "every oracle was content");
        cell_file::save(&Cell::new("k", Fs::Ext4, "overlap.swapped", other, None), &dir).unwrap();
        let [cell] = &rejudge(root.path()).unwrap()[..] else {
            panic!("one cell")
        };
        assert_eq!(cell.now.verdict(), &Verdict::Broken { stage: Stage::Evidence });
        assert!(
            cell.now.detail().contains("files of two cells were mixed"),
            "{}",
            cell.now.detail()
        );
    }

    #[test]
    fn a_stored_verdict_that_cannot_be_read_is_not_none() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("k/ext4/overlap");
        leave(&dir, Judgement::broken(Stage::Boot, "the guest never answered"));
        let unreadable = || rejudge(root.path()).unwrap().remove(0).unreadable;
        assert_eq!(unreadable(), None);
        std::fs::write(dir.join(cell_file::NAME), "{\"kernel\": 7").unwrap();
        assert!(unreadable().is_some_and(|why| why.starts_with("cannot read cell.json: ")));
        std::fs::remove_file(dir.join(cell_file::NAME)).unwrap();
        assert_eq!(unreadable(), None);
    }

    #[test]
    fn a_place_says_which_cell_it_is() {
        let named = |place: &str| named(Path::new(place));
        assert_eq!(
            named("run/debian-6.12/xfs/overlap"),
            ("debian-6.12".to_owned(), Fs::Xfs, "overlap".to_owned())
        );
        assert_eq!(named("somewhere/overlap").2, "overlap");
    }
}
