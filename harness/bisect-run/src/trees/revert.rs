//! An item's own change taken back, and what it follows on where that is no item.

use std::time::Duration;

use super::{OwnParent, Trees};
use crate::maker::{Outside, Predecessor};
use bisect::driver::short;
use exit::Failure;
use host::tool;
use kernels::source::{SourceError, Tree};

/// Long enough to read a kernel's tree on a busy machine.
const DEADLINE: Duration = Duration::from_secs(600);

impl Trees {
    /// The newest item with an item's own change taken back, if it can be: of the newest itself nothing would be left,
    /// and a merge is no change of its own.
    pub(super) fn revert(&self, item: usize) -> Result<Option<Tree>, Failure> {
        let newest = self.trees.len() - 1;
        let (Ok(tip), Ok(changed), Some(before)) = (&self.trees[newest], &self.trees[item], self.before(item)?) else {
            return Ok(None);
        };
        if item == newest {
            return Ok(None);
        }
        let scratch = self.cache.scratch("indexes")?;
        let (index, patch) = (scratch.path().join("index"), scratch.path().join("revert.patch"));
        let diff = self.repo.diff(changed, &before)?;
        std::fs::write(&patch, &diff).map_err(|error| Failure::cannot_create("a patch", &error))?;
        let git = |args: &[&str]| {
            let mut command = self.repo.git(&tip.alternates)?;
            command.args(args).env("GIT_INDEX_FILE", &index);
            Ok::<_, Failure>(command)
        };
        tool::run_ok(&mut git(&["read-tree", &tip.id])?, DEADLINE)?;
        // A person's own settings change nothing in it.
        let apply = [
            "-c",
            "apply.ignoreWhitespace=no",
            "apply",
            "--cached",
            "--whitespace=nowarn",
            &patch.to_string_lossy(),
        ];
        if !tool::run(&mut git(&apply)?, DEADLINE)?.status.success() {
            return Ok(None);
        }
        let written = tool::run_ok(&mut git(&["write-tree"])?, DEADLINE)?;
        let tree = Tree {
            id: String::from_utf8_lossy(&written.stdout).trim().to_owned(),
            name: format!("{} without {}", tip.name, changed.name),
            alternates: tip.alternates.clone(),
        };
        let (patches, _) = self.patches.of_item(newest, &self.repository)?;
        match patches.apply(&self.repo, &self.cache, tree) {
            Ok(tree) => Ok(Some(tree)),
            Err(SourceError::Patch { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What an item follows on and is no item: paths leave it out, or it forked off before the old end. As it is built.
    pub(super) fn outside(&self, item: usize, old: &str) -> Result<Vec<Predecessor>, Failure> {
        let own = self.own_parents.get(item).into_iter().flatten();
        let mut outside = Vec::new();
        for parent in own.filter(|parent| parent.item.is_none()) {
            let (why, tree) = match self.tree_of(parent)? {
                None => (Outside::Missing, Err("it is not here".to_owned())),
                Some(tree) => {
                    let is_older = self.repository.contains(old, &parent.commit)?;
                    let why = if is_older { Outside::Older } else { Outside::LeftOut };
                    let (patches, _) = self.patches.of_commit(&parent.commit, &self.repository)?;
                    match patches.apply(&self.repo, &self.cache, tree) {
                        Ok(tree) => (why, Ok(tree)),
                        Err(error @ SourceError::Patch { .. }) => (why, Err(error.to_string())),
                        Err(error) => return Err(error.into()),
                    }
                }
            };
            outside.push(Predecessor {
                name: short(&parent.commit).to_owned(),
                why,
                tree,
            });
        }
        Ok(outside)
    }

    /// The source before an item's own change; none of a merge.
    fn before(&self, item: usize) -> Result<Option<Tree>, Failure> {
        if let Some(own) = self.own_parents.get(item) {
            return match own.as_slice() {
                [parent] => self.tree_of(parent),
                _ => Ok(None),
            };
        }
        let [parent] = self.parents[item].as_slice() else {
            return Ok(None);
        };
        Ok(self.trees[*parent].as_ref().ok().cloned())
    }

    fn tree_of(&self, parent: &OwnParent) -> Result<Option<Tree>, Failure> {
        if let Some(item) = parent.item {
            return Ok(self.trees[item].as_ref().ok().cloned());
        }
        let tree = |id| Tree {
            id,
            name: short(&parent.commit).to_owned(),
            alternates: vec![self.repository.objects.clone()],
        };
        Ok(self.repository.tree(&parent.commit)?.map(tree))
    }
}
