//! The names of files in the frame of a diff.

/// How many parts of the first of two names are not of a path.
pub(super) fn prefix(names: &[u8], path: &str) -> Option<usize> {
    // A quoted name ends by itself.
    let names = match names.strip_prefix(b"\"") {
        Some(_) => format!("{} ", unquoted(names)),
        None => String::from_utf8_lossy(names).into_owned(),
    };
    let path = format!("{path} ");
    let is_at = |at: &usize| names.get(*at..).is_some_and(|rest| rest.starts_with(&path));
    let after_slash = names.match_indices('/').map(|(at, _)| at + 1);
    let at = std::iter::once(0).chain(after_slash).find(is_at)?;
    Some(names[..at].matches('/').count())
}

/// The path of a rename or copy, and whether it is the old one.
pub(super) fn moved(line: &[u8]) -> Option<(String, bool)> {
    let words = [
        ("rename from ", true),
        ("rename to ", false),
        ("copy from ", true),
        ("copy to ", false),
    ];
    words.into_iter().find_map(|(word, is_old)| {
        let path = line.strip_prefix(word.as_bytes())?;
        Some((unquoted(path), is_old))
    })
}

/// The name on a line `--- NAME` or `+++ NAME`; none for /dev/null.
pub(super) fn name(line: &[u8]) -> Option<String> {
    let name = line.get(4..).unwrap_or_default();
    let name = if name.starts_with(b"\"") {
        unquoted(name)
    } else {
        let end = name.iter().position(|byte| *byte == b'\t').unwrap_or(name.len());
        // diff writes the day on which time began for a file that is not there.
        if name[end..].starts_with(b"\t1970-01-01 ") {
            return None;
        }
        String::from_utf8_lossy(&name[..end]).trim_end().to_owned()
    };
    (name != "/dev/null").then_some(name)
}

/// The name in `a/NAME b/NAME`, with the prefix of the first, where both are one.
pub(super) fn both(names: &[u8]) -> Option<String> {
    if names.starts_with(b"\"") {
        return Some(unquoted(names));
    }
    let (old, new) = names.split_at_checked(names.len() / 2)?;
    let new = new.strip_prefix(b" ")?;
    let after = |name: &[u8]| name.iter().position(|byte| *byte == b'/').map_or(0, |at| at + 1);
    let is_one = old == new || old[after(old)..] == new[after(new)..];
    is_one.then(|| String::from_utf8_lossy(old).into_owned())
}

/// A path as git quotes it in C's way, up to the closing quote.
fn unquoted(path: &[u8]) -> String {
    let Some(inside) = path.strip_prefix(b"\"") else {
        return String::from_utf8_lossy(path).into_owned();
    };
    let mut bytes = Vec::new();
    let mut rest = inside.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => break,
            b'\\' => match rest.next() {
                Some(digit @ b'0'..=b'3') => {
                    let digits = rest.by_ref().take(2);
                    bytes.push(digits.fold(digit - b'0', |value, digit| {
                        value.wrapping_mul(8).wrapping_add(digit.wrapping_sub(b'0'))
                    }));
                }
                Some(b't') => bytes.push(b'\t'),
                Some(b'n') => bytes.push(b'\n'),
                Some(other) => bytes.push(other),
                None => break,
            },
            other => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
