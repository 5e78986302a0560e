//! Words in messages: a number of things, a word as a shell takes it.

/// A number of things in words: `1 cell`, `2 cells`.
#[must_use]
pub fn counted(number: usize, what: &str) -> String {
    let more = if what.ends_with("ch") { "es" } else { "s" };
    format!("{number} {what}{}", if number == 1 { "" } else { more })
}

/// A word as a POSIX shell takes it.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
