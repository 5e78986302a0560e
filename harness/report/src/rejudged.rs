//! What a person sees of cells that were judged again.

use std::fmt::Write as _;

use host::words::counted;
use run::rejudge::Rejudged;
use verdict::results::{Cell, Tally};

use crate::{BOLD, DIM, style};

/// A line for every cell: what it is now, and what it was if that is something else.
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
        "{BOLD}{} judged again:{BOLD:#} {}",
        counted(cells.len(), "cell"),
        match differ {
            0 => "no verdict differs from the stored one".to_owned(),
            1 => "one verdict differs from the stored one".to_owned(),
            more => format!("{more} verdicts differ from the stored ones"),
        }
    );
    text
}

fn name(cell: &Cell) -> String {
    format!("{} {} {}", cell.kernel, cell.fs, cell.case)
}

fn verdict(cell: &Cell) -> String {
    let mut words = cell.verdict().word().to_owned();
    if let Some(failure) = cell.verdict().failure() {
        let _ = write!(words, " {}", failure.kind.cause());
        if let Some(place) = &failure.place {
            let _ = write!(words, " ({place})");
        }
    }
    words
}
