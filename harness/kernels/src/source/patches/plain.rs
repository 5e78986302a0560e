//! Patches that came by no mail: a diff, or what a tool prints of a commit.

use super::diff;
use super::mail::{Mail, Titled, base, visible};

/// Digits of a commit's id, at least and at most.
const ID_LEN: std::ops::RangeInclusive<usize> = 7..=64;

/// The one patch that a text is.
pub(super) fn read(text: &[u8], place: &str, stem: &str) -> Result<Mail, String> {
    let lossy = String::from_utf8_lossy(text);
    let lines: Vec<&str> = lossy.lines().collect();
    let Some(diff) = diff::find(text) else {
        return Ok(Mail {
            place: place.to_owned(),
            base: base(&lossy),
            ..Mail::default()
        });
    };
    // Lines of a hunk begin otherwise.
    let at = |at: usize| lines.get(at).copied().unwrap_or_default();
    let count = |is: &dyn Fn(usize) -> bool| (0..lines.len()).filter(|at| is(*at)).count();
    let commits = count(&|line| is_commit(at(line), at(line + 1)));
    let short = count(&|line| one_line(at(line)).is_some() && at(line + 1).starts_with("diff --"));
    let changesets = count(&|line| at(line) == "# HG changeset patch");
    if commits > 1 || short > 1 {
        return Err(format!(
            "it is what `git log -p` or `git show` says of {} commits, without their order; \
            `git format-patch --stdout` writes them as a series",
            commits.max(short)
        ));
    }
    if changesets > 1 {
        return Err(format!(
            "it is what `hg export` says of {changesets} changesets; a file for each of them, in a directory, is a series"
        ));
    }
    let said = lines.iter().find_map(|line| line.strip_prefix("Description:"));
    let indented = || lines.iter().find_map(|line| line.strip_prefix("    "));
    let shown = match (commits, short, changesets) {
        (1, ..) => indented(),
        (_, 1, _) => lines.iter().find_map(|line| one_line(line)),
        (_, _, 1) => lines.iter().find(|line| !line.starts_with('#')).copied(),
        _ => None,
    };
    let title = said.or(shown).map(str::trim).filter(|title| !title.is_empty());
    Ok(Mail {
        place: place.to_owned(),
        base: base(&lossy),
        diffs: vec![Titled {
            title: visible(title.unwrap_or(stem)),
            diff,
            others: Vec::new(),
        }],
        ..Mail::default()
    })
}

/// A commit's id at the start of a line, and what follows it.
fn id(line: &str) -> Option<(&str, &str)> {
    let len = line.bytes().take_while(u8::is_ascii_hexdigit).count();
    ID_LEN.contains(&len).then(|| line.split_at(len))
}

/// Whether a commit of `git log` begins, which the next line tells of a short id.
fn is_commit(line: &str, next: &str) -> bool {
    let Some((id, more)) = line.strip_prefix("commit ").and_then(id) else {
        return false;
    };
    let is_head = ["Author:", "Merge:", "Reflog:", "tree ", "parent "]
        .iter()
        .any(|word| next.starts_with(word));
    // `commit ID upstream.` stands in messages.
    (more.is_empty() || more.starts_with(" (")) && (id.len() >= 40 || is_head)
}

/// The subject in a line of `git log --oneline`.
fn one_line(line: &str) -> Option<&str> {
    let (_, subject) = id(line)?;
    subject.strip_prefix(' ').filter(|subject| !subject.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n\n";

    #[test]
    fn what_is_shown_of_a_commit_is_told_from_a_log() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        let author = "Author: J <j@x>\nDate: now\n\n    a: b\n\n";
        for (name, head, words) in [
            ("long", format!("commit {id}\n{author}"), "2 commits"),
            ("bare", format!("commit {id}\n\n    a: b\n\n"), "2 commits"),
            ("short", format!("commit 0123456\n{author}"), "2 commits"),
            (
                "sha256",
                format!("commit {id}{} (HEAD)\n{author}", &id[..24]),
                "2 commits",
            ),
            ("oneline", "0123456789ab a: b\n".to_owned(), "2 commits"),
            (
                "hg",
                "# HG changeset patch\n# User J\na: b\n\n".to_owned(),
                "2 changesets",
            ),
        ] {
            let text = head + DIFF;
            let one = read(text.as_bytes(), "p", "stem").unwrap();
            assert_eq!(one.diffs[0].title, "a: b", "{name}");
            let error = read(text.repeat(2).as_bytes(), "p", "stem").unwrap_err();
            assert!(error.contains(words), "{name}: {error}");
        }
        // Words of a message.
        let text = format!("commit 0123456\ncommit {id} upstream.\n0123456 fixes it\n\n{DIFF}");
        assert_eq!(
            read(text.repeat(2).as_bytes(), "p", "stem").unwrap().diffs[0].title,
            "stem"
        );
    }
}
