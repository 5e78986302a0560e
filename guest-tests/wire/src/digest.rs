//! What a record of the kernel's log is known by where there is too much text to send.

use serde::{Deserialize, Serialize};

/// FNV-1a, 64 bits.
pub(crate) const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// Takes bytes into a hash.
pub(crate) fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    let take = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
    bytes.iter().fold(hash, take)
}

/// What of a line of the log looks the same wherever it is read: blanks, control characters and bytes above ASCII do
/// not.
#[must_use]
pub fn printable(line: &str) -> String {
    line.chars().filter(char::is_ascii_graphic).collect()
}

/// A record of the kernel's log without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogDigest {
    /// Severity: 0 (emergency) to 7 (debug).
    pub level: u8,
    /// Its lines, without those of which nothing prints.
    pub lines: Vec<LineDigest>,
}

impl LogDigest {
    /// That of a record.
    #[must_use]
    pub fn of(level: u8, text: &str) -> LogDigest {
        let printed = text.lines().map(printable).filter(|line| !line.is_empty());
        LogDigest {
            level,
            lines: printed.map(|line| LineDigest::of(line.as_bytes())).collect(),
        }
    }
}

/// A line by the number of its [`printable`] bytes and their hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LineDigest(u32, u32);

impl LineDigest {
    fn of(printed: &[u8]) -> LineDigest {
        let hash = fnv(FNV_OFFSET, printed);
        // Half of it is enough, as a line has its place among others.
        let folded = (hash ^ (hash >> 32)) & u64::from(u32::MAX);
        let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        LineDigest(narrow(printed.len() as u64), narrow(folded))
    }

    /// Whether a line, of which this is what prints, ends with the line that is meant.
    #[must_use]
    pub fn ends(self, printed: &str) -> bool {
        let bytes = printed.as_bytes();
        let start = usize::try_from(self.0)
            .ok()
            .and_then(|length| bytes.len().checked_sub(length));
        start.is_some_and(|start| LineDigest::of(&bytes[start..]) == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_known_by_its_end() {
        let digest = LogDigest::of(4, "one caf\u{e9}\n\n \ntwo\tparts");
        let [one, two] = digest.lines[..] else {
            panic!("{digest:?}")
        };
        assert!(one.ends(&printable("[    1.000000] one caf\u{fffd}\r")));
        assert!(two.ends("twoparts") && two.ends("[1.0]twoparts"));
        for other in ["twopart", "twopartz", "twopartsx", "parts", ""] {
            assert!(!two.ends(other), "{other}");
        }
    }

    #[test]
    fn a_digest_stays_what_it_was() {
        // Recorded cells may hold them.
        let text = serde_json::to_string(&LogDigest::of(4, "a word")).unwrap();
        assert_eq!(text, r#"{"level":4,"lines":[[5,2992376537]]}"#);
    }
}
