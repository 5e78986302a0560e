//! What an oracle or a check says of a failure, without what differs from run to run.

/// Bytes of a text that are kept.
const WORDS_MAX: usize = 160;
/// How the tests in the guest say where data differs from what belongs there.
const DIFFERS: &str = "first differing offset";
/// Places that say all there is to say: how a program ended.
const COMPLETE: &[&str] = &["exit code ", "signal "];

/// The words by which a finding is told from others of the same oracle, if its place alone does not do that.
pub(super) fn of_finding(place: Option<&str>, detail: &str) -> Option<String> {
    let place = place?;
    if place.contains(": ") || COMPLETE.iter().any(|complete| place.starts_with(complete)) {
        return None;
    }
    let line = detail.lines().next().unwrap_or_default();
    let said = line
        .strip_prefix(place)
        .map_or(line, |rest| rest.trim_start_matches(':'));
    let words = without_numbers(said);
    (!words.is_empty()).then_some(words)
}

/// Whether two texts are of one finding. Of data that differs counts where it was read and what belongs there. What
/// stands there instead is chance: data that was lost in a race leaves zeros, old data or a page of somewhere else.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    missed(one) == missed(other)
}

/// What is said of data that differs, without what was found; each text that belongs there stands once.
fn missed(words: &str) -> Vec<&str> {
    const EXPECTED: &str = ": expected ";
    let Some((place, expected)) = words.split_once(EXPECTED).filter(|(place, _)| place.contains(DIFFERS)) else {
        return vec![words];
    };
    let expected = expected.split(", found ").next().unwrap_or_default();
    let mut texts: Vec<&str> = expected.split(" or ").collect();
    texts.dedup();
    texts.insert(0, place);
    texts
}

/// A text with `#` for each number and each row of numbers.
fn without_numbers(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let in_bytes = words.last().is_some_and(|last| last == "bytes" || last == "#");
        let word = if in_bytes && is_byte(word) {
            "#".to_owned()
        } else {
            plain(word)
        };
        // A row of numbers says no more than one of them.
        let number = word.trim_end_matches([',', ';']);
        if number == "#"
            && words
                .last()
                .is_some_and(|last| last.trim_end_matches([',', ';']) == "#")
        {
            words.pop();
        }
        words.push(word);
    }
    let text = words.join(" ");
    let mut end = text.len().min(WORDS_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().trim_end().to_owned()
}

/// Whether a word is a byte in hexadecimal.
fn is_byte(word: &str) -> bool {
    word.len() == 2 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A word with `#` for the numbers in it; what is joined by `-` or `.` is one number.
fn plain(word: &str) -> String {
    let mut plain = String::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let alphanumeric = |letter: char| letter.is_ascii_alphanumeric();
        let end = rest.find(|letter| !alphanumeric(letter)).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end.max(if end == 0 { first.len_utf8() } else { 0 }));
        rest = after;
        if !run.bytes().any(|byte| byte.is_ascii_digit()) {
            plain.push_str(run);
            continue;
        }
        let digits = run.strip_prefix("0x").unwrap_or(run);
        if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let joined = ["#-", "#.", "#..", "#:"]
                .iter()
                .find(|joined| plain.ends_with(**joined));
            match joined {
                Some(joined) => plain.truncate(plain.len() - joined.len() + 1),
                None => plain.push('#'),
            }
        } else {
            // `tag12`, `crc32c`.
            plain.push_str(&run.replace(|letter: char| letter.is_ascii_digit(), ""));
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_and_words_stay() {
        for (text, plain) in [
            (
                "mirror 1 bytenr 13631488 csum 0x8941f998 expected csum 0x2a",
                "mirror # bytenr # csum # expected csum #",
            ),
            (
                "root 5 inode 257 errors 100, file extent discount",
                "root # inode # errors #, file extent discount",
            ),
            (
                "Inode 12, i_blocks is 8, should be 16.",
                "Inode #, i_blocks is #, should be #.",
            ),
            ("pages 0, 1, 2 of 12", "pages # of #"),
            (
                "expected source (tag 1) page 0, found bytes 00 ff ab 12",
                "expected source (tag #) page #, found bytes #",
            ),
            ("csum range 13631488-13635584 at 1..2", "csum range # at #"),
            ("uuid b105c09e-0000-4000-8000-000000000001", "uuid #"),
            ("crc32c fails with EIO", "crcc fails with EIO"),
            ("", ""),
        ] {
            assert_eq!(without_numbers(text), plain);
        }
        assert!(without_numbers(&"é ".repeat(400)).len() <= WORDS_MAX);
    }

    #[test]
    fn places_that_say_all_need_no_words() {
        for place in ["exit code 1", "signal 11", "file system check: mirror bytenr", "run: f"] {
            assert_eq!(of_finding(Some(place), "the program exited with code 1"), None);
        }
        assert_eq!(of_finding(None, "a"), None);
        assert_eq!(
            of_finding(Some("data"), "data: found zeros").as_deref(),
            Some("found zeros")
        );
    }
}
