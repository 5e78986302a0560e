//! A line of a log: what the console put before the message.

mod caller;
mod clean;
mod figures;
mod host;

pub(crate) use caller::Caller;
pub(crate) use clean::clean;

use caller::{by_name, caller};
use figures::{beginning, digits, seconds};
use host::{dated, ends_in, of_host};

/// Bytes of a time stamp with its brackets.
const STAMP_MAX: usize = 32;

/// A message and what stood before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) time_us: Option<u64>,
    pub(crate) caller: Caller,
    /// Whether a time stamp or a host's word before it says that it is the kernel's.
    pub(crate) is_of_kernel: bool,
    pub(crate) text: &'a str,
}

/// Takes the level, the time stamp and the caller mark off a line.
pub(crate) fn parse(line: &str) -> Line<'_> {
    let mut parsed = Line {
        time_us: None,
        caller: Caller::Unknown,
        is_of_kernel: false,
        text: line.trim(),
    };
    if let Some(record) = record(parsed.text) {
        return record;
    }
    parsed.is_of_kernel = decoded(parsed.text).is_some();
    parsed.text = without_level(parsed.text);
    if let Some((time_us, rest)) = stamp(parsed.text) {
        parsed.time_us = time_us;
        parsed.is_of_kernel = true;
        parsed.text = rest.trim_start();
    } else if let Some(at) = embedded_stamp(parsed.text)
        && let Some((time_us, rest)) = parsed.text.get(at..).and_then(stamp)
    {
        // Something else was on the line: a program's output without a line's end, or a host's prefix.
        parsed.time_us = time_us;
        parsed.is_of_kernel |= time_us.is_some();
        parsed.text = rest.trim_start();
    }
    if parsed.time_us.is_none()
        && let Some(rest) = dated(parsed.text)
    {
        parsed.is_of_kernel = true;
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
    let first = line.trim_start();
    let from = line.len() - first.len() + first.chars().next()?.len_utf8();
    let at = embedded_stamp(line.get(from..)?)?;
    Some(from + at)
}

/// Where the last head of a message begins in the bytes of a line; at their end one may have begun.
pub(crate) fn last_head(bytes: &[u8]) -> Option<usize> {
    let mut brackets = (0..bytes.len()).rev().filter(|at| bytes.get(*at) == Some(&b'['));
    let is_stamp = |at: &usize| {
        let head = bytes.get(*at..).unwrap_or_default();
        let head = head.get(..STAMP_MAX).unwrap_or(head);
        let may_be = head.get(1).is_some_and(|byte| *byte == b' ' || byte.is_ascii_digit());
        may_be && embedded_stamp(&String::from_utf8_lossy(head)) == Some(0)
    };
    let stamp = brackets.clone().find(is_stamp);
    stamp.or_else(|| brackets.find(|at| bytes.len() - at <= STAMP_MAX))
}

/// How an end of a line is written in a record.
pub(crate) const END_IN_RECORD: &str = "\\x0a";

/// Where the last end of a line within a record stands in its bytes; at their end one may have begun.
pub(crate) fn last_end_in_record(bytes: &[u8]) -> Option<usize> {
    let end = END_IN_RECORD.as_bytes();
    let tail = |at: &usize| bytes.get(*at..).unwrap_or_default();
    let is_end = |at: &usize| tail(at).starts_with(end) || end.starts_with(tail(at));
    (0..bytes.len()).rev().find(is_end)
}

/// What a record says of its lines: all but their text.
pub(crate) fn record_head(line: &str) -> Option<Line<'static>> {
    record(line.trim()).map(
        |Line {
             time_us,
             caller,
             is_of_kernel,
             ..
         }| Line {
            time_us,
            caller,
            is_of_kernel,
            text: "",
        },
    )
}

/// A record as `/dev/kmsg` and netconsole have it: `level,number,microseconds,flags[,caller=T12];text`. netconsole may
/// put the kernel's release before it.
fn record(text: &str) -> Option<Line<'_>> {
    let (head, text) = text.split_once(';')?;
    let is_release = |word: &str| word.starts_with(|first: char| first.is_ascii_digit()) && word.contains('.');
    let head = match head.split_once(',') {
        Some((release, head)) if is_release(release) => head,
        _ => head,
    };
    let mut fields = head.split(',');
    let mut number = || fields.next()?.parse::<u64>().ok();
    let (_, _, time_us) = (number()?, number()?, number()?);
    fields.next().filter(|flags| flags.len() <= 1)?;
    let caller = fields
        .find_map(|field| by_name(field.strip_prefix("caller=")?))
        .unwrap_or(Caller::Unknown);
    Some(Line {
        time_us: Some(time_us),
        caller,
        is_of_kernel: true,
        text: text.trim_start(),
    })
}

/// Takes `<4>` off, or `kern  :warn  : ` as `dmesg --decode` prints it.
fn without_level(text: &str) -> &str {
    if let Some(rest) = decoded(text) {
        return rest;
    }
    let inner = text.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match inner {
        Some((level, rest)) if !level.is_empty() && level.len() <= 3 && digits(level) => rest.trim_start(),
        _ => text,
    }
}

fn decoded(text: &str) -> Option<&str> {
    const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
    let (level, rest) = text
        .strip_prefix("kern")?
        .trim_start()
        .strip_prefix(':')?
        .split_once(':')?;
    LEVELS.contains(&level.trim_end()).then(|| rest.trim_start())
}

/// A time stamp at the beginning of a text, and what follows: `[    1.234567]`, or what `dmesg` prints with `-T` (a
/// date), `-H` (`[Nov30 03:05]`, `[  +0.000012]`), `-d` (`[    1.234567 <    0.000012>]`) or `--time-format delta`. It
/// has the names of days and months in the user's language.
fn stamp(text: &str) -> Option<(Option<u64>, &str)> {
    let (inner, rest) = text.strip_prefix('[')?.split_once(']')?;
    let inner = inner.trim();
    let inner = match inner.split_once(" <") {
        Some((inner, since))
            if since
                .strip_suffix('>')
                .is_some_and(|since| seconds(since.trim()).is_some()) =>
        {
            inner.trim_end()
        }
        _ => inner,
    };
    if let Some((seconds, fraction)) = seconds(inner)
        && seconds.len() <= 10
        && fraction.len() <= 9
    {
        let micros: u64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
        let seconds: u64 = seconds.parse().ok()?;
        return Some((Some(seconds * 1_000_000 + micros), rest));
    }
    let between = inner.strip_prefix('<').and_then(|inner| inner.strip_suffix('>'));
    let is_since = inner
        .strip_prefix('+')
        .or(between)
        .is_some_and(|since| seconds(since.trim()).is_some());
    let is_date = ["99:99:99 9999", "99 99:99"].iter().any(|shape| ends_in(inner, shape));
    (is_date || is_since).then_some((None, rest))
}

/// Where a full time stamp, with six places, stands in a text.
fn embedded_stamp(text: &str) -> Option<usize> {
    text.match_indices('[').map(|(at, _)| at).find(|at| {
        let inner = beginning(text.get(at + 1..).unwrap_or_default(), 20);
        let Some((inner, _)) = inner.split_once(']') else {
            return false;
        };
        let Some((seconds, micros)) = inner.trim_start().split_once('.') else {
            return false;
        };
        !seconds.is_empty() && digits(seconds) && micros.len() == 6 && digits(micros)
    })
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
            "Nov 30 03:05:50.123456 host kernel: a",
            "2026-11-30T03:05:50+00:00 host kernel: a",
            "2026-11-30T03:05:50.123456+01:00 host kernel: a",
            "2026-11-30T03:05:50,123456+01:00 a",
            "[Mon Nov 30 03:05:50 2026] a",
            "Mon 2026-11-30 03:05:50 UTC host kernel: a",
            "1764493550.123456 host kernel: a",
            // In other languages.
            "Dez 01 03:05:50 host kernel: a",
            "d\u{e9}c.  1 03:05:50.123456 host kernel: a",
            "12\u{6708} 01 03:05:50 kernel: a",
            " 1\u{6708} 01 03:05:50 host kernel: a",
            "Di 2026-12-01 03:05:50 CET host kernel: a",
            "mar. 2026-12-01 03:05:50 +03 host kernel: a",
            "\u{706b} 2026-12-01 03:05:50 JST kernel: a",
            "Nov 30 03:05:50 kernel: a",
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
            "01 03:05:50 host kernel: a",
            "Dez 01 03:05:50 host a[1]: kernel: a",
            "Di 2026-12-01 03:05:50 CET host a[1]: kernel: a",
            "a: Dez 01 03:05:50 host kernel: a",
        ] {
            assert_eq!(text(line), plain(None, line));
        }
    }

    #[test]
    fn what_dmesg_prints_by_its_options_comes_off() {
        for line in [
            "kern  :warn  : [Mon Nov 30 03:05:50 2026] a",
            "kern  :err   : a",
            "[Nov30 03:05] a",
            "[  +0.000012] a",
            "[Mon Nov 30 03:05:50 2026 <    0.000012>] a",
            "[<    0.000012>] a",
            // In other languages.
            "[Mo Nov 30 03:05:50 2026] a",
            "[lun. nov. 30 03:05:50 2026] a",
            "[\u{6708} 11\u{6708} 30 03:05:50 2026] a",
            "[nov.30 03:05] a",
        ] {
            assert_eq!(text(line), plain(None, "a"), "{line}");
        }
        for line in [
            "[    5.123456 <    0.000012>] a",
            "[    5.123456 <    0.000012 >] host kernel: a",
            "kern  :warn  : [    5.123456] a",
        ] {
            assert_eq!(text(line), plain(Some(5_123_456), "a"), "{line}");
        }
        for line in ["kern: a: b", "kern  :loud  : a", "[ <x>] a", "[+a] a", "[Nov30] a"] {
            assert_eq!(text(line), plain(None, line));
        }
    }

    #[test]
    fn a_record_of_dev_kmsg_is_read() {
        assert_eq!(text("4,339,5123456,-;a; b"), plain(Some(5_123_456), "a; b"));
        let line = parse("4,339,5123456,-,caller=T12;a");
        assert_eq!(
            (line.time_us, line.caller, line.text),
            (Some(5_123_456), Caller::Task(12), "a")
        );
        let prepended = "6.12.0-rc1+,4,339,5123456,-,ncfrag=0/90;a";
        assert_eq!(text(prepended), plain(Some(5_123_456), "a"));
        for line in ["6.12,4,339;a", "4,339,x,-;a", "4,339;a", "4,339,1,no flags;a", "a;b"] {
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
}
