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
        match self.commits.get(item) {
            Some(commit) => self.of_commit(commit, repository),
            None => Ok((PatchSet::default(), Vec::new())),
        }
    }

    /// The same of a commit that need not be an item.
    ///
    /// # Errors
    /// git fails.
    pub(crate) fn of_commit(
        &self,
        commit: &str,
        repository: &Repository,
    ) -> Result<(PatchSet, Vec<(String, String)>), Failure> {
        let there = titles::there(&self.found, |found| repository.contains(commit, found))?;
        let titles: Vec<String> = there.iter().map(|(title, _)| title.clone()).collect();
        Ok((self.set.without(&titles), there))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use host::cache::Cache;

    use super::*;

    /// A history of `first`, `fix`, its revert and `last`, and a patch that is `fix`.
    const HISTORY: &str = "
        git init -q -b main
        commit() { printf \"$2\\n\" > a.c; git add -A; git commit -qm \"$1\"; }
        commit first one; commit fix two
        git format-patch -q -1 -o ..
        git revert --no-edit HEAD > ../said
        commit last three
    ";

    #[test]
    fn each_commit_gets_what_its_history_lacks() {
        let dir = tempfile::tempdir().unwrap();
        let linux = dir.path().join("linux");
        std::fs::create_dir(&linux).unwrap();
        let mut command = Command::new("sh");
        command
            .args(["-ec", HISTORY])
            .current_dir(&linux)
            .env("HOME", dir.path());
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "a")
                .env(format!("GIT_{who}_EMAIL"), "a@b");
        }
        assert!(command.status().unwrap().success());
        let repository = Repository::open(&linux).unwrap();
        let (first, last) = (
            repository.commit("", "HEAD~3").unwrap(),
            repository.commit("", "HEAD").unwrap(),
        );
        let commits = repository.range(&first, &last, false, &[]).unwrap();
        let cache = Cache::at(dir.path().join("cache"));
        let repo = Repo::open(&cache).unwrap();
        let patch = dir.path().join("0001-fix.patch");
        let (patches, notes) = CommonPatches::of(&[patch], &repo, &repository, &commits).unwrap();
        // It is not in the newest commit, which took it back.
        assert!(notes.is_empty(), "{notes:?}");
        let gets: Vec<usize> = (0..commits.len())
            .map(|item| patches.of_item(item, &repository).unwrap().0.patches.len())
            .collect();
        assert_eq!(gets, [1, 0, 1, 1]);
        let (none, notes) = CommonPatches::of(&[], &repo, &repository, &commits).unwrap();
        assert!(notes.is_empty() && none.of_item(1, &repository).unwrap().0.patches.is_empty());
    }
}
