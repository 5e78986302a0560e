//! The forms in which people have a series, made of four patches.

use std::fmt::Write as _;
use std::path::Path;

/// The patches of `kernels/patches/series-with-a-bug` by name: head and diff.
pub(crate) fn patches() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernels/patches/series-with-a-bug");
    let series = std::fs::read_to_string(folder.join("series")).unwrap();
    let files = series.lines().filter(|line| !line.starts_with('#'));
    let patches = files.map(|file| {
        let path = folder.join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        let (_, diff) = text.split_at(text.find("diff --git").unwrap());
        (path.file_stem().unwrap().to_str().unwrap().to_owned(), diff.to_owned())
    });
    patches.collect()
}

/// A mail of a series.
#[derive(Clone, Default)]
pub(crate) struct Post {
    pub(crate) version: u32,
    pub(crate) number: u32,
    pub(crate) total: u32,
    pub(crate) title: String,
    /// In place of the subject that is made of the above.
    pub(crate) subject: Option<String>,
    /// More headers.
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Post {
    /// Without the line that a mailbox puts before it.
    pub(crate) fn mail(&self) -> String {
        let Post {
            version,
            number,
            total,
            title,
            headers,
            body,
            ..
        } = self;
        let word = if *version > 1 {
            format!(" v{version}")
        } else {
            String::new()
        };
        let usual = format!("[PATCH{word} {number}/{total}] {title}");
        let subject = self.subject.as_ref().unwrap_or(&usual);
        let id = format!("2024.v{version}.{number}.{}@example.org", title.len());
        format!(
            "Message-Id: <{id}>\nFrom: Jane Doe <jane@example.org>\n\
             Date: Mon, {version} Jan 2024 10:0{number}:00 +0000\n\
             Subject: {subject}\n{headers}\n{body}\n"
        )
    }

    pub(crate) fn boxed(&self) -> String {
        format!("From git@z Thu Jan  1 00:00:00 1970\n{}", self.mail())
    }

    /// Sent in an encoding.
    pub(crate) fn encoded(&self, encoding: &str, encode: impl Fn(&[u8]) -> String) -> Post {
        let mime = format!(
            "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: {encoding}\n"
        );
        Post {
            headers: self.headers.clone() + &mime,
            body: encode(self.body.as_bytes()),
            ..self.clone()
        }
    }
}

/// A patch's mail as git writes its body.
pub(crate) fn body(diff: &str) -> String {
    format!("Why it is so.\n\nSigned-off-by: Jane Doe <jane@example.org>\n---\n file | 1 +\n\n{diff}-- \n2.40.1\n\n")
}

/// The four patches as mails.
pub(crate) fn series(version: u32) -> Vec<Post> {
    let patches = patches();
    let total = u32::try_from(patches.len()).unwrap();
    let posts = patches.into_iter().zip(1..).map(|((title, diff), number)| Post {
        version,
        number,
        total,
        title,
        body: body(&diff),
        ..Post::default()
    });
    posts.collect()
}

pub(crate) fn cover() -> Post {
    let id = "0123456789abcdef0123456789abcdef01234567";
    Post {
        version: 1,
        number: 0,
        total: 4,
        title: "btrfs: four patches".to_owned(),
        body: format!(
            "A cover letter.\n\n fs/btrfs/inode.c | 4 ++--\n 1 file changed\n\n\nbase-commit: {id}\n-- \n2.40.1\n\n"
        ),
        ..Post::default()
    }
}

pub(crate) fn mbox(posts: &[Post]) -> String {
    posts.iter().map(Post::boxed).collect()
}

/// A patch of one more file, of which git says all in its header.
pub(crate) fn extra(number: u32, total: u32, title: &str, diff: &str) -> Post {
    Post {
        version: 1,
        number,
        total,
        title: title.to_owned(),
        body: body(diff),
        ..Post::default()
    }
}

pub(crate) const RENAME: &str = "diff --git a/Documentation/filesystems/ext2.rst \
    b/Documentation/filesystems/ext2-old.rst\n\
    similarity index 100%\nrename from Documentation/filesystems/ext2.rst\n\
    rename to Documentation/filesystems/ext2-old.rst\n";
pub(crate) const MODE: &str =
    "diff --git a/scripts/decode_stacktrace.sh b/scripts/decode_stacktrace.sh\nold mode 100755\nnew mode 100644\n";
pub(crate) const EMPTY: &str =
    "diff --git a/fs/btrfs/new.h b/fs/btrfs/new.h\nnew file mode 100644\nindex 000000000000..e69de29bb2d1\n";
pub(crate) const FILLED: &str = "diff --git a/fs/btrfs/new.h b/fs/btrfs/new.h\n\
    index e69de29bb2d1..0cfbf08886fc 100644\n\
    --- a/fs/btrfs/new.h\n+++ b/fs/btrfs/new.h\n@@ -0,0 +1 @@\n+2\n";
pub(crate) const FSTESTS: &str = "diff --git a/tests/generic/999 b/tests/generic/999\n\
    new file mode 100755\n--- /dev/null\n\
    +++ b/tests/generic/999\n@@ -0,0 +1,2 @@\n+#!/bin/bash\n+true\n";

pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for (at, bytes) in bytes.chunks(3).enumerate() {
        let value = bytes
            .iter()
            .enumerate()
            .map(|(at, byte)| u32::from(*byte) << (16 - 8 * at))
            .sum::<u32>();
        for digit in 0..4 {
            let is_there = digit <= bytes.len();
            text.push(if is_there {
                char::from(DIGITS[(value >> (18 - 6 * digit) & 63) as usize])
            } else {
                '='
            });
        }
        if at % 19 == 18 {
            text.push('\n');
        }
    }
    text + "\n"
}

pub(crate) fn quoted_printable(bytes: &[u8]) -> String {
    let mut text = String::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let mut len = 0;
        for (at, byte) in line.iter().enumerate() {
            let is_plain = matches!(byte, b'!'..=b'<' | b'>'..=b'~') || (*byte == b' ' && at + 1 < line.len());
            let word = if is_plain {
                char::from(*byte).to_string()
            } else {
                format!("={byte:02X}")
            };
            if len + word.len() > 75 {
                text.push_str("=\n");
                len = 0;
            }
            len += word.len();
            text.push_str(&word);
        }
        text.push('\n');
    }
    text.pop();
    text
}

/// A mail in parts: type and headers of each, and its text.
pub(crate) fn multipart(post: &Post, kind: &str, parts: &[(&str, &str)]) -> Post {
    let mut body = String::new();
    for (headers, text) in parts {
        writeln!(body, "--b1\nContent-Type: {headers}\n\n{text}").unwrap();
    }
    body.push_str("--b1--\n");
    Post {
        headers: format!("MIME-Version: 1.0\nContent-Type: multipart/{kind}; boundary=\"b1\"\n"),
        body,
        ..post.clone()
    }
}
