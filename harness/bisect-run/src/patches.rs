//! Patches that all commits of a range get, but for those whose history has them.

use std::path::PathBuf;

use super::repository::{Commit, Repository};
use exit::Failure;
use kernels::source::titles::{self, TitledCommit};
use kernels::source::{PatchSet, Repo, SourceError, Tree};

/// Patches, and what is known of them in the history.
#[derive(Debug, Default)]
pub(crate) struct CommonPatches {
    set: PatchSet,
    /// Commits of the whole history with the patches' titles, the newest first.
    found: Vec<TitledCommit>,
    /// For each item its commit.
    commits: Vec<String>,
}

impl CommonPatches {
    /// Reads the patches, and looks for their titles in the history of the newest commit. Also what a person should
    /// know.
    ///
    /// # Errors
    /// A patch cannot be read; git fails.
    pub(crate) fn of(
        paths: &[PathBuf],
        repo: &Repo,
        repository: &Repository,
        commits: &[Commit],
    ) -> Result<(CommonPatches, Vec<String>), Failure> {
        let Some(last) = commits.last().filter(|_| !paths.is_empty()) else {
            return Ok((CommonPatches::default(), Vec::new()));
        };
        let newest = Tree {
            id: last.tree.clone(),
            name: format!("{:.12}", last.id),
            alternates: vec![repository.objects.clone()],
        };
        let set = PatchSet::read(repo, &newest, paths)?;
        let found = titles::find(&repository.dir, &last.id, &set.titles())?;
        let mut notes = set.notes.clone();
        for (title, commit) in titles::there(&found, |_| Ok::<_, SourceError>(true))? {
            notes.push(format!(
                "the patch `{title}` is in the history as {commit:.12}: it is left out of commits that have it"
            ));
        }
        let commits = commits.iter().map(|commit| commit.id.clone()).collect();
        Ok((CommonPatches { set, found, commits }, notes))
    }

    /// What an item gets, and what it has already: titles with their commits.
    ///
    /// # Errors
    /// git fails.
    pub(crate) fn of_item(
        &self,
        item: usize,
        repository: &Repository,
    ) -> Result<(PatchSet, Vec<(String, String)>), Failure> {
        let Some(commit) = self.commits.get(item) else {
            return Ok((PatchSet::default(), Vec::new()));
        };
        let there = titles::there(&self.found, |found| repository.contains(commit, found))?;
        let titles: Vec<String> = there.iter().map(|(title, _)| title.clone()).collect();
        Ok((self.set.without(&titles), there))
    }
}
