//! Source from repositories, working trees, archives and patches, by real git and tar: always the same tree for the
//! same content, and nothing of the user's is touched.
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
use sha2::{Digest, Sha256};
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

    fn patch(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
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

fn sum(path: &Path) -> String {
    kernels::store::hex(&Sha256::digest(fs::read(path).unwrap()))
}

#[test]
fn a_folder_that_no_repository_knows_is_taken_whole_but_for_what_a_build_left() {
    let bed = Bed::new();
    let linux = bed.linux();
    let known = bed.git(&linux, "HEAD", true).unwrap();
    fs::remove_dir_all(linux.join(".git")).unwrap();
    // As a distribution's package has it: everything but its own folder is left out.
    fs::write(linux.join(".gitignore"), "/*\n!/debian/\n").unwrap();
    fs::write(linux.join("fs/open.o"), "built").unwrap();
    fs::create_dir_all(linux.join("include/config")).unwrap();
    fs::write(linux.join("include/config/auto.conf"), "built").unwrap();
    let whole = bed.git(&linux, "HEAD", true).unwrap();
    assert_eq!(bed.text(&whole, "fs/open.c"), "one\ntwo\nthree\n");
    assert_eq!(bed.text(&whole, "fs/open.o"), "none");
    assert_eq!(bed.text(&whole, "include/config/auto.conf"), "none");
    assert_eq!(bed.text(&whole, ".gitignore"), "/*\n!/debian/\n");
    // In somebody's repository, which does not know it, it is the same; and so are later looks.
    let home = bed.dir.path();
    sh(
        home,
        "git init -q -b main && echo '*' > .gitignore && git add -f .gitignore && git commit -qm home",
    );
    assert_eq!(bed.git(&linux, "HEAD", true).unwrap().id, whole.id);
    fs::write(linux.join("fs/open.c"), "one\n").unwrap();
    fs::remove_file(linux.join("run.sh")).unwrap();
    fs::write(linux.join("fs/new.c"), "new\n").unwrap();
    let changed = bed.git(&linux, "HEAD", true).unwrap();
    let texts = ["fs/open.c", "run.sh", "fs/new.c"].map(|path| bed.text(&changed, path));
    assert_eq!(texts, ["one\n", "none", "new\n"]);
    fs::write(linux.join(".gitignore"), "*.o\n").unwrap();
    fs::write(linux.join("fs/open.c"), "one\ntwo\nthree\n").unwrap();
    fs::remove_file(linux.join("fs/new.c")).unwrap();
    fs::write(linux.join("run.sh"), "#!/bin/sh\n").unwrap();
    sh(&linux, "chmod +x run.sh");
    assert_eq!(bed.git(&linux, "HEAD", true).unwrap().id, known.id);
}

#[test]
fn a_repository_within_such_a_folder_is_part_of_it() {
    let bed = Bed::new();
    let linux = bed.linux();
    fs::remove_dir_all(linux.join(".git")).unwrap();
    sh(
        &linux,
        "mkdir -p drivers/own/more && cd drivers/own && echo own > own.c && echo built > own.o && \
         echo '*.c' > .gitignore && git init -q -b main && git add -A && git commit -qm own && \
         cd more && git init -q -b main && echo more > 'm ö.c'",
    );
    let tree = bed.git(&linux, "HEAD", true).unwrap();
    let texts = [
        "drivers/own/own.c",
        "drivers/own/more/m ö.c",
        "drivers/own/own.o",
        "fs/open.c",
    ];
    let texts = texts.map(|path| bed.text(&tree, path));
    assert_eq!(texts, ["own\n", "more\n", "none", "one\ntwo\nthree\n"]);
    // The second time the index has them.
    fs::write(linux.join("drivers/own/own.c"), "other\n").unwrap();
    fs::remove_dir_all(linux.join("drivers/own/more")).unwrap();
    let tree = bed.git(&linux, "HEAD", true).unwrap();
    let texts = ["drivers/own/own.c", "drivers/own/more/m ö.c"].map(|path| bed.text(&tree, path));
    assert_eq!(texts, ["other\n", "none"]);
}

#[test]
fn a_revision_and_the_same_content_in_an_archive_are_one_tree() {
    let bed = Bed::new();
    let linux = bed.linux();
    let tree = bed.git(&linux, "v6.1", false).unwrap();
    assert_eq!(tree.name, "v6.1");
    for (extension, option) in [("tar", ""), ("tar.gz", "-z"), ("tar.xz", "-J")] {
        let file = bed.dir.path().join(format!("linux-6.1.{extension}"));
        sh(
            bed.dir.path(),
            &format!(
                "tar --exclude-vcs-ignores --exclude=.git -c {option} -f {} linux",
                file.display()
            ),
        );
        let from = |sha256: &str| {
            source::tarball(
                &bed.repo,
                &bed.cache,
                file.to_str().unwrap(),
                sha256,
                true,
                &Progress::hidden(),
            )
        };
        let wrong = from(&"0".repeat(64)).unwrap_err();
        assert_eq!(wrong.exit().code(), 67);
        let taken = from(&sum(&file)).unwrap();
        assert_eq!(taken.id, tree.id, "{extension}: modes, links and content are kept");
        // The second time it comes from the cache.
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn a_damaged_archive_leaves_nothing() {
    let bed = Bed::new();
    bed.linux();
    let file = bed.dir.path().join("linux.tar.gz");
    sh(bed.dir.path(), "tar -czf linux.tar.gz linux");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let take = || {
        source::tarball(
            &bed.repo,
            &bed.cache,
            file.to_str().unwrap(),
            &sum(&file),
            true,
            &Progress::hidden(),
        )
    };
    assert!(matches!(take(), Err(SourceError::Archive { .. })));
    assert!(
        matches!(take(), Err(SourceError::Archive { .. })),
        "nothing of it was kept"
    );
    fs::write(&file, "no archive").unwrap();
    assert!(matches!(take(), Err(SourceError::Archive { .. })));
}

#[test]
fn a_working_tree_is_taken_as_it_is_and_left_as_it_was() {
    let bed = Bed::new();
    let linux = bed.linux();
    let clean = bed.git(&linux, "HEAD", true).unwrap();
    assert_eq!(clean.id, bed.git(&linux, "HEAD", false).unwrap().id);
    assert_eq!(clean.name, "v6.1");
    fs::write(linux.join("fs/open.c"), "one\n2\nthree\n").unwrap();
    fs::write(linux.join("fs/new.c"), "new\n").unwrap();
    fs::write(linux.join("fs/open.o"), "an object\n").unwrap();
    let before = sh(
        &linux,
        "git status --porcelain --ignored; sha256sum .git/index; git rev-parse HEAD; find .git -type f | sort | \
        sha256sum",
    );
    let dirty = bed.git(&linux, "HEAD", true).unwrap();
    assert_eq!(dirty.name, "v6.1-dirty");
    assert_eq!(bed.text(&dirty, "fs/open.c"), "one\n2\nthree\n");
    assert_eq!(bed.text(&dirty, "fs/new.c"), "new\n");
    assert_eq!(bed.text(&dirty, "fs/open.o"), "none", "ignored files are no source");
    let after = sh(
        &linux,
        "git status --porcelain --ignored; sha256sum .git/index; git rev-parse HEAD; find .git -type f | sort | \
        sha256sum",
    );
    assert_eq!(before, after, "nothing of the user's was touched");
    fs::remove_file(linux.join("fs/new.c")).unwrap();
    assert_eq!(bed.text(&bed.git(&linux, "HEAD", true).unwrap(), "fs/new.c"), "none");
    // A directory that is no repository has a working tree, too.
    fs::remove_dir_all(linux.join(".git")).unwrap();
    assert_eq!(
        bed.text(&bed.git(&linux, "HEAD", true).unwrap(), "fs/open.c"),
        "one\n2\nthree\n"
    );
    assert!(matches!(
        bed.git(&linux, "v6.1", false),
        Err(SourceError::NotGit { .. })
    ));
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let bed = Bed::new();
    let linux = bed.linux();
    let error = bed.git(&linux, "v6.l", false).unwrap_err();
    assert_eq!(error.exit().code(), 66);
    assert!(
        error
            .to_string()
            .contains("has no revision `v6.l` (did you mean `v6.1`?)"),
        "{error}"
    );
    assert!(matches!(
        bed.git(&bed.dir.path().join("nowhere"), "HEAD", true),
        Err(SourceError::Read { .. })
    ));
    let other = bed.dir.path().join("other");
    fs::create_dir(&other).unwrap();
    let error = bed.git(&other, "HEAD", true).unwrap_err();
    assert!(matches!(error, SourceError::NotLinux { .. }), "{error}");
    assert!(
        error
            .to_string()
            .contains("there is no Kconfig and Makefile at its top"),
        "{error}"
    );
    assert!(matches!(
        bed.git(Path::new("https://nowhere.invalid/linux"), "v6.1", false),
        Err(SourceError::Offline { .. })
    ));
}

#[test]
fn a_url_is_fetched_once() {
    let bed = Bed::new();
    let linux = bed.linux();
    let url = format!("file://{}", linux.display());
    let fetch =
        |rev: &str, offline: bool| source::git(&bed.repo, &bed.cache, &url, rev, false, offline, &Progress::hidden());
    assert!(matches!(fetch("v6.1", true), Err(SourceError::Offline { .. })));
    let tree = fetch("v6.1", false).unwrap();
    assert_eq!(tree.id, bed.git(&linux, "v6.1", false).unwrap().id);
    assert_eq!(fetch("v6.1", true).unwrap().id, tree.id);
    let missing = fetch("v9", false).unwrap_err();
    assert!(matches!(missing, SourceError::NoRevision { .. }), "{missing}");
}

const PATCH: &str =
    "Says two in figures.\n\n--- a/fs/open.c\n+++ b/fs/open.c\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n";

#[test]
fn patches_mails_mailboxes_and_folders_are_applied_in_order() {
    let bed = Bed::new();
    let linux = bed.linux();
    let tree = bed.git(&linux, "v6.1", false).unwrap();
    let apply = |patches: &[PathBuf]| source::apply(&bed.repo, &bed.cache, tree.clone(), patches, None, &|_| {});
    let plain = bed.patch("plain.patch", PATCH);
    let patched = apply(std::slice::from_ref(&plain)).unwrap();
    assert_eq!(bed.text(&patched, "fs/open.c"), "one\n2\nthree\n");
    assert_eq!(patched.name, "v6.1 + plain");
    // Two mails in a mailbox, the body of one in quoted-printable, as git writes and lists send them.
    sh(
        &linux,
        "printf 'one\\n2\\nthree\\n' > fs/open.c && git commit -qam two && printf 'one\\n2\\ndrei = \u{fc}\\n' > \
        fs/open.c && git commit -qam three",
    );
    let mbox = sh(
        &linux,
        "git format-patch --stdout --cover-letter --subject-prefix=PATCH v6.1..",
    );
    let mime =
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: quoted-printable\n";
    let subject = "Subject: [PATCH 2/2] three\n";
    assert!(mbox.contains(subject), "{mbox}");
    let encoded = mbox
        .replace(subject, &format!("{subject}{mime}"))
        .replace("+drei = \u{fc}", "+drei =3D =C3=BC");
    for text in [&mbox, &encoded] {
        let series = apply(&[bed.patch("series.mbox", text)]).unwrap();
        assert_eq!(bed.text(&series, "fs/open.c"), "one\n2\ndrei = \u{fc}\n");
    }
    let folder = bed.patch("folder/0001-a.patch", PATCH).parent().unwrap().to_owned();
    bed.patch("folder/notes.txt", "not a patch");
    assert_eq!(apply(std::slice::from_ref(&folder)).unwrap().id, patched.id);
    bed.patch("folder/series", "# quilt's\n0001-a.patch -p1\n");
    assert_eq!(apply(&[folder]).unwrap().id, patched.id);
}

#[test]
fn a_patch_that_does_not_apply_says_where() {
    let bed = Bed::new();
    let linux = bed.linux();
    let tree = bed.git(&linux, "v6.1", false).unwrap();
    let apply =
        |patches: &[PathBuf]| source::apply(&bed.repo, &bed.cache, tree.clone(), patches, None, &|_| {}).unwrap_err();
    let plain = bed.patch("plain.patch", PATCH);
    let error = apply(&[plain.clone(), plain.clone()]);
    assert_eq!(error.exit().code(), 65);
    let text = error.to_string();
    assert!(
        text.contains("does not apply to v6.1 + plain") && text.contains("fs/open.c:1"),
        "{text}"
    );
    assert!(matches!(
        apply(&[bed.patch("empty.patch", "nothing\n")]),
        SourceError::NoPatch { .. }
    ));
    assert!(matches!(
        apply(&[bed.dir.path().join("missing.patch")]),
        SourceError::Read { .. }
    ));
    assert!(matches!(
        apply(&[bed.dir.path().join("cache")]),
        SourceError::NoPatch { .. }
    ));
}

#[test]
fn a_checkout_touches_only_what_differs_and_mends_what_was_cut_off() {
    let bed = Bed::new();
    let linux = bed.linux();
    let first = bed.git(&linux, "v6.1", false).unwrap();
    let second = source::apply(
        &bed.repo,
        &bed.cache,
        first.clone(),
        &[bed.patch("a.patch", PATCH)],
        None,
        &|_| {},
    )
    .unwrap();
    let (folder, index) = (bed.dir.path().join("out"), bed.dir.path().join("index"));
    fs::create_dir(&folder).unwrap();
    bed.repo.check_out(&first, &folder, &index).unwrap();
    let time = |path: &str| fs::metadata(folder.join(path)).unwrap().modified().unwrap();
    let makefile = time("Makefile");
    bed.repo.check_out(&second, &folder, &index).unwrap();
    assert_eq!(fs::read_to_string(folder.join("fs/open.c")).unwrap(), "one\n2\nthree\n");
    assert_eq!(time("Makefile"), makefile, "the compiler need not look at it again");
    // As after a kill: a file is half new, a lock is left, a stray file lies about.
    fs::write(folder.join("fs/open.c"), "hal").unwrap();
    fs::write(folder.join("stray.c"), "").unwrap();
    fs::write(index.with_extension("lock"), "").unwrap();
    bed.repo.check_out(&second, &folder, &index).unwrap();
    bed.repo.clean(&folder, &index).unwrap();
    assert_eq!(fs::read_to_string(folder.join("fs/open.c")).unwrap(), "one\n2\nthree\n");
    assert!(!folder.join("stray.c").exists());
}
