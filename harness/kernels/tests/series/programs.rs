//! What mail programs do to mails: quote them, wrap and escape their lines, encode and pack their parts.

use crate::bed::Bed;
use crate::forms::{Post, base64, extra, mbox, multipart, patches, quoted_printable, series};
use crate::told::unnumbered;
use crate::{as_git_am, as_usual, bed, names};

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
        let escaped = post.body.replace("\n-", "\n- -");
        Post {
            body: format!(
                "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{escaped}\
                -----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----\n"
            ),
            ..post
        }
    });
    let states = as_usual(&bed, "signed", mbox(&signed.collect::<Vec<_>>()));
    assert_eq!((states.titles, states.notes), (names(), Vec::new()));
}

#[test]
fn attachments_are_not_unpacked_without_end() {
    use std::io::Write as _;
    let bed = bed();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..36 {
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
