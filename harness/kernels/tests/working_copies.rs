//! Working copies as people have them: what they hide from git, what they link, and repositories within them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic here is the test's failure"
)]

use exit::ExitError;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use host::cache::Cache;
use host::progress::Progress;
use kernels::source::{self, Repo, SourceError, Tree};
use tempfile::TempDir;

struct Bed {
    dir: TempDir,
    cache: Cache,
    repo: Repo,
}

impl Bed {
    fn new() -> Bed {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::at(dir.path().join("cache"));
        let repo = Repo::open(&cache).unwrap();
        Bed { dir, cache, repo }
    }

    /// What looks like a kernel's source, in a git repository with one commit.
    fn linux(&self) -> PathBuf {
        let linux = self.dir.path().join("linux");
        fs::create_dir_all(linux.join("fs")).unwrap();
        for (path, text) in [
            ("Kconfig", "mainmenu \"Linux\"\n"),
            ("Makefile", "VERSION = 6\nPATCHLEVEL = 1\n"),
            (".gitignore", "*.o\n"),
            ("fs/open.c", "one\ntwo\nthree\n"),
            ("run.sh", "#!/bin/sh\n"),
        ] {
            fs::write(linux.join(path), text).unwrap();
        }
        sh(
            &linux,
            "chmod +x run.sh && ln -s fs/open.c link && git init -q -b main && git add -A && git commit -qm first && \
            git tag v6.1",
        );
        linux
    }

    fn git(&self, path: &Path, rev: &str, dirty: bool) -> Result<Tree, SourceError> {
        source::git(
            &self.repo,
            &self.cache,
            path.to_str().unwrap(),
            rev,
            dirty,
            true,
            &Progress::hidden(),
        )
    }

    fn text(&self, tree: &Tree, path: &str) -> String {
        let bytes = self.repo.file(tree, path).unwrap();
        bytes.map_or_else(|| "none".to_owned(), |bytes| String::from_utf8(bytes).unwrap())
    }
}

fn sh(dir: &Path, script: &str) -> String {
    let script =
        format!("export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b; {script}");
    let output = Command::new("sh")
        .args(["-ec", &script])
        .current_dir(dir)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_a_person_hides_from_git_is_in_the_working_copy_all_the_same() {
    let bed = Bed::new();
    let linux = bed.linux();
    sh(
        &linux,
        "git update-index --assume-unchanged fs/open.c && git update-index --skip-worktree Makefile run.sh",
    );
    fs::write(linux.join("fs/open.c"), "one\nTWO\nthree\n").unwrap();
    fs::write(linux.join("Makefile"), "VERSION = 6\nPATCHLEVEL = 2\n").unwrap();
    // As in a sparse checkout.
    fs::remove_file(linux.join("run.sh")).unwrap();
    let tree = bed.git(&linux, "HEAD", true).unwrap();
    let texts = ["fs/open.c", "Makefile", "run.sh"].map(|path| bed.text(&tree, path));
    assert_eq!(
        texts,
        ["one\nTWO\nthree\n", "VERSION = 6\nPATCHLEVEL = 2\n", "#!/bin/sh\n"]
    );
}

#[test]
fn settings_that_make_git_look_less_closely_do_not_count() {
    let bed = Bed::new();
    let linux = bed.linux();
    fs::remove_dir_all(linux.join(".git")).unwrap();
    let sources = bed.cache.root().join("sources.git");
    sh(
        &sources,
        "git config core.ignoreStat true; git config core.fileMode false; git config core.splitIndex true",
    );
    let first = bed.git(&linux, "HEAD", true).unwrap();
    let mode = sh(&sources, &format!("git ls-tree {} run.sh", first.id));
    assert!(mode.starts_with("100755"), "{mode}");
    fs::write(linux.join("fs/open.c"), "one\nTWO\nthree\n").unwrap();
    let second = bed.git(&linux, "HEAD", true).unwrap();
    assert_eq!(bed.text(&second, "fs/open.c"), "one\nTWO\nthree\n");
}

#[test]
fn what_a_sparse_checkout_leaves_out_is_source_as_long_as_it_does() {
    let (open, run) = ("one\ntwo\nthree\n", "#!/bin/sh\n");
    // It may become sparse before its files are read for the first time, or after.
    for is_read_before in [false, true] {
        let bed = Bed::new();
        let linux = bed.linux();
        let texts = || {
            let tree = bed.git(&linux, "HEAD", true).unwrap();
            ["fs/open.c", "run.sh"].map(|path| bed.text(&tree, path))
        };
        if is_read_before {
            assert_eq!(texts(), [open, run]);
        }
        sh(&linux, "git sparse-checkout set --no-cone '/*' '!/fs/'");
        assert!(!linux.join("fs/open.c").exists());
        assert_eq!(texts(), [open, run]);
        sh(&linux, "git sparse-checkout disable");
        fs::write(linux.join("fs/open.c"), "one\nTWO\nthree\n").unwrap();
        assert_eq!(texts(), ["one\nTWO\nthree\n", run]);
        fs::remove_file(linux.join("fs/open.c")).unwrap();
        assert_eq!(texts(), ["none", run]);
    }
}

#[test]
fn what_a_partial_clone_leaves_out_is_left_out() {
    let bed = Bed::new();
    bed.linux();
    sh(
        bed.dir.path(),
        "git -C linux config uploadpack.allowFilter true; \
         git clone -q --filter=blob:none --sparse \"file://$PWD/linux\" part",
    );
    let part = bed.dir.path().join("part");
    assert!(!part.join("fs").exists());
    let tree = bed.git(&part, "HEAD", true).unwrap();
    assert_eq!(bed.text(&tree, "fs/open.c"), "none");
    assert_eq!(bed.text(&tree, "run.sh"), "#!/bin/sh\n");
}

#[test]
fn a_repository_within_is_built_once_its_git_is_taken_away() {
    let bed = Bed::new();
    let linux = bed.linux();
    sh(
        &linux,
        "mkdir -p drivers/mine && cd drivers/mine && echo 1 >mine.c && git init -q -b main && git add -A && \
         git commit -qm mine",
    );
    let mine = || bed.text(&bed.git(&linux, "HEAD", true).unwrap(), "drivers/mine/mine.c");
    assert_eq!(mine(), "none");
    fs::remove_dir_all(linux.join("drivers/mine/.git")).unwrap();
    assert_eq!(mine(), "1\n");
    fs::write(linux.join("drivers/mine/mine.c"), "2\n").unwrap();
    assert_eq!(mine(), "2\n");
}

#[test]
fn a_kernel_in_a_directory_of_a_repository_has_none_of_its_other_files() {
    let bed = Bed::new();
    let linux = bed.linux();
    fs::remove_dir_all(linux.join(".git")).unwrap();
    sh(
        bed.dir.path(),
        "mkdir tools && echo 1 >tools/a.c && git init -q -b main && git add linux tools && git commit -qm all && \
         git sparse-checkout set --no-cone '/*' '!/tools/'",
    );
    let tree = bed.git(&linux, "HEAD", true).unwrap();
    let texts = ["fs/open.c", "tools/a.c"].map(|path| bed.text(&tree, path));
    assert_eq!(texts, ["one\ntwo\nthree\n", "none"]);
}

#[test]
fn a_link_that_leads_out_of_the_source_is_refused() {
    let bed = Bed::new();
    let linux = bed.linux();
    let driver = bed.dir.path().join("driver");
    fs::create_dir(&driver).unwrap();
    fs::create_dir(linux.join("drivers")).unwrap();
    // Within the source, to nothing, or at its top, where make does not look.
    sh(
        &linux,
        "ln -s ../fs/open.c drivers/open.c; ln -s ../../nothing drivers/nothing; ln -s ../driver build",
    );
    bed.git(&linux, "HEAD", true).unwrap();
    for target in [driver.to_str().unwrap(), "../../driver"] {
        sh(&linux, &format!("ln -sfn {target} drivers/mine"));
        let error = bed.git(&linux, "HEAD", true).unwrap_err();
        assert_eq!(error.exit().code(), 65);
        let said = error.to_string();
        assert!(
            said.contains(&format!("drivers/mine is a link to {target}, which lies outside")),
            "{said}"
        );
    }
}
