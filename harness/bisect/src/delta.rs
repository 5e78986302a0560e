//! Delta debugging: a smallest set of units (hunks of files) that flips the verdict.
//!
//! An oracle says of a set of units whether they flip it, do not, or cannot be tested, which is mostly that they do not
//! build without others. A build says more, namely where it failed: the units that it blames need some that are not
//! there.
//!
//! The search adds units in their order until the verdict flips, by halving: the last one that it takes is needed, so
//! it is kept, what comes after it goes, and the rest is searched again, until the kept ones suffice. Halves are cut
//! between files as long as there are several, then within one. Where a set does not build, the units that the build
//! blames are taken out until it does. What remains is the largest part that builds, and a larger set has a larger such
//! part; so halving is exact, finds what the culprits need as it finds the culprits, and never keeps units that merely
//! need each other. This takes about log2(n) + 2 questions for each unit of the result, where Zeller's ddmin takes
//! twice as many for one culprit and far more for several. Where nothing is blamed, a set that cannot be tested counts
//! as one that does not flip.
//!
//! In the end single units are tried to be left out again, each with what needs it, then pairs and all of those
//! together that cannot be tested without. So the result is 1-minimal, whatever the oracle does: it flips, and without
//! any one of its units it does not or cannot be tested.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::signature::Obstacle;

/// Units by their numbers, as [`Difference::units`](crate::diff::Difference::units) counts them from 0.
pub type Subset = BTreeSet<usize>;

/// What an oracle says of a set of units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// They flip the verdict.
    Flips,
    /// They do not.
    DoesNotFlip,
    /// They cannot be tested.
    Unresolved(Unresolved),
}

/// Why a set of units cannot be tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unresolved {
    /// What was in the way.
    pub obstacle: Obstacle,
    /// Units of the set that need some that are not in it, as far as is known: for a build those in the files that did
    /// not compile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blamed: Vec<usize>,
}

/// Units and the groups that they come in: hunks and their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Units {
    /// All units, those of a group together.
    order: Vec<usize>,
    /// The group of each unit.
    group: Vec<usize>,
    /// Those that are likely to suffice.
    likely: Subset,
}

impl Units {
    /// Units by the group of each. Units of a group keep their order, and so do groups; what others are likely to need
    /// is best put first.
    #[must_use]
    pub(crate) fn new(group: Vec<usize>) -> Units {
        let mut order: Vec<usize> = (0..group.len()).collect();
        order.sort_by_key(|unit| group[*unit]);
        Units {
            order,
            group,
            likely: Subset::new(),
        }
    }

    /// With units that are likely to suffice: they are asked about by themselves before anything is halved, and if they
    /// do, the others are left out at once. A guess that is wrong costs that one question.
    #[must_use]
    pub fn likely(self, likely: Subset) -> Units {
        Units { likely, ..self }
    }
}

/// What a search for a smallest set asked of its oracle so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OracleCounts {
    /// Sets that the oracle was asked about.
    pub asked: u32,
    /// Those of them that could not be tested.
    pub unresolved: u32,
    /// Answers that were known already.
    pub(crate) known: u32,
}

/// A smallest set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Minimal {
    /// Numbers of the units that flip the verdict together.
    pub units: Subset,
    /// Those of them without which the others cannot be tested; each of the rest does not flip the verdict when it is
    /// left out.
    pub not_without: Subset,
    /// The questions that led there.
    pub asked: OracleCounts,
}

/// Why there is no smallest set.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError<E> {
    /// The oracle broke off, so nothing is known of the set that it was asked about.
    #[error("{0}")]
    Oracle(E),
    /// All units together do not flip the verdict.
    #[error("the whole difference does not flip the verdict; both ends must be verified first")]
    WholeDoesNotFlip,
    /// The empty set flips it.
    #[error("the verdict is flipped without any difference; both ends must be verified first")]
    NothingFlips,
}

/// Finds a smallest set of units that flips the verdict. No set is asked about twice; what is known from before, say
/// from a journal, is never asked. The same answers lead to the same questions.
///
/// # Errors
/// The oracle fails, or the ends are not what they must be.
pub fn minimise<E>(
    units: &Units,
    known: impl IntoIterator<Item = (Subset, Answer)>,
    oracle: impl FnMut(&Subset) -> Result<Answer, E>,
) -> Result<Minimal, DeltaError<E>> {
    let mut search = Search {
        units,
        known: known.into_iter().collect(),
        asked: OracleCounts::default(),
        oracle,
    };
    let whole: Subset = units.order.iter().copied().collect();
    let likely: Subset = whole.intersection(&units.likely).copied().collect();
    // Where the likely ones do, what the others would add is never looked at.
    let likely_do = !likely.is_empty() && likely != whole && search.flips(&likely)?;
    if !likely_do && !search.flips(&whole)? {
        return Err(DeltaError::WholeDoesNotFlip);
    }
    if search.flips(&Subset::new())? {
        return Err(DeltaError::NothingFlips);
    }
    let enough = search.accumulate()?;
    let (units, not_without) = search.tidy(enough)?;
    Ok(Minimal {
        units,
        not_without,
        asked: search.asked,
    })
}

/// Units that cannot be left out alone, up to which all pairs of them are tried.
const PAIRS_MAX: usize = 12;

/// What became of units when some were left out.
enum LeftOut {
    /// These are left, and flip the verdict.
    Flips(Subset),
    /// The rest does not flip it.
    DoesNotFlip,
    /// The rest cannot be tested.
    Unresolved,
}

struct Search<'a, O> {
    units: &'a Units,
    known: BTreeMap<Subset, Answer>,
    asked: OracleCounts,
    oracle: O,
}

impl<E, O: FnMut(&Subset) -> Result<Answer, E>> Search<'_, O> {
    fn ask(&mut self, subset: &Subset) -> Result<Answer, DeltaError<E>> {
        if let Some(answer) = self.known.get(subset) {
            self.asked.known += 1;
            return Ok(answer.clone());
        }
        let answer = (self.oracle)(subset).map_err(DeltaError::Oracle)?;
        self.asked.asked += 1;
        self.asked.unresolved += u32::from(matches!(answer, Answer::Unresolved(_)));
        self.known.insert(subset.clone(), answer.clone());
        Ok(answer)
    }

    fn flips(&mut self, subset: &Subset) -> Result<bool, DeltaError<E>> {
        Ok(self.ask(subset)? == Answer::Flips)
    }

    /// Units that suffice, each the last one that was needed of a row.
    fn accumulate(&mut self) -> Result<Subset, DeltaError<E>> {
        let mut row = self.units.order.clone();
        let mut kept = Subset::new();
        let likely: Vec<usize> = row
            .iter()
            .copied()
            .filter(|unit| self.units.likely.contains(unit))
            .collect();
        if (1..row.len()).contains(&likely.len())
            && let Some(part) = self.largest_part(&likely, &kept)?
        {
            row.retain(|unit| part.contains(unit));
        }
        while !self.flips(&kept)? {
            // The first `low` of the row with the kept ones do not flip, all of it does.
            let mut low = 0;
            while row.len() - low > 1 {
                let middle = self.cut(&row, low);
                match self.largest_part(&row[..middle], &kept)? {
                    // What was taken out is needed by nobody who builds.
                    Some(part) => {
                        low = row[..low].iter().filter(|unit| part.contains(unit)).count();
                        row.truncate(middle);
                        row.retain(|unit| part.contains(unit));
                    }
                    None => low = middle,
                }
            }
            // A row that is used up means that the oracle contradicts itself: all flipped, and does not.
            let Some(last) = row.pop() else { break };
            kept.insert(last);
        }
        Ok(kept)
    }

    /// Where to cut a row of which the first `low` are known: in the middle, between files if there are several.
    fn cut(&self, row: &[usize], low: usize) -> usize {
        let middle = low + (row.len() - low) / 2;
        let between_files = |at: &usize| self.units.group[row[at - 1]] != self.units.group[row[*at]];
        let borders = (low + 1..row.len()).filter(between_files);
        borders.min_by_key(|at| at.abs_diff(middle)).unwrap_or(middle)
    }

    /// The units of a row that build with the kept ones, if they flip the verdict.
    fn largest_part(&mut self, row: &[usize], kept: &Subset) -> Result<Option<Subset>, DeltaError<E>> {
        let mut part: Subset = row.iter().copied().collect();
        loop {
            match self.ask(&part.union(kept).copied().collect())? {
                Answer::Flips => return Ok(Some(part)),
                Answer::DoesNotFlip => return Ok(None),
                Answer::Unresolved(why) => {
                    let before = part.len();
                    // A kept one lacks what comes later in the row.
                    if why.blamed.iter().any(|unit| kept.contains(unit)) {
                        return Ok(None);
                    }
                    part.retain(|unit| !why.blamed.contains(unit));
                    if part.len() == before {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Leaves out what can be left out, until nothing can. The units, and those of them that cannot be left out for
    /// want of an answer.
    fn tidy(&mut self, mut units: Subset) -> Result<(Subset, Subset), DeltaError<E>> {
        loop {
            let mut stuck = Subset::new();
            let before = units.len();
            for unit in units.clone() {
                if !units.contains(&unit) {
                    continue;
                }
                match self.without(&units, Subset::from([unit]))? {
                    LeftOut::Flips(fewer) => units = fewer,
                    LeftOut::DoesNotFlip => {}
                    LeftOut::Unresolved => {
                        stuck.insert(unit);
                    }
                }
            }
            if units.len() < before {
                continue;
            }
            match self.without_several(&units, &stuck)? {
                Some(fewer) => units = fewer,
                None => return Ok((units, stuck)),
            }
        }
    }

    /// Leaves out some units, and with them those that the build says need them, as far as that goes.
    fn without(&mut self, units: &Subset, mut out: Subset) -> Result<LeftOut, DeltaError<E>> {
        // What holds of the units that were to be left out is what was said first.
        let mut first = None;
        loop {
            let left: Subset = units.difference(&out).copied().collect();
            let blamed = match self.ask(&left)? {
                Answer::Flips => return Ok(LeftOut::Flips(left)),
                Answer::DoesNotFlip => return Ok(first.unwrap_or(LeftOut::DoesNotFlip)),
                Answer::Unresolved(why) => why.blamed,
            };
            let before = out.len();
            out.extend(blamed.into_iter().filter(|unit| units.contains(unit)));
            if out.len() == before {
                return Ok(LeftOut::Unresolved);
            }
            first = Some(LeftOut::Unresolved);
        }
    }

    /// What is left when some of those are left out together that cannot be left out alone: all of them, or two.
    fn without_several(&mut self, units: &Subset, stuck: &Subset) -> Result<Option<Subset>, DeltaError<E>> {
        if stuck.len() < 2 {
            return Ok(None);
        }
        if let LeftOut::Flips(fewer) = self.without(units, stuck.clone())? {
            return Ok(Some(fewer));
        }
        if stuck.len() > PAIRS_MAX {
            return Ok(None);
        }
        for one in stuck {
            for other in stuck.range(one + 1..) {
                if let LeftOut::Flips(fewer) = self.without(units, Subset::from([*one, *other]))? {
                    return Ok(Some(fewer));
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests;
