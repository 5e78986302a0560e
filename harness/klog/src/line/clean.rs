//! A line's bytes as text.

use std::borrow::Cow;

use super::caller::caller;
use super::figures::beginning;

/// Text without control characters and terminal sequences, and without what is no UTF-8.
pub(crate) fn clean(line: &[u8]) -> Cow<'_, str> {
    if line.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return String::from_utf8_lossy(line);
    }
    let text = String::from_utf8_lossy(line);
    let mut clean = String::with_capacity(text.len());
    let mut rest: &str = &text;
    while let Some(letter) = rest.chars().next() {
        rest = rest.get(letter.len_utf8()..).unwrap_or_default();
        if let Some(after) = after_sequence(letter, rest) {
            rest = after;
        } else if matches!(letter, '\u{0}' | '\u{feff}') {
            // What a serial line lost, or the mark of UTF-8.
        } else {
            clean.push(if letter.is_control() { ' ' } else { letter });
        }
    }
    Cow::Owned(clean)
}

/// Bytes of a caller mark.
const MARK_MAX: usize = 16;

/// What follows a sequence of the terminal that an escape begins: figures, signs, and a letter or a sign like `~`. The
/// time stamp and the caller mark of a message are none, and end what a program left before them; so does the end of a
/// line in a record (`\x0a`).
fn after_sequence(escape: char, rest: &str) -> Option<&str> {
    let inner = rest.strip_prefix('[').filter(|_| escape == '\u{1b}')?;
    if caller(beginning(rest, MARK_MAX)).is_some() {
        return None;
    }
    let inner = inner.trim_start_matches(|letter| ('0'..='?').contains(&letter));
    let inner = inner.trim_start_matches(|letter| (' '..='/').contains(&letter));
    match inner.chars().next() {
        None | Some('[' | '\\') => Some(inner),
        Some(last) => ('@'..='~').contains(&last).then(|| inner.get(1..).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_cleaned() {
        assert_eq!(clean(b"a\x1b[0;31mb\x00c\td\r"), "abc d ");
        assert_eq!(clean(b"\xffa"), "\u{fffd}a");
        assert_eq!(clean(b"\x1b["), "");
        assert_eq!(clean(b"\x1b[200~BUG: a"), "BUG: a");
        for stamp in ["[    5.123456]", "[12345.123456]"] {
            assert_eq!(
                clean(format!("a\x1b{stamp} BUG: a").as_bytes()),
                format!("a {stamp} BUG: a")
            );
        }
    }
}
