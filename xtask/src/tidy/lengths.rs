//! Rust lines and files that are too long.
//!
//! A text that people see stays in one piece, so that it can be searched for, as the kernel's coding style has it: a
//! line is free if it is long for the sake of one string that fills most of a line by itself, and so is a line within
//! a string.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};

use super::finding::{Finding, Kind};

/// Columns of a line of Rust, as in rustfmt.toml.
const COLUMNS_MAX: usize = 120;
/// Columns from which on a string may make its line too long.
const STRING_COLUMNS_MIN: usize = 70;
/// Lines of a file of Rust.
const LINES_MAX: usize = 500;

pub(crate) fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut lines = 0;
    let strings = long_strings(text);
    for line in text.lines() {
        lines += 1;
        let columns = line.chars().count();
        let for_a_string = strings.get(&lines).copied().unwrap_or(0);
        if columns > COLUMNS_MAX && columns.saturating_sub(for_a_string) > COLUMNS_MAX - STRING_COLUMNS_MIN {
            let message = format!("a line of {columns} columns, break it before column {COLUMNS_MAX}");
            findings.push(Finding::new(file, lines, Kind::CodeLine, message));
        }
    }
    if lines > LINES_MAX {
        let message = format!("a file of {lines} lines, divide it into files of at most {LINES_MAX}");
        findings.push(Finding::new(file, LINES_MAX + 1, Kind::FileLength, message));
    }
    findings
}

/// Columns of the longest string on each line, where that is long.
fn long_strings(text: &str) -> BTreeMap<usize, usize> {
    let mut strings = BTreeMap::new();
    // What is no Rust is refused elsewhere, by the compiler at the latest.
    if let Ok(tokens) = text.parse() {
        collect(tokens, &mut strings);
    }
    strings
}

fn collect(tokens: TokenStream, strings: &mut BTreeMap<usize, usize>) {
    let mut before = None;
    for token in tokens {
        let this = mark(&token);
        match token {
            // Docs in whatever form, comments among them, which are attributes to the parser.
            TokenTree::Group(group) if before == Some('#') => attribute(group.stream(), strings),
            TokenTree::Group(group) => collect(group.stream(), strings),
            TokenTree::Literal(literal) => {
                let (start, end) = (literal.span().start(), literal.span().end());
                let columns = end.column.saturating_sub(start.column);
                if !literal.to_string().contains('"') {
                    continue;
                }
                // Lines that begin within a string are its own, but for the last one's end.
                strings.extend((start.line + 1..end.line).map(|line| (line, usize::MAX)));
                if start.line == end.line && columns >= STRING_COLUMNS_MIN {
                    let longest = strings.entry(start.line).or_insert(0);
                    *longest = columns.max(*longest);
                }
            }
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
        // `#![…]` is an attribute too.
        if !(before == Some('#') && this == Some('!')) {
            before = this;
        }
    }
}

/// The character of a punctuation mark.
fn mark(token: &TokenTree) -> Option<char> {
    match token {
        TokenTree::Punct(mark) => Some(mark.as_char()),
        _ => None,
    }
}

/// The strings of an attribute, but for those that are docs.
fn attribute(tokens: TokenStream, strings: &mut BTreeMap<usize, usize>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let is_docs = |at: usize| match at.checked_sub(2).and_then(|first| tokens.get(first..at)) {
        Some([TokenTree::Ident(name), TokenTree::Punct(mark)]) => name == "doc" && mark.as_char() == '=',
        _ => false,
    };
    for (at, token) in tokens.iter().enumerate() {
        match token {
            // That of `cfg_attr`.
            TokenTree::Group(group) => attribute(group.stream(), strings),
            token if !is_docs(at) => collect(token.clone().into(), strings),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_found() {
        let text = format!("fn a() {{}}\n// {}\n", "ä".repeat(118));
        let findings = check("a.rs", &text);
        assert_eq!(findings.len(), 1);
        let expected = "a.rs:2: a line of 121 columns, break it before column 120";
        assert_eq!(findings[0].to_string(), expected);
    }

    #[test]
    fn a_line_is_free_that_is_long_for_one_string() {
        let long = "x".repeat(130);
        let free = format!("fn a() {{ say(\"{long}\"); }}\n");
        assert_eq!(check("a.rs", &free), []);
        let attribute = format!("#[error(\"{long}\")]\nstruct A;\n");
        assert_eq!(check("a.rs", &attribute), []);
        let snapshot = format!("fn a() {{ snapshot!(1, @r#\"{long}\"#); }}\n");
        assert_eq!(check("a.rs", &snapshot), []);
    }

    #[test]
    fn a_line_within_a_string_is_free_and_the_code_after_it_is_not() {
        let long = "x".repeat(130);
        let text = format!("fn a() {{ snapshot!(1, @\"\n{long}\n\"); }}\n");
        assert_eq!(check("a.rs", &text), []);
        let text = format!("fn a() {{ snapshot!(1, @\"\nshort\n\"); {} }}\n", "b(); ".repeat(30));
        assert_eq!(check("a.rs", &text).len(), 1);
    }

    #[test]
    fn a_string_does_not_free_the_rest_of_its_line_nor_a_comment() {
        let string = "x".repeat(80);
        let code = format!("fn a() {{ say(\"{string}\", {}); }}\n", "1 + ".repeat(10) + "1");
        assert_eq!(check("a.rs", &code).len(), 1);
        for slashes in ["//", "///", "//!"] {
            let comment = format!("{slashes} \"{}\"\n", "x".repeat(130));
            assert_eq!(check("a.rs", &comment).len(), 1, "{slashes}");
        }
        for docs in [
            format!("/** {} */\nfn a() {{}}\n", "x".repeat(130)),
            format!("/**\n{}\n*/\nfn a() {{}}\n", "x".repeat(130)),
            format!("/*! {} */\nfn a() {{}}\n", "x".repeat(130)),
            format!("#[doc = \"{}\"]\nfn a() {{}}\n", "x".repeat(130)),
            format!("#![doc = \"{}\"]\nfn a() {{}}\n", "x".repeat(130)),
            format!("#[cfg_attr(all(), doc = \"{}\")]\nfn a() {{}}\n", "x".repeat(130)),
            format!("mod a {{\n    /** {} */\n    fn a() {{}}\n}}\n", "x".repeat(130)),
        ] {
            assert_eq!(check("a.rs", &docs).len(), 1, "{docs}");
        }
        let short = format!("fn a() {{ let a = [{}]; }}\n", "\"abcdefgh\", ".repeat(12));
        assert_eq!(check("a.rs", &short).len(), 1);
    }

    #[test]
    fn a_long_file_is_found() {
        let findings = check("a.rs", &"\n".repeat(501));
        assert_eq!(findings.len(), 1);
        let expected = "a.rs:501: a file of 501 lines, divide it into files of at most 500";
        assert_eq!(findings[0].to_string(), expected);
    }

    #[test]
    fn what_just_fits_is_clean() {
        let text = format!("// {}\n", "ä".repeat(117)).repeat(500);
        assert_eq!(check("a.rs", &text), []);
    }
}
