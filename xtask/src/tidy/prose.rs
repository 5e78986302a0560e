//! Lines of Markdown that are too long, and pages that are.

use std::collections::BTreeSet;

use pulldown_cmark::{Event, Options, Parser, Tag};

use super::finding::{Finding, Kind};
use crate::workspace::line_at;

/// Columns of a line of prose.
const COLUMNS_MAX: usize = 100;
/// Bytes of the pages that everybody reads; what is more belongs below docs/.
const BYTES_MAX: [(&str, usize); 2] = [("README.md", 6 * 1024), ("ARCHITECTURE.md", 12 * 1024)];

pub(crate) fn check(file: &str, text: &str) -> Vec<Finding> {
    let free = free_lines(text);
    let mut findings = Vec::new();
    let bytes = text.len();
    if let Some((_, max)) = BYTES_MAX.iter().find(|(page, max)| *page == file && bytes > *max) {
        let message = format!("a page of {bytes} bytes, cut it to {max} or move a part to docs/");
        findings.push(Finding::new(file, 1, Kind::FileLength, message));
    }
    for (line, number) in text.lines().zip(1..) {
        let columns = line.chars().count();
        if columns > COLUMNS_MAX && !free.contains(&number) && !is_for_a_word(line) {
            let message = format!("a line of {columns} columns, break it before column {COLUMNS_MAX}");
            findings.push(Finding::new(file, number, Kind::ProseLine, message));
        }
    }
    findings
}

/// Lines that cannot be broken, or are no prose: code, tables, and definitions of links.
fn free_lines(text: &str) -> BTreeSet<usize> {
    let mut free = BTreeSet::new();
    let mut add = |range: std::ops::Range<usize>| {
        let last = text
            .get(range.clone())
            .map_or(range.end, |block| range.start + block.trim_end().len());
        free.extend(line_at(text, range.start)..=line_at(text, last));
    };
    let parser = Parser::new_ext(text, Options::ENABLE_TABLES);
    for (_, definition) in parser.reference_definitions().iter() {
        add(definition.span.clone());
    }
    for (event, range) in parser.into_offset_iter() {
        if matches!(event, Event::Start(Tag::CodeBlock(_) | Tag::Table(_))) {
            add(range);
        }
    }
    free
}

/// Whether a line is long for its last word alone: that would be too long, or have nothing before it, on a line of its
/// own.
fn is_for_a_word(line: &str) -> bool {
    let is_mark = |word: &&str| {
        let number = word.strip_suffix(['.', ')']).unwrap_or_default();
        matches!(*word, "-" | "*" | "+" | ">") || (!number.is_empty() && number.bytes().all(|c| c.is_ascii_digit()))
    };
    let words: Vec<&str> = line.split_whitespace().skip_while(is_mark).collect();
    let Some((last, before)) = words.split_last() else {
        return false;
    };
    let columns = last.chars().count();
    let rest = line.trim_end().chars().count().saturating_sub(columns);
    before.is_empty() || (columns > COLUMNS_MAX && rest <= COLUMNS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        check("a.md", text).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_long_line_is_found() {
        let long = "word ".repeat(20) + "x";
        let finding = check("a.md", &format!("# A\n\n{long}\n"));
        let expected = "a.md:3: a line of 101 columns, break it before column 100";
        assert_eq!(finding[0].to_string(), expected);
        for text in [
            format!("# {long}\n"),
            format!("- {long}\n"),
            format!("> {long}\n"),
            format!("1. {long}\n"),
        ] {
            assert_eq!(lines(&text), [1], "{text}");
        }
        // A word that would fit on a line of its own, one with more after it, and one that is too much of two.
        let url = |columns: usize| format!("https://{}", "x".repeat(columns - 8));
        assert_eq!(lines(&format!("see {}\n", url(99))), [1]);
        assert_eq!(lines(&format!("see {} there\n", url(101))), [1]);
        assert_eq!(lines(&format!("{long} {}\n", url(101))), [1]);
        // What follows code or a table is prose again.
        assert_eq!(lines(&format!("    code\n\n{long}\n")), [3]);
        assert_eq!(lines(&format!("```\ncode\n```\n{long}\n")), [4]);
        assert_eq!(lines(&format!("| a |\n|---|\n| b |\n\n{long}\n")), [5]);
    }

    #[test]
    fn a_page_that_everybody_reads_is_short() {
        for (page, max) in [("README.md", 6_144), ("ARCHITECTURE.md", 12_288)] {
            assert_eq!(check(page, &"\n".repeat(max)), []);
            let expected = format!(
                "{page}:1: a page of {} bytes, cut it to {max} or move a part to docs/",
                max + 1
            );
            assert_eq!(check(page, &"\n".repeat(max + 1))[0].to_string(), expected);
            assert_eq!(check(&format!("a/{page}"), &"\n".repeat(max + 1)), []);
        }
    }

    #[test]
    fn what_cannot_be_broken_is_clean() {
        let long = "word ".repeat(20) + "x";
        let word = "https://example.org/".to_owned() + &"x".repeat(100);
        for text in [
            "word ".repeat(20),
            "ä".repeat(50) + &" ä".repeat(25),
            format!("```\n{long}\n```\n"),
            format!("    {long}\n"),
            format!("- a\n\n  ```text\n  {long}\n  ```\n"),
            format!("| a |\n|---|\n| {long} |\n"),
            format!("[a][b]\n\n[b]: {word} \"{long}\"\n"),
            format!("{word}\n"),
            format!("- {word}\n"),
            format!("12. {word}\n"),
            format!("as they say in {word}\n"),
            format!("- see [this]({word}),\n"),
        ] {
            assert_eq!(lines(text.trim_end_matches(' ')), [0; 0], "{text}");
        }
    }
}
