//! What a host puts before the kernel's words: a date, its name.

use super::figures::{digits, seconds};

/// What follows the date and the host's name in a log that a host keeps (`Nov 30 03:05:50 host kernel: `, the same with
/// microseconds, `2026-11-30T03:05:50+00:00 host kernel: `, `Mon 2026-11-30 03:05:50 UTC host kernel: `,
/// `1764493550.123456 host kernel: `) or a date of `dmesg --time-format iso`. Days and months have their names in the
/// user's language.
pub(super) fn dated(text: &str) -> Option<&str> {
    // The first colon stands after the hour.
    let named = text.find(':').and_then(|at| text.split_at_checked(at + ":99:99".len()));
    if let Some((date, rest)) = named
        && ends_in(date, " 99 99:99:99")
    {
        let (micros, rest) = rest.split_once(' ')?;
        let is_fraction = micros.strip_prefix('.').is_some_and(digits);
        return (micros.is_empty() || is_fraction).then(|| of_host(rest)).flatten();
    }
    if let Some((date, rest)) = named
        && ends_in(date, " 9999-99-99 99:99:99")
    {
        let (_zone, rest) = rest.strip_prefix(' ')?.split_once(' ')?;
        return of_host(rest);
    }
    let (date, rest) = text.split_once(' ')?;
    if seconds(date).is_some_and(|(seconds, micros)| seconds.len() >= 9 && micros.len() == 6) {
        return of_host(rest);
    }
    if !has_shape(date.get(..19)?, "9999-99-99a99:99:99") {
        return None;
    }
    // Only dmesg has a comma, and then no name.
    if date.get(19..)?.starts_with(',') {
        return Some(rest);
    }
    of_host(rest)
}

/// Whether a text is of letters (`a`), digits (`9`, or a blank before one) and other signs as a shape says.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(byte, wanted): (u8, u8)| match wanted {
        b'a' => byte.is_ascii_alphabetic(),
        b'9' => byte.is_ascii_digit() || byte == b' ',
        _ => byte == wanted,
    };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

/// What the kernel says by a host's name: `host kernel: text`, or `kernel: text` with `--no-hostname`.
pub(super) fn of_host(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix("kernel: ") {
        return Some(rest);
    }
    let (host, rest) = text.split_once(" kernel: ")?;
    (!host.is_empty() && !host.contains(char::is_whitespace)).then_some(rest)
}

/// Whether a short text has a few words and then what a shape says.
pub(super) fn ends_in(text: &str, shape: &str) -> bool {
    const WORDS_MAX: usize = 32;
    let at = text
        .len()
        .checked_sub(shape.len())
        .filter(|at| (1..=WORDS_MAX).contains(at));
    at.and_then(|at| text.get(at..))
        .is_some_and(|end| has_shape(end, shape))
}
