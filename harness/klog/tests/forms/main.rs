//! Every form of every kind, as the kernel's source prints it (5.4 to 7.3), with made-up addresses; and what looks like
//! a report and is none. Logs that real kernels wrote are in `fixtures`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic here is the test's failure"
)]

mod blocks;
mod faults;
mod file_systems;
mod hostile;
mod locks;
mod memory;
mod silence;
mod together;
mod warnings;

use klog::KernelReport;

/// A log's only report.
#[track_caller]
fn one(log: &str) -> KernelReport {
    let mut reports = klog::read(log.as_bytes());
    assert_eq!(reports.len(), 1, "{log}\n{reports:#?}");
    reports.remove(0)
}

/// `kind place` of each report of a log.
fn kinds(log: &str) -> Vec<String> {
    let name = |report: &KernelReport| report.place.clone().unwrap_or_else(|| "-".to_owned());
    klog::read(log.as_bytes())
        .iter()
        .map(|report| format!("{} {}", report.kind, name(report)))
        .collect()
}

/// Each line alone is a report of this kind and place.
#[track_caller]
fn each(kind: &str, lines: &[(&str, &str)]) {
    for (line, place) in lines {
        let stamped = format!("[    5.123456] {line}\n");
        assert_eq!(kinds(&stamped), [format!("{kind} {place}")], "{line}");
        assert_eq!(one(&stamped).title, *line);
        // And so without time stamps, with a caller, and at a terminal.
        let marked = format!("[    5.123456][  T712] {line}\r\n");
        for form in [format!("{line}\n"), format!("<4>{line}"), marked] {
            assert_eq!(kinds(&form), [format!("{kind} {place}")], "{form}");
        }
    }
}
