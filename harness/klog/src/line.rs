//! A line of a log: what the console put before the message.

use std::borrow::Cow;

/// Who printed a line, where `CONFIG_PRINTK_CALLER` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Nothing says who.
    Unknown,
    Task(u32),
    Cpu(u32),
}

/// A message and what stood before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) time_us: Option<u64>,
    pub(crate) caller: Caller,
    pub(crate) text: &'a str,
}

/// Text without control characters and terminal sequences, and without what is no UTF-8.
pub(crate) fn clean(line: &[u8]) -> Cow<'_, str> {
    if line.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        return String::from_utf8_lossy(line);
    }
    let text = String::from_utf8_lossy(line);
    let mut clean = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        if letter == '\u{1b}' && letters.peek() == Some(&'[') {
            letters.next();
            // A sequence of the terminal ends with a letter.
            while letters.next_if(|letter| !letter.is_ascii_alphabetic()).is_some() {}
            letters.next_if(char::is_ascii_alphabetic);
        } else if letter == '\u{0}' {
            // What a serial line lost.
        } else {
            clean.push(if letter.is_control() { ' ' } else { letter });
        }
    }
    Cow::Owned(clean)
}

/// Takes the level, the time stamp and the caller mark off a line.
pub(crate) fn parse(line: &str) -> Line<'_> {
    let mut parsed = Line {
        time_us: None,
        caller: Caller::Unknown,
        text: line.trim(),
    };
    parsed.text = without_level(parsed.text);
    if let Some((time_us, rest)) = stamp(parsed.text) {
        parsed.time_us = time_us;
        parsed.text = rest.trim_start();
    } else if let Some(at) = embedded_stamp(parsed.text)
        && let Some((time_us, rest)) = parsed.text.get(at..).and_then(stamp)
    {
        // Something else was on the line: a program's output without a line's end, or a host's prefix.
        parsed.time_us = time_us;
        parsed.text = rest.trim_start();
    }
    if parsed.time_us.is_none()
        && let Some(rest) = dated(parsed.text)
    {
        parsed.text = rest.trim_start();
    } else if parsed.time_us.is_some()
        && let Some(rest) = of_host(parsed.text)
    {
        parsed.text = rest.trim_start();
    }
    if let Some((caller, rest)) = caller(parsed.text) {
        parsed.caller = caller;
        parsed.text = rest.trim_start();
    }
    parsed
}

/// Where in a line a further message begins, as it does when CPUs print at once and a line's end is lost.
pub(crate) fn next_message(line: &str) -> Option<usize> {
    let from = line.trim_start().len();
    let from = line.len() - from + 1;
    let at = embedded_stamp(line.get(from..)?)?;
    Some(from + at)
}

fn without_level(text: &str) -> &str {
    let inner = text.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match inner {
        Some((level, rest)) if !level.is_empty() && level.len() <= 3 && digits(level) => rest.trim_start(),
        _ => text,
    }
}

fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A time stamp at the beginning of a text (`[    1.234567]`, or a date as `dmesg -T` prints it), and what follows.
fn stamp(text: &str) -> Option<(Option<u64>, &str)> {
    let (inner, rest) = text.strip_prefix('[')?.split_once(']')?;
    let inner = inner.trim();
    if let Some((seconds, fraction)) = inner.split_once('.') {
        let all_digits = !seconds.is_empty() && !fraction.is_empty() && digits(seconds) && digits(fraction);
        if all_digits && seconds.len() <= 10 && fraction.len() <= 9 {
            let micros: u64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
            let seconds: u64 = seconds.parse().ok()?;
            return Some((Some(seconds * 1_000_000 + micros), rest));
        }
    }
    const DAYS: [&str; 7] = ["Mon ", "Tue ", "Wed ", "Thu ", "Fri ", "Sat ", "Sun "];
    (inner.len() <= 32 && DAYS.iter().any(|day| inner.starts_with(day))).then_some((None, rest))
}

/// What follows the date and the host's name in a log that a host keeps (`Nov 30 03:05:50 host kernel: `,
/// `2026-11-30T03:05:50+00:00 host kernel: `) or a date of `dmesg --time-format iso`.
fn dated(text: &str) -> Option<&str> {
    const MONTHS: [&str; 12] = [
        "Jan ", "Feb ", "Mar ", "Apr ", "May ", "Jun ", "Jul ", "Aug ", "Sep ", "Oct ", "Nov ", "Dec ",
    ];
    if MONTHS.iter().any(|month| text.starts_with(month)) {
        let (date, rest) = text.split_at_checked(16)?;
        return has_shape(date, "aaa 99 99:99:99 ").then(|| of_host(rest)).flatten();
    }
    let (date, rest) = text.split_once(' ')?;
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

/// What the kernel says by a host's name: `host kernel: text`.
fn of_host(text: &str) -> Option<&str> {
    let (host, rest) = text.split_once(" kernel: ")?;
    (!host.is_empty() && !host.contains(char::is_whitespace)).then_some(rest)
}

/// Where a full time stamp, with six places, stands in a text.
fn embedded_stamp(text: &str) -> Option<usize> {
    text.match_indices('[').map(|(at, _)| at).find(|at| {
        let Some(inner) = text.get(at + 1..).and_then(|rest| rest.get(..rest.len().min(20))) else {
            return false;
        };
        let Some((inner, _)) = inner.split_once(']') else {
            return false;
        };
        let Some((seconds, micros)) = inner.trim_start().split_once('.') else {
            return false;
        };
        !seconds.is_empty() && digits(seconds) && micros.len() == 6 && digits(micros)
    })
}

/// A caller mark (`[   T12]`, `[    C0]`) and what follows.
fn caller(text: &str) -> Option<(Caller, &str)> {
    let (inner, rest) = text.strip_prefix('[')?.split_once(']')?;
    let inner = inner.trim();
    let number = |text: &str| digits(text).then(|| text.parse().ok()).flatten();
    let task = inner.strip_prefix('T').and_then(number).map(Caller::Task);
    let cpu = || inner.strip_prefix('C').and_then(number).map(Caller::Cpu);
    Some((task.or_else(cpu)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(time_us: Option<u64>, text: &str) -> (Option<u64>, Caller, String) {
        (time_us, Caller::Unknown, text.to_owned())
    }

    fn text(line: &str) -> (Option<u64>, Caller, String) {
        let line = parse(line);
        (line.time_us, line.caller, line.text.to_owned())
    }

    #[test]
    fn stamps_and_marks_come_off() {
        assert_eq!(text("[    5.123456] a"), plain(Some(5_123_456), "a"));
        assert_eq!(text("<4>[    5.1] a [b]"), plain(Some(5_100_000), "a [b]"));
        assert_eq!(text("[    5.123456][   T12] a").1, Caller::Task(12));
        assert_eq!(text("[    5.123456] [    C0] a").1, Caller::Cpu(0));
        assert_eq!(text("[    5.1]  [   T12] a").2, "a");
        assert_eq!(text("[Mon Nov 30 03:05:50 2026] a"), plain(None, "a"));
        assert_eq!(
            text("Nov 30 03:05:50 host kernel: [    5.123456] a"),
            plain(Some(5_123_456), "a")
        );
        assert_eq!(text("login: [    5.123456] a"), plain(Some(5_123_456), "a"));
    }

    #[test]
    fn what_a_host_puts_before_the_kernels_words_comes_off() {
        for line in [
            "Nov 30 03:05:50 host kernel: a",
            "Nov  3 03:05:50 host kernel: a",
            "2026-11-30T03:05:50+00:00 host kernel: a",
            "2026-11-30T03:05:50.123456+01:00 host kernel: a",
            "2026-11-30T03:05:50,123456+01:00 a",
            "[Mon Nov 30 03:05:50 2026] a",
        ] {
            assert_eq!(text(line), plain(None, "a"));
        }
        assert_eq!(text("[    5.123456] host kernel: a"), plain(Some(5_123_456), "a"));
        for line in [
            "Nov 30 03:05:50 host systemd[1]: a",
            "Nov 30 03:05 host kernel: a",
            "Nov 30 03:05:50 a host kernel: a",
            "2026-11-30T03:05:50+00:00 host a[1]: kernel: a",
            "2026-11-30 kernel: a",
            "host kernel: a",
        ] {
            assert_eq!(text(line), plain(None, line));
        }
    }

    #[test]
    fn brackets_that_are_no_stamp_stay() {
        for line in [
            "[ BUG: Invalid wait context ]",
            "[<ffffffff8123>] f+0x1/0x2",
            "[x] a",
            "[",
            "[1] a",
            "[1.x] a",
        ] {
            assert_eq!(text(line), (None, Caller::Unknown, line.to_owned()));
        }
    }

    #[test]
    fn two_messages_on_a_line_are_told_apart() {
        let line = "[    5.123456] a[    5.123457] b";
        assert_eq!(
            next_message(line).and_then(|at| line.get(at..)),
            Some("[    5.123457] b")
        );
        assert_eq!(next_message("[    5.123456] a [5.1] b"), None);
        assert_eq!(next_message(""), None);
    }

    #[test]
    fn what_is_no_text_is_cleaned() {
        assert_eq!(clean(b"a\x1b[0;31mb\x00c\td\r"), "abc d ");
        assert_eq!(clean(b"\xffa"), "\u{fffd}a");
        assert_eq!(clean(b"\x1b["), "");
    }
}
