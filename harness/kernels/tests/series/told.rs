//! Patches that cannot be read or are easily overlooked: each is a state, a note or an error.

use std::path::Path;

use crate::bed::{Bed, sh};
use crate::forms::{self, Post, base64, extra, mbox, multipart, patches, series};
use crate::{as_git_am, as_usual, bed, full, names};

/// The series without numbers, as `git format-patch -N` writes it.
pub(crate) fn unnumbered() -> Vec<Post> {
    let posts = series(1).into_iter().map(|post| Post {
        subject: Some(format!("[PATCH] {}", post.title)),
        ..post
    });
    posts.collect()
}

/// What is said of three patches of which one cannot be read.
fn said(bed: &Bed, name: &str, second: Post) -> String {
    let posts = unnumbered();
    let posts = [posts[0].clone(), second, extra(1, 1, "mode", forms::MODE)];
    match bed.states(&bed.file(name, mbox(&posts))) {
        Ok(states) => format!("{} states; {}", states.trees.len(), states.notes.join("; ")),
        Err(error) => error,
    }
}

#[test]
fn a_patch_without_a_diff_is_named_also_without_a_number() {
    let bed = bed();
    let post = unnumbered()[1].clone();
    let diff = &patches()[1].1;
    let quoted: String = diff.lines().map(|line| format!("> {line}\n")).collect();
    let indented: String = diff.lines().map(|line| format!("    {line}\n")).collect();
    let context = "*** a/fs/x.c\n--- b/fs/x.c\n***************\n*** 1 ****\n! a\n--- 1 ----\n! b\n".to_owned();
    let combined =
        "diff --cc fs/x.c\nindex 1,2..3\n--- a/fs/x.c\n+++ b/fs/x.c\n@@@ -1 -1 +1 @@@\n--a\n++b\n".to_owned();
    let link = "It is at https://example.org/0002.patch\n".to_owned();
    for (name, body) in [
        ("quoted", quoted),
        ("indented", indented),
        ("context", context),
        ("combined", combined),
        ("link", link),
    ] {
        let post = Post { body, ..post.clone() };
        let said = said(&bed, name, post);
        assert!(
            said.contains("2 states; left out: `[PATCH] cached-ordered-extent-v3` holds no diff"),
            "{name}: {said}"
        );
    }
    let attached = |kind: &str, content: &[u8]| {
        let head = format!(
            "{kind}; name=x.bin\nContent-Disposition: attachment; filename=x.bin\nContent-Transfer-Encoding: base64"
        );
        multipart(
            &post,
            "mixed",
            &[("text/plain", "It is attached.\n"), (&head, &base64(content))],
        )
    };
    let of_type = |kind: &str, text: &[u8]| Post {
        headers: format!("MIME-Version: 1.0\nContent-Type: {kind}\nContent-Transfer-Encoding: base64\n"),
        body: base64(text),
        ..post.clone()
    };
    let inline = Post {
        body: "-----BEGIN PGP MESSAGE-----\n\nhQEMA\n-----END PGP MESSAGE-----\n".to_owned(),
        ..post.clone()
    };
    for (name, post, words) in [
        (
            "zip",
            attached("application/zip", b"PK\x03\x04abc"),
            "an archive is attached to it",
        ),
        (
            "smime",
            of_type("application/pkcs7-mime; smime-type=enveloped-data", b"\x30\x82"),
            "it is encrypted",
        ),
        ("pgp", inline, "it is encrypted"),
    ] {
        let said = said(&bed, name, post);
        let words = format!("no diff can be read in `[PATCH] cached-ordered-extent-v3`: {words}");
        assert!(said.contains(&words), "{name}: {said}");
    }
    let utf16: Vec<u8> = post.body.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let said = said(&bed, "utf16", of_type("text/plain; charset=utf-16le", &utf16));
    assert!(said.starts_with("3 states"), "{said}");
}

#[test]
fn a_lone_patch_without_a_diff_is_named() {
    let bed = bed();
    let post = extra(2, 4, "nothing", "");
    let error = bed.states(&bed.file("lone", post.boxed())).err().unwrap();
    assert!(
        error.contains("none of its mails holds a diff: `[PATCH 2/4] nothing`"),
        "{error}"
    );
    let many: Vec<Post> = (1..=30).map(|n| extra(n, 30, &format!("n{n}"), "")).collect();
    let error = bed.states(&bed.file("many", mbox(&many))).err().unwrap();
    assert!(error.contains("n8`, and 22 more") && !error.contains("n9`"), "{error}");
}

#[test]
fn a_mail_that_carries_a_patch_is_no_patch_itself() {
    let bed = bed();
    let posts = series(1);
    let whole = posts[1].mail();
    let kind = "text/x-patch; name=\"0002.patch\"\nContent-Disposition: attachment; filename=\"0002.patch\"";
    let carrier = multipart(
        &extra(2, 4, "my patch", ""),
        "mixed",
        &[("text/plain", "See.\n"), (kind, &whole)],
    );
    let states = as_usual(
        &bed,
        "carried",
        mbox(&[posts[0].clone(), carrier, posts[2].clone(), posts[3].clone()]),
    );
    assert_eq!((states.titles, states.notes), (names(), Vec::new()));
}

#[test]
fn what_is_put_together_in_one_file_is_told() {
    let bed = bed();
    let diffs: Vec<String> = patches().into_iter().map(|(_, diff)| diff).collect();
    let error = |head: &str| {
        let text: String = diffs.iter().map(|diff| format!("{head}{diff}")).collect();
        bed.states(&bed.file("all.patch", text)).err().unwrap()
    };
    for head in [
        "commit 0123456789ab\nAuthor: J <j@x>\nDate: now\n\n    a\n\n",
        "0123456789ab a: b\n",
    ] {
        let error = error(head);
        assert!(
            error.contains("of 4 commits, without their order; `git format-patch"),
            "{error}"
        );
    }
    let error = error("# HG changeset patch\n# User J\na: b\n\n");
    assert!(error.contains("of 4 changesets; a file for each"), "{error}");
    let bed = Bed::new(&[], &[("fs/many.c", "1\n2\n3\n4\n5\n6\n7\n8\n9\n")]);
    let head = "--- a/fs/many.c\n+++ b/fs/many.c\n";
    let two = format!("{head}@@ -1,2 +1,2 @@\n-1\n+one\n 2\n{head}@@ -8,2 +8,2 @@\n 8\n-9\n+nine\n");
    let states = bed.states(&bed.file("two.diff", two)).unwrap();
    assert_eq!(states.trees.len(), 1);
    assert!(
        states.notes[0].contains("two.diff is taken as one patch, and changes fs/many.c 2 times"),
        "{:?}",
        states.notes
    );
    // A file that becomes a link is removed and made.
    sh(&bed.linux, "ln -sf x fs/many.c && git commit -qam link");
    let states = bed
        .states(&bed.file("link.diff", sh(&bed.linux, "git diff v6.1 HEAD")))
        .unwrap();
    assert_eq!((states.trees.len(), states.notes), (1, Vec::new()));
}

#[test]
fn ids_that_several_mails_share_drop_none() {
    let bed = bed();
    for id in ["<same@example.org>", "<>"] {
        let text = unnumbered().into_iter().map(|post| {
            let mail = post.boxed();
            let (_, rest) = mail.split_once("Message-Id: ").unwrap();
            let (_, rest) = rest.split_once('\n').unwrap();
            format!("From git@z Thu Jan  1 00:00:00 1970\nMessage-Id: {id}\n{rest}")
        });
        let states = as_git_am(&bed, "ids", text.collect::<String>());
        assert_eq!((states.titles, states.notes), (names(), Vec::new()), "{id}");
    }
}

#[test]
fn a_subject_cannot_write_lines_of_its_own() {
    let bed = bed();
    let post = Post {
        subject: Some("[PATCH 1/1] =?utf-8?q?evil=1B[31m=0Anote:=20all=20fine=0D?= x".to_owned()),
        ..series(1)[0].clone()
    };
    let states = bed.states(&bed.file("evil", post.boxed())).unwrap();
    assert_eq!(states.titles, ["evil [31m note: all fine x"]);
}

#[test]
fn numbers_and_names_that_nobody_sends_are_no_panic() {
    let bed = bed();
    let most = u32::MAX;
    let posts = [
        extra(1, most, "first", forms::MODE),
        extra(most, most, "last", &patches()[0].1),
    ];
    let states = bed.states(&bed.file("most", mbox(&posts))).unwrap();
    assert!(
        states.notes[0].starts_with("not there: 2/4294967295 to 4294967294/4294967295"),
        "{:?}",
        states.notes
    );
    let diff = format!("--- /dev/null\n+++ b/fs/{}\n@@ -0,0 +1 @@\n+a\n", "x".repeat(200_000));
    let error = bed.states(&bed.file("long.patch", diff)).err().unwrap();
    assert!(error.contains("names a file with a path of 200005 bytes"), "{error}");
    // Many of them are more than a command takes.
    let folder = "y".repeat(200);
    let many: String = (0..20_000)
        .map(|n| format!("--- /dev/null\n+++ b/{folder}/{folder}/{n}\n@@ -0,0 +1 @@\n+a\n"))
        .collect();
    assert_eq!(bed.states(&bed.file("many.patch", many)).unwrap().trees.len(), 1);
}

#[test]
fn two_patches_of_one_title_are_both_applied() {
    let bed = bed();
    let fix = |posts: Vec<Post>, word: &str| -> Vec<Post> {
        let posts = posts.into_iter().map(|post| Post {
            subject: Some(format!("[PATCH{word}] btrfs: fix")),
            ..post
        });
        posts.collect()
    };
    let states = as_git_am(&bed, "fixes", mbox(&fix(series(1), "")));
    assert_eq!(states.trees.last(), Some(&full(&bed)));
    let same = |note: &&String| note.starts_with("several patches are called `[PATCH] btrfs: fix` and differ");
    assert_eq!(states.notes.iter().filter(same).count(), 1, "{:?}", states.notes);
    let error = bed
        .states(&bed.file("versions", mbox(&fix(series(1), " v2"))))
        .err()
        .unwrap();
    assert!(error.contains("are both patches of one title and differ"), "{error}");
}

#[test]
fn what_is_no_regular_file_is_refused_and_not_waited_for() {
    let bed = bed();
    let fifo = bed.dir.path().join("0001.patch");
    sh(bed.dir.path(), "mkfifo 0001.patch");
    let listed = bed.file("quilt/series", "../0001.patch\n");
    for path in [fifo.as_path(), Path::new("/dev/zero"), listed.parent().unwrap()] {
        let said = bed.states(path).err().unwrap_or_default();
        assert!(
            said.contains("it is no regular file; write what it gives into one"),
            "{said}"
        );
    }
}
