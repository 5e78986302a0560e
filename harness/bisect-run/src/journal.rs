//! The journal in a bisection's directory, and the errors of one that broke off.

use std::path::Path;

use bisect::driver::DriverError;
use bisect::state::Header;
use bisect::state::file::{self, Journal};
use exit::Failure;

/// The journal in a bisection's directory.
pub(crate) const JOURNAL: &str = "journal.jsonl";
/// What else a bisection makes there. The rest of a directory that a person named is that person's.
const MADE: [&str; 7] = [
    "cell.json",
    "predecessors",
    "report",
    "reverted",
    "runs",
    "select",
    "snapshots",
];

/// Removes what a bisection left in a directory, and nothing else.
///
/// # Errors
/// The bisection is under way, or something cannot be removed.
pub(crate) fn forget(dir: &Path) -> Result<(), Failure> {
    let journal = dir.join(JOURNAL);
    if !journal.is_file() {
        return Ok(());
    }
    file::remove(&journal, || {
        for path in MADE.map(|name| dir.join(name)) {
            let removed = if path.is_dir() {
                std::fs::remove_dir_all(&path)
            } else if path.exists() {
                std::fs::remove_file(&path)
            } else {
                Ok(())
            };
            removed.map_err(|error| Failure::cannot_create(&path.display().to_string(), &error))?;
        }
        Ok(())
    })
}

/// Begins the journal in a directory, or goes on with the one that is there; also what a person should know of it.
///
/// # Errors
/// It cannot be written, or belongs to another bisection.
pub(crate) fn open(dir: &Path, header: &Header) -> Result<(Journal, Vec<String>), Failure> {
    let path = dir.join(JOURNAL);
    let result = if path.is_file() {
        Journal::resume(&path, header).map(|resumed| (resumed.journal, resumed.notices))
    } else {
        Journal::create(&path, header).map(|journal| (journal, Vec::new()))
    };
    result.map_err(Failure::from)
}

/// A bisection that broke off, and how it is gone on with.
pub(crate) fn broke_off(error: DriverError<Failure>) -> Failure {
    let mut failure = match error {
        DriverError::Bench(failure) => failure,
        error => Failure::from(error),
    };
    failure
        .message
        .push_str("\nthe bisection broke off; nothing that was done is lost: the same command goes on with it");
    failure
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

    use std::collections::BTreeMap;

    use bisect::search::Direction;
    use bisect::state::{FORMAT, Kind};
    use guest_wire::Fs;

    use super::*;

    #[test]
    fn what_a_bisection_did_not_make_stays() {
        let header = Header {
            format: FORMAT,
            kind: Kind::Git,
            bad: String::new(),
            good: String::new(),
            scope: Vec::new(),
            items: 2,
            range: String::new(),
            direction: Direction::Fix,
            case: String::new(),
            fs: Fs::Btrfs,
            exec: Vec::new(),
            rules: Vec::new(),
            seed: 1,
            error: 0.01,
            versions: BTreeMap::new(),
        };
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        let (journal, _) = open(dir.path(), &header).unwrap();
        for name in [
            "cell.json",
            "runs/0001-a/run.json",
            "report/report.txt",
            "thesis.tex",
            "linux/Makefile",
        ] {
            write(name);
        }
        // It is under way.
        let failure = forget(dir.path()).unwrap_err();
        assert!(
            failure.message.contains("in use by another process"),
            "{}",
            failure.message
        );
        assert!(dir.path().join("runs").is_dir() && dir.path().join(JOURNAL).is_file());
        drop(journal);
        forget(dir.path()).unwrap();
        let mut left: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["linux", "thesis.tex"]);
        // A directory without a journal is nobody's bisection.
        write("runs/mine");
        forget(dir.path()).unwrap();
        assert!(dir.path().join("runs/mine").is_file());
    }
}
