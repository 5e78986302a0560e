//! Parts of a file as a patch, in git's form.

use std::io::Write;

use super::hunks::{self, CONTEXT, Change};
use super::pair::{File, Pair, Part};

/// Which tree a patch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// The old tree: applied to it, the patch makes the changes.
    Old,
    /// The new tree: applied to it in reverse (`git apply -R`), the patch takes the changes back, except that git makes
    /// an ordinary file of an executable one or a link that comes back.
    New,
}

/// Writes the patch of a file.
pub(crate) fn write(patch: &mut Vec<u8>, pair: &Pair, base: Base, parts: &[&Part]) {
    let path = pair.path.as_str();
    match (&pair.old, &pair.new) {
        (Some(old), None) => deleted(patch, path, old),
        (None, Some(new)) => created(patch, path, new),
        (Some(old), Some(new)) if parts.contains(&&Part::Replace) => {
            deleted(patch, path, old);
            created(patch, path, new);
        }
        (Some(old), Some(new)) => changed(patch, path, old, new, base, parts),
        (None, None) => {}
    }
}

fn created(patch: &mut Vec<u8>, path: &str, new: &File) {
    let lines = hunks::lines(&new.content);
    line(
        patch,
        &format!("diff --git {} {}", quoted("a/", path), quoted("b/", path)),
    );
    line(patch, &format!("new file mode {}", new.mode.octal()));
    if !lines.is_empty() {
        names(patch, None, Some(path));
        line(patch, &format!("@@ -0,0 +{} @@", range(0, lines.len())));
        lines.iter().for_each(|text| marked(patch, b'+', text));
    }
}

fn deleted(patch: &mut Vec<u8>, path: &str, old: &File) {
    let lines = hunks::lines(&old.content);
    line(
        patch,
        &format!("diff --git {} {}", quoted("a/", path), quoted("b/", path)),
    );
    line(patch, &format!("deleted file mode {}", old.mode.octal()));
    if !lines.is_empty() {
        names(patch, Some(path), None);
        line(patch, &format!("@@ -{} +0,0 @@", range(0, lines.len())));
        lines.iter().for_each(|text| marked(patch, b'-', text));
    }
}

fn changed(patch: &mut Vec<u8>, path: &str, old: &File, new: &File, base: Base, parts: &[&Part]) {
    line(
        patch,
        &format!("diff --git {} {}", quoted("a/", path), quoted("b/", path)),
    );
    if parts.contains(&&Part::Mode) {
        line(patch, &format!("old mode {}", old.mode.octal()));
        line(patch, &format!("new mode {}", new.mode.octal()));
    }
    let changes: Vec<&Change> = parts
        .iter()
        .filter_map(|part| match part {
            Part::Hunk(changes) => Some(changes),
            _ => None,
        })
        .flatten()
        .collect();
    if changes.is_empty() {
        return;
    }
    names(patch, Some(path), Some(path));
    let (old, new) = (hunks::lines(&old.content), hunks::lines(&new.content));
    let base_lines = match base {
        Base::Old => &old,
        Base::New => &new,
    };
    // Lines by which the changes so far make the file longer, and shorter.
    let (mut longer, mut shorter) = (0, 0);
    for hunk in changes.chunk_by(|one, next| of(base, next).start - of(base, one).end <= hunks::JOINED_UPTO) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
            continue;
        };
        let from = of(base, first).start.saturating_sub(CONTEXT);
        let upto = (of(base, last).end + CONTEXT).min(base_lines.len());
        let added: usize = hunk.iter().map(|change| change.new.len()).sum();
        let removed: usize = hunk.iter().map(|change| change.old.len()).sum();
        let (before, after) = match base {
            Base::Old => (
                (from, upto - from),
                (from + longer - shorter, upto - from + added - removed),
            ),
            Base::New => (
                (from + shorter - longer, upto - from + removed - added),
                (from, upto - from),
            ),
        };
        line(
            patch,
            &format!("@@ -{} +{} @@", range(before.0, before.1), range(after.0, after.1)),
        );
        let mut at = from;
        for change in hunk {
            base_lines[at..of(base, change).start]
                .iter()
                .for_each(|text| marked(patch, b' ', text));
            old[change.old.clone()]
                .iter()
                .for_each(|text| marked(patch, b'-', text));
            new[change.new.clone()]
                .iter()
                .for_each(|text| marked(patch, b'+', text));
            at = of(base, change).end;
        }
        base_lines[at..upto].iter().for_each(|text| marked(patch, b' ', text));
        longer += added;
        shorter += removed;
    }
}

/// Where a change is in the file that the patch is for.
fn of(base: Base, change: &Change) -> &std::ops::Range<usize> {
    match base {
        Base::Old => &change.old,
        Base::New => &change.new,
    }
}

/// A range of lines as a hunk's head has it: counted from 1, and the line before if there are none.
fn range(from: usize, count: usize) -> String {
    match count {
        0 => format!("{from},0"),
        1 => format!("{}", from + 1),
        _ => format!("{},{count}", from + 1),
    }
}

fn line(patch: &mut Vec<u8>, text: &str) {
    patch.extend(text.bytes());
    patch.push(b'\n');
}

fn marked(patch: &mut Vec<u8>, mark: u8, text: &[u8]) {
    patch.push(mark);
    patch.extend(text);
    if !text.ends_with(b"\n") {
        patch.extend(b"\n\\ No newline at end of file\n");
    }
}

fn names(patch: &mut Vec<u8>, old: Option<&str>, new: Option<&str>) {
    let name = |side: &str, path: Option<&str>| match path {
        None => "/dev/null".to_owned(),
        // The tab ends a name with spaces for GNU patch, which would take the rest of it for a date.
        Some(path) if path.contains(' ') => format!("{}\t", quoted(side, path)),
        Some(path) => quoted(side, path),
    };
    line(patch, &format!("--- {}", name("a/", old)));
    line(patch, &format!("+++ {}", name("b/", new)));
}

/// A path as git writes it: in quotes, with escapes, if it has anything unusual.
fn quoted(side: &str, path: &str) -> String {
    let unusual = |byte: u8| !(0x20..0x7f).contains(&byte) || byte == b'"' || byte == b'\\';
    if !path.bytes().any(unusual) {
        return format!("{side}{path}");
    }
    let mut quoted = Vec::new();
    for byte in path.bytes() {
        if matches!(byte, b'"' | b'\\') {
            quoted.extend([b'\\', byte]);
        } else if unusual(byte) {
            // Writing to memory cannot fail.
            let _ = write!(quoted, "\\{byte:03o}");
        } else {
            quoted.push(byte);
        }
    }
    format!("\"{side}{}\"", String::from_utf8_lossy(&quoted))
}
