//! Which mails of a thread count.

use crate::bed::{Bed, sh};
use crate::forms::{FSTESTS, Post, body, cover, extra, mbox, patches, series};
use crate::{bed, forms, full, names};

fn states(bed: &Bed, name: &str, posts: &[Post]) -> (Vec<String>, String, String) {
    let states = bed
        .states(&bed.file(name, mbox(posts)))
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    (
        states.titles,
        states.notes.join("\n"),
        states.trees.last().unwrap().clone(),
    )
}

fn error(bed: &Bed, name: &str, posts: &[Post]) -> String {
    bed.states(&bed.file(name, mbox(posts))).err().unwrap()
}

#[test]
fn parts_out_of_order_are_sorted_and_it_is_said() {
    let bed = bed();
    let posts = series(1);
    let mixed = [2, 0, 3, 1].map(|at| posts[at].clone());
    let (titles, notes, tree) = states(&bed, "mixed", &[&mixed[..2], &[cover()], &mixed[2..]].concat());
    assert_eq!(
        (titles, notes.as_str()),
        (names(), "sorted by number; found as 3/4, 1/4, 4/4, 2/4")
    );
    assert_eq!(tree, full(&bed));
}

#[test]
fn the_newest_version_counts() {
    let bed = bed();
    let (old, new) = (series(1), series(2));
    let (titles, notes, tree) = states(&bed, "both", &[&[cover()][..], &new, &old].concat());
    assert_eq!((titles, tree), (names(), full(&bed)));
    assert_eq!(
        notes,
        "left out: 4 patches of v1 (`[PATCH 0/4] btrfs: four patches`), as v2 replaces it"
    );
    // One patch again, in answer to the old one.
    let mut again = new[2].clone();
    again.headers = format!("In-Reply-To: <{}>\n", id(&old[2]));
    let (titles, notes, tree) = states(&bed, "partial", &[&old[..], &[again.clone()]].concat());
    assert_eq!((titles, tree), (names(), full(&bed)));
    assert!(
        notes.starts_with("v2 sends only some patches again: 1/4, 2/4, 4/4 from v1 as before"),
        "{notes}"
    );
    // Without what it answers, it stands alone.
    again.headers = String::new();
    let text = error(&bed, "alone", &[&old[..], &[again]].concat());
    assert!(text.contains("not there: 1/4 to 2/4, 4/4 of v2"), "{text}");
    assert!(
        text.contains("only some of v2 is there, and it does not answer v1"),
        "{text}"
    );
    // Without a number, it has that of the mail that it answers.
    let again = Post {
        subject: Some("[PATCH v2] a better title".to_owned()),
        headers: format!("In-Reply-To: <{}>\n", id(&old[2])),
        ..new[2].clone()
    };
    let (titles, notes, tree) = states(&bed, "unnumbered", &[&old[..], &[again]].concat());
    let mut wanted = names();
    wanted[2] = "a better title".to_owned();
    assert_eq!((titles, tree), (wanted, full(&bed)));
    assert!(
        notes.starts_with("v2 sends only some patches again: 1/4, 2/4, 4/4 from v1"),
        "{notes}"
    );
}

#[test]
fn an_older_version_of_something_else_stays() {
    let bed = bed();
    let posts = series(1);
    let single = |at: usize, word: &str| Post {
        subject: Some(format!("[PATCH{word}] {}", posts[at].title)),
        ..posts[at].clone()
    };
    let (titles, notes, _) = states(&bed, "two", &[single(0, ""), single(1, " v3")]);
    assert_eq!((titles.as_slice(), notes.as_str()), (&names()[..2], ""));
}

/// The id that a mail is sent with.
fn id(post: &Post) -> String {
    let mail = post.mail();
    let id = mail.split_once("<").unwrap().1.split_once('>').unwrap().0;
    id.to_owned()
}

#[test]
fn answers_and_patches_for_others_are_named_and_not_applied() {
    let bed = bed();
    let posts = series(1);
    let diff = patches()[3].1.clone();
    let quoted: String = posts[1].body.lines().map(|line| format!("> {line}\n")).collect();
    let answer = Post {
        subject: Some(format!("Re: [PATCH 2/4] {}", posts[1].title)),
        body: format!("{quoted}\nHow about this?\n\n{diff}\n"),
        headers: format!("In-Reply-To: <{}>\n", id(&posts[1])),
        ..extra(7, 4, "answer", "")
    };
    let (titles, notes, tree) = states(
        &bed,
        "answer",
        &[&posts[..2], std::slice::from_ref(&answer), &posts[2..]].concat(),
    );
    assert_eq!((titles, tree), (names(), full(&bed)));
    assert_eq!(
        notes,
        "left out: the diff in `Re: [PATCH 2/4] cached-ordered-extent-v3`, which answers another mail"
    );
    for (name, subject) in [("six", None), ("own", Some("[PATCH v3] generic: a test".to_owned()))] {
        let mut other = extra(6, 4, "fstests: generic: a test", FSTESTS);
        other.subject = subject;
        let (titles, notes, tree) = states(&bed, name, &[&posts[..], &[other]].concat());
        assert_eq!((titles, tree), (names(), full(&bed)));
        assert!(
            notes.starts_with("left out: `[PATCH ")
                && notes.contains("is for another project: this source has no place for tests/generic/999"),
            "{notes}"
        );
    }
    // Somebody else's patch in the thread, sent as one.
    let fold = Post {
        subject: Some("[PATCH] btrfs: fold this in".to_owned()),
        body: body(&diff),
        headers: format!("In-Reply-To: <{}>\n", id(&posts[3])),
        ..extra(8, 1, "fold", "")
    };
    let (titles, notes, _) = states(&bed, "fold", &[&posts[..], &[fold]].concat());
    assert_eq!(titles, names());
    assert!(
        notes.starts_with("left out: `[PATCH] btrfs: fold this in`, which was sent in answer to `[PATCH 4/4] "),
        "{notes}"
    );
    // An answer alone is what is meant.
    let (titles, notes, _) = states(&bed, "alone", std::slice::from_ref(&answer));
    assert_eq!(titles, ["cached-ordered-extent-v3"]);
    assert!(
        notes.starts_with("no mail is sent as a patch: the diff in the answer `Re: "),
        "{notes}"
    );
    let second = Post {
        subject: Some("Re: other".to_owned()),
        version: 2,
        ..answer.clone()
    };
    let text = error(&bed, "answers", &[answer, second]);
    assert!(
        text.contains("several answers hold a diff: `Re: [PATCH 2/4] ") && text.contains("`Re: other`"),
        "{text}"
    );
    let text = error(&bed, "foreign", &[extra(1, 1, "a test", FSTESTS)]);
    assert!(text.contains("`[PATCH 1/1] a test` is for another project"), "{text}");
}

#[test]
fn a_series_may_answer_the_report_of_a_bug() {
    let bed = bed();
    let (posts, diff) = (series(1), patches()[3].1.clone());
    let report = Post {
        subject: Some("btrfs hangs since v6.1".to_owned()),
        body: format!("It does not with this:\n\n{diff}\n"),
        ..extra(9, 1, "report", "")
    };
    let mut answering = posts.clone();
    answering[0].headers = format!("In-Reply-To: <{}>\n", id(&report));
    let (titles, notes, _) = states(&bed, "report", &[&[report][..], &answering].concat());
    assert_eq!(
        (titles, notes.as_str()),
        (
            names(),
            "left out: `btrfs hangs since v6.1`, which is not sent as a patch"
        )
    );
}

#[test]
fn patches_that_somebody_passes_on_are_taken() {
    let bed = bed();
    let posts: Vec<Post> = series(1)
        .into_iter()
        .map(|post| Post {
            subject: Some(format!("Fwd: [PATCH {}/4] {}", post.number, post.title)),
            ..post
        })
        .collect();
    let (titles, notes, tree) = states(&bed, "forwarded", &posts);
    assert_eq!((titles, tree), (names(), full(&bed)));
    assert_eq!(
        notes,
        "no mail is sent as a patch: those that pass patches on are taken"
    );
    // As attachments of one mail.
    let bodies: Vec<String> = series(1).iter().map(Post::mail).collect();
    let parts: Vec<(&str, &str)> = bodies
        .iter()
        .rev()
        .map(|mail| ("message/rfc822", mail.as_str()))
        .collect();
    let digest = forms::multipart(&extra(1, 1, "", ""), "mixed", &parts);
    let digest = Post {
        subject: Some("four patches".to_owned()),
        ..digest
    };
    let (titles, _, tree) = states(&bed, "digest", &[digest]);
    assert_eq!((titles, tree), (names(), full(&bed)));
}

#[test]
fn a_series_of_several_people_is_one() {
    let bed = bed();
    let posts = series(1);
    let by = |at: usize| posts[at].boxed().replace("Jane Doe <jane@", &format!("A {at} <a{at}@"));
    let answering = |at: usize| by(at).replace("Subject:", &format!("In-Reply-To: <{}>\nSubject:", id(&posts[0])));
    let text = [answering(3), by(0), answering(1), answering(2)].concat();
    let states = bed.states(&bed.file("several", text)).unwrap();
    assert_eq!(states.titles, names());
    assert_eq!(states.notes, ["sorted by number; found as 4/4, 1/4, 2/4, 3/4"]);
}

#[test]
fn mails_that_are_there_twice_count_once() {
    let bed = bed();
    let posts = series(1);
    let (titles, notes, _) = states(&bed, "twice", &[&posts[..], &posts[..1]].concat());
    assert_eq!(
        (titles, notes.as_str()),
        (
            names(),
            "one mail is there twice, by Message-ID: `[PATCH 1/4] cached-ordered-extent-v2`"
        )
    );
    let mut resent = posts[1].clone();
    resent.subject = Some(format!("[RESEND PATCH 2/4] {}", resent.title));
    resent.headers = "Message-Id: <other@example.org>\n".to_owned();
    resent.version = 9;
    let (titles, notes, _) = states(&bed, "resent", &[&posts[..], &[resent.clone()]].concat());
    assert_eq!(
        (titles, notes.as_str()),
        (names(), "one patch is there twice with the same diff")
    );
    // The same place, another diff.
    resent.subject = Some(format!("[PATCH 2/4] {}", resent.title));
    resent.body = body(&patches()[2].1);
    let text = error(&bed, "which", &[&posts[..], &[resent]].concat());
    assert!(
        text.contains("mail 2 and ")
            && text.contains("mail 5 are both 2/4 and differ (`[PATCH 2/4] cached-ordered-extent-v3`)"),
        "{text}"
    );
}

#[test]
fn what_does_not_apply_is_named_by_its_subject_with_what_may_help() {
    let bed = bed();
    let posts = series(1);
    let text = error(&bed, "gap", &[&[cover()][..], &posts[1..]].concat());
    for words in [
        "`[PATCH 2/4] cached-ordered-extent-v3` (",
        "gap, mail 2) does not apply to v6.1:",
        "error: patch failed: fs/btrfs/inode.c:",
        "not there: 1/4",
        "made for the commit 0123456789abcdef0123456789abcdef01234567 (base-commit)",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let spaces = Post {
        body: posts[0].body.replace('\t', "        "),
        ..posts[0].clone()
    };
    let text = error(&bed, "spaces", &[spaces]);
    assert!(
        text.contains("with other blanks it applies: a mail program changed its tabs"),
        "{text}"
    );
    let mut twice = posts.clone();
    twice.push(Post {
        title: "and once more".to_owned(),
        number: 5,
        ..posts[3].clone()
    });
    let text = error(&bed, "again", &twice);
    assert!(
        text.contains("its change is in this source already") && text.contains("v6.1 + 4 patches"),
        "{text}"
    );
}

#[test]
fn a_patch_that_the_history_has_is_left_out_by_its_title() {
    let bed = bed();
    let post = Post {
        total: 1,
        ..series(1)[0].clone()
    };
    let path = bed.file("one.patch", post.mail());
    let script = format!(
        "git am -q ../one.patch && git tag v6.2 && git revert --no-edit HEAD >/dev/null && git tag v6.3 && cp {} x",
        path.display()
    );
    sh(&bed.linux, &script);
    let (tree, said) = bed.apply("v6.2", std::slice::from_ref(&path));
    assert_eq!(tree.unwrap().name, "v6.2");
    assert!(
        said[0].starts_with("left out: the patch `cached-ordered-extent-v2`, which v6.2 has as "),
        "{said:?}"
    );
    // Taken back, it applies.
    let (tree, said) = bed.apply("v6.3", std::slice::from_ref(&path));
    assert!(
        tree.unwrap().name.ends_with("v6.3 + one") && said.is_empty(),
        "{said:?}"
    );
}
