//! Names of functions as the kernel prints them.

/// Bytes that a name may have; the kernel's own limit is 512.
const NAME_MAX: usize = 512;

/// A function's name without offset, module and the suffixes that a compiler gives to the parts and copies of one:
/// `.isra.0`, `.constprop.0`, `.part.0`, `.cold`, `.llvm.123`.
#[must_use]
pub fn function_name(frame: &str) -> &str {
    let word = frame.split_whitespace().next().unwrap_or_default();
    let name = word.split("+0x").next().unwrap_or_default();
    match name.find('.') {
        Some(dot) if dot > 0 => name.get(..dot).unwrap_or(name),
        _ => name,
    }
}

/// Whether a word can be a function's name.
fn is_name(word: &str) -> bool {
    let starts = word
        .bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    starts
        && word.len() <= NAME_MAX
        && word
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.$".contains(&byte))
}

/// A whole word as a function: `name`, `name+0x12/0x34`.
fn name(word: &str) -> Option<&str> {
    let bare = word.split("+0x").next().unwrap_or_default();
    is_name(bare).then(|| function_name(bare))
}

/// The same, for a word that must stand alone.
pub(crate) fn word(text: &str) -> Option<&str> {
    name(text)
}

/// The first `name+0x…` in a text.
pub(crate) fn with_offset(text: &str) -> Option<&str> {
    text.match_indices("+0x").find_map(|(at, _)| {
        let before = text.get(..at)?;
        let start = before
            .rfind(|letter: char| !(letter.is_ascii_alphanumeric() || "_.$".contains(letter)))
            .map_or(0, |at| at + 1);
        before.get(start..).and_then(name)
    })
}

/// The first function of the form `name:line` in a text, as file systems name it.
pub(crate) fn with_line(text: &str) -> Option<&str> {
    text.split_whitespace().find_map(|word| {
        let (function, line) = word.split_once(':')?;
        let line = line.trim_end_matches([':', ',']);
        let numbered = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_digit());
        (numbered && !function.contains('.')).then(|| name(function)).flatten()
    })
}

/// The word that follows some text, if it is a function.
pub(crate) fn after<'a>(text: &'a str, mark: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(mark)?;
    let mut words = rest.split_whitespace();
    let word = words.next()?;
    // An expression stands where a function would (`Internal error i != 1 at line …`).
    let alone = words
        .next()
        .is_none_or(|next| ["at", "/"].contains(&next) || next.starts_with('['));
    alone.then(|| name(word.trim_end_matches([':', ',', '.']))).flatten()
}

/// What a line of a stack is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// A function.
    Function(&'a str),
    /// A function that the unwinder only found on the stack.
    Guess,
}

/// A line of a stack: `name+0x1/0x2 [module]`, with an address before it in old kernels, with file and line after it
/// where somebody decoded it.
pub(crate) fn frame(line: &str) -> Option<Frame<'_>> {
    let mut text = line.trim();
    // Old kernels print the mark of an interrupt on the line of its first function.
    if let Some((_, rest)) = text.strip_prefix('<').and_then(|rest| rest.split_once(">  ")) {
        text = rest.trim_start();
    }
    if let Some(inner) = text.strip_prefix("[<").or_else(|| text.strip_prefix("[")) {
        let (address, rest) = inner.split_once(']')?;
        let address = address.trim_end_matches('>');
        if address.is_empty() || !address.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        text = rest.trim_start();
        // As 32 bit ARM prints it: `(callee) from [<…>] (caller+0x1/0x2)`.
        if let Some((callee, _)) = text.strip_prefix('(').and_then(|rest| rest.split_once(") from [<")) {
            return name(callee).map(Frame::Function);
        }
    }
    if let Some(guess) = text.strip_prefix("? ") {
        let word = guess.split_whitespace().next()?;
        return (name(word).is_some() || word.starts_with("0x")).then_some(Frame::Guess);
    }
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    // An address that has no name.
    if let Some(digits) = word.strip_prefix("0x") {
        return digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then_some(Frame::Guess);
    }
    let function = name(word)?;
    let decoded = || {
        let place = rest.split_whitespace().next().unwrap_or_default();
        let (file, line) = place.trim_matches(['(', ')']).split_once(':')?;
        let source = [".c", ".h", ".S", ".rs"].iter().any(|end| file.ends_with(end));
        (source && line.bytes().next().is_some_and(|byte| byte.is_ascii_digit())).then_some(())
    };
    let has_offset = word.contains("+0x");
    (has_offset || decoded().is_some()).then_some(Frame::Function(function))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_all_their_forms() {
        assert_eq!(
            with_offset("at fs/btrfs/inode.c:99 btrfs_finish_one.isra.0+0x12/0x80 [btrfs]"),
            Some("btrfs_finish_one")
        );
        assert_eq!(
            with_offset("at btrfs_finish_one+0x12/0x80 [btrfs], CPU#0: a/1"),
            Some("btrfs_finish_one")
        );
        assert_eq!(
            with_offset("\"xfs_read_agf.cold+0x1/0x2 [xfs]\" at daddr"),
            Some("xfs_read_agf")
        );
        assert_eq!(with_offset("0x12+0x34 +0x12"), None);
        assert_eq!(
            with_line("(device vda state A) in cleanup_transaction:2020: errno=-5"),
            Some("cleanup_transaction")
        );
        assert_eq!(
            with_line("EXT4-fs error (device vda): ext4_lookup:1855: inode #2:"),
            Some("ext4_lookup")
        );
        assert_eq!(with_line("at fs/btrfs/inode.c:99 12:13 a.c:12"), None);
        assert_eq!(
            after("Internal error xfs_trans_cancel at line 1", "Internal error "),
            Some("xfs_trans_cancel")
        );
        assert_eq!(after("BUG: KCSAN: data-race in a / b", " in "), Some("a"));
        assert_eq!(after("Internal error i != 1 at", "Internal error "), None);
        assert_eq!(after("a in 12", " in "), None);
    }

    #[test]
    fn frames_are_told_from_other_lines() {
        let functions = [
            "btrfs_x+0x1/0x2 [btrfs]",
            " btrfs_x.part.0+0x1/0x2",
            "[<ffffffff82d4e304>] btrfs_x+0x24/0x30",
            "btrfs_x (fs/btrfs/x.c:12 fs/btrfs/x.c:20) btrfs",
            "btrfs_x fs/btrfs/x.c:12 [inline]",
            "btrfs_x+0x1/0x2 fs/btrfs/x.c:12",
            "btrfs_x+0x1/0x2 (P)",
            "<IRQ>  [<ffffffff8138d924>] btrfs_x+0x378/0x387",
            "[<80de0078>] (btrfs_x) from [<80de0574>] (f+0x28/0x2c)",
        ];
        for line in functions {
            assert_eq!(frame(line), Some(Frame::Function("btrfs_x")), "{line}");
        }
        for line in [
            "? a+0x1/0x2",
            "[<ffffffff82d4e304>] ? a+0x24/0x30",
            "0xffffffffc0123456",
            "? 0xffffffffc0123456",
        ] {
            assert_eq!(frame(line), Some(Frame::Guess), "{line}");
        }
        for line in [
            "",
            "Code: 12 34",
            "RIP: 0010:a+0x1/0x2",
            "a b",
            "12+0x1/0x2",
            "[x] a+0x1/0x2",
            "Modules linked in:",
        ] {
            assert_eq!(frame(line), None, "{line}");
        }
    }

    #[test]
    fn suffixes_of_the_compiler_come_off() {
        for frame in [
            "f",
            "f+0x1/0x2 [m]",
            "f.isra.0+0x1/0x2",
            "f.constprop.0.cold",
            "f.llvm.123",
        ] {
            assert_eq!(function_name(frame), "f");
        }
        assert_eq!(function_name(".f"), ".f");
        assert_eq!(function_name(""), "");
    }
}
