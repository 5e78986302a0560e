//! What a person sees who asks for a bisection that cannot be.

use std::path::Path;
use std::process::Command;

use super::place::Place;

/// Kernels of two lines, in no order; one of a line and one of the archive have no version.
const MANIFEST: &str = r#"
[[kernel]]
id = "new"
suite = "bookworm"
package = "linux-image-c"
version = "6.1.30-1"
line = "6.1"
fs = ["btrfs"]

[[kernel]]
id = "old"
suite = "bookworm"
package = "linux-image-a"
version = "6.1.9-1"
line = "6.1"
fs = ["btrfs"]

[[kernel]]
id = "middle"
suite = "bookworm"
package = "linux-image-b"
version = "6.1.10-1"
line = "6.1"
fs = ["btrfs"]

[[kernel]]
id = "floating"
suite = "bookworm"
package = "linux-image-d"
version = "latest"
line = "6.1"
fs = ["btrfs"]

[[kernel]]
id = "other"
suite = "bookworm"
package = "linux-image-e"
version = "6.12.1-1"
line = "6.12"
fs = ["btrfs"]

[[kernel]]
id = "loose"
suite = "bookworm"
package = "linux-image-f"
version = "6.1.11-1"
fs = ["btrfs"]
"#;

/// `bisect`, of which nothing may be started: every one of these is a dry run.
fn bisect(place: &Place, args: &[&str]) -> String {
    let mut all = vec![
        "bisect",
        "--dry-run",
        "--case",
        "partial-write",
        "--manifest",
        "kernels.toml",
    ];
    all.extend(args);
    place.run(&all)
}

fn releases() -> Place {
    let place = Place::new();
    place.file("kernels.toml", MANIFEST);
    place
}

#[test]
fn a_dry_run_says_what_the_range_is_and_touches_nothing() {
    let place = releases();
    insta::assert_snapshot!(bisect(&place, &["--bad", "old", "--good", "new"]), @"
    old  6.1.9-1  (bad end)
    middle  6.1.10-1
    new  6.1.30-1  (good end)
    if every run of a bad kernel fails: 3.0 kernels (at most 3) and 8.0 runs (at most 10), both ends among them; more \
    of both if it fails now and then
    how many minutes that takes is not known before something was run by a bisection
    bisecting partial-write on btrfs over 3 kernels, bad end old (6.1.9-1), good end new (6.1.30-1): the first that \
    passes is looked for
    floating is left out: it has no version to order it by
    exit code 0
    ");
    assert!(!place.dir().join("runs").exists() && !place.cache().exists());
}

/// What `--restart` was called before.
#[test]
fn anew_is_still_taken_for_restart() {
    let place = releases();
    let range = ["--bad", "old", "--good", "new"];
    let with = |flag: &str| bisect(&place, &[&range[..], &[flag]].concat());
    let restarted = with("--restart");
    assert!(
        restarted.ends_with("exit code 0\n") || restarted.ends_with("exit code 0"),
        "{restarted}"
    );
    assert_eq!(with("--anew"), restarted);
}

#[test]
fn ends_that_cannot_be_are_told() {
    let place = releases();
    insta::assert_snapshot!(bisect(&place, &["--bad", "odl", "--good", "new"]), @"
    error: --bad odl: no kernel of kernels.toml has this id; did you mean `old`? known kernels: new, old, middle, \
    floating, other, loose
    exit code 64
    ");
    insta::assert_snapshot!(bisect(&place, &["--bad", "old", "--good", "old"]), @"
    error: --bad and --good are both old: a bisection needs a kernel that fails and another one that passes
    exit code 64
    ");
    insta::assert_snapshot!(bisect(&place, &["--bad", "old", "--good", "other"]), @"
    error: old is of line 6.1 and other of line 6.12: releases are bisected within a line; `--tree` bisects commits
    exit code 64
    ");
    insta::assert_snapshot!(bisect(&place, &["--bad", "old", "--good", "loose"]), @r#"
    error: loose has no `line` in kernels.toml, which orders kernels for bisection; add one, like `line = "6.1"`
    exit code 64
    "#);
    insta::assert_snapshot!(bisect(&place, &["--bad", "old", "--good", "floating"]), @"
    error: floating has no version to order it by: releases are packages with a `version`, or with \"latest\" once \
    `cargo xtask update floating` pinned one
    exit code 64
    ");
    insta::assert_snapshot!(bisect(&place, &["--bad", "old", "--good", "new", "--error", "0.7"]), @"
    error: invalid value '0.7' for '--error <P>': expected a number above 0 and below 0.5, like 0.01

    For more information, try '--help'.
    exit code 64
    ");
}

/// A repository with a history that looks like Linux at its top: a merge, and a side that forked off.
fn repository(place: &Place) {
    let tree = place.dir().join("linux");
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.args(args).current_dir(&tree).env("HOME", place.dir());
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "n")
                .env(format!("GIT_{who}_EMAIL"), "n@localhost");
            command.env(format!("GIT_{who}_DATE"), "@0 +0000");
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let commit = |file: &str, message: &str| {
        let path = tree.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, message).unwrap();
        git(&["add", "."]);
        git(&["commit", "-qm", message]);
    };
    std::fs::create_dir(&tree).unwrap();
    git(&["init", "-q", "-b", "main"]);
    for file in ["Kconfig", "Makefile"] {
        std::fs::write(tree.join(file), "VERSION = 6\nPATCHLEVEL = 1\n").unwrap();
    }
    commit("fs/a.c", "first");
    git(&["tag", "v1"]);
    git(&["checkout", "-qb", "side"]);
    commit("fs/side.c", "on the side");
    git(&["checkout", "-qb", "elsewhere", "v1"]);
    commit("fs/elsewhere.c", "elsewhere");
    git(&["checkout", "-q", "main"]);
    commit("mm/b.c", "second");
    git(&["merge", "-q", "--no-ff", "-m", "merge of the side", "side"]);
    commit("fs/a.c", "third");
    git(&["tag", "v2"]);
}

/// Everything that a repository and its working copy hold.
fn content(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(content(&path));
        } else {
            all.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn a_range_of_commits_is_listed_and_the_repository_is_left_as_it_was() {
    let place = releases();
    repository(&place);
    // Somebody is at work in it.
    place.file("linux/fs/a.c", "not committed");
    let before = content(&place.dir().join("linux"));
    let text = bisect(&place, &["--tree", "linux", "--bad", "v2", "--good", "v1"]);
    let lines: Vec<&str> = text.lines().collect();
    // Ids follow from the content; here their subjects are what counts.
    let subjects: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split_once("  ").map(|(_, rest)| rest))
        .collect();
    assert_eq!(subjects.first(), Some(&"first  (good end)"), "{text}");
    assert!(
        subjects.contains(&"merge of the side") && subjects.contains(&"on the side"),
        "{text}"
    );
    assert!(subjects.contains(&"third  (bad end)"), "{text}");
    assert!(text.contains("over 5 commits"), "{text}");
    assert!(text.contains("the first that fails is looked for"), "{text}");
    assert!(
        text.contains("the working copy has changes that are not committed; it is not looked at, and stays as it is"),
        "{text}"
    );
    assert!(text.contains("nothing of it was built yet"), "{text}");
    assert!(text.ends_with("exit code 0"), "{text}");
    let first_parent = bisect(
        &place,
        &["--tree", "linux", "--bad", "v2", "--good", "v1", "--first-parent"],
    );
    assert!(
        first_parent.contains("over 4 commits") && !first_parent.contains("on the side\n"),
        "{first_parent}"
    );
    let paths = bisect(&place, &["--tree", "linux", "--bad", "v1", "--good", "v2", "--", "mm"]);
    assert!(
        paths.contains("over 3 commits") && paths.contains("the first that passes is looked for"),
        "{paths}"
    );
    assert!(
        before == content(&place.dir().join("linux")),
        "the repository was touched"
    );
}

#[test]
fn commits_that_cannot_be_ends_are_told() {
    let place = releases();
    repository(&place);
    insta::assert_snapshot!(bisect(&place, &["--tree", "linux", "--bad", "v3", "--good", "v1"]), @"
    error: --bad v3: DIR/linux has no such revision (did you mean `v1`?); expected a commit, tag or branch
    exit code 66
    ");
    let same = bisect(&place, &["--tree", "linux", "--bad", "v1", "--good", "v1^{commit}"]);
    assert!(
        same.starts_with("error: --bad v1 and --good v1^{commit} are the same commit, "),
        "{same}"
    );
    let apart = bisect(&place, &["--tree", "linux", "--bad", "v2", "--good", "elsewhere"]);
    assert!(
        apart.contains(" contains the other; their histories part at ") && apart.ends_with("exit code 64"),
        "{apart}"
    );
    insta::assert_snapshot!(bisect(&place, &["--tree", "linux", "--bad", "v2", "--good", "v1", "--", "drivers"]), @"
    error: no commit between the ends touches drivers: there is nothing to bisect
    exit code 64
    ");
    std::fs::create_dir(place.dir().join("plain")).unwrap();
    let plain = bisect(&place, &["--tree", "plain", "--bad", "v2", "--good", "v1"]);
    assert!(
        plain.starts_with("error: --tree DIR/plain is no git repository, so it has no commits to bisect"),
        "{plain}"
    );
    insta::assert_snapshot!(bisect(&place, &["--tree", "linux", "--bad", "v2", "--good", "v1", "--term-new", "log"]), @"
    error: invalid value 'log' for '--term-new <TERM>': expected a word of letters, digits, - and _ that is no \
    subcommand of git bisect

    For more information, try '--help'.
    exit code 64
    ");
}

#[test]
fn a_series_that_does_not_apply_names_the_patch() {
    let place = releases();
    repository(&place);
    place.file(
        "0001-good.patch",
        "Subject: [PATCH] fs: say it otherwise\n\ndiff --git a/fs/a.c b/fs/a.c\n--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1 +1 \
        @@\n-third\n\\ No newline at end of file\n+fourth\n",
    );
    let series = [
        "--series",
        "0001-good.patch",
        "--tree",
        "linux",
        "--base",
        "v2",
        "--yes",
    ];
    let text = bisect(&place, &series);
    assert!(
        text.contains("over 2 states") && text.contains("fs: say it otherwise"),
        "{text}"
    );
    place.file(
        "0001-good.patch",
        "diff --git a/fs/a.c b/fs/a.c\n--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1 +1 @@\n-nothing\n+fourth\n",
    );
    let text = bisect(&place, &series);
    assert!(
        text.contains("0001-good.patch does not apply to ") && text.ends_with("exit code 65"),
        "{text}"
    );
    insta::assert_snapshot!(bisect(&place, &["--series", "nope", "--tree", "linux", "--yes"]), @"
    error: --series nope: there is no such file; expected a mailbox, a mail, a maildir or a directory of patches
    exit code 66
    ");
    let address = "https://lore.kernel.org/r/1@x/";
    let text = bisect(&place, &["--series", address, "--tree", "linux", "--yes"]);
    assert!(text.contains("it is an address; save the thread as a file"), "{text}");
    insta::assert_snapshot!(bisect(&place, &["--series", "0001-good.patch", "--base", "old"]), @"
    error: --base old: this kernel is not built from source, so no patch applies to it
    exit code 64
    ");
}

/// A mail with a patch that makes a file of the repository above say something else.
fn post(subject: &str, headers: &str, from: &str, to: &str) -> String {
    format!(
        "From a@b Thu Jan  1 00:00:00 1970\nFrom: A <a@b>\nSubject: {subject}\n{headers}\nWhy.\n---\n\
         diff --git a/fs/a.c b/fs/a.c\n--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1 +1 @@\n-{from}\n\\ No newline at end of file\n\
         +{to}\n\\ No newline at end of file\n-- \n2.40.1\n\n"
    )
}

#[test]
fn a_mailbox_says_what_of_it_is_left_out() {
    let place = releases();
    repository(&place);
    let cover = "From a@b Thu Jan  1 00:00:00 1970\nFrom: A <a@b>\nSubject: [PATCH v2 0/2] fs: two\n\nHi.\n\n\
                 base-commit: 0123456789abcdef0123456789abcdef01234567\n\n";
    let mails = [
        post("[PATCH v2 2/2] fs: five", "", "fourth", "fifth"),
        post("[PATCH 1/1] fs: five", "", "third", "fifth"),
        post("Re: [PATCH v2 2/2] fs: five", "", "fourth", "sixth"),
        post("[PATCH v2 1/2] fs: four", "", "third", "fourth"),
        cover.to_owned(),
        // Of the series by its subject, and by its number not.
        post("[PATCH v2 4/2] fstests: a test", "", "a", "b").replace("fs/a.c", "tests/generic/1"),
    ];
    place.file("series.mbox", &mails.concat());
    let series = ["--series", "series.mbox", "--tree", "linux", "--base", "v2", "--yes"];
    let text = bisect(&place, &series);
    let words = [
        "left out: `[PATCH v2 4/2] fstests: a test` is for another project: this source has no place for tests/generic/1",
        "left out: the diff in `Re: [PATCH v2 2/2] fs: five`, which answers another mail",
        "left out: 1 patch of v1 (`[PATCH 1/1] fs: five`), as v2 replaces it",
        "sorted by number; found as 2/2, 1/2",
        "the series was made for 0123456789ab (base-commit), and --base is ",
        "DIR/linux does not have that commit",
        "over 3 states",
        "\n0001-fs-four  fs: four\n0002-fs-five  fs: five  (bad end)\n",
    ];
    for words in words {
        assert!(text.contains(words), "{words}: {text}");
    }
    for words in ["holds no diff", "series are there"] {
        assert!(!text.contains(words), "{words}: {text}");
    }
    assert!(text.ends_with("exit code 0"), "{text}");
    place.file("series.mbox", &[&mails[0], cover].concat());
    let text = bisect(&place, &series);
    insta::assert_snapshot!(&text[text.find("error: ").unwrap()..], @"
    error: `[PATCH v2 2/2] fs: five` (series.mbox, mail 1) does not apply to v2:
      error: patch failed: fs/a.c:1
      error: fs/a.c: patch does not apply
      not there: 1/2 of v2, of 2 patches sent with `[PATCH v2 0/2] fs: two`
      the mails say that it was made for the commit 0123456789abcdef0123456789abcdef01234567 (base-commit)
    nothing was built; rebase the patch onto this source, or leave it out
    exit code 65
    ");
}

#[test]
fn a_patch_that_a_commit_has_is_left_out_of_it_and_it_is_said() {
    let place = releases();
    repository(&place);
    // The history has a commit of this title.
    place.file("third.patch", &post("[PATCH] third", "", "first", "third"));
    place.file("other.patch", &post("[PATCH] other", "", "third", "other"));
    let of = |patch: &str| {
        bisect(
            &place,
            &["--tree", "linux", "--bad", "v2", "--good", "v1", "--patch", patch],
        )
    };
    let text = of("third.patch");
    assert!(text.contains("the patch `third` is in the history as "), "{text}");
    assert!(text.contains(": it is left out of commits that have it"), "{text}");
    let text = of("other.patch");
    assert!(!text.contains("left out") && text.ends_with("exit code 0"), "{text}");
}
