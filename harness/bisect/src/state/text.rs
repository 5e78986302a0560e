//! A journal's text.

use serde::Deserialize;

use super::{Entry, FORMAT, Header};

/// A journal's text, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Parsed {
    /// The first line.
    pub(crate) header: Header,
    /// All whole lines after it.
    pub(crate) entries: Vec<Entry>,
    /// Bytes that are whole lines; what follows was cut short.
    pub(crate) whole: usize,
    /// Whether the last whole line lacks its end of line.
    pub(crate) open_ended: bool,
}

/// Why a text is no journal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The first line is no header.
    #[error("line 1 is not a bisection's header: {0}")]
    Header(String),
    /// It was written by another version of bioscope.
    #[error("it has the format {found}, expected {FORMAT}: another version of bioscope wrote it")]
    Format {
        /// The format that the header names.
        found: u64,
    },
    /// A line that is neither the last nor an entry.
    #[error("line {line} is not an entry: {message}")]
    Entry {
        /// Line of the journal, from 1; the header is line 1.
        line: usize,
        /// What serde expected there.
        message: String,
    },
}

/// Takes a journal's text apart. A last line that was cut short is left out; a line in between that is no entry is an
/// error.
///
/// # Errors
/// It is no journal, or a damaged one.
pub(crate) fn parse(text: &[u8]) -> Result<Parsed, ParseError> {
    let mut lines = text.split_inclusive(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    if !first.ends_with(b"\n") {
        return Err(ParseError::Header("it is empty or cut short".to_owned()));
    }
    let format: FormatOnly = serde_json::from_slice(first).map_err(|error| ParseError::Header(error.to_string()))?;
    if format.format != u64::from(FORMAT) {
        return Err(ParseError::Format { found: format.format });
    }
    let header: Header = serde_json::from_slice(first).map_err(|error| ParseError::Header(error.to_string()))?;
    let mut parsed = Parsed {
        header,
        entries: Vec::new(),
        whole: first.len(),
        open_ended: false,
    };
    for (at, line) in lines.enumerate() {
        let ended = line.ends_with(b"\n");
        match serde_json::from_slice(line) {
            Ok(entry) => parsed.entries.push(entry),
            // Only the last line has no end; it is what a kill or a full disk cut short.
            Err(_) if !ended => break,
            Err(error) => {
                return Err(ParseError::Entry {
                    line: at + 2,
                    message: error.to_string(),
                });
            }
        }
        parsed.whole += line.len();
        parsed.open_ended = !ended;
    }
    Ok(parsed)
}

/// The one field that every format has.
#[derive(Deserialize)]
struct FormatOnly {
    format: u64,
}
