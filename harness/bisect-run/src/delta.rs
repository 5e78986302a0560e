//! The difference between two trees: the smallest set of hunks of the good end that makes the bad end pass.

mod hunks;
mod judge;
mod range;
mod report;
mod units;

use std::path::Path;

use super::bench::Machines;
use super::git::short;
use super::journal::open;
use super::plan::{Planned, untestable_end};
use super::setting::Setting;
use super::trees::{Trees, closure, reaching};
use bisect::delta::{Answer, DeltaError, Minimal, Unresolved, minimise};
use bisect::diff::Difference;
use bisect::driver::Bench;
use bisect::search::End;
use bisect::state::Header;
use exit::{Exit, Failure};
use host::words::counted;
use judge::{Does, Judge};
use kernels::source::Tree;
use range::ENDS;
pub(crate) use range::range;
use report::DeltaReport;
use units::{blamed, likely};

/// Failures of the bad end before anything else is run.
const CALIBRATION: u32 = 3;

/// Passes that a tree needs before it counts as one that does not fail, after so many failures of so many runs of the
/// bad end.
fn passes_needed(failed: u32, runs: u32, error: f64) -> u32 {
    let rate = (f64::from(failed) + 0.5) / (f64::from(runs) + 1.0);
    // A sliver of the error for each set that is asked about: their number grows with the logarithm of the hunks.
    let each = error / 30.0;
    let needed = each.ln() / (1.0 - rate).ln();
    needed.ceil().clamp(1.0, 1000.0) as u32
}

/// What is searched.
pub(crate) struct DeltaRequest<'a> {
    /// The two ends.
    pub(crate) planned: &'a Planned,
    /// Only hunks within these paths; all if there are none.
    pub(crate) paths: &'a [String],
    /// Probability with which a tree that fails may count as one that does not.
    pub(crate) error: f64,
    /// Runs of the bad end without a failure after which it counts as one that does not fail.
    pub(crate) patience: u32,
    /// What the runs have in common.
    pub(crate) setting: &'a Setting,
    /// The bisection's directory.
    pub(crate) dir: &'a Path,
}

impl DeltaRequest<'_> {
    /// Judges both ends, searches, and prints and keeps the result.
    ///
    /// # Errors
    /// It broke off.
    pub(crate) fn run(&self, bench: &mut Machines<'_, Trees>, header: &Header) -> Result<Exit, Failure> {
        let (journal, notices) = open(self.dir, header)?;
        for notice in notices {
            bench.say(&notice);
        }
        let ends: Vec<Tree> = bench.maker.trees.iter().filter_map(|tree| tree.clone().ok()).collect();
        let [bad, good] = ends.as_slice() else {
            return Err(Failure::new(Exit::Internal, "a difference has two ends"));
        };
        let mut judge = Judge {
            bench,
            journal,
            dir: self.dir,
            passes: self.patience,
        };
        if let Some(wrong) = self.judge_ends(&mut judge, bad, good)? {
            return Ok(self.no_answer(&wrong));
        }
        let (difference, files) = compare(judge.bench, bad, good, self.paths)?;
        judge.bench.say(&format!(
            "{} differ; what reaches the build of them comes to {}",
            counted(files, "file"),
            counted(difference.len(), "hunk")
        ));
        let minimal = match minimal(&mut judge, bad, &difference, header.fs.as_str()) {
            Ok(minimal) => minimal,
            Err(DeltaError::Oracle(failure)) => return Err(failure),
            Err(error) => {
                return Ok(self.no_answer(&format!(
                    "{error}; hunks outside the given paths, or outside what the build reads, are needed, too"
                )));
            }
        };
        let told = DeltaReport {
            planned: self.planned,
            difference: &difference,
            minimal: &minimal,
            bad,
            cell: &format!("{} on {}", header.case, header.fs),
            setting: self.setting,
            dir: self.dir,
            error: self.error,
        };
        told.tell(&mut judge)?;
        Ok(Exit::Success)
    }

    fn no_answer(&self, text: &str) -> Exit {
        host::out!("\n{text}\nevidence: {}", self.dir.join("runs").display());
        Exit::NoAnswer
    }

    /// Runs both ends: the bad one must fail and the good one pass. What is wrong with them, if they do not.
    fn judge_ends(&self, judge: &mut Judge<'_, '_>, bad: &Tree, good: &Tree) -> Result<Option<String>, Failure> {
        let labels = &self.planned.labels;
        match judge.judge(ENDS[0], bad, CALIBRATION)? {
            Does::Fail => {}
            Does::Pass => {
                return Ok(Some(format!(
                    "the bad end passes: {} did not fail in {} runs",
                    labels[0], self.patience
                )));
            }
            Does::Nothing(reason) => {
                let why = reason.to_string();
                return Ok(Some(untestable_end(End::Bad, Some(&labels[0]), &why, None)));
            }
        }
        let builds = &judge.journal.state().builds;
        let artifact = builds.get(ENDS[0]).map(|build| build.artifact.clone());
        let (failed, passed, _) = judge.tally(&artifact.unwrap_or_default());
        judge.passes = passes_needed(failed, failed + passed, self.error);
        Ok(match judge.judge(ENDS[1], good, 1)? {
            Does::Pass => None,
            Does::Fail => Some(format!("both ends fail: {} fails just like {}", labels[1], labels[0])),
            Does::Nothing(reason) => {
                let why = reason.to_string();
                Some(untestable_end(End::Good, Some(&labels[1]), &why, None))
            }
        })
    }
}

/// The smallest set of hunks that makes the bad end pass.
fn minimal(
    judge: &mut Judge<'_, '_>,
    bad: &Tree,
    difference: &Difference,
    fs: &str,
) -> Result<Minimal, DeltaError<Failure>> {
    let units = difference.units().likely(likely(difference, fs));
    minimise(&units, [], |subset| {
        let tree = judge.bench.maker.with(bad, difference, subset)?;
        let name = short(&tree.id);
        judge
            .bench
            .say(&format!("{} on the bad end: {name}", counted(subset.len(), "hunk")));
        Ok::<Answer, Failure>(match judge.judge(&name, &tree, 1)? {
            Does::Pass => Answer::Flips,
            Does::Fail => Answer::DoesNotFlip,
            Does::Nothing(reason) => Answer::Unresolved(Unresolved {
                obstacle: reason.obstacle,
                blamed: blamed(difference, subset, &reason),
            }),
        })
    })
}

/// What differs between the ends and reaches the build, and how many files differ at all.
fn compare(
    bench: &Machines<'_, Trees>,
    bad: &Tree,
    good: &Tree,
    paths: &[String],
) -> Result<(Difference, usize), Failure> {
    let trees = &bench.maker;
    let pair = (bad.id.clone(), good.id.clone());
    let differ = trees.repository.differences(&[pair])?.pop().unwrap_or_default();
    let asked = |path: &str| {
        paths.is_empty()
            || paths.iter().any(|top| {
                path == top
                    || path
                        .strip_prefix(top.trim_end_matches('/'))
                        .is_some_and(|rest| rest.starts_with('/'))
            })
    };
    let closures: Vec<_> = [bad, good]
        .iter()
        .filter_map(|end| bench.maker.build(&format!("delta-{}", short(&end.id)), end).ok()?.ok())
        .filter_map(|artifact| closure(&artifact.dir))
        .collect();
    let reach = reaching(&closures);
    let wanted: Vec<String> = differ
        .iter()
        .filter(|(path, only)| asked(path) && reach(path, *only))
        .map(|(path, _)| path.clone())
        .collect();
    let (old, new) = (trees.files(bad, &wanted)?, trees.files(good, &wanted)?);
    let difference = Difference::between(old, new)?;
    Ok((difference, differ.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rarer_failure_takes_more_passes() {
        let always = passes_needed(3, 3, 0.01);
        let sometimes = passes_needed(3, 10, 0.01);
        assert!((2..=6).contains(&always), "{always}");
        assert!(sometimes > 3 * always, "{sometimes}");
        // (1 - rate)^passes is below the error, with room for all the sets.
        assert!((1.0 - 3.5 / 11.0_f64).powi(i32::try_from(sometimes).expect("few")) < 0.001);
    }
}
