//! The repository that is made: an index, and commits of it.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use host::cache::Cache;
use kernels::source::Tree;

use crate::Failed;

/// The repository that is made.
pub struct History {
    dir: PathBuf,
}

impl History {
    /// Makes it; its content is lent by the cache's repository and by these directories of objects.
    pub fn create(dir: &Path, cache: &Cache, lenders: &BTreeSet<PathBuf>) -> Result<Self, Failed> {
        let status = Command::new("git")
            .args(["init", "--quiet", "--bare"])
            .arg(dir)
            .status()?;
        if !status.success() {
            return Err("git init failed".into());
        }
        let dir = dir.canonicalize()?;
        let own = cache.root().join("sources.git/objects");
        let lines: String = std::iter::once(&own)
            .chain(lenders)
            .map(|objects| format!("{}\n", objects.display()))
            .collect();
        std::fs::write(dir.join("objects/info/alternates"), lines)?;
        Ok(History { dir })
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(["-c", "index.version=4", "-c", "gc.auto=0"])
            .args(args)
            .env("GIT_DIR", &self.dir)
            .env("GIT_INDEX_FILE", self.dir.join("making"));
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "history");
            command.env(format!("GIT_{who}_EMAIL"), "history@localhost");
            command.env(format!("GIT_{who}_DATE"), "@0 +0000");
        }
        command
    }

    pub fn git(&self, args: &[&str]) -> Result<String, Failed> {
        self.with_input(args, "")
    }

    pub fn with_input(&self, args: &[&str], input: &str) -> Result<String, Failed> {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let text = input.to_owned();
        let mut stdin = child.stdin.take().ok_or("no standard input")?;
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output()?;
        let _ = writer.join();
        if !output.status.success() {
            return Err(format!("git {} failed", args.join(" ")).into());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Makes the index a tree.
    pub fn read(&self, tree: &Tree) -> Result<(), Failed> {
        self.git(&["read-tree", &tree.id]).map(drop)
    }

    /// Commits the index.
    pub fn commit(&self, message: &str, parent: Option<&str>) -> Result<String, Failed> {
        let tree = self.git(&["write-tree"])?;
        let mut args = vec!["commit-tree", &tree];
        if let Some(parent) = parent {
            args.extend(["-p", parent]);
        }
        self.with_input(&args, message)
    }

    /// Names the newest commit.
    pub fn end(&self, newest: &str) -> Result<(), Failed> {
        self.git(&["update-ref", "refs/heads/master", newest])?;
        self.git(&["tag", "new", newest]).map(drop)
    }

    /// A file of the index.
    pub fn file(&self, path: &str) -> Result<String, Failed> {
        self.git(&["cat-file", "blob", &format!(":{path}")])
    }

    /// Changes a file of the index.
    pub fn write(&self, path: &str, text: &str) -> Result<(), Failed> {
        let blob = self.with_input(&["hash-object", "-w", "--stdin"], &format!("{}\n", text.trim_end()))?;
        self.git(&["update-index", "--cacheinfo", &format!("100644,{blob},{path}")])
            .map(drop)
    }
}
