//! Rust lines and files that are too long.

use super::finding::{Finding, Kind};

/// Columns of a line of Rust, as in rustfmt.toml.
const COLUMNS_MAX: usize = 120;
/// Lines of a file of Rust.
const LINES_MAX: usize = 500;

pub(crate) fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut lines = 0;
    for line in text.lines() {
        lines += 1;
        let columns = line.chars().count();
        if columns > COLUMNS_MAX {
            let message = format!("a line of {columns} columns, break it before column {COLUMNS_MAX}");
            findings.push(Finding::new(file, lines, Kind::CodeLine, message));
        }
    }
    if lines > LINES_MAX {
        let message = format!("a file of {lines} lines, divide it into files of at most {LINES_MAX}");
        findings.push(Finding::new(file, LINES_MAX + 1, Kind::FileLength, message));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_found() {
        let text = format!("fn a() {{}}\n// {}\n", "ä".repeat(118));
        let findings = check("a.rs", &text);
        assert_eq!(findings.len(), 1);
        let expected = "a.rs:2: a line of 121 columns, break it before column 120";
        assert_eq!(findings[0].to_string(), expected);
    }

    #[test]
    fn a_long_file_is_found() {
        let findings = check("a.rs", &"\n".repeat(501));
        assert_eq!(findings.len(), 1);
        let expected = "a.rs:501: a file of 501 lines, divide it into files of at most 500";
        assert_eq!(findings[0].to_string(), expected);
    }

    #[test]
    fn what_just_fits_is_clean() {
        let text = format!("// {}\n", "ä".repeat(117)).repeat(500);
        assert_eq!(check("a.rs", &text), []);
    }
}
