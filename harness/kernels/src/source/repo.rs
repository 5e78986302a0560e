//! The cache's git repository, and what is asked of it.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::super::store::hex;
use super::error::SourceError;
use host::cache::{self, Cache, CacheError};
use host::progress::Progress;
use host::tool::{self, Finished, ToolError};

/// Long enough for a checkout of a whole tree on a busy machine.
const DEADLINE: Duration = Duration::from_secs(1800);
/// A fetch of a kernel's history takes its time.
const FETCH_DEADLINE: Duration = Duration::from_secs(4 * 3600);

/// Every file of a tree with the id of its content.
pub type Listing = HashMap<String, String>;

/// The cache's repository. Nothing in it is ever collected: trees of working copies have no name that would keep them.
#[derive(Debug, Clone)]
pub struct Repo {
    dir: PathBuf,
}

/// Source as git knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The id that git gives the tree: equal source, equal id.
    pub id: String,
    /// What it is, for a person: `linux-source-6.1 6.1.176-1`, `v6.1-12-gabcdef`.
    pub name: String,
    /// Directories with objects that are not in the cache's repository.
    pub alternates: Vec<PathBuf>,
}

impl Repo {
    /// Opens it, making it if need be.
    ///
    /// # Errors
    /// git is missing, or the cache cannot be written.
    pub fn open(cache: &Cache) -> Result<Self, SourceError> {
        let repo = Repo {
            dir: cache.root().join("sources.git"),
        };
        if !repo.dir.join("HEAD").is_file() {
            cache.folder("")?;
            let _lock = cache.lock("sources.git", || {})?;
            tool::run_ok(
                tool::command("git", "git")?
                    .args(["init", "--quiet", "--bare"])
                    .arg(&repo.dir),
                DEADLINE,
            )?;
        }
        Ok(repo)
    }

    /// git in this repository. A user's settings stay in force for fetching; what would change content or run programs
    /// is off.
    ///
    /// # Errors
    /// git is not installed.
    pub fn git(&self, alternates: &[PathBuf]) -> Result<Command, ToolError> {
        let mut command = plain_git()?;
        let settings = [
            "gc.auto=0",
            "maintenance.auto=false",
            "core.autocrlf=false",
            "core.hooksPath=/dev/null",
            "core.fsmonitor=false",
            "core.looseCompression=1",
            "checkout.workers=0",
            "index.version=4",
            "advice.objectNameWarning=false",
            // What makes git look less closely at files, or keep a part of an index elsewhere.
            "core.ignoreStat=false",
            "core.trustCtime=true",
            "core.checkStat=default",
            "core.fileMode=true",
            "core.symlinks=true",
            "core.splitIndex=false",
            "core.sparseCheckout=false",
        ];
        for setting in settings {
            command.args(["-c", setting]);
        }
        command.env("GIT_DIR", &self.dir).env("GIT_TERMINAL_PROMPT", "0");
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "bioscope");
            command.env(format!("GIT_{who}_EMAIL"), "bioscope@localhost");
            command.env(format!("GIT_{who}_DATE"), "@0 +0000");
        }
        if !alternates.is_empty() {
            let mut joined = OsString::new();
            for (index, path) in alternates.iter().enumerate() {
                if index > 0 {
                    joined.push(":");
                }
                joined.push(path);
            }
            command.env("GIT_ALTERNATE_OBJECT_DIRECTORIES", joined);
        }
        Ok(command)
    }

    /// Runs git and gives back the first line that it says.
    pub(super) fn line(&self, command: &mut Command) -> Result<String, ToolError> {
        Ok(first_line(&tool::run_ok(command, DEADLINE)?))
    }

    /// The tree that a name of ours stands for, if it is there.
    ///
    /// # Errors
    /// git is not installed.
    pub(super) fn named(&self, name: &str) -> Result<Option<String>, ToolError> {
        let mut command = self.git(&[])?;
        command.args([
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &format!("{name}^{{tree}}"),
        ]);
        let finished = tool::run(&mut command, DEADLINE)?;
        Ok(finished.status.success().then(|| first_line(&finished)))
    }

    /// Gives a tree a name of ours.
    pub(super) fn name(&self, name: &str, id: &str, alternates: &[PathBuf]) -> Result<(), ToolError> {
        let mut command = self.git(alternates)?;
        tool::run_ok(command.args(["update-ref", name, id]), DEADLINE).map(drop)
    }

    /// Every file of a tree.
    ///
    /// # Errors
    /// git fails.
    pub fn listing(&self, tree: &Tree) -> Result<Listing, SourceError> {
        let mut command = self.git(&tree.alternates)?;
        command.args(["ls-tree", "-r", "-z", "--format=%(objectname) %(path)", &tree.id]);
        let finished = tool::run_ok(&mut command, DEADLINE)?;
        let text = String::from_utf8_lossy(&finished.stdout);
        let entries = text.split('\0').filter_map(|entry| entry.split_once(' '));
        Ok(entries.map(|(id, path)| (path.to_owned(), id.to_owned())).collect())
    }

    /// A file's content, if the tree has it.
    ///
    /// # Errors
    /// git is not installed.
    pub fn file(&self, tree: &Tree, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let mut command = self.git(&tree.alternates)?;
        command.args(["cat-file", "blob", &format!("{}:{path}", tree.id)]);
        let finished = tool::run(&mut command, DEADLINE)?;
        Ok(finished.status.success().then_some(finished.stdout))
    }

    /// The files in which two trees differ.
    ///
    /// # Errors
    /// git fails; a tree's objects are gone.
    pub(crate) fn differing(&self, from: &Tree, to: &Tree) -> Result<Vec<String>, SourceError> {
        let alternates: BTreeSet<&PathBuf> = from.alternates.iter().chain(&to.alternates).collect();
        let alternates: Vec<PathBuf> = alternates.into_iter().cloned().collect();
        let mut command = self.git(&alternates)?;
        command.args(["diff-tree", "-r", "-z", "--name-only", "--no-renames", &from.id, &to.id]);
        let finished = tool::run_ok(&mut command, DEADLINE)?;
        let text = String::from_utf8_lossy(&finished.stdout);
        Ok(text.split_terminator('\0').map(str::to_owned).collect())
    }

    /// What makes one tree the other, as `git apply` takes it; nothing if they hold the same.
    ///
    /// # Errors
    /// git fails.
    pub fn diff(&self, from: &Tree, to: &Tree) -> Result<Vec<u8>, SourceError> {
        let alternates: BTreeSet<&PathBuf> = from.alternates.iter().chain(&to.alternates).collect();
        let alternates: Vec<PathBuf> = alternates.into_iter().cloned().collect();
        let mut command = self.git(&alternates)?;
        // A person's own settings change nothing in it.
        command.args([
            "diff-tree",
            "-p",
            "--binary",
            "--full-index",
            "--no-renames",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--src-prefix=a/",
            "--dst-prefix=b/",
        ]);
        let finished = tool::run_ok(command.args([&from.id, &to.id]), DEADLINE)?;
        Ok(finished.stdout)
    }

    /// Makes a directory hold just this tree, touching only files whose content differs. `index` remembers what is
    /// there.
    ///
    /// # Errors
    /// git fails, the disk is full.
    pub fn check_out(&self, tree: &Tree, folder: &Path, index: &Path) -> Result<(), SourceError> {
        // Left by a run that was killed; whoever calls holds the directory's lock.
        let _ = std::fs::remove_file(index.with_extension("lock"));
        let mut command = self.git(&tree.alternates)?;
        command
            .env("GIT_WORK_TREE", folder)
            .env("GIT_INDEX_FILE", index)
            .current_dir(folder);
        match tool::run_ok(command.args(["read-tree", "--reset", "-u", &tree.id]), DEADLINE) {
            Ok(_) => Ok(()),
            // git names the files that it could not write, and not why.
            Err(ToolError::Failed { .. }) if cache::is_full(folder) => Err(CacheError::DiskFull {
                path: folder.to_owned(),
            }
            .into()),
            Err(error) => Err(error.into()),
        }
    }

    /// Takes away what no tree put into a directory.
    ///
    /// # Errors
    /// git fails.
    pub fn clean(&self, folder: &Path, index: &Path) -> Result<(), SourceError> {
        let mut command = self.git(&[])?;
        command
            .env("GIT_WORK_TREE", folder)
            .env("GIT_INDEX_FILE", index)
            .current_dir(folder);
        tool::run_ok(command.args(["clean", "-ffdxq"]), DEADLINE)?;
        Ok(())
    }

    /// Fetches one revision.
    pub(super) fn fetch(&self, url: &str, rev: &str, offline: bool, progress: &Progress) -> Result<Tree, SourceError> {
        let what = format!("{rev} of {url}");
        let name = format!("refs/fetched/{}", digest(&[url.as_bytes(), rev.as_bytes()]));
        // A full commit id never changes its meaning: what was fetched once need not be asked for again.
        let is_id = rev.len() == 40 && rev.chars().all(|c| c.is_ascii_hexdigit());
        let known = self.named(&name)?;
        if known.is_none() || (!is_id && !offline) {
            if offline {
                return Err(SourceError::Offline { what });
            }
            let _step = progress.spinner(format!("fetching {what}"));
            let mut command = self.git(&[])?;
            command.args([
                "fetch",
                "--quiet",
                "--no-tags",
                "--depth=1",
                "--no-write-fetch-head",
                "--end-of-options",
                url,
            ]);
            command.arg(format!("+{rev}:{name}"));
            let finished = tool::run(&mut command, FETCH_DEADLINE)?;
            if !finished.status.success() {
                let reason = String::from_utf8_lossy(&finished.stderr).trim().to_owned();
                if reason.contains("couldn't find remote ref") || reason.contains("not our ref") {
                    return Err(SourceError::NoRevision {
                        repository: url.to_owned(),
                        rev: rev.to_owned(),
                        hint: " to fetch".to_owned(),
                    });
                }
                return Err(SourceError::Fetch { what, reason });
            }
        }
        let mut short = self.git(&[])?;
        let short = self.line(short.args(["rev-parse", "--short=12", &name]))?;
        let id = self.named(&name)?.ok_or(SourceError::Offline { what })?;
        Ok(Tree {
            id,
            name: if is_id { short } else { format!("{rev} ({short})") },
            alternates: Vec::new(),
        })
    }
}

/// What git takes from the environment to work on another repository than that of its directory, as hooks set it.
const OF_ANOTHER: [&str; 6] = [
    "GIT_DIR",
    "GIT_COMMON_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
];

/// git in no repository but that of its directory.
///
/// # Errors
/// git is not installed.
pub fn plain_git() -> Result<Command, ToolError> {
    let mut command = tool::command("git", "git")?;
    for variable in OF_ANOTHER {
        command.env_remove(variable);
    }
    Ok(command)
}

/// A name made of some bytes.
pub(super) fn digest(parts: &[&[u8]]) -> String {
    let mut sum = Sha256::new();
    for part in parts {
        sum.update((part.len() as u64).to_le_bytes());
        sum.update(part);
    }
    hex(&sum.finalize())[..40].to_owned()
}

fn first_line(finished: &Finished) -> String {
    String::from_utf8_lossy(&finished.stdout)
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_no_other_repository() {
        let git = plain_git().expect("git");
        let removed: Vec<_> = git.get_envs().filter(|(_, value)| value.is_none()).collect();
        for variable in OF_ANOTHER {
            assert!(removed.iter().any(|(name, _)| *name == variable), "{variable}");
        }
    }
}
