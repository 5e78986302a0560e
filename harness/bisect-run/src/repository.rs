//! What is asked of a person's repository. It is only read: no working copy, index or reference of it is touched.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use exit::{Exit, Failure};
use host::cache::Cache;
use host::tool::{self, Finished};
use kernels::source::plain_git;

/// Long enough for the history of a kernel on a cold disk.
const DEADLINE: Duration = Duration::from_secs(1800);

#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(crate) dir: PathBuf,
    /// Where its objects are.
    pub(crate) objects: PathBuf,
    /// Directories with more objects that its trees are made of.
    pub(crate) alternates: Vec<PathBuf>,
}

/// A commit of the range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commit {
    pub(crate) id: String,
    pub(crate) tree: String,
    /// The first line of its message.
    pub(crate) subject: String,
    /// Its parents, as far as history is looked at.
    pub(crate) parents: Vec<String>,
    /// Its own parents, whatever is looked at: paths leave out what does not touch them, and a shallow clone need not
    /// have them. Of a merge only the first if only first parents are followed.
    pub(crate) own_parents: Vec<String>,
}

/// What git says of a commit.
#[derive(Debug, Clone, Default)]
struct Told {
    tree: String,
    parents: Vec<String>,
    subject: String,
}

impl Repository {
    /// The cache's own repository, which borrows the objects of others.
    pub(crate) fn of_cache(cache: &Cache, alternates: Vec<PathBuf>) -> Self {
        let dir = cache.root().join("sources.git");
        Repository {
            objects: dir.join("objects"),
            dir,
            alternates,
        }
    }

    /// Opens it.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn open(dir: &Path) -> Result<Self, Failure> {
        let dir = dir.canonicalize().map_err(|error| {
            Failure::new(
                Exit::NoInput,
                format!("--tree {}: {error}; expected a git repository of Linux", dir.display()),
            )
        })?;
        let repository = Repository {
            objects: PathBuf::new(),
            alternates: Vec::new(),
            dir,
        };
        let finished = repository.git(&["rev-parse", "--path-format=absolute", "--git-common-dir"], "")?;
        if !finished.status.success() {
            return Err(Failure::new(
                Exit::NoInput,
                format!(
                    "--tree {} is no git repository, so it has no commits to bisect: {}",
                    repository.dir.display(),
                    String::from_utf8_lossy(&finished.stderr).trim()
                ),
            ));
        }
        let common = String::from_utf8_lossy(&finished.stdout).trim().to_owned();
        Ok(Repository {
            objects: Path::new(&common).join("objects"),
            ..repository
        })
    }

    fn command(&self) -> Result<Command, Failure> {
        let mut command = plain_git()?;
        command.arg("-C").arg(&self.dir).args(["-c", "core.quotePath=false"]);
        command.env("GIT_OPTIONAL_LOCKS", "0");
        if !self.alternates.is_empty() {
            let joined: Vec<_> = self.alternates.iter().map(|path| path.as_os_str()).collect();
            command.env(
                "GIT_ALTERNATE_OBJECT_DIRECTORIES",
                joined.join(std::ffi::OsStr::new(":")),
            );
        }
        Ok(command)
    }

    fn git(&self, args: &[&str], input: &str) -> Result<Finished, Failure> {
        let mut command = self.command()?;
        command.args(args);
        // A file, so that nobody waits for anybody who waits to be read.
        if !input.is_empty() {
            let mut file = tempfile::tempfile().map_err(|error| Failure::cannot_create("a temporary file", &error))?;
            let written = file
                .write_all(input.as_bytes())
                .and_then(|()| std::io::Seek::rewind(&mut file));
            written.map_err(|error| Failure::cannot_create("a temporary file", &error))?;
            command.stdin(file);
        }
        tool::run(&mut command, DEADLINE).map_err(Failure::from)
    }

    fn text(&self, args: &[&str], input: &str) -> Result<String, Failure> {
        let finished = self.git(args, input)?;
        if !finished.status.success() {
            let said = String::from_utf8_lossy(&finished.stderr).trim().to_owned();
            return Err(Failure::new(
                Exit::Internal,
                format!(
                    "git {} failed in {}: {said}",
                    args.first().unwrap_or(&""),
                    self.dir.display()
                ),
            ));
        }
        Ok(String::from_utf8_lossy(&finished.stdout).into_owned())
    }

    /// The commit that a revision names.
    ///
    /// # Errors
    /// It names none.
    pub(crate) fn commit(&self, option: &str, rev: &str) -> Result<String, Failure> {
        let wanted = format!("{rev}^{{commit}}");
        let finished = self.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted], "")?;
        if finished.status.success() {
            return Ok(String::from_utf8_lossy(&finished.stdout).trim().to_owned());
        }
        let names = self.text(
            &["for-each-ref", "--format=%(refname:short)", "refs/tags", "refs/heads"],
            "",
        )?;
        let near = host::suggest::closest(rev, names.lines())
            .map_or_else(String::new, |near| format!(" (did you mean `{near}`?)"));
        Err(Failure::new(
            Exit::NoInput,
            format!(
                "{option} {rev}: {} has no such revision{near}; expected a commit, tag or branch",
                self.dir.display()
            ),
        ))
    }

    /// The tree of a commit, if the repository has it.
    ///
    /// # Errors
    /// git is not installed.
    pub(crate) fn tree(&self, commit: &str) -> Result<Option<String>, Failure> {
        let wanted = format!("{commit}^{{tree}}");
        let finished = self.git(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted], "")?;
        let id = String::from_utf8_lossy(&finished.stdout).trim().to_owned();
        Ok(finished.status.success().then_some(id))
    }

    /// Whether one commit is contained in another.
    ///
    /// # Errors
    /// git fails.
    pub(crate) fn contains(&self, newer: &str, older: &str) -> Result<bool, Failure> {
        Ok(self
            .git(&["merge-base", "--is-ancestor", older, newer], "")?
            .status
            .success())
    }

    /// Where the histories of two commits part, if they have one in common.
    ///
    /// # Errors
    /// git fails.
    pub(crate) fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>, Failure> {
        let finished = self.git(&["merge-base", one, other], "")?;
        let text = String::from_utf8_lossy(&finished.stdout);
        Ok(text.lines().next().map(str::to_owned))
    }

    /// Whether its history was cut off when it was cloned.
    ///
    /// # Errors
    /// git fails.
    pub(crate) fn is_shallow(&self) -> Result<bool, Failure> {
        let finished = self.git(&["rev-parse", "--is-shallow-repository"], "")?;
        Ok(finished.stdout.starts_with(b"true"))
    }

    /// How many files of the commits between two ends a partial clone has not fetched; of any other repository none.
    ///
    /// # Errors
    /// git fails.
    pub(crate) fn missing(&self, old: &str, new: &str) -> Result<usize, Failure> {
        let promised = self.git(&["config", "--get-regexp", r"^remote\..*\.promisor$"], "")?;
        if !promised.status.success() {
            return Ok(0);
        }
        let between = format!("{old}..{new}");
        let listed = self.text(&["rev-list", "--objects", "--missing=print", &between, "--"], "")?;
        Ok(listed.lines().filter(|line| line.starts_with('?')).count())
    }

    /// Whether tracked files of the working copy differ from what is committed.
    ///
    /// # Errors
    /// git fails.
    pub(crate) fn is_dirty(&self) -> Result<bool, Failure> {
        let finished = self.git(&["status", "--porcelain", "--untracked-files=no"], "")?;
        // A bare repository has no working copy.
        Ok(finished.status.success() && !finished.stdout.is_empty())
    }

    /// The commits after the old end up to the new one, each after its parents; the old end is the first of them. With
    /// paths only commits that touch them, and the new end.
    ///
    /// # Errors
    /// git fails; no commit touches the paths.
    pub(crate) fn range(
        &self,
        old: &str,
        new: &str,
        first_parent: bool,
        paths: &[String],
    ) -> Result<Vec<Commit>, Failure> {
        let between = format!("{old}..{new}");
        let mut args = vec!["rev-list", "--topo-order", "--reverse", "--parents"];
        if first_parent {
            args.push("--first-parent");
        }
        args.push(&between);
        args.push("--");
        args.extend(paths.iter().map(String::as_str));
        let listed = self.text(&args, "")?;
        let mut graph: Vec<(String, Vec<String>)> = listed
            .lines()
            .filter_map(|line| {
                let mut ids = line.split(' ').map(str::to_owned);
                Some((ids.next()?, ids.collect()))
            })
            .collect();
        if graph.is_empty() {
            return Err(Failure::new(
                Exit::Usage,
                format!(
                    "no commit between the ends touches {}: there is nothing to bisect",
                    paths.join(" ")
                ),
            ));
        }
        if !graph.iter().any(|(id, _)| id == new) {
            // It is what all of them come together in.
            let has_child: std::collections::HashSet<&String> = graph.iter().flat_map(|(_, parents)| parents).collect();
            let tips = graph
                .iter()
                .map(|(id, _)| id)
                .filter(|id| !has_child.contains(id))
                .cloned()
                .collect();
            graph.push((new.to_owned(), tips));
        }
        let ids = std::iter::once(old).chain(graph.iter().map(|(id, _)| id.as_str()));
        let told = self.told(ids)?;
        let followed = |parents: Vec<String>| {
            let most = if first_parent { 1 } else { usize::MAX };
            parents.into_iter().take(most).collect()
        };
        let commit = |id: String, parents: Vec<String>| {
            let told = told.get(&id).cloned().unwrap_or_default();
            Commit {
                tree: told.tree,
                subject: told.subject,
                parents: followed(parents),
                own_parents: followed(told.parents),
                id,
            }
        };
        Ok(std::iter::once((old.to_owned(), Vec::new()))
            .chain(graph)
            .map(|(id, parents)| commit(id, parents))
            .collect())
    }

    /// What git says of commits, by their ids.
    fn told<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Result<HashMap<String, Told>, Failure> {
        let ids: String = ids.map(|id| format!("{id}\n")).collect();
        let told = self.text(
            &["log", "--no-walk=unsorted", "--stdin", "--format=%H%x09%T%x09%P%x09%s"],
            &ids,
        )?;
        let commit = |line: &str| {
            let mut parts = line.splitn(4, '\t').map(str::to_owned);
            let (id, tree, parents) = (parts.next()?, parts.next()?, parts.next()?);
            let told = Told {
                tree,
                parents: parents.split_whitespace().map(str::to_owned).collect(),
                subject: parts.next()?,
            };
            Some((id, told))
        };
        let mut told: HashMap<String, Told> = told.lines().filter_map(commit).collect();
        if self.is_shallow()? {
            for (id, told) in told.iter_mut().filter(|(_, told)| told.parents.is_empty()) {
                told.parents = self.parents_beyond(id)?;
            }
        }
        Ok(told)
    }

    /// The parents that a commit itself names, where a shallow clone ends at it.
    fn parents_beyond(&self, commit: &str) -> Result<Vec<String>, Failure> {
        let text = self.text(&["cat-file", "commit", commit], "")?;
        let head = text.lines().take_while(|line| !line.is_empty());
        Ok(head
            .filter_map(|line| line.strip_prefix("parent ").map(str::to_owned))
            .collect())
    }

    /// Paths that differ between pairs of trees, each with whether it is only in one of them.
    ///
    /// # Errors
    /// git fails.
    pub(crate) fn differences(&self, pairs: &[(String, String)]) -> Result<Vec<Vec<(String, bool)>>, Failure> {
        self.differences_within(pairs, &[])
    }

    /// The same within some directories and files; everywhere if there are none.
    ///
    /// # Errors
    /// git fails.
    pub(crate) fn differences_within(
        &self,
        pairs: &[(String, String)],
        within: &[&str],
    ) -> Result<Vec<Vec<(String, bool)>>, Failure> {
        let input: String = pairs.iter().map(|(from, to)| format!("{from} {to}\n")).collect();
        let mut args = vec!["diff-tree", "--stdin", "-r", "--no-renames", "--name-status", "--"];
        args.extend(within);
        let text = self.text(&args, &input)?;
        let mut by_pair: HashMap<(&str, &str), Vec<(String, bool)>> = HashMap::new();
        let mut at = ("", "");
        for line in text.lines() {
            match line.split_once('\t') {
                Some((status, path)) => by_pair
                    .entry(at)
                    .or_default()
                    .push((path.to_owned(), status != "M" && status != "T")),
                None => at = line.split_once(' ').unwrap_or_default(),
            }
        }
        Ok(pairs
            .iter()
            .map(|(from, to)| by_pair.get(&(from.as_str(), to.as_str())).cloned().unwrap_or_default())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

    use super::*;

    #[test]
    fn the_environment_names_no_other_repository() {
        let repository = Repository {
            dir: PathBuf::from("."),
            objects: PathBuf::new(),
            alternates: Vec::new(),
        };
        let git = repository.command().unwrap();
        let is_removed = |variable: &str| git.get_envs().any(|(name, value)| name == variable && value.is_none());
        for variable in ["GIT_DIR", "GIT_COMMON_DIR", "GIT_ALTERNATE_OBJECT_DIRECTORIES"] {
            assert!(is_removed(variable), "{variable}");
        }
    }
}
