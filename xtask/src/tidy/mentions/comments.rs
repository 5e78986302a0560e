//! Comments of Rust, line by line: the code in them and the files that their links lead to.

use proc_macro2::{LineColumn, TokenStream, TokenTree};

/// The comment on a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Comment<'a> {
    pub(super) line: usize,
    /// What stands between backticks.
    pub(super) code: Vec<&'a str>,
    /// Targets of a doc comment's links that may be relative paths.
    pub(super) links: Vec<&'a str>,
}

/// All comments that begin with `//` and name something.
pub(super) fn of(text: &str) -> Vec<Comment<'_>> {
    let mut found = Vec::new();
    let mut strings = None;
    for (whole, line) in text.lines().zip(1..) {
        // That of a URL begins none.
        let slashes = whole.match_indices("//").map(|(offset, _)| offset);
        let mut starts = slashes.filter(|offset| !whole.get(..*offset).unwrap_or_default().ends_with(':'));
        let Some(first) = starts.next() else {
            continue;
        };
        let rest = whole.get(first..).unwrap_or_default();
        if !rest.contains('`') && !rest.contains("](") && !rest.contains("]:") {
            continue;
        }
        let strings = strings.get_or_insert_with(|| strings_of(text));
        let is_comment = |offset: &usize| {
            let column = whole.get(..*offset).unwrap_or_default().chars().count();
            let at = LineColumn { line, column };
            !strings.iter().any(|(start, end)| *start <= at && at < *end)
        };
        let start = std::iter::once(first).chain(starts).find(is_comment);
        let Some(comment) = start.and_then(|start| whole.get(start..)) else {
            continue;
        };
        let is_doc = comment.starts_with("///") || comment.starts_with("//!");
        found.push(Comment {
            line,
            code: code_in(comment),
            links: if is_doc { links_in(comment) } else { Vec::new() },
        });
    }
    found.retain(|comment| !comment.code.is_empty() || !comment.links.is_empty());
    found
}

/// What stands between two backticks; a fence has none, and what begins on a line and ends on another is left out.
fn code_in(comment: &str) -> Vec<&str> {
    if comment.contains("```") {
        return Vec::new();
    }
    let parts: Vec<&str> = comment.split('`').collect();
    let closed = parts.len().saturating_sub(1);
    parts.into_iter().take(closed).skip(1).step_by(2).collect()
}

/// `target` of `[…](target)` and `[…]: target`, unless that is an address or the path of an item.
fn links_in(comment: &str) -> Vec<&str> {
    let inline = comment.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let defined = comment.split("]: ").skip(1).filter_map(|rest| rest.split(' ').next());
    inline.chain(defined).filter(|target| !target.contains(':')).collect()
}

/// Where the strings of a file begin and end; doc comments, which are strings to the parser as well, are none.
fn strings_of(text: &str) -> Vec<(LineColumn, LineColumn)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut strings = Vec::new();
    if let Ok(tokens) = text.parse() {
        collect(tokens, &mut strings);
    }
    strings.retain(|(start, _)| {
        let line = lines.get(start.line.saturating_sub(1)).copied().unwrap_or_default();
        line.chars().nth(start.column) != Some('/')
    });
    strings
}

fn collect(tokens: TokenStream, strings: &mut Vec<(LineColumn, LineColumn)>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => collect(group.stream(), strings),
            TokenTree::Literal(literal) => strings.push((literal.span().start(), literal.span().end())),
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<(usize, Vec<&str>)> {
        of(text)
            .into_iter()
            .map(|comment| (comment.line, comment.code))
            .collect()
    }

    #[test]
    fn code_of_comments_is_found() {
        let text = "//! A `a/b.rs`.\n\n/// See `c` and `d e`.\nfn a() {} // `f`\n    // `g` and `h\n";
        let expected = [
            (1, vec!["a/b.rs"]),
            (3, vec!["c", "d e"]),
            (4, vec!["f"]),
            (5, vec!["g"]),
        ];
        assert_eq!(code(text), expected);
        let beside = "fn a() { say(\"https://x // `a`\"); } // `b`\n";
        assert_eq!(code(beside), [(1, vec!["b"])]);
    }

    #[test]
    fn strings_and_code_are_no_comments() {
        for text in [
            "const A: &str = \"// `a`\";\n",
            "const A: &str = \"\n// `a`\n\";\n",
            "const A: &str = r#\"// `a`\"#;\n",
            "const A: &str = \"`a`\";\n",
            "//! ```text\n//! a\n//! ```\n",
        ] {
            assert_eq!(code(text), [], "{text}");
        }
    }

    #[test]
    fn links_of_docs_are_found() {
        let links = |text| {
            of(text)
                .into_iter()
                .flat_map(|comment| comment.links)
                .collect::<Vec<_>>()
        };
        assert_eq!(links("//! [a](../b.md), [c](d/e.rs#f)\n"), ["../b.md", "d/e.rs#f"]);
        assert_eq!(links("/// [a]: ../b.md\n"), ["../b.md"]);
        for text in [
            "/// [a](crate::b), [c](Self::d), [e](https://example.org/f.md)\n",
            "/// [a]: crate::b\n",
            "// [a](../b.md)\n",
        ] {
            assert_eq!(links(text), [""; 0], "{text}");
        }
    }
}
