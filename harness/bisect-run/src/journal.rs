//! The journal in a bisection's directory, and the errors of one that broke off.

use std::path::Path;

use bisect::driver::DriverError;
use bisect::state::Header;
use bisect::state::file::Journal;
use exit::Failure;

/// The journal in a bisection's directory.
pub(crate) const JOURNAL: &str = "journal.jsonl";

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
