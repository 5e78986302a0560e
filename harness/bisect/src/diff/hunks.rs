//! Which lines of a file differ, and a file with some of them changed.

use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput};

/// Lines between two changes up to which they are one hunk: three of context for each, as diff has it.
pub(crate) const JOINED_UPTO: usize = 2 * CONTEXT;
/// Lines of context on each side of a change.
pub(crate) const CONTEXT: usize = 3;

/// Lines that are replaced by others, counted from 0; either may be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    /// Of the old file.
    pub(crate) old: Range<usize>,
    /// Of the new file.
    pub(crate) new: Range<usize>,
}

/// Lines with their ends.
pub(crate) fn lines(content: &[u8]) -> Vec<&[u8]> {
    content.split_inclusive(|byte| *byte == b'\n').collect()
}

/// The hunks between two contents, each with its changes.
pub(crate) fn between(old: &[u8], new: &[u8]) -> Vec<Vec<Change>> {
    let input = InternedInput::new(old, new);
    let mut diff = Diff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let mut hunks: Vec<Vec<Change>> = Vec::new();
    for hunk in diff.hunks() {
        let wide = |range: Range<u32>| range.start as usize..range.end as usize;
        let change = Change {
            old: wide(hunk.before),
            new: wide(hunk.after),
        };
        let last = hunks.last().and_then(|hunk| hunk.last());
        match (last, hunks.len().checked_sub(1)) {
            (Some(last), Some(at)) if change.old.start - last.old.end <= JOINED_UPTO => hunks[at].push(change),
            _ => hunks.push(vec![change]),
        }
    }
    hunks
}

/// The old content with some changes, in order.
pub(crate) fn apply<'a>(old: &[u8], new: &[u8], changes: impl IntoIterator<Item = &'a Change>) -> Vec<u8> {
    let (old, new) = (lines(old), lines(new));
    let mut content = Vec::new();
    let mut at = 0;
    for change in changes {
        content.extend(old[at..change.old.start].concat());
        content.extend(new[change.new.clone()].concat());
        at = change.old.end;
    }
    content.extend(old[at..].concat());
    content
}
