//! What a person sees of cells that were judged again.

use std::fmt::Write as _;

use host::words::counted;
use run::rejudge::Rejudged;
use verdict::results::{Cell, Results, Tally};

use crate::{BOLD, DIM, style, summary};

/// A line for every cell: what it is now, and what it was if that is something else. The last two lines say what the
/// exit code is made of.
#[must_use]
pub fn rejudged(cells: &[Rejudged]) -> String {
    let mut text = String::new();
    let names: Vec<String> = cells.iter().map(|cell| name(&cell.now)).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    for (cell, name) in cells.iter().zip(&names) {
        let style = style(&cell.now);
        let _ = writeln!(
            text,
            "{name:width$}  {style}{}{style:#}: {}",
            verdict(&cell.now),
            cell.now.detail()
        );
        if let Some(why) = &cell.unreadable {
            let _ = writeln!(text, "{:width$}  {DIM}stored{DIM:#} {why}", "");
        }
        if let Some(stored) = cell.stored.as_ref().filter(|_| cell.differs()) {
            let _ = writeln!(
                text,
                "{:width$}  {DIM}stored{DIM:#} {}: {}",
                "",
                verdict(stored),
                stored.detail()
            );
        }
        if cell.now.tally() != Tally::AsExpected || cell.differs() {
            let _ = writeln!(text, "{:width$}  {DIM}evidence{DIM:#} {}", "", cell.now.dir.display());
        }
    }
    let differ = cells.iter().filter(|cell| cell.differs()).count();
    let _ = writeln!(
        text,
        "{BOLD}{} judged again:{BOLD:#} {}{}",
        counted(cells.len(), "cell"),
        match differ {
            0 if cells.iter().all(|cell| cell.stored.is_none()) => "no verdict is stored to compare with".to_owned(),
            0 => "no verdict differs from the stored one".to_owned(),
            1 => "one verdict differs from the stored one".to_owned(),
            more => format!("{more} verdicts differ from the stored ones"),
        },
        match cells.iter().filter(|cell| cell.unreadable.is_some()).count() {
            0 => String::new(),
            unread => format!("; {} cannot be read", counted(unread, "stored verdict")),
        }
    );
    let results = Results {
        cells: cells.iter().map(|cell| cell.now.clone()).collect(),
    };
    let _ = writeln!(text, "{}", summary(&results));
    text
}

/// What is known of it: a cell of which only a place is left may have no kernel.
fn name(cell: &Cell) -> String {
    if cell.kernel.is_empty() {
        return cell.case.clone();
    }
    format!("{} {} {}", cell.kernel, cell.fs, cell.case)
}

fn verdict(cell: &Cell) -> String {
    let mut words = cell.verdict().word().to_owned();
    if let Some(failure) = cell.verdict().failure() {
        let _ = write!(words, " {}", failure.kind.cause());
        if let Some(place) = &failure.place {
            let _ = write!(words, " ({place})");
        }
        if cell.expected {
            words.push_str(", expected");
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use guest_wire::Fs;
    use verdict::{FailureKind, Judgement, Stage};

    use super::*;

    fn plain(styled: &str) -> String {
        anstream::adapter::strip_str(styled).to_string()
    }

    #[test]
    fn what_is_not_known_of_a_cell_is_not_said() {
        let broken = || Judgement::broken(Stage::Evidence, "bundle.json is missing");
        let now = |kernel: &str| Cell::new(kernel, Fs::Btrfs, "old", broken(), None);
        assert_eq!(
            (name(&now("")), name(&now("k"))),
            ("old".to_owned(), "k btrfs old".to_owned())
        );
        let cell = Rejudged {
            now: now("k"),
            stored: None,
            unreadable: Some("cannot read cell.json: EOF".to_owned()),
        };
        let text = plain(&rejudged(&[cell]));
        assert!(
            text.contains("cannot read cell.json: EOF") && text.contains("1 stored verdict cannot be read"),
            "{text}"
        );
        assert!(text.contains("no verdict is stored to compare with"), "{text}");
        assert!(text.contains("0 pass, 0 expected failures, 1 broken"), "{text}");
    }

    #[test]
    fn a_failure_that_is_expected_is_told_from_one_that_is_not() {
        let failed = |expected: bool| {
            let failure = Judgement::fail(FailureKind::Warning, None, "in f");
            let mut now = Cell::new("k", Fs::Btrfs, "overlap", failure, None);
            now.expected = expected;
            rejudged(&[Rejudged {
                stored: Some(now.clone()),
                now,
                unreadable: None,
            }])
        };
        let (known, new) = (plain(&failed(true)), plain(&failed(false)));
        assert!(known.contains("fail warning, expected: in f") && known.contains("1 expected failure"));
        assert!(
            new.contains("fail warning: in f") && new.contains("1 unexpected failure"),
            "{new}"
        );
    }
}
