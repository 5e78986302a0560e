//! An error in a TOML file, shown where it stands: file, line, column, the line itself, a caret, what to do.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// One mistake in a file, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub(crate) file: PathBuf,
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// What is wrong.
    pub(crate) message: String,
    /// What was expected, alternatives, the next step.
    pub(crate) help: Option<String>,
    source_line: String,
    marked: usize,
}

impl Diagnostic {
    /// A mistake at a byte range of `text`, which is what `file` holds.
    #[must_use]
    pub(crate) fn new(file: &Path, text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let start = floor_to_char(text, span.start.min(text.len()));
        let end = floor_to_char(text, span.end.clamp(start, text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        Diagnostic {
            file: file.to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            message: message.into(),
            help: None,
            source_line: text[line_start..line_end].trim_end().replace('\t', " "),
            marked: text[start..end.min(line_end)].trim_end().chars().count().max(1),
        }
    }

    /// Adds what was expected or what to do next.
    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

fn floor_to_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let indent = " ".repeat(self.column - 1);
        let carets = "^".repeat(self.marked);
        writeln!(
            f,
            "{}:{}:{}: {}",
            self.file.display(),
            self.line,
            self.column,
            self.message
        )?;
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", self.source_line)?;
        write!(f, "{margin} | {indent}{carets}")?;
        match &self.help {
            Some(help) => write!(f, "\n{margin} = help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Diagnostic {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_at_the_place() {
        let text = "first = 1\nsécond = [2]\n";
        let span = text.find('[').unwrap()..text.find(']').unwrap() + 1;
        let diagnostic = Diagnostic::new(Path::new("a.toml"), text, span, "not a number").help("write a number");
        insta::assert_snapshot!(diagnostic, @r"
        a.toml:2:10: not a number
          |
        2 | sécond = [2]
          |          ^^^
          = help: write a number
        ");
    }

    #[test]
    fn survives_the_end_of_the_text_and_odd_spans() {
        let diagnostic = Diagnostic::new(Path::new("a.toml"), "é", 1..90, "cut off");
        assert_eq!((diagnostic.line, diagnostic.column), (1, 1));
        let diagnostic = Diagnostic::new(Path::new("a.toml"), "a = 1\n", 6..6, "more expected");
        assert_eq!((diagnostic.line, diagnostic.column), (2, 1));
    }
}
