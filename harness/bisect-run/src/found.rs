//! A change that was found, and what kernels beside the range show of it.

use std::fmt;
use std::path::{Path, PathBuf};

use super::bench::Machines;
use super::maker::Maker;
use super::plan::Planned;
use super::request::{Confirm, Request};
use bisect::driver::short;
use bisect::search::{Direction, RunOutcome};
use bisect::signature::Signature;
use bisect::state::State;
use exit::Failure;
use kernels::Artifact;
use kernels::source::Tree;

/// Runs of a kernel that say nothing and are put up with.
const OTHERS_MAX: u32 = 1;

/// A change that was found, and what its confirmation goes by.
pub(crate) struct Found<'a> {
    pub(crate) item: usize,
    pub(crate) planned: &'a Planned,
    /// The bisection's directory.
    pub(crate) dir: &'a Path,
    pub(crate) confirm: Confirm,
    pinned: &'a Signature,
    /// Passes after which a kernel counts as one that does not fail.
    passes: u32,
}

impl<'a> Found<'a> {
    /// None if no failure was pinned.
    pub(crate) fn of(
        item: usize,
        state: &'a State,
        planned: &'a Planned,
        dir: &'a Path,
        request: &Request,
    ) -> Option<Found<'a>> {
        Some(Found {
            item,
            planned,
            dir,
            confirm: request.options.confirm,
            pinned: state.pinned.as_ref()?,
            passes: passes_needed(item, state, planned, request.patience),
        })
    }

    /// What keeps it from being confirmed, with what was found.
    pub(crate) fn broke_off(&self, mut failure: Failure) -> Failure {
        failure.message += &format!(
            "\n{} was found, and could not be confirmed; the same command tries it again, `--confirm never` does not",
            short(&self.planned.names[self.item])
        );
        failure
    }

    /// Makes a kernel that is no item and runs it until it is known what it shows.
    ///
    /// # Errors
    /// The kernel or a machine cannot be had.
    pub(crate) fn tried<M: Maker>(
        &self,
        bench: &mut Machines<'_, M>,
        id: &str,
        tree: &Tree,
        place: &dyn Fn(u32) -> PathBuf,
    ) -> Result<Came, Failure> {
        match bench.maker.make_of(id, tree)? {
            Ok(artifact) => {
                let (failed, passed, other) = runs(bench, &artifact, self.pinned, self.passes, place)?;
                Ok(Came::Ran(failed, passed, other))
            }
            Err(reason) => Ok(Came::DoesNotBuild(reason.detail)),
        }
    }
}

/// Where it should pass, as often as what is before the change passed; where it should fail, until it does.
fn passes_needed(item: usize, state: &State, planned: &Planned, patience: u32) -> u32 {
    if planned.direction == Direction::Fix {
        return patience;
    }
    let passes = |item: usize| {
        let shown = state.shown_by(&planned.names[item]);
        shown.filter(|shown| shown.outcome == RunOutcome::Passed).count()
    };
    let parents = planned.parents[item].iter().copied();
    let most = parents.chain(planned.tested_before(item, state)).map(passes).max();
    u32::try_from(most.unwrap_or(1)).unwrap_or(u32::MAX).max(1)
}

/// What a build costs, by an estimate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    /// As a part of a whole one.
    pub(crate) part: f64,
    /// If earlier builds tell.
    pub(crate) seconds: Option<f64>,
}

/// What came of a kernel beside the range: of what the change follows on, or of the newest item without the change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Came {
    /// Runs, by what they showed: failed as pinned, passed, anything else.
    Ran(u32, u32, u32),
    /// It does not build.
    DoesNotBuild(String),
    /// It was not built for what that costs.
    LeftOut(Cost),
}

impl Came {
    /// Whether it fails as pinned.
    pub(crate) fn fails(&self) -> bool {
        matches!(self, Came::Ran(1.., ..))
    }

    /// Whether it passes, as often as was wanted.
    pub(crate) fn passes(&self) -> bool {
        matches!(self, Came::Ran(0, 1.., ..=OTHERS_MAX))
    }
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Came::Ran(failed, passed, 0) => write!(f, "{failed} of {} runs fail", failed + passed),
            Came::Ran(failed, passed, other) => {
                write!(
                    f,
                    "{failed} of {} runs fail, {other} say nothing of it",
                    failed + passed + other
                )
            }
            Came::DoesNotBuild(why) => write!(f, "does not build: {why}"),
            Came::LeftOut(Cost { part, seconds }) => {
                write!(
                    f,
                    "not built, as {:.0} % of it would have to be made anew",
                    part * 100.0
                )?;
                if let Some(seconds) = seconds {
                    write!(f, ", in about {seconds:.0} s")?;
                }
                f.write_str(" (`--confirm always` does it)")
            }
        }
    }
}

/// Runs a kernel until it passed this often or failed: how many runs failed as pinned, passed, said nothing of it.
fn runs<M: Maker>(
    bench: &mut Machines<'_, M>,
    artifact: &Artifact,
    pinned: &Signature,
    wanted: u32,
    place: &dyn Fn(u32) -> PathBuf,
) -> Result<(u32, u32, u32), Failure> {
    let (mut failed, mut passed, mut other) = (0, 0, 0);
    // One failure is proof; and what says nothing once and again, will not say more.
    while failed == 0 && passed < wanted && other <= OTHERS_MAX {
        let nth = passed + other + 1;
        let place = place(nth);
        // A run that a killed bisection finished; its result is the last file that it writes.
        let ran = match bench.left_of(artifact, &place) {
            Some(ran) => ran,
            None => {
                if place.exists() {
                    std::fs::remove_dir_all(&place)
                        .map_err(|error| Failure::cannot_create(&place.display().to_string(), &error))?;
                }
                bench.run_on(artifact, &place, nth)?
            }
        };
        let outcome = pinned.compare(&ran.cell, &ran.console).outcome();
        match outcome {
            RunOutcome::Failed => failed += 1,
            RunOutcome::Passed => passed += 1,
            RunOutcome::Other | RunOutcome::Untestable => other += 1,
        }
    }
    Ok((failed, passed, other))
}

#[cfg(test)]
mod tests {
    use bisect::state::{Kind, Shown};

    use super::*;

    #[test]
    fn what_is_before_the_change_says_how_often_and_be_it_farther_off() {
        let names = ["a", "b", "c"].map(str::to_owned).to_vec();
        let planned = |direction| Planned {
            kind: Kind::Git,
            bad: String::new(),
            good: String::new(),
            scope: Vec::new(),
            labels: vec![String::new(); 3],
            parents: Planned::line(3),
            names: names.clone(),
            same: Vec::new(),
            skip: Vec::new(),
            direction,
            terms: Planned::terms(direction),
            build_cost: 1.0,
            notes: Vec::new(),
        };
        let state = |ran: &[&str]| {
            let mut state = State::default();
            state.shown = ran
                .iter()
                .map(|item| Shown {
                    item: (*item).to_owned(),
                    outcome: RunOutcome::Passed,
                    dir: PathBuf::new(),
                })
                .collect();
            state
        };
        let regression = |ran: &[&str]| passes_needed(2, &state(ran), &planned(Direction::Regression), 60);
        assert_eq!(regression(&["b", "a", "b"]), 2);
        // It does not build, and is taken for the one before it.
        assert_eq!(regression(&["a", "a", "a"]), 3);
        assert_eq!(regression(&[]), 1);
        assert_eq!(passes_needed(2, &state(&["b"]), &planned(Direction::Fix), 60), 60);
    }
}
