//! The difference between two trees as units that can be taken or left, for delta debugging.
//!
//! A unit is a hunk as diff shows it (changes with at most six lines between), the creation or removal of a file, a
//! change of its mode, or its replacement by something of another kind. Any set of units can be put on the old tree,
//! which gives exact contents, and written as a patch: all of them give the new tree, none the old. Contents are bytes;
//! what is not text is compared by lines all the same, as `git diff --text` does.
//!
//! Only files that differ need to be given. A file that takes the place of a directory, or the other way round, makes
//! one unit of all that is involved, since no tree has both.

mod hunks;
mod pair;
mod patch;

use std::collections::BTreeMap;
use std::fmt;

use exit::{Exit, ExitError};

pub use pair::{File, Mode};
pub use patch::Base;

use super::delta::{Subset, Units};
use pair::{Pair, Part};

/// Files by their path in the tree, with `/` between names.
pub type Tree = BTreeMap<String, File>;

/// Why two trees cannot be compared.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    /// A path that leads nowhere or out of the tree.
    #[error("`{path}` is no path within a tree: expected names with `/` between, none of them empty, `.` or `..`")]
    Path {
        /// As the tree has it, with `/` between names.
        path: String,
    },
}

impl ExitError for DiffError {
    fn exit(&self) -> Exit {
        Exit::Data
    }
}

/// Something that can be taken or left.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unit {
    /// Parts that go together, mostly one: the file, and what of it.
    parts: Vec<(usize, Part)>,
}

/// The difference between two trees.
#[derive(Debug, Clone)]
pub struct Difference {
    pairs: Vec<Pair>,
    units: Vec<Unit>,
}

impl Difference {
    /// Compares two trees. Files that are the same in both are left out.
    ///
    /// # Errors
    /// A path is none.
    pub fn between(mut old: Tree, new: Tree) -> Result<Difference, DiffError> {
        let mut pairs = Vec::new();
        for (path, new) in new {
            let old = old.remove(&path);
            pairs.push(Pair {
                path,
                old,
                new: Some(new),
            });
        }
        pairs.extend(old.into_iter().map(|(path, old)| Pair {
            path,
            old: Some(old),
            new: None,
        }));
        pairs.retain(|pair| pair.old != pair.new);
        let names = |path: &str| path.split('/').all(|name| !matches!(name, "" | "." | ".."));
        if let Some(pair) = pairs.iter().find(|pair| !names(&pair.path) || pair.path.contains('\0')) {
            return Err(DiffError::Path {
                path: pair.path.clone(),
            });
        }
        // What others are likely to need stands first, which helps delta debugging.
        pairs.sort_by_key(|pair| (!is_needed_by_others(&pair.path), pair.path.clone()));
        let units = units(&pairs);
        Ok(Difference { pairs, units })
    }

    /// How many units there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether the trees are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The units by file, as delta debugging takes them.
    #[must_use]
    pub fn units(&self) -> Units {
        Units::new(self.units.iter().map(|unit| unit.parts[0].0).collect())
    }

    /// Paths that a unit changes, one a part of it; none for a number that is no unit's.
    pub fn paths(&self, unit: usize) -> impl Iterator<Item = &str> {
        let parts = self.units.get(unit).map_or(&[][..], |unit| &unit.parts);
        parts.iter().map(|(pair, _)| self.pairs[*pair].path.as_str())
    }

    /// The units that change a path.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn units_of(&self, path: &str) -> Subset {
        (0..self.units.len())
            .filter(|unit| self.paths(*unit).any(|of_unit| of_unit == path))
            .collect()
    }

    /// All paths that differ, as they are when some units are put on the old tree; none where there is no file then.
    #[must_use]
    pub fn apply(&self, taken: &Subset) -> BTreeMap<&str, Option<File>> {
        let files = self.pairs.iter().enumerate();
        files
            .map(|(at, pair)| (pair.path.as_str(), pair.apply(&self.parts(at, taken))))
            .collect()
    }

    /// Some units as a patch for `git apply` and `patch -p1`.
    #[must_use]
    pub fn patch(&self, base: Base, taken: &Subset) -> Vec<u8> {
        let mut patch = Vec::new();
        // By path, as people expect it.
        let mut order: Vec<usize> = (0..self.pairs.len()).collect();
        order.sort_by_key(|at| &self.pairs[*at].path);
        for at in order {
            let parts = self.parts(at, taken);
            if !parts.is_empty() {
                patch::write(&mut patch, &self.pairs[at], base, &parts);
            }
        }
        patch
    }

    /// The parts of a file that belong to some units, in the file's order.
    fn parts(&self, pair: usize, taken: &Subset) -> Vec<&Part> {
        let units = taken.iter().filter_map(|unit| self.units.get(*unit));
        units
            .flat_map(|unit| &unit.parts)
            .filter(|(of, _)| *of == pair)
            .map(|(_, part)| part)
            .collect()
    }
}

/// A unit for a person.
pub struct Described<'a>(&'a Difference, usize);

impl Difference {
    /// A unit for a person: path, and what becomes of it.
    #[must_use]
    pub fn describe(&self, unit: usize) -> Described<'_> {
        Described(self, unit)
    }
}

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = self.0.units.get(self.1).map_or(&[][..], |unit| &unit.parts);
        for (at, (pair, part)) in parts.iter().enumerate() {
            let path = &self.0.pairs[*pair].path;
            let comma = if at == 0 { "" } else { ", " };
            match part {
                Part::Create => write!(f, "{comma}{path} (new)")?,
                Part::Delete => write!(f, "{comma}{path} (deleted)")?,
                Part::Replace => write!(f, "{comma}{path} (of another kind)")?,
                Part::Mode => write!(f, "{comma}{path} (mode)")?,
                Part::Hunk(changes) => {
                    let first = changes.first().map_or(0, |change| change.old.start);
                    let last = changes.last().map_or(0, |change| change.old.end);
                    write!(f, "{comma}{path} (lines {} to {})", first + 1, last.max(first + 1))?;
                }
            }
        }
        Ok(())
    }
}

/// Headers and what configures the build.
fn is_needed_by_others(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".h") || name.starts_with("Kconfig") || name.starts_with("Makefile") || name == "Kbuild"
}

/// The units of all pairs, those of a pair one after another.
fn units(pairs: &[Pair]) -> Vec<Unit> {
    let of_path: BTreeMap<&str, usize> = pairs
        .iter()
        .enumerate()
        .map(|(at, pair)| (pair.path.as_str(), at))
        .collect();
    // A path that is a file at one end and a directory at the other: all below it go with it.
    let top = |path: &str| {
        let ends = path.match_indices('/').map(|(at, _)| at);
        ends.filter_map(|end| of_path.get(path.get(..end)?)).next().copied()
    };
    let mut units: Vec<Unit> = Vec::new();
    let mut together: BTreeMap<usize, Vec<(usize, Part)>> = BTreeMap::new();
    for (at, pair) in pairs.iter().enumerate() {
        if let Some(top) = top(&pair.path) {
            together
                .entry(top)
                .or_default()
                .extend(pair.parts().into_iter().map(|part| (at, part)));
        }
    }
    for (at, pair) in pairs.iter().enumerate() {
        if top(&pair.path).is_some() {
            continue;
        }
        let parts = pair.parts().into_iter().map(|part| (at, part));
        match together.remove(&at) {
            None => units.extend(parts.map(|part| Unit { parts: vec![part] })),
            Some(below) => units.push(Unit {
                parts: parts.chain(below).collect(),
            }),
        }
    }
    units
}

#[cfg(test)]
mod tests;
