//! What the change follows on in its repository, where that is no item of the range: paths leave it out, or it forked
//! off before the old end. The runs of the search tell nothing of it, so it is run on its own.

use std::fmt;

use super::bench::Machines;
use super::found::{Came, Found};
use super::maker::{Maker, Outside, Predecessor};
use super::plan::Planned;
use super::request::Confirm;
use bisect::driver::{Bench, short};
use bisect::search::Direction;
use exit::Failure;

/// Where its runs are, in the bisection's directory.
const FOLDER: &str = "predecessors";

/// Of several items it is said of so many what they follow on.
const TOLD_MAX: usize = 8;

/// A commit that the first changed one follows on, and what it shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checked {
    /// For a person, as the others.
    pub(crate) name: String,
    /// The first changed item, and the end that it would take the place of.
    item: String,
    old: String,
    why: Outside,
    direction: Direction,
    /// What came of it; none if nothing may be built for it.
    outcome: Option<Came>,
}

impl Checked {
    fn of(name: String, why: Outside, item: usize, planned: &Planned, outcome: Option<Came>) -> Checked {
        Checked {
            name,
            item: short(&planned.names[item]).to_owned(),
            old: short(&planned.names[0]).to_owned(),
            why,
            direction: planned.direction,
            outcome,
        }
    }

    /// Whether it shows what only the change should bring, so that another one did.
    #[must_use]
    pub(crate) fn contradicts(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| match self.direction {
            Direction::Regression => outcome.fails(),
            Direction::Fix => outcome.passes(),
        })
    }

    /// Whether it shows what is so before the change.
    fn is_before(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| match self.direction {
            Direction::Regression => outcome.passes(),
            Direction::Fix => outcome.fails(),
        })
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { name, item, old, .. } = self;
        let why = match self.why {
            Outside::Older => "is older than the range",
            Outside::LeftOut => "is left out by the paths",
            Outside::Missing => "is not in this shallow clone",
        };
        write!(f, "{name}, which {item} follows on, {why}: ")?;
        match &self.outcome {
            None => f.write_str("it was not run")?,
            Some(outcome) => outcome.fmt(f)?,
        }
        if self.is_before() {
            return Ok(());
        }
        if !self.contradicts() {
            return f.write_str("; so the change may lie before it");
        }
        let (does, end, not) = match self.direction {
            Direction::Regression => ("fails", "--bad", "passes"),
            Direction::Fix => ("passes", "--good", "fails"),
        };
        write!(f, "; so {item} is not the change, for it {does} before")?;
        match self.why {
            Outside::Older => write!(
                f,
                ": {item} forked off before {old}, which {not}; bisect again with --first-parent"
            ),
            Outside::LeftOut | Outside::Missing => write!(f, ": bisect again with {end} {name} and without paths"),
        }
    }
}

/// Runs what an item follows on and is no item.
///
/// # Errors
/// A kernel or a machine cannot be had.
pub(crate) fn check<M: Maker>(bench: &mut Machines<'_, M>, found: &Found<'_>) -> Result<Vec<Checked>, Failure> {
    let planned = found.planned;
    let mut all = Vec::new();
    for outside in bench.maker.predecessors(found.item, &planned.names[0])? {
        let place = |nth: u32| found.dir.join(FOLDER).join(&outside.name).join(format!("{nth:04}"));
        let outcome = match &outside.tree {
            _ if found.confirm == Confirm::Never || outside.why == Outside::Missing => None,
            Ok(tree) => Some(found.tried(bench, &outside.name, tree, &place)?),
            Err(reason) => Some(Came::DoesNotBuild(reason.clone())),
        };
        let checked = Checked::of(outside.name, outside.why, found.item, planned, outcome);
        bench.say(&checked.to_string());
        all.push(checked);
    }
    Ok(all)
}

/// What of some items is no item that they follow on. It is not run: it is not known which of them is the change.
///
/// # Errors
/// git fails.
pub(crate) fn unchecked<M: Maker>(
    bench: &Machines<'_, M>,
    items: impl Iterator<Item = usize>,
    planned: &Planned,
) -> Result<Vec<Checked>, Failure> {
    let mut all = Vec::new();
    for item in items {
        let outside = bench.maker.predecessors(item, &planned.names[0])?;
        let checked = |outside: Predecessor| Checked::of(outside.name, outside.why, item, planned, None);
        all.extend(outside.into_iter().map(checked));
        if all.len() >= TOLD_MAX {
            break;
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(direction: Direction, why: Outside, outcome: Option<Came>) -> Checked {
        Checked {
            name: "p".to_owned(),
            item: "b".to_owned(),
            old: "a".to_owned(),
            why,
            direction,
            outcome,
        }
    }

    #[test]
    fn what_was_so_before_is_no_change() {
        let regression = |outcome| checked(Direction::Regression, Outside::LeftOut, Some(outcome));
        let said = regression(Came::Ran(0, 3, 0));
        assert!(!said.contradicts());
        assert_eq!(
            said.to_string(),
            "p, which b follows on, is left out by the paths: 0 of 3 runs fail"
        );
        let said = regression(Came::Ran(1, 0, 0));
        assert!(said.contradicts());
        assert_eq!(
            said.to_string(),
            "p, which b follows on, is left out by the paths: 1 of 1 runs fail; so b is not the change, for it fails \
            before: bisect again with --bad p and without paths"
        );
        // The old end has it and does not show it, so what is older than that end is no end to go on with.
        let said = checked(Direction::Fix, Outside::Older, Some(Came::Ran(0, 60, 0)));
        assert!(said.contradicts());
        assert!(
            said.to_string().ends_with(
                "for it passes before: b forked off before a, which fails; bisect again with --first-parent"
            ),
            "{said}"
        );
        assert!(!checked(Direction::Fix, Outside::Older, Some(Came::Ran(1, 2, 0))).contradicts());
    }

    #[test]
    fn what_says_nothing_neither_confirms_nor_contradicts() {
        let unknown = [
            (Direction::Regression, Some(Came::DoesNotBuild("error".to_owned()))),
            (Direction::Regression, Some(Came::Ran(0, 0, 2))),
            (Direction::Regression, None),
            // Given up after a pass, for it said nothing twice: a failure may be rare.
            (Direction::Fix, Some(Came::Ran(0, 1, 2))),
            (Direction::Fix, None),
        ];
        for (direction, outcome) in unknown {
            let said = checked(direction, Outside::Missing, outcome);
            assert!(!said.contradicts(), "{said}");
            assert!(
                said.to_string()
                    .starts_with("p, which b follows on, is not in this shallow clone: ")
                    && said.to_string().ends_with("; so the change may lie before it"),
                "{said}"
            );
        }
    }
}
