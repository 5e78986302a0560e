//! Patches that cannot be read or are easily overlooked: each is a state, a note or an error.

use crate::bed::{Bed, sh};
use crate::forms::{self, Post, base64, extra, mbox, multipart, patches, quoted_printable, series};
use crate::{as_git_am, as_usual, bed, full, names};

/// The series without numbers, as `git format-patch -N` writes it.
fn unnumbered() -> Vec<Post> {
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
fn lines_of_dashes_end_no_mail() {
    let bed = bed();
    let quoted =
        "From: A <a@example.org>\nSubject: kernel BUG at inode.c\nDate: Mon, 1 Jan 2024 09:00:00 +0000\n\nHelp.\n";
    for dashes in ["-----", "-- >8 --", "--- crash log ---", "-----Original Message-----"] {
        let mut posts = series(1);
        posts[1].body = format!("It was reported:\n\n{dashes}\n{quoted}\n{}", posts[1].body);
        // Out of order, so that a number that is lost changes what comes out.
        posts.swap(1, 2);
        let states = as_usual(&bed, "dashes", mbox(&posts));
        assert_eq!(states.titles, names(), "{dashes}");
        assert_eq!(
            states.notes,
            ["sorted by number; found as 1/4, 3/4, 2/4, 4/4"],
            "{dashes}"
        );
    }
}

#[test]
fn what_an_answer_quotes_is_no_mail() {
    let bed = bed();
    let mut posts = series(1);
    let quoted = posts[1].body.replace('\t', "        ");
    let head =
        "-----Original Message-----\nFrom: Jane Doe <jane@example.org>\nSent: Monday, January 1, 2024\nTo: list\n";
    let answer = |body: String| Post {
        subject: Some(format!("RE: [PATCH 2/4] {}", posts[1].title)),
        body,
        ..extra(7, 4, "answer", "")
    };
    let quoting = answer(format!(
        "Looks good.\n\n{head}Subject: [PATCH 2/4] {}\n\n{quoted}",
        posts[1].title
    ));
    // With a proposal above what it quotes.
    let proposing = answer(format!(
        "Or this?\n\n{}\n\n{}Subject: [PATCH 2/4] {}\n\n{quoted}",
        patches()[3].1,
        head.replace("-----Original Message-----\n", "____________\n"),
        posts[1].title
    ));
    for (name, answer) in [("quoting", quoting), ("proposing", proposing)] {
        for at in [1, 4] {
            posts.insert(at, answer.clone());
            let states = as_usual(&bed, name, mbox(&posts));
            let words = "left out: the diff in `RE: [PATCH 2/4] cached-ordered-extent-v3`, which answers another mail";
            assert_eq!(
                (states.titles, states.notes),
                (names(), vec![words.to_owned()]),
                "{name} {at}"
            );
            posts.remove(at);
        }
    }
    // Passed on by somebody who changed its blanks, beside the mail itself.
    let passed = Post {
        subject: Some("see below".to_owned()),
        body: format!(
            "FYI\n\n-------- Forwarded Message --------\nFrom: Jane Doe <jane@example.org>\nSubject: [PATCH 2/4] {}\n\n{quoted}",
            posts[1].title
        ),
        ..extra(8, 4, "fyi", "")
    };
    for at in [1, 4] {
        posts.insert(at, passed.clone());
        let states = as_usual(&bed, "passed", mbox(&posts));
        assert_eq!(states.titles, names());
        assert!(
            states
                .notes
                .iter()
                .any(|note| note.contains("`[PATCH 2/4] cached-ordered-extent-v3`")),
            "{:?}",
            states.notes
        );
        posts.remove(at);
    }
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
fn base64_that_is_damaged_is_an_error() {
    let bed = bed();
    let hunks = "--- a/fs/many.c\n+++ b/fs/many.c\n@@ -1 +1 @@\n-1\n+one\n@@ -9 +9 @@\n-9\n+nine\n";
    let own = Bed::new(&[], &[("fs/many.c", "1\n2\n3\n4\n5\n6\n7\n8\n9\n")]);
    let mut post = extra(1, 1, "two hunks", "").encoded("base64", |_| String::new());
    // The second hunk begins with a line of its own.
    let fill = |text: &str| " ".repeat((57 - text.len() % 57) % 57);
    let (first, second) = hunks.split_at(hunks.find("@@ -9").unwrap());
    let text = format!("{}\n{first}", fill(&format!("\n{first}")));
    let (first, second) = (base64(text.as_bytes()), base64(second.as_bytes()));
    post.body = format!("{}\n*{}", first.trim_end(), &second[1..]);
    let error = own.states(&own.file("damaged", post.boxed())).err().unwrap();
    assert!(
        error.contains("only a part of the diff can be read in `[PATCH 1/1] two hunks`: its base64 is damaged"),
        "{error}"
    );
    let mut posts: Vec<Post> = unnumbered();
    posts[1] = posts[1].encoded("base64", base64);
    posts[1].body.replace_range(0..1, "*");
    let error = bed.states(&bed.file("first", mbox(&posts))).err().unwrap();
    assert!(
        error.contains("`[PATCH] cached-ordered-extent-v3`: its base64 is damaged"),
        "{error}"
    );
}

#[test]
fn what_mail_programs_do_to_lines_is_undone() {
    let bed = bed();
    let flowed = |post: &Post, is_stuffed: bool| {
        let stuffed = |line: &str| {
            // A mail program takes blanks off where they would mean that the line goes on.
            let line = if line == "-- " { line } else { line.trim_end() };
            let is_meant = line.starts_with([' ', '>']) || line.starts_with("From ");
            format!("{}{line}\n", if is_meant && is_stuffed { " " } else { "" })
        };
        Post {
            headers: "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8; format=flowed\n".to_owned(),
            body: post.body.lines().map(stuffed).collect(),
            ..post.clone()
        }
    };
    let posts: Vec<Post> = series(1).iter().map(|post| flowed(post, true)).collect();
    let states = as_git_am(&bed, "stuffed", mbox(&posts));
    assert_eq!((states.titles, states.notes), (names(), Vec::new()));
    let posts: Vec<Post> = series(1).iter().map(|post| flowed(post, false)).collect();
    as_usual(&bed, "not-stuffed", mbox(&posts));
    let signed = series(1).into_iter().map(|post| {
        let escaped = post.body.lines().map(|line| if line.starts_with('-') { format!("- {line}\n") } else { format!("{line}\n") });
        Post {
            body: format!(
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{}-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n",
                escaped.collect::<String>()
            ),
            ..post
        }
    });
    let states = as_usual(&bed, "signed", mbox(&signed.collect::<Vec<_>>()));
    assert_eq!((states.titles, states.notes), (names(), Vec::new()));
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
fn attachments_are_not_unpacked_without_end() {
    use std::io::Write as _;
    let bed = bed();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..100 {
        gzip.write_all(&vec![0; 1 << 20]).unwrap();
    }
    let kind = "application/gzip; name=a.gz\nContent-Transfer-Encoding: base64";
    let packed = base64(&gzip.finish().unwrap());
    let post = multipart(&extra(1, 1, "large", ""), "mixed", &[(kind, &packed)]);
    let error = bed.states(&bed.file("large", post.boxed())).err().unwrap();
    assert!(
        error.contains("`[PATCH 1/1] large`: what is attached to it is larger than 32 MiB"),
        "{error}"
    );
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
fn encodings_of_text_beside_a_damaged_picture_are_whole() {
    let bed = bed();
    let mut posts = series(1);
    let picture = "image/png; name=x.png\nContent-Transfer-Encoding: base64";
    let damaged = format!("{}*AAAA\n", base64(&[7; 57]));
    let text = "text/plain\nContent-Transfer-Encoding: quoted-printable";
    let encoded = quoted_printable(posts[1].body.as_bytes());
    posts[1] = multipart(&posts[1], "mixed", &[(text, &encoded), (picture, &damaged)]);
    as_usual(&bed, "picture", mbox(&posts));
}
