//! The patterns in which openings are written: text with `*` for anything, from the beginning of a message.

/// Whether a message begins as a pattern says. `*` stands for any text, and what follows the pattern is anything,
/// unless it ends with `$`.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, whole) = match pattern.strip_suffix('$') {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return !whole || rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if whole && parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = rest.get(at + part.len()..).unwrap_or_default();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text) in [
            ("a", "ab"),
            ("a*c", "abbcd"),
            ("a*c*e", "abcde"),
            ("*: x$", "comm: x"),
            ("a$", "a"),
            ("a*b$", "abb"),
            ("a*", "a"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("a", "ba"),
            ("a*c", "abb"),
            ("*: x$", "comm: xy"),
            ("a$", "ab"),
            ("a*c*b", "abc"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
