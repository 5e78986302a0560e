//! For which source a patch is, and how much of its paths is prefix.

use crate::bed::{Bed, sh};
use crate::forms::{FSTESTS, MODE, extra, mbox, patches, series};
use crate::{as_git_am, bed, names};

/// Series that make a directory at the top, each by a script over a source of its own.
const TOPS: [(&str, &str); 3] = [
    (
        "rename",
        "mkdir io_uring && git mv fs/io_uring.c io_uring/ && commit 'io_uring: move'
        sed -i s/two/2/ io_uring/io_uring.c && commit 'io_uring: a'
        sed -i s/four/4/ io_uring/io_uring.c && commit 'io_uring: b'",
    ),
    (
        "new",
        "mkdir rust && printf '1\\n2\\n' > rust/lib.rs && commit 'rust: add'
        sed -i s/2/two/ rust/lib.rs && commit 'rust: change'
        sed -i s/two/2/ fs/io_uring.c && commit 'fs: change'",
    ),
    (
        "alone",
        "mkdir rust && printf '1\\n2\\n' > rust/lib.rs && commit 'rust: add'",
    ),
];

fn plain() -> Bed {
    Bed::new(&[], &[("fs/io_uring.c", "one\ntwo\nthree\nfour\nfive\nsix\nseven\n")])
}

#[test]
fn a_new_directory_at_the_top_is_no_other_project() {
    for (name, script) in TOPS {
        let bed = plain();
        sh(
            &bed.linux,
            &format!("commit() {{ git add -A && git commit -qm \"$1\"; }}\n{script}"),
        );
        let trees = sh(&bed.linux, "git log --reverse --format=%T v6.1..");
        for options in ["", "-N", "--no-renames", "--no-prefix"] {
            let text = sh(&bed.linux, &format!("git format-patch --stdout {options} v6.1.."));
            let states = bed
                .states(&bed.file("top.mbox", text))
                .unwrap_or_else(|error| panic!("{name} {options}: {error}"));
            let said: Vec<&str> = trees.lines().collect();
            let note = format!(
                "a directory {} is made at the top of the source by ",
                if name == "rename" { "io_uring" } else { "rust" }
            );
            // Of a directory that nothing else tells of, the prefix cannot be told.
            if (name, options) != ("alone", "--no-prefix") {
                let trees: Vec<String> = said.iter().map(|&id| id.to_owned()).collect();
                assert_eq!(states.trees, trees, "{name} {options}");
                let is_said = states.notes.len() == 1 && states.notes[0].starts_with(&note);
                assert!(is_said, "{name} {options}: {:?}", states.notes);
            }
        }
        // One by one.
        sh(&bed.linux, "git format-patch -q -o ../each v6.1..");
        let each = bed.dir.path().join("each");
        let states = bed.states(&each).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(states.trees.len(), trees.lines().count(), "{name}");
        let mut files: Vec<_> = std::fs::read_dir(&each)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        let (tree, said) = bed.apply("v6.1", &files);
        assert_eq!(tree.unwrap().id, trees.lines().last().unwrap(), "{name}");
        assert_eq!(said.len(), 1, "{name}: {said:?}");
    }
}

#[test]
fn a_part_of_a_series_for_this_source_is_for_this_source() {
    let bed = bed();
    let mut posts = series(1);
    let diff = "--- a/rust/lib.rs\n+++ b/rust/lib.rs\n@@ -1 +1 @@\n-a\n+b\n";
    posts[2] = extra(3, 4, "rust: change", diff);
    let error = bed.states(&bed.file("older", mbox(&posts))).err().unwrap();
    assert!(
        error.contains("`[PATCH 3/4] rust: change` (") && error.contains("rust/lib.rs: does not exist in index"),
        "{error}"
    );
    // One alone is no part, and two of one number are of two series.
    for (number, total) in [(1, 1), (3, 4)] {
        let other = extra(number, total, "rust: change", diff);
        let all = [series(1), vec![extra(1, 1, "mode", MODE), other]].concat();
        let states = bed.states(&bed.file("alone", mbox(&all))).unwrap();
        assert_eq!(states.trees.len(), 5);
        let said = states.notes.join("\n");
        assert!(said.contains("rust: change` is for another project"), "{said}");
    }
    // Unless it says that it is not.
    posts[2] = extra(3, 4, "fstests: change", FSTESTS);
    let states = bed.states(&bed.file("other", mbox(&posts)));
    let said = states.map_or_else(|error| error, |states| states.notes.join("\n"));
    assert!(said.contains("fstests: change` is for another project"), "{said}");
}

#[test]
fn prefixes_are_told_by_what_is_there() {
    let bed = bed();
    let wanted = as_git_am(&bed, "usual", mbox(&series(1))).trees;
    let mut posts = series(1);
    for post in &mut posts {
        post.body = post.body.replace(" a/", " a/linux/").replace(" b/", " b/linux/");
    }
    let states = bed.states(&bed.file("deep", mbox(&posts))).unwrap();
    assert_eq!((states.titles, states.trees), (names(), wanted));
    // Another project's directory may have the name of one of ours.
    let diff = "--- a/hw/fs/inode.c\n+++ b/hw/fs/inode.c\n@@ -1 +1 @@\n-a\n+b\n";
    let posts = [series(1), vec![extra(1, 1, "hw: change", diff)]].concat();
    let notes = bed.states(&bed.file("hw", mbox(&posts))).unwrap().notes;
    assert!(
        notes[0].contains("is for another project: this source has no place for hw/fs/inode.c"),
        "{notes:?}"
    );

    let bed = Bed::new(&[], &[("fs/Makefile", "VERSION = 6\n"), ("fs/a b/\u{fc}.c", "1\n")]);
    let diff = "--- fs/Makefile\n+++ fs/Makefile\n@@ -1 +1 @@\n-VERSION = 6\n+VERSION = 7\n";
    let tree = bed.states(&bed.file("p0.diff", diff)).unwrap().trees.remove(0);
    let own = sh(
        &bed.linux,
        "printf 'VERSION = 7\\n' > fs/Makefile && git add -A && git write-tree",
    );
    assert_eq!(tree, own.trim());
    sh(
        &bed.linux,
        "git reset -q --hard && git mv 'fs/a b' 'fs/c d' && git commit -qm move",
    );
    let text = sh(&bed.linux, "git format-patch --stdout --no-prefix v6.1..");
    let states = bed.states(&bed.file("quoted.mbox", text)).unwrap();
    assert_eq!(states.trees, [sh(&bed.linux, "git rev-parse HEAD^{tree}").trim()]);
}

#[test]
fn files_of_a_folder_are_taken_as_people_number_them() {
    let bed = plain();
    let lines: Vec<String> = (0..=11).map(|n| format!("v{n}")).collect();
    for (number, pair) in (1..).zip(lines.windows(2)) {
        let (old, new) = (if number == 1 { "one" } else { &pair[0] }, &pair[1]);
        let diff = format!("--- a/fs/io_uring.c\n+++ b/fs/io_uring.c\n@@ -1,2 +1,2 @@\n-{old}\n+{new}\n two\n");
        bed.file(&format!("plain/{number}.diff"), &diff);
        bed.file(&format!("named/v2-{number}-x.patch"), &diff);
        bed.file(&format!("padded/{number:04}-x.patch"), &diff);
    }
    for name in ["plain", "named", "padded"] {
        let states = bed
            .states(&bed.dir.path().join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(states.trees.len(), 11, "{name}");
    }
}

#[test]
fn folders_in_a_folder_are_named() {
    let bed = bed();
    let all = patches();
    for (at, (name, diff)) in all.iter().enumerate() {
        let below = if at == 3 { "more/" } else { "" };
        bed.file(&format!("folder/{below}{name}.patch"), diff);
    }
    let folder = bed.dir.path().join("folder");
    let states = bed.states(&folder).unwrap();
    assert_eq!(states.trees.len(), 3);
    assert!(
        states.notes[0].starts_with("left out: 1 file in the directory ")
            && states.notes[0].contains("folder/more, which"),
        "{:?}",
        states.notes
    );
    // Where there is nothing else.
    bed.file("outer/inner/a.patch", &all[0].1);
    let error = bed.states(&bed.dir.path().join("outer")).err().unwrap();
    assert!(
        error.contains("1 file in the directory ") && error.contains("outer/inner"),
        "{error}"
    );
    bed.file("outer/patches/series", "a.patch\n");
    let error = bed.states(&bed.dir.path().join("outer")).err().unwrap();
    assert!(error.contains("outer/patches/series is such a file"), "{error}");
}

#[test]
fn a_patch_that_cannot_be_unpacked_is_named() {
    let bed = bed();
    let all = patches();
    bed.file("packed/0001-one.patch", &all[0].1);
    bed.file("packed/0002-two.patch.bz2", "BZh91AY&SY");
    bed.file("packed/notes.bz2", "BZh91AY&SY");
    let notes = bed.states(&bed.dir.path().join("packed")).unwrap().notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(notes[0].starts_with("left out: "), "{notes:?}");
    assert!(
        notes[0].contains("0002-two.patch.bz2") && notes[0].contains("it is compressed by bzip2; unpack it"),
        "{notes:?}"
    );
}
