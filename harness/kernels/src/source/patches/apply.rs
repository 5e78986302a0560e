//! Patches on a tree, with those left out that its history has.

use std::path::{Path, PathBuf};

use super::super::error::SourceError;
use super::super::repo::{Repo, Tree};
use super::super::titles;
use super::PatchSet;
use host::cache::Cache;

/// Applies patches in their order. What a person should know is given to `say`. A patch that does not apply is left out
/// if the history of the tree, a repository and a revision, has a commit of its title.
///
/// # Errors
/// One of them cannot be read, holds nothing, or does not apply; the error has git's own words.
pub fn apply(
    repo: &Repo,
    cache: &Cache,
    tree: Tree,
    patches: &[PathBuf],
    history: Option<(&Path, &str)>,
    say: &dyn Fn(&str),
) -> Result<Tree, SourceError> {
    if patches.is_empty() {
        return Ok(tree);
    }
    let set = PatchSet::read(repo, &tree, patches)?;
    set.notes.iter().for_each(|note| say(note));
    let error = match (set.apply(repo, cache, tree.clone()), history) {
        (Err(error @ SourceError::Patch { .. }), Some(_)) => error,
        (applied, _) => return applied,
    };
    let Some((repository, rev)) = history else {
        return Err(error);
    };
    // A directory that is no repository has no history.
    let found = titles::find(repository, rev, &set.titles()).unwrap_or_default();
    let there = titles::there(&found, |_| Ok::<_, SourceError>(true))?;
    if there.is_empty() {
        return Err(error);
    }
    for (title, commit) in &there {
        say(&format!(
            "left out: the patch `{title}`, which {} has as {:.12}",
            tree.name, commit
        ));
    }
    let titles: Vec<String> = there.into_iter().map(|(title, _)| title).collect();
    set.without(&titles).apply(repo, cache, tree)
}
