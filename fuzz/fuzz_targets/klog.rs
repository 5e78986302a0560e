//! Any bytes as a kernel's log: the reader takes them, cut in any pieces, and what it gives is bounded.

#![no_main]

use klog::{Kind, KernelReport, Reader};
use libfuzzer_sys::fuzz_target;

/// Reports of a kind that are kept.
const OF_A_KIND_MAX: usize = 200;
/// Bytes that a further message on a line takes at least: its time stamp (`[1.123456]`) and the words that open a
/// report. Lines lose their ends, so there may be any number of messages on one, and the last must count as the first.
const MESSAGE_MIN: usize = 16;

fuzz_target!(|log: &[u8]| {
    let reports = klog::read(log);
    let lines = log.split(|byte| *byte == b'\n').count();
    assert!(reports.iter().all(|report| (1..=lines).contains(&report.line)), "{reports:?}");
    assert!(reports.is_sorted_by_key(|report| report.line), "{reports:?}");
    assert!(reports.len() <= lines + log.len() / MESSAGE_MIN, "{reports:?}");
    assert!(reports.len() <= Kind::ALL.len() * OF_A_KIND_MAX);
    for report in &reports {
        bounded(report);
    }
    // The first bytes say where the log is cut.
    let cuts = log.iter().take(4).map(|byte| usize::from(*byte));
    let mut reader = Reader::new();
    let mut rest = log;
    for cut in cuts {
        let (head, tail) = rest.split_at(cut.min(rest.len()));
        reader.feed(head);
        rest = tail;
    }
    reader.feed(rest);
    assert_eq!(reader.finish(), reports);
});

fn bounded(report: &KernelReport) {
    assert!(!report.title.is_empty() && report.title.len() <= 1024, "{report:?}");
    assert!(report.frames.len() <= 64, "{report:?}");
    let names = report.frames.iter().chain(&report.place);
    for name in names {
        assert!(!name.is_empty() && name.len() <= 512, "{report:?}");
        assert!(!name.contains(|letter: char| letter.is_whitespace() || letter == '+'), "{report:?}");
    }
    for word in report.task.iter().chain(&report.taint) {
        assert!(!word.is_empty() && word.len() <= 128, "{report:?}");
    }
}
