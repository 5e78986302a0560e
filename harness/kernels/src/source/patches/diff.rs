//! Finds the diff in a text, and which files it speaks of. Whether it applies, git says.

use super::names::{both, moved, name, prefix};

/// A diff as git applies it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Diff {
    /// From its first line to the end of the text, in which git passes over what it doesn't know.
    pub(super) bytes: Vec<u8>,
    /// Its part of `bytes`, without git's signature.
    len: usize,
    pub(super) files: Vec<Named>,
    /// How many parts of its paths are prefix, where a rename tells it.
    pub(super) strip: Option<usize>,
}

impl Diff {
    /// Its content, without the ids of files: these differ between equal changes.
    pub(super) fn changes(&self) -> Vec<&[u8]> {
        let lines = self.bytes[..self.len].split(|byte| *byte == b'\n');
        lines.filter(|line| !line.starts_with(b"index ")).collect()
    }

    /// The same, for comparisons between diffs.
    pub(super) fn owned_changes(&self) -> Vec<Vec<u8>> {
        self.changes().into_iter().map(<[u8]>::to_vec).collect()
    }

    /// How long its longest path is, if that is more than is allowed.
    pub(super) fn longest_name(&self, allowed: usize) -> Option<usize> {
        let len = self.files.iter().map(|file| file.path.len()).max()?;
        (len > allowed).then_some(len)
    }

    /// A file that it changes more than once, as what was put together of several diffs does, and how often.
    pub(super) fn repeated(&self) -> Option<(&str, usize)> {
        // What becomes a link is removed and made.
        let changed = || self.files.iter().filter(|file| file.has_prefix && file.is_old);
        let times = |path: &str| changed().filter(|file| file.path == path).count();
        let file = changed().find(|file| times(&file.path) > 1)?;
        Some((file.path(1)?, times(&file.path)))
    }
}

/// A file that a diff names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    path: String,
    /// Whether the path begins with what `-p1` takes off. That of a rename does not.
    has_prefix: bool,
    /// Whether the diff says that the file is there before.
    pub(super) is_old: bool,
}

impl Named {
    /// The path without its first parts.
    pub(super) fn path(&self, strip: usize) -> Option<&str> {
        let strip = if self.has_prefix { strip } else { 0 };
        let mut rest = self.path.as_str();
        for _ in 0..strip {
            rest = rest.split_once('/')?.1;
        }
        Some(rest)
    }
}

/// The diff in a text, from its first line on; what stands between its parts is git's to pass over.
pub(super) fn find(text: &[u8]) -> Option<Diff> {
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let mut found = Finder {
        lines: &lines,
        at: 0,
        start: None,
        end: 0,
        files: Vec::new(),
        strip: None,
        is_crlf: true,
    };
    while found.at < lines.len() {
        found.step();
    }
    let start = found.start?;
    // Lines that a mail program ended with CR and LF; a diff of a file with such lines has them only in its hunks.
    let end = |line: &[u8]| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = if found.is_crlf {
            line.strip_suffix(b"\r").unwrap_or(line)
        } else {
            line
        };
        [line, b"\n"].concat()
    };
    let (diff, rest) = lines[start..].split_at(found.end - start);
    let mut bytes: Vec<u8> = diff.iter().flat_map(|line| end(line)).collect();
    let len = bytes.len();
    bytes.extend(rest.iter().flat_map(|line| end(line)));
    Some(Diff {
        bytes,
        len,
        files: found.files,
        strip: found.strip,
    })
}

struct Finder<'a> {
    lines: &'a [&'a [u8]],
    at: usize,
    start: Option<usize>,
    /// After the last line that belongs to it.
    end: usize,
    files: Vec<Named>,
    strip: Option<usize>,
    /// Whether all lines that belong to the diff's frame end with CR and LF.
    is_crlf: bool,
}

impl<'a> Finder<'a> {
    /// A line without its end.
    fn line(&self, at: usize) -> &'a [u8] {
        let line = self.lines.get(at).copied().unwrap_or_default();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// Takes a line of the frame.
    fn frame(&mut self) {
        self.start.get_or_insert(self.at);
        let line = self.lines.get(self.at).copied().unwrap_or_default();
        // The very last line may lack its end.
        self.is_crlf &= line.ends_with(b"\r\n") || !line.ends_with(b"\n");
        self.at += 1;
        self.end = self.at.min(self.lines.len());
    }

    fn step(&mut self) {
        let line = self.line(self.at);
        if let Some(names) = line.strip_prefix(b"diff --git ") {
            self.frame();
            self.git_file(names);
        } else if line.starts_with(b"--- ") && self.line(self.at + 1).starts_with(b"+++ ") && self.has_hunk() {
            self.names();
        } else if line.starts_with(b"@@ -") && self.start.is_some() {
            self.hunk();
        } else {
            self.at += 1;
        }
    }

    /// Whether a hunk follows on two lines with names.
    fn has_hunk(&self) -> bool {
        self.line(self.at + 2).starts_with(b"@@ -")
    }

    /// What follows `diff --git`, up to the hunks.
    fn git_file(&mut self, names: &[u8]) {
        let (mut is_new, mut is_moved) = (false, false);
        loop {
            let line = self.line(self.at);
            let is_frame = [
                "old mode ",
                "new mode ",
                "deleted file mode ",
                "similarity index ",
                "dissimilarity index ",
                "index ",
                "Binary files ",
            ];
            if let Some((path, is_old)) = moved(line) {
                is_moved = true;
                let prefix = is_old.then(|| prefix(names, &path)).flatten();
                self.strip = self.strip.or(prefix);
                self.files.push(Named {
                    path,
                    has_prefix: false,
                    is_old,
                });
            } else if line.starts_with(b"new file mode ") {
                is_new = true;
            } else if line.starts_with(b"GIT binary patch") {
                self.frame();
                break self.binary();
            } else if !is_frame.iter().any(|word| line.starts_with(word.as_bytes())) {
                break;
            }
            self.frame();
        }
        if self.line(self.at).starts_with(b"--- ") && self.line(self.at + 1).starts_with(b"+++ ") {
            self.names();
        } else if !is_moved && let Some(path) = both(names) {
            self.files.push(Named {
                path,
                has_prefix: true,
                is_old: !is_new,
            });
        }
    }

    /// The lines `---` and `+++`.
    fn names(&mut self) {
        let (old, new) = (name(self.line(self.at)), name(self.line(self.at + 1)));
        self.frame();
        self.frame();
        let is_old = old.is_some();
        // One name is enough: where both are there, they differ by the prefix, or by `.orig`.
        if let Some(path) = new.or(old) {
            self.files.push(Named {
                path,
                has_prefix: true,
                is_old,
            });
        }
    }

    /// Passes over a hunk, so that nothing in it is taken for a frame.
    fn hunk(&mut self) {
        let (mut old, mut new) = counts(self.line(self.at)).unwrap_or_default();
        self.frame();
        while (old > 0 || new > 0) && self.at < self.lines.len() {
            match self.line(self.at).first() {
                Some(b'-') => old = old.saturating_sub(1),
                Some(b'+') => new = new.saturating_sub(1),
                Some(b' ') | None => (old, new) = (old.saturating_sub(1), new.saturating_sub(1)),
                Some(b'\\') => {}
                Some(_) => return,
            }
            self.at += 1;
            self.end = self.at;
        }
    }

    /// Passes over what is binary: blocks that end with an empty line.
    fn binary(&mut self) {
        while [&b"literal "[..], b"delta "]
            .iter()
            .any(|word| self.line(self.at).starts_with(word))
        {
            while self.at < self.lines.len() && !self.line(self.at).is_empty() {
                self.at += 1;
            }
            self.at += 1;
            self.end = self.at.min(self.lines.len());
        }
    }
}

/// How many old and new lines a hunk has.
fn counts(line: &[u8]) -> Option<(usize, usize)> {
    let line = std::str::from_utf8(line.get(4..)?.split(|byte| *byte == b'@').next()?).ok()?;
    let (old, new) = line.trim().split_once(" +")?;
    let count = |range: &str| range.split_once(',').map_or(Some(1), |(_, count)| count.parse().ok());
    Some((count(old)?, count(new)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(text: &str) -> Vec<(String, bool)> {
        let found = find(text.as_bytes()).map_or_else(Vec::new, |diff| diff.files);
        let of = |named: &Named| (named.path(1).unwrap_or("?").to_owned(), named.is_old);
        found.iter().map(of).collect()
    }

    #[test]
    fn every_kind_of_change_names_its_files() {
        let old = |path: &str| (path.to_owned(), true);
        let new = |path: &str| (path.to_owned(), false);
        assert_eq!(files("Hm.\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"), [old("x")]);
        assert_eq!(
            files("diff --git a/d/x b/d/y\nsimilarity index 100%\nrename from d/x\nrename to d/y\n"),
            [old("d/x"), new("d/y")]
        );
        assert_eq!(
            files("diff --git a/s b/s\nold mode 100755\nnew mode 100644\n-- \n2\n"),
            [old("s")]
        );
        let empty = "diff --git a/n b/n\nnew file mode 100644\nindex 000000000000..e69de29bb2d1\n";
        assert_eq!(files(empty), [new("n")]);
        let binary = "diff --git a/b b/b\nnew file mode 100644\nindex 0..1\nGIT binary patch\nliteral 3\nKc${Nk\n\n\
                      literal 0\nHc$@<O\n\ndiff --git a/c b/c\nold mode 100755\nnew mode 100644\n";
        assert_eq!(files(binary), [new("b"), old("c")]);
        let quoted = "diff --git \"a/\\303\\274\" \"b/\\303\\274\"\nold mode 100755\nnew mode 100644\n";
        assert_eq!(files(quoted), [old("\u{fc}")]);
        let created = "--- x.orig/f.c\t1970-01-01 01:00:00\n+++ x/f.c\t2024-01-01 01:00:00\n@@ -0,0 +1 @@\n+a\n";
        assert_eq!(files(created), [new("f.c")]);
        assert_eq!(files("--- a/f.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"), [old("f.c")]);
    }

    #[test]
    fn a_rename_tells_the_prefix() {
        let strip = |names: &str| {
            let text = format!("diff --git {names}\nsimilarity index 90%\nrename from d/x\nrename to d/y\n");
            find(text.as_bytes()).unwrap().strip
        };
        assert_eq!(
            (strip("a/d/x b/d/y"), strip("d/x d/y"), strip("e/x d/y")),
            (Some(1), Some(0), None)
        );
        assert_eq!(
            (strip("\"a/d/x\" b"), strip("\"d/x\" \"d/y\""), strip("a/b/d/x b/b/d/y")),
            (Some(1), Some(0), Some(2))
        );
    }

    #[test]
    fn a_cover_letter_has_none_and_a_hunk_hides_what_is_in_it() {
        assert_eq!(
            find(b"Hello.\n\n--- said somebody\n+++ and another\n > diff --git a/x b/x\n"),
            None
        );
        assert_eq!(find(b"@@ -1 +1 @@\n"), None);
        let patch = "--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n--- a/no\n+++ b/no\n \n@@ -9 +9 @@\n-a\n+b\n";
        assert_eq!(files(patch), [("x".to_owned(), true)]);
    }

    #[test]
    fn lines_that_mail_ended_with_cr_lose_it_and_those_of_a_file_keep_it() {
        let mail = "Hi\r\n--- a/x\r\n+++ b/x\r\n@@ -1 +1 @@\r\n-a\r\r\n+b\r\n";
        let bytes = |text: &str| String::from_utf8(find(text.as_bytes()).unwrap().bytes).unwrap();
        assert_eq!(bytes(mail), "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\r\n+b\n");
        let file = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\r\n+b\r\n";
        assert_eq!(bytes(file), file);
        // The boundary of a part took the last line's end.
        assert_eq!(
            bytes("--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b"),
            "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"
        );
    }
}
