//! Numbers in what stands before a message, and the beginning of a text.

pub(super) fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The two parts of a number of seconds, which are digits.
pub(super) fn seconds(text: &str) -> Option<(&str, &str)> {
    let is_number = |text: &str| !text.is_empty() && digits(text);
    text.split_once('.')
        .filter(|(seconds, fraction)| is_number(seconds) && is_number(fraction))
}

/// The first bytes of a text, fewer if a letter would be cut.
pub(super) fn beginning(text: &str, bytes: usize) -> &str {
    let fits = (0..=bytes.min(text.len())).rev().find_map(|end| text.get(..end));
    fits.unwrap_or_default()
}
