//! Who makes the kernels of a range.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::plan::Pace;
use bisect::search::Price;
use bisect::signature::{Obstacle, Reason};
use exit::{Exit, Failure};
use kernels::Artifact;
use kernels::source::Tree;

/// A commit that an item follows on and that is no item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Predecessor {
    /// For a person.
    pub(crate) name: String,
    /// Why it is no item.
    pub(crate) why: Outside,
    /// Its source, as it is built; or why it cannot be.
    pub(crate) tree: Result<Tree, String>,
}

/// Why a commit that an item follows on is no item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outside {
    /// The old end contains it.
    Older,
    /// Paths leave it out.
    LeftOut,
    /// A shallow clone ends before it.
    Missing,
}

/// Who makes the kernels of a range.
pub(crate) trait Maker {
    /// What a person calls an item in `cargo xtask test`, and how the item is run again with it: `--kernel
    /// debian-6.1.176`.
    fn again(&self, item: usize) -> String;

    /// What an item's source has beyond that of what [`Maker::again`] names, for `--patch`.
    ///
    /// # Errors
    /// git fails.
    fn patch(&self, _item: usize) -> Result<Option<Vec<u8>>, Failure> {
        Ok(None)
    }

    /// Where an item's kernel will lie, as far as that is known beforehand.
    fn place(&self, item: usize) -> PathBuf;

    /// Makes a kernel; the inner error says what is wrong with the item.
    ///
    /// # Errors
    /// Something failed that is not the item's fault.
    fn make(&mut self, item: usize) -> Result<Result<Artifact, Reason>, Failure>;

    /// The source of the newest item with an item's change taken back, if it can be taken back.
    ///
    /// # Errors
    /// git fails.
    fn without(&self, _item: usize) -> Result<Option<Tree>, Failure> {
        Ok(None)
    }

    /// What an item follows on and is no item, so that no run of the search tells anything of it. `old`: the old end.
    ///
    /// # Errors
    /// git fails.
    fn predecessors(&self, _item: usize, _old: &str) -> Result<Vec<Predecessor>, Failure> {
        Ok(Vec::new())
    }

    /// The kernel of a tree that is no item, by a name of its own; the inner error says why it does not build.
    ///
    /// # Errors
    /// Something failed that is not the tree's fault.
    fn make_of(&mut self, _id: &str, tree: &Tree) -> Result<Result<Artifact, Reason>, Failure> {
        Err(Failure::new(
            Exit::Internal,
            format!("{} is no item of the range", tree.name),
        ))
    }

    /// What a tree costs that is built where least of it has to be made, as a part of one that is built from nothing;
    /// none if that is not known, as of builds of before prices were.
    fn price_of(&self, _tree: &Tree) -> Option<Price> {
        None
    }

    /// The same of items; nothing if nothing was built yet.
    fn prices(&self, _items: &[usize]) -> Vec<Price> {
        Vec::new()
    }

    /// Pairs of items between which nothing differs that reaches the build, by what the builds of these read.
    ///
    /// # Errors
    /// What differs cannot be found out.
    fn same(&self, _made: &BTreeMap<usize, Artifact>) -> Result<Vec<(usize, usize)>, Failure> {
        Ok(Vec::new())
    }

    /// The same, by what was built some time before; none if nothing was.
    ///
    /// # Errors
    /// What differs cannot be found out.
    fn foresee(&self) -> Result<Option<Vec<(usize, usize)>>, Failure> {
        Ok(None)
    }

    /// What compiler and linker call themselves; none where nothing is built.
    ///
    /// # Errors
    /// One of them is missing.
    fn compiler(&self) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// Items that may be wanted soon, the likeliest first. May make them meanwhile.
    fn ahead(&mut self, _items: &[usize]) {}

    /// What earlier builds like those of this range took.
    fn pace(&self) -> Pace {
        Pace::default()
    }
}

/// An item that cannot be tested since its kernel cannot be had.
#[must_use]
pub(crate) fn unfit(obstacle: Obstacle, failure: &dyn std::fmt::Display) -> Reason {
    Reason {
        obstacle,
        detail: failure.to_string(),
        files: Vec::new(),
        noted: Vec::new(),
    }
}
