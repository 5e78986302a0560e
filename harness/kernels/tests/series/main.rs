//! Series as people have them: the states that come of them, beside `git am` where it takes the form, and what is said
//! of what was left out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic here is the test's failure"
)]

mod bed;
mod forms;
mod made_by_git;
mod programs;
mod sources;
mod threads;
mod told;

use bed::{Bed, States};
use forms::{base64, body, cover, extra, mbox, multipart, patches, quoted_printable, series};

fn bed() -> Bed {
    let diffs: Vec<String> = patches().into_iter().map(|(_, diff)| diff).collect();
    Bed::new(&diffs, &[])
}

fn names() -> Vec<String> {
    patches().into_iter().map(|(name, _)| name).collect()
}

/// The states of a form that `git am` takes as well: the same tree.
fn as_git_am(bed: &Bed, name: &str, content: impl AsRef<[u8]>) -> States {
    let path = bed.file(name, content);
    let states = bed.states(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let by_git = bed
        .git_am(&path)
        .unwrap_or_else(|error| panic!("{name}: git am: {error}"));
    assert_eq!(states.trees.last(), Some(&by_git), "{name}: {:?}", states.titles);
    states
}

fn full(bed: &Bed) -> String {
    let path = bed.file("usual.mbox", mbox(&series(1)));
    bed.states(&path).unwrap().trees.pop().unwrap()
}

/// The states of a form that `git am` does not take: those of the usual form.
fn as_usual(bed: &Bed, name: &str, content: impl AsRef<[u8]>) -> States {
    let path = bed.file(name, content);
    let states = bed.states(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(states.trees.last(), Some(&full(bed)), "{name}: {:?}", states.titles);
    assert_eq!(states.trees.len(), 4, "{name}");
    states
}

#[test]
fn mailboxes_in_every_encoding_have_the_states_that_git_am_makes() {
    let bed = bed();
    let (cover, series) = (cover(), series(1));
    let all = |posts: Vec<forms::Post>| mbox(&[vec![cover.clone()], posts].concat());
    let each = |change: &dyn Fn(&forms::Post) -> forms::Post| all(series.iter().map(change).collect());
    let plain = all(series.clone());
    for (name, text) in [
        ("plain", plain.clone()),
        ("crlf", plain.replace('\n', "\r\n")),
        ("base64", each(&|post| post.encoded("base64", base64))),
        (
            "quoted-printable",
            each(&|post| post.encoded("quoted-printable", quoted_printable)),
        ),
        (
            "quoted-printable-crlf",
            each(&|post| post.encoded("quoted-printable", quoted_printable)).replace('\n', "\r\n"),
        ),
    ] {
        let states = as_git_am(&bed, name, &text);
        assert_eq!((states.titles, states.notes), (names(), Vec::new()), "{name}");
    }
}

#[test]
fn forms_at_which_git_am_stops_have_the_same_states() {
    let bed = bed();
    let (cover, series) = (cover(), series(1));
    let all = |posts: Vec<forms::Post>| mbox(&[vec![cover.clone()], posts].concat());
    let each = |change: &dyn Fn(&forms::Post) -> forms::Post| all(series.iter().map(change).collect());
    let crlf = |post: &forms::Post| post.body.replace('\n', "\r\n");
    let unknown =
        "MIME-Version: 1.0\nContent-Type: text/plain; charset=unknown-8bit\nContent-Transfer-Encoding: 8bit\n";
    // git am stops at these, or takes four patches for one.
    let in_base64 = each(&|post| {
        forms::Post {
            body: crlf(post),
            ..post.clone()
        }
        .encoded("base64", base64)
    });
    let footer = each(&|post| {
        let post = post.encoded("base64", base64);
        forms::Post {
            body: post.body + "_______________\nlist mailing list\n",
            ..post
        }
    });
    for (name, bytes) in [
        ("crlf-in-base64", in_base64.into_bytes()),
        ("footer", footer.into_bytes()),
        (
            "charset",
            each(&|post| forms::Post {
                headers: unknown.to_owned(),
                ..post.clone()
            })
            .into_bytes(),
        ),
        ("bom", [b"\xef\xbb\xbf", mbox(&series).as_bytes()].concat()),
        ("empty-lines-first", format!("\n\n{}", mbox(&series)).into_bytes()),
        (
            "no-lines-between",
            series.iter().map(forms::Post::mail).collect::<String>().into_bytes(),
        ),
        (
            "subject-first",
            series
                .iter()
                .map(|post| format!("Subject: [PATCH {}/4] {}\n\n{}", post.number, post.title, post.body))
                .collect::<String>()
                .into_bytes(),
        ),
        (
            "eml-after-eml",
            series
                .iter()
                .map(|post| format!("Delivered-To: a\n{}", post.encoded("base64", base64).mail()))
                .collect::<String>()
                .into_bytes(),
        ),
    ] {
        let states = as_usual(&bed, name, bytes);
        assert_eq!((states.titles, states.notes), (names(), Vec::new()), "{name}");
    }
}

#[test]
fn subjects_are_decoded() {
    let bed = bed();
    let posts: Vec<_> = series(1)
        .into_iter()
        .map(|post| forms::Post {
            subject: Some(format!(
                "=?UTF-8?q?=5BPATCH=20{}/4=5D=20btrfs=3A=20d=C3=A9j=C3=A0=20vu?=",
                post.number
            )),
            ..post
        })
        .collect();
    let states = as_git_am(&bed, "encoded", mbox(&posts));
    assert_eq!(states.titles, vec!["btrfs: d\u{e9}j\u{e0} vu"; 4]);
}

#[test]
fn patches_without_hunks_are_states() {
    let bed = bed();
    let series = series(1);
    for (name, diff) in [
        ("rename", forms::RENAME),
        ("mode", forms::MODE),
        ("empty", forms::EMPTY),
    ] {
        let mut posts = series.clone();
        posts.insert(2, extra(3, 5, name, diff));
        for (at, post) in posts.iter_mut().enumerate() {
            (post.number, post.total) = (u32::try_from(at).unwrap() + 1, 5);
        }
        let states = as_git_am(&bed, name, mbox(&posts));
        assert_eq!(states.titles[2], name);
        assert_eq!((states.trees.len(), states.notes), (5, Vec::new()));
        assert_ne!(states.trees[1], states.trees[2], "{name}");
    }
    let posts = [
        series[0].clone(),
        extra(2, 4, "empty", forms::EMPTY),
        extra(3, 4, "fill", forms::FILLED),
    ];
    let states = as_git_am(&bed, "filled", mbox(&posts));
    assert_eq!(states.trees.len(), 3);
    assert!(
        states.notes[0].starts_with("not there: 4/4, of 4 patches sent with"),
        "{:?}",
        states.notes
    );
}

#[test]
fn parts_of_a_mail_are_chosen_as_people_mean_them() {
    let bed = bed();
    let series = series(1);
    let second = |post: forms::Post| mbox(&[series[0].clone(), post, series[2].clone(), series[3].clone()]);
    let text = series[1].body.as_str();
    let html = format!("<div>{}</div>", text.replace('<', "&lt;").replace('\n', "<br>\n"));
    let of_patch = "text/x-patch; name=\"0002-a.patch\"\nContent-Disposition: attachment; filename=\"0002-a.patch\"";
    let plain = "text/plain; charset=utf-8";
    let alternative = multipart(&series[1], "alternative", &[(plain, text), ("text/html", &html)]);
    let attached = multipart(&series[1], "mixed", &[(plain, "It is attached.\n"), (of_patch, text)]);
    let both = multipart(&series[1], "mixed", &[(plain, text), (of_patch, text)]);
    let signed = multipart(
        &series[1],
        "signed",
        &[(plain, text), ("application/pgp-signature", "x\n")],
    );
    let whole = format!("From: Jane\nSubject: [PATCH] own title\n\n{text}");
    let forwarded = multipart(
        &series[1],
        "mixed",
        &[(plain, "See below.\n"), ("message/rfc822", &whole)],
    );
    for (name, post) in [
        ("alternative", alternative),
        ("attached", attached),
        ("both", both),
        ("signed", signed),
        ("forwarded", forwarded),
    ] {
        let states = as_usual(&bed, name, second(post));
        assert_eq!((states.titles, states.notes), (names(), Vec::new()), "{name}");
    }
    let only_html = multipart(&series[1], "alternative", &[("text/html", &html)]);
    let error = bed.states(&bed.file("html", second(only_html))).err().unwrap();
    assert!(
        error.contains("no diff can be read in `[PATCH 2/4] cached-ordered-extent-v3`: its text is only there as HTML"),
        "{error}"
    );
    // Two patches in one mail.
    let third = "text/x-patch; name=\"0003-b.patch\"\nContent-Disposition: attachment; filename=\"0003-b.patch\"";
    let two = multipart(
        &series[1],
        "mixed",
        &[
            (plain, "Both are attached.\n"),
            (of_patch, text),
            (third, &series[2].body),
        ],
    );
    let states = bed.states(&bed.file("two", mbox(&[series[0].clone(), two]))).unwrap();
    assert_eq!(states.titles, ["cached-ordered-extent-v2", "0002-a", "0003-b"]);
    assert!(
        states
            .notes
            .iter()
            .any(|note| note.starts_with("`[PATCH 2/4] cached-ordered-extent-v3` holds 2 patches")),
        "{:?}",
        states.notes
    );
    assert!(
        states
            .notes
            .iter()
            .any(|note| note.starts_with("not there: 3/4 to 4/4")),
        "{:?}",
        states.notes
    );
}

#[test]
fn directories_of_mails_are_read() {
    use std::io::Write as _;
    let bed = bed();
    let series = series(1);
    let read = |name: &str| {
        bed.states(&bed.dir.path().join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(mbox(&series).as_bytes()).unwrap();
    let packed = gzip.finish().unwrap();
    bed.file("t.mbox.gz", &packed);
    bed.file("box/v2_20240101_jane_four.mbx", mbox(&series));
    bed.file("box/v2_20240101_jane_four.cover", cover().boxed());
    bed.file("packed/all.mbox.gz", &packed);
    for (at, post) in series.iter().rev().enumerate() {
        bed.file(
            &format!(
                "maildir/{}/170410320{at}.M1P1.host:2,S",
                if at < 2 { "cur" } else { "new" }
            ),
            post.mail(),
        );
        bed.file(&format!("mh/{}", at + 8), post.mail());
        bed.file(
            &format!("eml/{}.eml", post.title),
            format!("Delivered-To: a\n{}", post.encoded("base64", base64).mail()),
        );
    }
    bed.file("maildir/tmp/x", "half a mail");
    let whole = full(&bed);
    for (name, is_sorted) in [
        ("t.mbox.gz", false),
        ("box", false),
        ("packed", false),
        ("maildir", true),
        ("mh", true),
        ("eml", true),
    ] {
        let states = read(name);
        assert_eq!((states.titles, states.trees.last()), (names(), Some(&whole)), "{name}");
        let said = states.notes.join("\n");
        assert_eq!(
            said.starts_with("sorted by number; found as "),
            is_sorted || name == "eml",
            "{name}: {said}"
        );
    }
}

#[test]
fn lists_of_quilt_say_what_is_applied() {
    let bed = bed();
    let whole = full(&bed);
    let read = |name: &str| {
        bed.states(&bed.dir.path().join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    // With paths that have no prefix.
    for (name, diff) in patches() {
        let bare = diff.replace("--- a/", "--- ").replace("+++ b/", "+++ ");
        let bare: String = bare
            .lines()
            .filter(|line| !line.starts_with("diff --git"))
            .map(|line| format!("{line}\n"))
            .collect();
        bed.file(&format!("quilt/{name}.patch"), &bare);
        bed.file(&format!("quilt/said/{name}.patch"), &bare);
    }
    let list = |option: &str| {
        names()
            .iter()
            .map(|name| format!("{name}.patch{option} # why\n"))
            .collect::<String>()
    };
    bed.file("quilt/series", format!("# quilt's\n\n{}", list(" -p0")));
    // Without the word the source tells.
    bed.file("quilt/said/series", list(""));
    for name in ["quilt", "quilt/series", "quilt/said"] {
        let states = read(name);
        assert_eq!((states.titles, states.trees.last()), (names(), Some(&whole)), "{name}");
        assert!(states.notes.is_empty(), "{name}");
    }
    let error = |name: &str| bed.states(&bed.dir.path().join(name)).err().unwrap();
    bed.file("wrong/series", "gone.patch\n");
    assert!(
        error("wrong").contains("cannot read gone.patch, which line 1 of "),
        "{}",
        error("wrong")
    );
    bed.file("wrong/series", "../quilt/zero-length-kept.patch --fuzz\n");
    assert!(error("wrong").contains("line 1: expected -pN or -R after a patch's name, found `--fuzz`"));
    // -R takes back.
    let (name, diff) = &patches()[0];
    bed.file(&format!("back/{name}.patch"), diff);
    bed.file("back/series", format!("{name}.patch\n{name}.patch -R\n"));
    let there_and_back = read("back").trees;
    assert_eq!(
        there_and_back[1],
        bed::sh(&bed.linux, "git rev-parse HEAD^{tree}").trim()
    );
}

#[test]
fn what_is_no_patch_says_what_it_is() {
    let bed = bed();
    let id = "0123456789abcdef0123456789abcdef01234567";
    let log = format!("commit {id}\n\n    a\n\n{}", patches()[0].1).repeat(2);
    let error = |name: &str, content: &[u8]| bed.states(&bed.file(name, content)).err().unwrap();
    for (name, content, words) in [
        ("a.zip", &b"PK\x03\x04"[..], "a zip archive; unpack it"),
        ("a.msg", b"\xd0\xcf\x11\xe0", "save it as .eml"),
        ("a.patch", b"\xff\xfed\0", "UTF-16"),
        ("b.patch", b"hello\n", "expected a unified diff, a mail or a mailbox"),
        (
            "c.mbox",
            b"From: a\nSubject: hello\n\nyou\n",
            "none of its mails holds a diff",
        ),
        ("d.patch", log.as_bytes(), "git format-patch"),
    ] {
        let error = error(name, content);
        assert!(error.contains(words), "{name}: {error}");
    }
    bed.file("folder/notes.txt", body(&patches()[0].1));
    let error = bed.states(&bed.dir.path().join("folder")).err().unwrap();
    assert!(
        error.contains("expected a file `series`, a maildir, or *.patch, "),
        "{error}"
    );
    bed.file("folder/a.patch", &patches()[0].1);
    let notes = bed.states(&bed.dir.path().join("folder")).unwrap().notes;
    assert!(
        notes[0].starts_with("left out: ") && notes[0].contains("folder/notes.txt, as its name"),
        "{notes:?}"
    );
}
