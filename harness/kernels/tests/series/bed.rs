//! A source that the patches of `kernels/patches` apply to, made of what they say of it, and git beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use host::cache::Cache;
use host::progress::Progress;
use kernels::source::{self, PatchSet, Repo, SourceError, Tree};
use tempfile::TempDir;

pub(crate) struct Bed {
    pub(crate) dir: TempDir,
    pub(crate) linux: PathBuf,
    cache: Cache,
    repo: Repo,
    tree: Tree,
}

/// What came of a series.
pub(crate) struct States {
    pub(crate) titles: Vec<String>,
    pub(crate) notes: Vec<String>,
    /// Ids of the trees after each patch.
    pub(crate) trees: Vec<String>,
}

impl Bed {
    /// `files` are there besides what the patches need.
    pub(crate) fn new(patches: &[String], files: &[(&str, &str)]) -> Bed {
        let dir = tempfile::tempdir().unwrap();
        let linux = dir.path().join("linux");
        let usual = [
            ("Kconfig", "mainmenu \"Linux\"\n"),
            ("Makefile", "VERSION = 6\nPATCHLEVEL = 1\n"),
            ("Documentation/filesystems/ext2.rst", "ext2\n"),
            ("scripts/decode_stacktrace.sh", "#!/bin/sh\n"),
        ];
        let own = base_of(patches);
        let own = own.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        for (path, text) in usual.into_iter().chain(own).chain(files.iter().copied()) {
            let path = linux.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        sh(
            &linux,
            "chmod +x scripts/decode_stacktrace.sh && git init -q -b main && git add -A && git commit -qm first && \
             git tag v6.1",
        );
        let cache = Cache::at(dir.path().join("cache"));
        let repo = Repo::open(&cache).unwrap();
        let tree = tree(&repo, &cache, &linux, "v6.1");
        Bed {
            dir,
            linux,
            cache,
            repo,
            tree,
        }
    }

    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// The states of a series, or why there are none.
    pub(crate) fn states(&self, path: &Path) -> Result<States, String> {
        let read = || {
            let set = PatchSet::read(&self.repo, &self.tree, &[path.to_owned()])?;
            let trees = set.states(&self.repo, &self.cache, &self.tree)?;
            Ok::<_, SourceError>(States {
                titles: set.patches.iter().map(|patch| patch.title.clone()).collect(),
                notes: set.notes,
                trees,
            })
        };
        read().map_err(|error| error.to_string())
    }

    /// The tree that comes of the patches by `git am`, or what git says.
    pub(crate) fn git_am(&self, path: &Path) -> Result<String, String> {
        let copy = self.dir.path().join("am");
        let _ = fs::remove_dir_all(&copy);
        sh(self.dir.path(), "git clone -q linux am");
        let quoted = path.display();
        let output = run(
            &copy,
            &format!("git -c core.autocrlf=false am -q --empty=drop '{quoted}' && git rev-parse HEAD^{{tree}}"),
        );
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(said(&output.stdout))
        } else {
            Err(said(&output.stderr))
        }
    }

    /// Applies patches to a revision as `--patch` does; also what was said.
    pub(crate) fn apply(&self, rev: &str, patches: &[PathBuf]) -> (Result<Tree, SourceError>, Vec<String>) {
        let said = std::cell::RefCell::new(Vec::new());
        let tree = tree(&self.repo, &self.cache, &self.linux, rev);
        let say = |note: &str| said.borrow_mut().push(note.to_owned());
        let history = Some((self.linux.as_path(), rev));
        let applied = source::apply(&self.repo, &self.cache, tree, patches, history, &say);
        (applied, said.into_inner())
    }
}

fn tree(repo: &Repo, cache: &Cache, linux: &Path, rev: &str) -> Tree {
    source::git(
        repo,
        cache,
        linux.to_str().unwrap(),
        rev,
        false,
        true,
        &Progress::hidden(),
    )
    .unwrap()
}

/// Runs a script that must succeed; what it says.
pub(crate) fn sh(dir: &Path, script: &str) -> String {
    let output = run(dir, script);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn run(dir: &Path, script: &str) -> Output {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(dir);
    command.env("HOME", dir).env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Jane Doe");
        command.env(format!("GIT_{who}_EMAIL"), "jane@example.org");
        command.env(format!("GIT_{who}_DATE"), "@1704103200 +0000");
    }
    command.output().unwrap()
}

/// A line of a file while patches go over it.
#[derive(Clone)]
struct Line {
    text: Option<String>,
    /// Its place in the file that the first patch is applied to.
    base: Option<usize>,
}

/// Files to which diffs apply one after the other: what they show of a file, and other lines where they show none.
fn base_of(patches: &[String]) -> BTreeMap<String, String> {
    let mut base: BTreeMap<String, Vec<Option<String>>> = BTreeMap::new();
    let mut now: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for patch in patches {
        let mut path = String::new();
        // A hunk's new side has its place when the hunks before it are applied.
        let mut lines = patch.lines().peekable();
        while let Some(line) = lines.next() {
            if let Some(name) = line.strip_prefix("+++ b/") {
                name.clone_into(&mut path);
            } else if let Some(header) = line.strip_prefix("@@ -") {
                let number = |range: &str| range.split([',', ' ']).next().unwrap().parse::<usize>().unwrap();
                let start = number(header.split_once(" +").unwrap().1) - 1;
                let (base, now) = (
                    base.entry(path.clone()).or_default(),
                    now.entry(path.clone()).or_default(),
                );
                let mut at = start;
                while let Some(line) = lines.next_if(|line| line.starts_with([' ', '-', '+'])) {
                    let text = line[1..].to_owned();
                    if line == "-- " {
                        break;
                    }
                    if line.starts_with('+') {
                        let added = Line {
                            text: Some(text),
                            base: None,
                        };
                        fill(now, base, at);
                        now.insert(at, added);
                        at += 1;
                        continue;
                    }
                    fill(now, base, at + 1);
                    if now[at].text.is_none() {
                        now[at].text = Some(text.clone());
                        base[now[at].base.unwrap()] = Some(text.clone());
                    }
                    assert_eq!(now[at].text.as_ref(), Some(&text), "{path}:{at}");
                    if line.starts_with('-') {
                        now.remove(at);
                    } else {
                        at += 1;
                    }
                }
            }
        }
    }
    let text = |lines: Vec<Option<String>>| {
        let lines = lines.into_iter().enumerate();
        let lines = lines.map(|(at, line)| line.unwrap_or_else(|| format!("line {at}")) + "\n");
        // Something follows on the last hunk.
        lines.collect::<String>() + "the end\nof it\nall\nhere\n"
    };
    base.into_iter().map(|(path, lines)| (path, text(lines))).collect()
}

/// Makes a file long enough.
fn fill(now: &mut Vec<Line>, base: &mut Vec<Option<String>>, len: usize) {
    while now.len() < len {
        now.push(Line {
            text: None,
            base: Some(base.len()),
        });
        base.push(None);
    }
}
