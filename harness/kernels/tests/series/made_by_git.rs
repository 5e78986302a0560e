//! Series that git writes, with every kind of change: the tree of the last commit comes out.

use crate::bed::{Bed, sh};
use crate::forms::{Post, base64};

/// A history with a commit for each kind of change.
const HISTORY: &str = r#"
    commit() { git add -A && git commit -qm "$1"; }
    git mv fs/open.c fs/opened.c && sed -i s/two/2/ fs/opened.c && commit 'fs: rename and change'
    chmod +x fs/plain.c && commit 'fs: mode'
    head -c 3000 /dev/zero > fs/blob.bin && commit 'fs: binary'
    printf 'x' | dd of=fs/blob.bin bs=1 seek=100 conv=notrunc 2>/dev/null && commit 'fs: binary, changed'
    git rm -q fs/gone.c && commit 'fs: remove'
    ln -s plain.c fs/link && commit 'fs: link'
    printf 'one\r\nzwei\r\nthree\r\n' > fs/dos.c && commit 'fs: lines with CR'
    printf 'no end' > fs/short.c && commit 'fs: no newline at the end'
    printf 'no end\nbut now\n' > fs/short.c && commit 'fs: a newline'
    : > fs/empty.h && commit 'fs: empty'
    printf 'a\n' > 'fs/n\303\244me with blank.c' && commit 'fs: a name'
    printf 'gr\374n\n' > fs/latin1.c && commit 'fs: latin1'
    cp fs/long.c fs/copied.c && sed -i 's/^7$/sieben/' fs/long.c && commit 'fs: copy'
"#;

fn bed() -> Bed {
    let long: String = (0..40).map(|n| format!("{n}\n")).collect();
    let files = [
        ("fs/open.c", "one\ntwo\nthree\nfour\nfive\nsix\nseven\n"),
        ("fs/plain.c", "plain\n"),
        ("fs/gone.c", "gone\n"),
        ("fs/dos.c", "one\r\ntwo\r\nthree\r\n"),
        ("fs/long.c", long.as_str()),
    ];
    let bed = Bed::new(&[], &files);
    sh(&bed.linux, &HISTORY.replace(r"n\303\244me", "n\u{e4}me"));
    bed
}

#[test]
fn every_kind_of_change_comes_out_as_it_was_committed() {
    let bed = bed();
    let trees: Vec<String> = sh(&bed.linux, "git log --reverse --format=%T v6.1..")
        .lines()
        .map(str::to_owned)
        .collect();
    let of_git = |options: &str| {
        sh(
            &bed.linux,
            &format!("git format-patch --stdout --full-index --binary {options} v6.1.. | base64 -w0"),
        )
    };
    for options in [
        "",
        "-M -C --cover-letter --cover-from-description=none",
        "--attach",
        "--inline",
        "--no-prefix",
        "--base=v6.1 --thread",
        "-N",
    ] {
        let path = bed.dir.path().join("by-git.mbox");
        std::fs::write(&path, unpacked(&of_git(options))).unwrap();
        let states = bed.states(&path).unwrap_or_else(|error| panic!("{options}: {error}"));
        assert_eq!(states.trees, trees, "{options}: {:?}", states.titles);
        assert_eq!(states.titles[0], "fs: rename and change");
        assert!(states.notes.is_empty(), "{options}: {:?}", states.notes);
    }
    // A file each, and the diff of the commits alone.
    sh(
        &bed.linux,
        "git format-patch -q --binary -o ../files v6.1..; mkdir ../diffs; n=10; \
        for c in $(git rev-list --reverse v6.1..); do n=$((n+1)); git diff --binary $c~ $c > ../diffs/$n.diff; \
        git show --binary $c > ../show-$n.diff; done",
    );
    for folder in ["files", "diffs"] {
        let states = bed
            .states(&bed.dir.path().join(folder))
            .unwrap_or_else(|error| panic!("{folder}: {error}"));
        assert_eq!(states.trees, trees, "{folder}");
    }
    let shown = bed.states(&bed.dir.path().join("show-11.diff")).unwrap();
    assert_eq!(
        (shown.titles[0].as_str(), &shown.trees[0]),
        ("fs: rename and change", &trees[0])
    );
}

#[test]
fn a_binary_file_that_only_differs_is_an_error_and_no_cover_letter() {
    let bed = bed();
    let diff = sh(&bed.linux, "git format-patch --stdout --no-binary v6.1..HEAD~9");
    assert!(diff.contains("Binary files "), "{diff}");
    let error = bed.states(&bed.file("differs.mbox", diff)).err().unwrap();
    assert!(
        error.contains("`[PATCH 3/4] fs: binary`") && error.contains("cannot apply binary patch"),
        "{error}"
    );
}

/// What `base64` wrote: mailboxes need not be UTF-8.
fn unpacked(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u8> = text.trim().bytes().filter(|byte| *byte != b'=').map(digit).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let value = (0..4).fold(0_u32, |value, at| {
            value << 6 | u32::from(four.get(at).copied().unwrap_or(0))
        });
        value.to_be_bytes()[1..four.len().max(1)].to_vec()
    });
    let bytes: Vec<u8> = bytes.collect();
    debug_assert!(
        base64(&bytes)
            .replace('\n', "")
            .starts_with(&text[..text.len().min(40)])
    );
    bytes
}

/// b4 makes UTF-8 of a mail that is in something else, and `git am` takes the bytes as they are: what applies is meant.
#[test]
fn a_mail_in_another_charset_changes_a_file_in_utf8() {
    let bed = Bed::new(&[], &[("fs/name.c", "gr\u{fc}n\n")]);
    let diff = "--- a/fs/name.c\n+++ b/fs/name.c\n@@ -1 +1 @@\n-gr=FCn\n+gr=FCner\n";
    let sent = |charset: &str| Post {
        version: 1,
        number: 1,
        total: 1,
        title: "charset".to_owned(),
        headers: format!("Content-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: quoted-printable\n"),
        body: diff.to_owned(),
        ..Post::default()
    };
    let states = bed.states(&bed.file("latin1", sent("iso-8859-1").boxed())).unwrap();
    let blob = sh(
        &bed.linux,
        "printf 'gr\\303\\274ner\\n' > fs/name.c && git add -A && git write-tree",
    );
    assert_eq!(states.trees, [blob.trim()]);
    let error = bed.states(&bed.file("utf8", sent("utf-8").boxed())).err().unwrap();
    assert!(error.contains("patch failed: fs/name.c:1"), "{error}");
}

#[test]
fn a_wrapped_mail_is_an_error_and_says_why_it_may_be() {
    let bed = bed();
    let post = Post {
        version: 1,
        number: 1,
        total: 1,
        title: "wrapped".to_owned(),
        headers: "Content-Type: text/plain; format=flowed\n".to_owned(),
        body:
            "diff --git a/fs/plain.c\nb/fs/plain.c\n--- a/fs/plain.c\n+++ b/fs/plain.c\n@@ -1 +1\n@@\n-plain\n+simple\n"
                .to_owned(),
        ..Post::default()
    };
    let error = bed.states(&bed.file("flowed", post.boxed())).err().unwrap();
    assert!(
        error.contains("`[PATCH 1/1] wrapped`") && error.contains("format=flowed"),
        "{error}"
    );
}
