//! The last confirmation: the newest item with the change taken back.

use std::fmt;
use std::path::Path;

use super::bench::Machines;
use super::maker::Maker;
use super::plan::Planned;
use super::request::{Confirm, Request};
use bisect::driver::{Bench, short};
use bisect::search::{Direction, RunOutcome};
use bisect::signature::Signature;
use bisect::state::State;
use exit::Failure;
use kernels::Artifact;
use kernels::source::Tree;

/// A build is cheap up to this part of a whole one.
const CHEAP: f64 = 0.25;

/// What the newest item shows without the change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reverted {
    /// The newest item and the change, for a person.
    pub(crate) what: String,
    /// What came of it.
    pub(crate) outcome: Came,
}

/// What came of taking a change back.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Came {
    /// Runs, by what they showed: failed as pinned, passed, anything else.
    Ran(u32, u32, u32),
    /// It does not build.
    DoesNotBuild(String),
    /// It was not built for what that costs: seconds, by an estimate, if earlier builds tell.
    LeftOut(Option<f64>),
}

impl fmt::Display for Reverted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.what)?;
        match &self.outcome {
            Came::Ran(failed, passed, 0) => write!(f, "{failed} of {} runs fail", failed + passed),
            Came::Ran(failed, passed, other) => {
                write!(
                    f,
                    "{failed} of {} runs fail, {other} say nothing of it",
                    failed + passed + other
                )
            }
            Came::DoesNotBuild(why) => write!(f, "does not build: {why}"),
            Came::LeftOut(seconds) => {
                f.write_str("not built, as most of it would have to be made anew")?;
                if let Some(seconds) = seconds {
                    write!(f, ", in about {seconds:.0} s")?;
                }
                f.write_str(" (`--confirm always` does it)")
            }
        }
    }
}

/// Runs the newest item with a change taken back, if that goes cleanly and may cost what it does: where it should pass,
/// as often as the item before the change passed; where it should fail, until it does.
///
/// # Errors
/// The kernel or a machine cannot be had.
pub(crate) fn confirm<M: Maker>(
    bench: &mut Machines<'_, M>,
    item: usize,
    state: &State,
    planned: &Planned,
    dir: &Path,
    request: &Request,
) -> Result<Option<Reverted>, Failure> {
    let Some(pinned) = &state.pinned else { return Ok(None) };
    let Some(tree) = bench.maker.without(item)? else {
        return Ok(None);
    };
    let newest = planned.names.len() - 1;
    let what = format!(
        "{} without {}",
        short(&planned.names[newest]),
        short(&planned.names[item])
    );
    let dear = match request.options.confirm {
        Confirm::Never => return Ok(None),
        Confirm::Cheap => too_dear(bench, &tree),
        Confirm::Always => None,
    };
    if let Some(seconds) = dear {
        let reverted = Reverted {
            what,
            outcome: Came::LeftOut(seconds),
        };
        bench.say(&reverted.to_string());
        return Ok(Some(reverted));
    }
    let artifact = match bench.maker.make_of(&tree)? {
        Ok(artifact) => artifact,
        Err(reason) => {
            return Ok(Some(Reverted {
                what,
                outcome: Came::DoesNotBuild(reason.detail),
            }));
        }
    };
    let before = planned.parents[item].first();
    let shown = before
        .into_iter()
        .flat_map(|parent| state.shown_by(&planned.names[*parent]));
    let passes = shown.filter(|shown| shown.outcome == RunOutcome::Passed);
    let wanted = match planned.direction {
        Direction::Regression => u32::try_from(passes.count()).unwrap_or(1).max(1),
        Direction::Fix => request.patience,
    };
    let (failed, passed, other) = runs(bench, &artifact, pinned, newest, wanted, dir)?;
    let reverted = Reverted {
        what,
        outcome: Came::Ran(failed, passed, other),
    };
    bench.say(&reverted.to_string());
    Ok(Some(reverted))
}

/// What a build costs that is not cheap, in seconds, as far as earlier ones tell; none if it is.
fn too_dear<M: Maker>(bench: &Machines<'_, M>, tree: &Tree) -> Option<Option<f64>> {
    let price = bench.maker.price_of(tree)?.nearest;
    let seconds = || bench.maker.pace().whole_s.map(|whole| whole * price);
    (price > CHEAP).then(seconds)
}

/// Runs a kernel this often, unless it fails before: how many runs failed as pinned, passed, said nothing of it.
fn runs<M: Maker>(
    bench: &mut Machines<'_, M>,
    artifact: &Artifact,
    pinned: &Signature,
    newest: usize,
    wanted: u32,
    dir: &Path,
) -> Result<(u32, u32, u32), Failure> {
    let (mut failed, mut passed, mut other) = (0, 0, 0);
    for nth in 1..=wanted {
        let place = dir.join("reverted").join(format!("{nth:04}"));
        // A run that a killed bisection finished; its result is the last file that it writes.
        let ran = match bench.left(newest, &place) {
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
        // One failure is proof; and what says nothing once and again, will not say more.
        if failed > 0 || other > 1 {
            break;
        }
    }
    Ok((failed, passed, other))
}
