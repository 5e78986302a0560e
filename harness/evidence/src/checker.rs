//! What a file system checker complains of, in its own words.
//!
//! A checker mixes progress, figures and complaints. The headline of a verdict is its first complaint that says what is
//! wrong; a line that only counts complaints ("error(s) found") is taken if there is no other. Pure.

/// A line begins like this if it tells of progress or gives figures, by checker.
const PROGRESS: &[&str] = &[
    // btrfs check
    "Opening filesystem to check",
    "Checking filesystem on ",
    "UUID: ",
    "checking ",
    "total csum bytes",
    "total tree bytes",
    "total fs tree bytes",
    "total extent tree bytes",
    "btree space waste bytes",
    "file data blocks allocated",
    "referenced ",
    "cache and super generation don't match",
    "no error found",
    // e2fsck
    "e2fsck 1.",
    "Pass ",
    // xfs_repair
    "Phase ",
    "- ",
    "No modify flag set",
];

/// Lines that only say that there were complaints.
const SUMS: &[&str] = &["error(s) found", "errors found in ", "still has errors"];

/// How e2fsck's questions end, and the answer that `-n` gives.
const QUESTIONS: &[&str] = &["? no", "? yes"];

/// Words of a place; what follows tells one file from another rather than one bug from another.
const WORDS_MAX: usize = 10;

/// The complaints in a checker's output, those that only count others last.
pub(crate) fn complaints(output: &str) -> Vec<&str> {
    let lines = output
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !is_progress(line));
    let (sums, mut complaints): (Vec<&str>, Vec<&str>) = lines.partition(|line| sums_up(line));
    complaints.extend(sums);
    complaints
}

/// A complaint without what changes from run to run: numbers, names of files, the question that follows it.
pub(crate) fn place(complaint: &str) -> String {
    let mut text = complaint;
    for question in QUESTIONS {
        if let Some(before) = text.strip_suffix(question) {
            // `…, should be 16.  Fix? no`: the question is a sentence of its own.
            text = before.rsplit_once("  ").map_or(before, |(statement, _)| statement);
        }
    }
    let words = text
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| matches!(c, ',' | '.' | ':' | ';' | '(' | ')' | '[' | ']' | '!')))
        .filter(|word| is_constant(word));
    words.take(WORDS_MAX).collect::<Vec<_>>().join(" ")
}

/// Whether a word is the same in each run: no number, no path and no quoted name.
fn is_constant(word: &str) -> bool {
    let named = word.starts_with(['/', '\'', '"']);
    !word.is_empty() && !named && !word.bytes().any(|byte| byte.is_ascii_digit())
}

fn sums_up(line: &str) -> bool {
    SUMS.iter().any(|sum| line.contains(sum))
}

fn is_progress(line: &str) -> bool {
    // `[1/7] checking root items`, `/disk.raw: 11/131072 files (0.0% non-contiguous), 4360/131072 blocks`
    let step = line.starts_with('[') && line.split_once(']').is_some_and(|(step, _)| step.contains('/'));
    let figures = line.contains(" files (") && line.ends_with(" blocks");
    let found = line.starts_with("found ") && line.contains(" bytes used") && !line.contains("error(s) found");
    step || figures || found || PROGRESS.iter().any(|opening| line.starts_with(opening))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(output: &str) -> (String, String) {
        let complaint = complaints(output).first().copied().unwrap_or_default();
        (complaint.to_owned(), place(complaint))
    }

    #[test]
    fn btrfs_says_which_block_before_it_counts() {
        let output = "[1/7] checking root items\n[2/7] checking extents\n[5/7] checking csums against data\n\
                      mirror 1 bytenr 298844160 csum 0x13ffa1d2 expected csum 0x98f94189\n\
                      ERROR: errors found in csum tree\n[6/7] checking root refs\n\
                      Opening filesystem to check...\nChecking filesystem on /run/disk.raw\n\
                      UUID: b105c09e-0000-4000-8000-000000000001\nfound 4521984 bytes used, error(s) found\n\
                      total csum bytes: 4096\nfile data blocks allocated: 4194304\n referenced 4194304\n";
        let (complaint, place) = first(output);
        assert_eq!(
            complaint,
            "mirror 1 bytenr 298844160 csum 0x13ffa1d2 expected csum 0x98f94189"
        );
        assert_eq!(place, "mirror bytenr csum expected csum");
        assert_eq!(complaints(output).len(), 3, "{:?}", complaints(output));
    }

    #[test]
    fn two_complaints_have_two_places_and_one_has_one() {
        let discount = "root 5 inode 257 errors 100, file extent discount";
        assert_eq!(
            place(discount),
            place("root 256 inode 9 errors 100, file extent discount")
        );
        assert_ne!(place(discount), place("root 5 inode 257 errors 400, nbytes wrong"));
    }

    #[test]
    fn e2fsck_says_what_is_wrong_with_which_inode() {
        let output = "e2fsck 1.47.0 (5-Feb-2023)\nPass 1: Checking inodes, blocks, and sizes\n\
                      Inode 12, i_blocks is 8, should be 16.  Fix? no\n\nPass 2: Checking directory structure\n\
                      Entry 'target' in / (2) has deleted/unused inode 13.  Clear? no\n\
                      /run/disk.raw: ********** WARNING: Filesystem still has errors **********\n\
                      /run/disk.raw: 12/131072 files (0.0% non-contiguous), 4360/131072 blocks\n";
        let (complaint, place) = first(output);
        assert_eq!(complaint, "Inode 12, i_blocks is 8, should be 16.  Fix? no");
        assert_eq!(place, "Inode i_blocks is should be");
        assert_eq!(super::place(complaints(output)[1]), "Entry in has deleted/unused inode");
        assert!(complaints(output)[2].contains("still has errors"));
    }

    #[test]
    fn xfs_repair_says_what_it_would_do() {
        let output = "Phase 1 - find and verify superblock...\nPhase 2 - using internal log\n\
                      \x20       - zero log...\nsb_fdblocks 129018, counted 129019\n\
                      \x20       - scan (but don't clear) agi unlinked lists...\n        - agno = 0\n\
                      bad nblocks 4 for inode 131, would reset to 5\nNo modify flag set, skipping phase 5\n\
                      No modify flag set, skipping filesystem flush and exiting.\n";
        let (complaint, place) = first(output);
        assert_eq!(
            (complaint.as_str(), place.as_str()),
            ("sb_fdblocks 129018, counted 129019", "sb_fdblocks counted")
        );
        assert_eq!(complaints(output).len(), 2);
    }

    #[test]
    fn nothing_but_figures_is_no_complaint() {
        let clean = "[1/7] checking root items\nfound 147456 bytes used, no error found\ntotal csum bytes: 0\n";
        assert_eq!(complaints(clean), Vec::<&str>::new());
    }
}
