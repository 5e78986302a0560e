//! What the change follows on in its repository, where that is no item of the range: paths leave it out, or it forked
//! off before the old end. The runs of the search tell nothing of it, so it is run on its own.

use std::fmt;
use std::path::Path;

use super::bench::Machines;
use super::maker::Maker;
use super::plan::Planned;
use super::request::{Confirm, Request};
use super::revert::{Came, runs, wanted};
use bisect::driver::{Bench, short};
use bisect::search::Direction;
use bisect::state::State;
use exit::Failure;

/// Where its runs are, in the bisection's directory.
const FOLDER: &str = "predecessors";

/// A commit that the first changed one follows on, and what it shows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checked {
    /// For a person, as the others.
    pub(crate) name: String,
    /// The first changed item, and the end that it would take the place of.
    item: String,
    old: String,
    is_older: bool,
    direction: Direction,
    /// What came of it; none if nothing may be built for it.
    outcome: Option<Came>,
}

impl Checked {
    /// Whether it shows what only the change should bring, so that another one did.
    #[must_use]
    pub(crate) fn contradicts(&self) -> bool {
        match (&self.outcome, self.direction) {
            (Some(Came::Ran(failed, ..)), Direction::Regression) => *failed > 0,
            (Some(Came::Ran(failed, passed, _)), Direction::Fix) => *failed == 0 && *passed > 0,
            _ => false,
        }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { name, item, old, .. } = self;
        let why = if self.is_older {
            "is older than the range"
        } else {
            "is left out by the paths"
        };
        write!(f, "{name}, which {item} follows on, {why}: ")?;
        match &self.outcome {
            None => return f.write_str("it was not run, so the change may lie before it"),
            Some(outcome) => outcome.fmt(f)?,
        }
        if !self.contradicts() {
            return Ok(());
        }
        let (does, end) = match self.direction {
            Direction::Regression => ("fails", "--bad"),
            Direction::Fix => ("passes", "--good"),
        };
        write!(f, "; so {item} is not the change, for it {does} before")?;
        if self.is_older {
            write!(f, ": the change is older than {old}")
        } else {
            write!(f, ": bisect again with {end} {name} and without paths")
        }
    }
}

/// Runs what an item follows on and is no item.
///
/// # Errors
/// A kernel or a machine cannot be had.
pub(crate) fn check<M: Maker>(
    bench: &mut Machines<'_, M>,
    item: usize,
    state: &State,
    planned: &Planned,
    dir: &Path,
    request: &Request,
) -> Result<Vec<Checked>, Failure> {
    let Some(pinned) = &state.pinned else {
        return Ok(Vec::new());
    };
    let mut all = Vec::new();
    for outside in bench.maker.predecessors(item, &planned.names[0])? {
        let place = |nth: u32| dir.join(FOLDER).join(&outside.name).join(format!("{nth:04}"));
        let outcome = if request.options.confirm == Confirm::Never {
            None
        } else {
            Some(match bench.maker.make_of(&outside.name, &outside.tree)? {
                Ok(artifact) => {
                    let wanted = wanted(item, state, planned, request);
                    let (failed, passed, other) = runs(bench, &artifact, pinned, wanted, &place)?;
                    Came::Ran(failed, passed, other)
                }
                Err(reason) => Came::DoesNotBuild(reason.detail),
            })
        };
        let checked = Checked {
            name: outside.name,
            item: short(&planned.names[item]).to_owned(),
            old: short(&planned.names[0]).to_owned(),
            is_older: outside.is_older,
            direction: planned.direction,
            outcome,
        };
        bench.say(&checked.to_string());
        all.push(checked);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(direction: Direction, is_older: bool, outcome: Came) -> Checked {
        Checked {
            name: "p".to_owned(),
            item: "b".to_owned(),
            old: "a".to_owned(),
            is_older,
            direction,
            outcome: Some(outcome),
        }
    }

    #[test]
    fn what_was_so_before_is_no_change() {
        let regression = |outcome| checked(Direction::Regression, false, outcome);
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
        assert!(!regression(Came::DoesNotBuild("error".to_owned())).contradicts());
        assert!(!regression(Came::Ran(0, 0, 2)).contradicts());
        let said = checked(Direction::Fix, true, Came::Ran(0, 60, 0));
        assert!(said.contradicts());
        assert!(
            said.to_string()
                .ends_with("for it passes before: the change is older than a"),
            "{said}"
        );
        assert!(!checked(Direction::Fix, true, Came::Ran(1, 2, 0)).contradicts());
    }
}
