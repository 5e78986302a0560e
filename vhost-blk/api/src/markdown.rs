//! The lines of the reference pages, which are Markdown.

use textwrap::{Options, WordSplitter, fill};

/// Columns of a line of prose.
const COLUMNS_MAX: usize = 100;

/// Stands for a space inside backticks while lines are wrapped, for a command to be copied stays on one line.
const KEPT_SPACE: &str = "\u{a0}";

/// The page with its prose wrapped. Code and tables stay as they are.
pub(crate) fn wrapped(page: &str) -> String {
    let mut wrapped = String::with_capacity(page.len());
    for line in page.lines() {
        let is_code = line.starts_with("    ");
        let is_table = line.starts_with('|');
        if is_code || is_table || line.chars().count() <= COLUMNS_MAX {
            wrapped.push_str(line);
        } else {
            wrapped.push_str(&paragraph(line));
        }
        wrapped.push('\n');
    }
    wrapped
}

fn paragraph(line: &str) -> String {
    // What belongs to an item of a list begins below its text.
    let indent = if line.starts_with("- ") || line.starts_with("  ") {
        "  "
    } else {
        ""
    };
    let options = Options::new(COLUMNS_MAX)
        .subsequent_indent(indent)
        .break_words(false)
        // A hyphen here is a part of a word: `write-zeroes`, `--history`.
        .word_splitter(WordSplitter::NoHyphenation);
    fill(&with_kept_spaces(line), options).replace(KEPT_SPACE, " ")
}

fn with_kept_spaces(line: &str) -> String {
    let pieces: Vec<String> = line
        .split('`')
        .enumerate()
        .map(|(number, piece)| match number % 2 {
            0 => piece.to_owned(),
            _ => piece.replace(' ', KEPT_SPACE),
        })
        .collect();
    pieces.join("`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_wrapped_and_code_and_tables_are_not() {
        let long = "word ".repeat(30);
        let long = long.trim_end();
        let kept = format!("    {long}\n| {long} |\nshort\n\n- `x`  \n");
        assert_eq!(wrapped(&kept), kept);
        let (first, rest) = ("word ".repeat(20), "word ".repeat(10));
        let (first, rest) = (first.trim_end(), rest.trim_end());
        assert_eq!(wrapped(long), format!("{first}\n{rest}\n"));
    }

    #[test]
    fn an_item_of_a_list_keeps_its_indent() {
        let item = format!(
            "- {}\n  {}",
            "word ".repeat(20).trim_end(),
            "word ".repeat(20).trim_end()
        );
        let (first, rest) = ("word ".repeat(19), "word");
        let expected = format!("- {}\n  {rest}\n  {}\n  {rest}\n", first.trim_end(), first.trim_end());
        assert_eq!(wrapped(&item), expected);
    }

    #[test]
    fn words_with_hyphens_and_commands_stay_whole() {
        let before = "x".repeat(92);
        assert_eq!(
            wrapped(&format!("{before} write-zeroes")),
            format!("{before}\nwrite-zeroes\n")
        );
        assert_eq!(
            wrapped(&format!("{before} `a b c d`")),
            format!("{before}\n`a b c d`\n")
        );
    }
}
