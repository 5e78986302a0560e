//! Times and byte counts as the rule language writes them: `20ms`, `500us`, `5s`; `512`, `4k`, `2M`, `1G`.

use std::time::Duration;

/// Longest time a rule can name; keeps a typing error from holding a guest for years.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(3600);

/// Reads a time; `None` when it is none or longer than `TIME_MAX`.
#[must_use]
pub fn parse_time(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number = number.parse::<u64>().ok()?;
    let factor_us = match unit {
        "us" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        _ => return None,
    };
    Some(Duration::from_micros(number.checked_mul(factor_us)?)).filter(|time| *time <= TIME_MAX)
}

/// Writes a time in the largest unit that loses nothing.
#[must_use]
pub fn print_time(time: Duration) -> String {
    let us = time.as_micros();
    match us {
        0 => "0us".to_owned(),
        us if us % 1_000_000 == 0 => format!("{}s", us / 1_000_000),
        us if us % 1_000 == 0 => format!("{}ms", us / 1_000),
        us => format!("{us}us"),
    }
}

/// Reads a number of bytes with an optional suffix `k` (1024), `M` (1024²) or `G` (1024³).
#[must_use]
pub fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let factor = match suffix {
        "" => 1,
        "k" | "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// Writes a number of bytes with the largest suffix that loses nothing.
#[must_use]
pub fn print_bytes(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        bytes if bytes % (1 << 30) == 0 => format!("{}G", bytes >> 30),
        bytes if bytes % (1 << 20) == 0 => format!("{}M", bytes >> 20),
        bytes if bytes % (1 << 10) == 0 => format!("{}k", bytes >> 10),
        bytes => bytes.to_string(),
    }
}

/// A place in a row, in words.
pub(super) fn ordinal(number: u64) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        _ => "th",
    };
    match number {
        1 => "first".to_owned(),
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        number => format!("{number}{ending}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(parse_time("20ms"), Some(Duration::from_millis(20)));
        assert_eq!(parse_time("3600s"), Some(TIME_MAX));
        for bad in ["", "20", "ms", "1.5s", "20 ms", "3601s", "18446744073709551615s", "1m"] {
            assert_eq!(parse_time(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn byte_counts() {
        assert_eq!(parse_bytes("4k"), Some(4096));
        assert_eq!(parse_bytes("2M"), Some(2 << 20));
        assert_eq!(parse_bytes("3G"), Some(3 << 30));
        for (bytes, text) in [
            (512, "512"),
            (4096, "4k"),
            (2 << 20, "2M"),
            (3 << 30, "3G"),
            ((1 << 30) + 1024, "1048577k"),
        ] {
            assert_eq!(print_bytes(bytes), text);
            assert_eq!(parse_bytes(text), Some(bytes));
        }
        for bad in [
            "",
            "k",
            "+4",
            "-1",
            "4kk",
            "4 k",
            "17592186044416M",
            "17179869184G",
            "1g",
            "1GB",
        ] {
            assert_eq!(parse_bytes(bad), None, "{bad:?}");
        }
    }
}
