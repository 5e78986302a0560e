//! A repository on this machine, and a revision of it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::SourceError;
use super::repo::{Repo, Tree, plain_git};
use host::suggest;
use host::tool;

const DEADLINE: Duration = Duration::from_secs(1800);
/// How many tags and branches an error may name.
const NAMES_MAX: usize = 3;

/// A user's repository.
pub(super) struct Local {
    /// The directory that was named.
    path: PathBuf,
    /// What all its working trees share.
    pub(super) common: PathBuf,
    /// The index of this working tree.
    pub(super) index: PathBuf,
}

impl Local {
    /// The repository that has a directory as its working tree, or is it.
    pub(super) fn find(path: &Path) -> Result<Option<Local>, SourceError> {
        let read = |source| SourceError::Read {
            path: path.to_owned(),
            source,
        };
        let path = path.canonicalize().map_err(read)?;
        let mut command = plain_git()?;
        command
            .arg("-C")
            .arg(&path)
            .args(["rev-parse", "--path-format=absolute"]);
        command.args(["--git-common-dir", "--git-path", "index"]);
        let finished = tool::run(&mut command, DEADLINE)?;
        if !finished.status.success() {
            let said = String::from_utf8_lossy(&finished.stderr);
            // A repository that git does not trust is one all the same; its words say what to do.
            if said.contains("dubious ownership") {
                return Err(read(std::io::Error::other(said.trim().to_owned())));
            }
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&finished.stdout).into_owned();
        let mut lines = text.lines().map(PathBuf::from);
        Ok(match (lines.next(), lines.next()) {
            (Some(common), Some(index)) => Some(Local { path, common, index }),
            _ => None,
        })
    }

    /// Whether it holds a kernel that lies here: a folder with source may just lie in somebody's repository.
    pub(super) fn has_kernel(&self) -> Result<bool, SourceError> {
        let top = self.ask(&["rev-parse", "--show-toplevel"])?;
        let top = String::from_utf8_lossy(&top.stdout).trim_end().to_owned();
        if Path::new(&top) == self.path {
            return Ok(true);
        }
        let tracked = self.ask(&["ls-files", "--error-unmatch", "--", "Makefile"])?;
        Ok(tracked.status.success())
    }

    pub(super) fn objects(&self) -> PathBuf {
        self.common.join("objects")
    }

    pub(super) fn ask(&self, args: &[&str]) -> Result<tool::Finished, SourceError> {
        let mut command = plain_git()?;
        // In the directory that was named: each working tree of a repository has a HEAD of its own.
        command.arg("-C").arg(&self.path).args(args);
        Ok(tool::run(&mut command, DEADLINE)?)
    }

    /// Whether it is a clone that fetches files when it needs them.
    pub(super) fn is_partial(&self) -> Result<bool, SourceError> {
        let promised = self.ask(&["config", "--get-regexp", r"^remote\..*\.promisor$"])?;
        Ok(promised.status.success())
    }

    /// How many files of a tree a partial clone has not fetched; of any other repository none.
    fn missing(&self, tree: &str) -> Result<usize, SourceError> {
        if !self.is_partial()? {
            return Ok(0);
        }
        let listed = self.ask(&["rev-list", "--objects", "--missing=print", "--no-walk", tree])?;
        let lines = listed.stdout.split(|byte| *byte == b'\n');
        Ok(lines.filter(|line| line.starts_with(b"?")).count())
    }

    /// ` (did you mean …)`, of tags and branches.
    fn near(&self, rev: &str) -> Result<String, SourceError> {
        let finished = self.ask(&["for-each-ref", "--format=%(refname:short)", "refs/tags", "refs/heads"])?;
        let text = String::from_utf8_lossy(&finished.stdout);
        let names: Vec<&str> = text.lines().collect();
        Ok(match suggest::closest(rev, names.iter().copied()) {
            Some(near) => format!(" (did you mean `{near}`?)"),
            None if names.is_empty() => String::new(),
            None => format!(
                " (it has {}{})",
                names[names.len().saturating_sub(NAMES_MAX)..].join(", "),
                if names.len() > NAMES_MAX { " and others" } else { "" }
            ),
        })
    }
}

/// A commit of a repository.
pub(super) fn revision(repo: &Repo, path: &Path, rev: &str) -> Result<Tree, SourceError> {
    let local = Local::find(path)?.ok_or_else(|| SourceError::NotGit {
        path: path.to_owned(),
        rev: rev.to_owned(),
    })?;
    let tree = Local::ask(
        &local,
        &[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &format!("{rev}^{{commit}}^{{tree}}"),
        ],
    )?;
    if !tree.status.success() {
        return Err(SourceError::NoRevision {
            repository: path.display().to_string(),
            rev: rev.to_owned(),
            hint: local.near(rev)?,
        });
    }
    let described = local.ask(&["describe", "--tags", "--always", "--abbrev=12", rev])?;
    let line = |finished: &tool::Finished| {
        String::from_utf8_lossy(&finished.stdout)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let tree = Tree {
        id: line(&tree),
        name: line(&described),
        alternates: vec![local.objects()],
    };
    let files = local.missing(&tree.id)?;
    if files > 0 {
        return Err(SourceError::Partial {
            repository: path.to_owned(),
            rev: rev.to_owned(),
            files,
        });
    }
    is_linux(repo, path, &tree)?;
    Ok(tree)
}

fn is_linux(repo: &Repo, path: &Path, tree: &Tree) -> Result<(), SourceError> {
    for file in ["Kconfig", "Makefile"] {
        if repo.file(tree, file)?.is_none() {
            return Err(SourceError::NotLinux { path: path.to_owned() });
        }
    }
    Ok(())
}
