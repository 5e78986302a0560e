//! Any bytes.

use klog::{KernelReport, Reader};
use proptest::prelude::*;

use super::{kinds, one};

fn in_pieces(log: &[u8], cuts: &[usize]) -> Vec<KernelReport> {
    let mut reader = Reader::new();
    let mut rest = log;
    for cut in cuts {
        let (head, tail) = rest.split_at(cut % (rest.len() + 1));
        reader.feed(head);
        rest = tail;
    }
    reader.feed(rest);
    reader.finish()
}

/// Words of which the kernel's reports are made, and what may stand between them.
const WORDS: &[&str] = &[
    "[    5.123456] ",
    "[    5.123456][   T12] ",
    "[    C0] ",
    "BUG: KASAN: use-after-free in f+0x1/0x2",
    "WARNING: CPU: 0 PID: 1 at a.c:1 g+0x1/0x2",
    "WARNING: a.c:1 at g+0x1/0x2, CPU#0: a/1",
    "kernel BUG at a.c:1!",
    "Oops: 0000 [#1]",
    "Kernel panic - not syncing: Fatal exception",
    "INFO: task a:1 blocked for more than 4 seconds.",
    "CPU: 0 PID: 71 Comm: a Tainted: G W 6.1 #1",
    "RIP: 0010:f+0x1/0x2",
    "Call Trace:",
    " <TASK>",
    " </TASK>",
    " f+0x1/0x2",
    " ? g+0x1/0x2",
    "---[ end trace 0 ]---",
    "BTRFS error (device vda state A): Transaction aborted (error -5)",
    "XFS (vda): Internal error x at line 1",
    "bioscope: begin a",
    "\n",
    "\n",
    "\r\n",
    "\0",
    "\u{1b}[0m",
    "\u{fffd}",
    "talk",
];

proptest! {
    #[test]
    fn bounds_hold_and_cuts_change_nothing(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..200),
        noise in prop::collection::vec(any::<u8>(), 0..64),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let mut log: Vec<u8> = words.concat().into_bytes();
        let at = noise.first().map_or(0, |byte| usize::from(*byte) % (log.len() + 1));
        log.splice(at..at, noise);
        let reports = klog::read(&log);
        let lines = log.split(|byte| *byte == b'\n').count();
        prop_assert!(reports.iter().all(|report| report.line >= 1 && report.line <= lines));
        prop_assert!(reports.is_sorted_by_key(|report| report.line));
        prop_assert_eq!(reports, in_pieces(&log, &cuts));
    }
}

#[test]
fn hostile_lines_are_read_around() {
    let report = "BUG: KASAN: use-after-free in f+0x1/0x2";
    let endless = "x".repeat(1 << 20);
    for log in [
        format!("{endless}\n{report}\n"),
        format!("\0\0\0{report}\0\n"),
        format!("\u{1b}[2J\u{1b}[0;31m{report}\n"),
        format!("[    5.123456] {report}\r\n"),
        report.to_owned(),
        format!("[\n[[[[\n]]]\n{report}\n"),
        format!("<4>{report}\n"),
        // As editors on Windows begin a file.
        format!("\u{feff}{report}\n"),
        format!("Nov 30 03:05:50 host kernel: [    5.123456] {report}\n"),
    ] {
        assert_eq!(kinds(&log), ["kasan f"]);
    }
    let mut bytes = vec![0xff, 0xfe, b'\n'];
    bytes.extend_from_slice(report.as_bytes());
    bytes.extend_from_slice(b"\xff\n\xf0\x28\x8c\x28");
    let reports = klog::read(&bytes);
    assert_eq!((reports.len(), reports[0].line), (1, 2));
    assert_eq!(klog::read(b""), []);
}

/// Lines that lost their ends hide nothing: the last message of a line counts as the first. (The fuzz target once
/// allowed for four.)
#[test]
fn a_line_of_many_messages_has_as_many_reports() {
    let panic = "[5.100000]Kernel panic - not syncing: a";
    assert_eq!(kinds(&panic.repeat(5)), ["panic -"; 5]);
    let talk = "[5.100000] talk".repeat(200);
    assert_eq!(
        kinds(&format!("{talk}[5.100000] BUG: KASAN: use-after-free in f+0x1/0x2\n")),
        ["kasan f"]
    );
}

#[test]
fn a_long_title_is_cut_and_says_so() {
    let log = format!("BUG: KASAN: use-after-free in f+0x1/0x2 {}\n", "é".repeat(4000));
    let report = one(&log);
    assert!(report.title.len() <= 1024 && report.truncated);
}

#[test]
fn a_report_in_a_loop_does_not_hide_another() {
    let loops = "[    5.1] WARNING: CPU: 0 PID: 1 at a.c:1 g+0x1/0x2\n".repeat(10_000);
    let log = format!("{loops}[    5.2] BUG: KASAN: use-after-free in f+0x1/0x2\n");
    let mut reader = Reader::new();
    reader.feed(log.as_bytes());
    assert_eq!(reader.left_out(), 10_000 - 200);
    let reports = reader.finish();
    assert_eq!(reports.len(), 201);
    assert_eq!(reports.last().map(|report| report.line), Some(10_001));
}

#[test]
fn a_stack_without_an_end_is_cut() {
    let frames: String = (0..100_000)
        .map(|number| format!("[    5.1]  f{number}+0x1/0x2\n"))
        .collect();
    let log = format!("[    5.1] WARNING: CPU: 0 PID: 1 at a.c:1 g+0x1/0x2\n[    5.1] Call Trace:\n{frames}");
    let report = one(&log);
    assert_eq!((report.frames.len(), report.truncated), (64, true));
}

#[test]
fn what_stands_late_on_a_long_line_is_read() {
    let kasan = "[    5.100000] BUG: KASAN: use-after-free in f+0x1/0x2\n";
    for talk in [4_000, 4_070, 4_080, 4_090, 4_096, 4_097, 10_000, 100_000] {
        let log = format!(
            "[    5.0] {}{kasan}[    5.2] BUG: KASAN: use-after-free in g+0x1/0x2\n",
            "x".repeat(talk)
        );
        assert_eq!(kinds(&log), ["kasan f", "kasan g"], "{talk}");
        let mut reader = Reader::new();
        log.as_bytes().chunks(1000).for_each(|piece| reader.feed(piece));
        let lines: Vec<usize> = reader.finish().iter().map(|report| report.line).collect();
        assert_eq!(lines, [1, 2], "{talk}");
        assert_eq!(
            kinds(&format!("[    5.0] bioscope: {}{kasan}", "x".repeat(talk))),
            [""; 0],
            "{talk}"
        );
    }
}

#[test]
fn a_message_is_whole_wherever_a_long_line_is_divided() {
    let head = "[    5.100000][   T12] ";
    let title = "WARNING: CPU: 0 PID: 71 at fs/btrfs/inode.c:99 btrfs_finish_one+0x12/0x80 [btrfs]";
    for talk in 3_900..4_100 {
        let report = one(&format!("[    5.0] {}{head}{title}\n", "x".repeat(talk)));
        assert_eq!(
            (report.title.as_str(), report.time_us),
            (title, Some(5_100_000)),
            "{talk}"
        );
    }
}

/// What a program began at a terminal ends where the kernel's message begins.
#[test]
fn an_unfinished_sequence_of_a_terminal_hides_no_message() {
    let report = "BUG: KASAN: use-after-free in f+0x1/0x2\n";
    for sequence in [
        "\u{1b}",
        "\u{1b}[",
        "\u{1b}[0;",
        "\u{1b}[0;1",
        "\u{1b}[?25",
        "\u{1b}[1 ",
    ] {
        for head in ["[    5.123456] ", "[12345.123456] ", "[    5.123456][   T12] "] {
            let log = format!("[    5.000000] a\n{sequence}{head}{report}");
            assert_eq!(kinds(&log), ["kasan f"], "{log:?}");
        }
        for mark in ["[   T12] ", "[T123456] ", "[    C0] "] {
            assert_eq!(
                kinds(&format!("{sequence}{mark}{report}")),
                ["kasan f"],
                "{sequence:?}{mark}"
            );
        }
        let log = format!("4,339,5123456,-;a{sequence}\\x0a{report}");
        assert_eq!(kinds(&log), ["kasan f"], "{log:?}");
    }
}

#[test]
fn letters_of_more_than_a_byte_hide_no_further_message() {
    let report = "[    2.000000] BUG: KASAN: use-after-free in f+0x1/0x2\n";
    for first in ["\u{e9}tat", "\u{2022} a", "\u{1f600}", " \u{e9}"] {
        let log = format!("{first}[    1.000000] talk{report}");
        assert_eq!(kinds(&log), ["kasan f"], "{log:?}");
    }
    let bytes = [b"\xff[    1.000000] talk" as &[u8], report.as_bytes()].concat();
    assert_eq!(klog::read(&bytes).len(), 1);
    // Nor behind a time stamp, however far.
    for talk in ["", "a", "ab", "abc"] {
        let log = format!("talk[   12.000000] BUG: {talk}\u{1f600}\u{1f600}\u{1f600}\n");
        assert_eq!(kinds(&log), ["bug -"], "{log:?}");
    }
}

#[test]
fn a_record_is_read_to_its_end() {
    let report = "BUG: KASAN: use-after-free in f+0x1/0x2";
    let head = "4,339,5123456,-,caller=T12;";
    // What looks like a further message.
    for talk in [
        "a [    2.000000] b",
        "[    2.000000] b",
        "a\\x0a[    2.000000] b",
        "a\\x0a b",
    ] {
        let report = one(&format!("{head}{talk}\\x0a{report}\n"));
        assert_eq!(
            (report.place.as_deref(), report.time_us),
            (Some("f"), Some(5_123_456)),
            "{talk}"
        );
    }
    // More than is looked at together.
    for talk in (3_900..4_100).chain([9_000]) {
        let log = format!("{head}{}\\x0a{report}\\x0a{}\n", "x".repeat(talk), "y".repeat(50));
        assert_eq!(one(&log).title, report, "{talk}");
        let mut reader = Reader::new();
        log.as_bytes().chunks(1000).for_each(|piece| reader.feed(piece));
        assert_eq!(reader.finish().len(), 1, "{talk}");
    }
    // What only looks like it is no end of a line elsewhere.
    assert_eq!(kinds(&format!("[    5.1] a\\x0a{report}\n")), [""; 0]);
}
