//! Reports that come at once.

use super::kinds;

const FIRST: &[&str] = &[
    "------------[ cut here ]------------",
    "WARNING: CPU: 0 PID: 71 at a.c:1 first+0x1/0x2",
    "CPU: 0 PID: 71 Comm: one Not tainted 6.1.0 #1",
    "RIP: 0010:first+0x1/0x2",
    "Call Trace:",
    " <TASK>",
    " first_caller+0x1/0x2",
    " </TASK>",
    "---[ end trace 0000000000000000 ]---",
];
const SECOND: &[&str] = &[
    "BUG: KASAN: use-after-free in second+0x1/0x2",
    "Write of size 4 at addr ffff8881051cf910 by task two/72",
    "CPU: 1 PID: 72 Comm: two Not tainted 6.1.0 #1",
    "Call Trace:",
    " <TASK>",
    " kasan_report+0x1/0x2",
    " second+0x1/0x2",
    " second_caller+0x1/0x2",
    " </TASK>",
];

#[test]
fn marks_of_callers_keep_reports_apart() {
    for marks in [
        ["[   T71]", "[   T72]"],
        ["[    C0]", "[   T72]"],
        ["[    C0]", "[    C1]"],
    ] {
        let mut log = String::new();
        for (one, two) in FIRST.iter().zip(SECOND) {
            log += &format!("[    1.000000]{} {one}\n[    1.000000]{} {two}\n", marks[0], marks[1]);
        }
        let reports = klog::read(log.as_bytes());
        assert_eq!(kinds(&log), ["kasan second", "warning first"]);
        assert_eq!(reports[0].frames, ["second", "second_caller"]);
        assert_eq!(reports[1].frames, ["first_caller"]);
        assert_eq!([reports[0].cpu, reports[1].cpu], [Some(1), Some(0)]);
        assert!(reports.iter().all(|report| !report.truncated));
    }
}

#[test]
fn without_marks_talk_of_others_does_not_end_a_stack() {
    let mut log = String::new();
    for line in FIRST {
        log += &format!("[    1.000000] {line}\n[    1.000000] virtio_blk says something\n");
    }
    assert_eq!(kinds(&log), ["warning first"]);
    assert_eq!(klog::read(log.as_bytes())[0].frames, ["first_caller"]);
}

#[test]
fn two_messages_on_a_line_are_read() {
    let log = "[    1.000000] talk without an end[    1.000001] BUG: KASAN: use-after-free in f+0x1/0x2\n";
    assert_eq!(kinds(log), ["kasan f"]);
    let log = "login: [    1.000001] BUG: KASAN: use-after-free in f+0x1/0x2\n";
    assert_eq!(kinds(log), ["kasan f"]);
}

#[test]
fn a_panic_belongs_to_the_report_that_it_names() {
    let hung = "[    1.0][   T30] INFO: task repro:71 blocked for more than 4 seconds.\n";
    let warn = "[    1.1][   T72] WARNING: CPU: 0 PID: 72 at a.c:1 first+0x1/0x2\n";
    let panic = "[    1.2][   T30] Kernel panic - not syncing: hung_task: blocked tasks\n";
    assert_eq!(kinds(&format!("{hung}{warn}{panic}")), ["hung-task -", "warning first"]);
    // Another's end is not its.
    let init = "[    1.2][    T1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009\n";
    assert_eq!(kinds(&format!("{warn}{init}")), ["warning first", "panic -"]);
    let oops = "\
[    1.0][    T1] BUG: kernel NULL pointer dereference, address: 0000000000000008
[    1.0][    T1] CPU: 0 PID: 1 Comm: init Not tainted 6.1.0 #1
[    1.0][    T1] RIP: 0010:f+0x1/0x2
[    1.0][    T1] ---[ end trace 0000000000000000 ]---
";
    assert_eq!(kinds(&format!("{oops}{init}")), ["oops f"]);
}

/// A rule may bring the first one about, and never the other.
#[test]
fn an_error_that_a_file_system_was_told_of_does_not_hide_what_follows() {
    let stack = "\
[    1.1] RIP: 0010:second+0x1/0x2
[    1.1] Call Trace:
[    1.1]  <TASK>
[    1.1]  caller+0x1/0x2
[    1.1]  </TASK>
[    1.1] ---[ end trace 0000000000000000 ]---
";
    let warn = "[    1.1] WARNING: CPU: 0 PID: 72 at a.c:1 second+0x1/0x2\n";
    let oops = "[    1.1] BUG: kernel NULL pointer dereference, address: 0000000000000008\n";
    let bug = "[    1.1] kernel BUG at a.c:1!\n";
    for first in [
        "BTRFS error (device vda state A): Transaction aborted (error -5)",
        "BTRFS error (device vda state A): Transaction 8 aborted (-EIO)",
        "EXT4-fs error (device vda): ext4_find_entry:1683: inode #2: comm a: reading directory lblock 0",
        "JBD2: I/O error when updating journal superblock for vda-8.",
    ] {
        for (second, kind) in [(warn, "warning second"), (oops, "oops second"), (bug, "bug second")] {
            let log = format!("[    1.0] {first}\n{second}{stack}");
            assert_eq!(kinds(&log).get(1).map(String::as_str), Some(kind), "{first}: {second}");
        }
    }
    // An assertion of the journal's is what its `BUG()` is for.
    let log =
        format!("[    1.0] Assertion failure in jbd2_journal_dirty_metadata() at fs/jbd2/a.c:1: \"a\"\n{bug}{stack}");
    assert_eq!(kinds(&log), ["journal-error second"]);
}

/// An error of a request comes when it comes: another CPU prints, and nothing says which.
#[test]
fn a_report_of_one_line_does_not_end_a_stack() {
    let write = "[    1.000000] I/O error, dev vda, sector 8 op 0x1:(WRITE) flags 0x0 phys_seg 1 prio class 2\n";
    let readonly = "[    1.000000] BTRFS error (device vda state A): Transaction 8 aborted (-EIO)\n\
                    [    1.000000] BTRFS info (device vda state EA): forced readonly\n";
    for between in [write, readonly] {
        // An abort before a warning is that warning's message.
        for at in 1..FIRST.len() {
            let mut log = String::new();
            for (number, line) in FIRST.iter().enumerate() {
                log += &format!("[    1.000000] {line}\n");
                log += if number == at { between } else { "" };
            }
            let reports = klog::read(log.as_bytes());
            let warning = reports.iter().find(|report| report.kind == klog::Kind::Warning);
            assert_eq!(warning.map(|report| report.frames.len()), Some(1), "{log}");
            assert!(reports.iter().all(|report| !report.truncated), "{log}");
            assert_eq!(reports.len(), 2, "{log}");
        }
    }
}

#[test]
fn the_warning_of_a_message_that_came_within_another_stack_is_its_own() {
    let log = "\
[    1.0] BUG: KASAN: use-after-free in second+0x1/0x2
[    1.0] Call Trace:
[    1.0]  second+0x1/0x2
[    1.1] BTRFS: Transaction aborted (error -2)
[    1.1] WARNING: CPU: 0 PID: 71 at a.c:1 first+0x1/0x2
[    1.1] Call Trace:
[    1.1]  <TASK>
[    1.1]  first_caller+0x1/0x2
[    1.1]  </TASK>
[    1.1] ---[ end trace 0000000000000000 ]---
";
    assert_eq!(kinds(log), ["kasan second", "btrfs-abort first"]);
    assert_eq!(klog::read(log.as_bytes())[1].frames, ["first_caller"]);
}

#[test]
fn a_log_that_is_printed_again_says_nothing_new() {
    let lines =
        |stamp: &str, lines: &[&str]| -> String { lines.iter().map(|line| format!("{stamp} {line}\n")).collect() };
    let log = lines("[    1.000000]", FIRST) + &lines("[    2.000000]", SECOND) + "[    3.000000] talk\n";
    let missed = lines("[    1.500000]", &["BUG: KFENCE: memory corruption in third+0x1/0x2"]);
    let again = format!(
        "{log}# dmesg\n{}{missed}{}",
        lines("[    1.000000]", FIRST),
        lines("[    2.000000]", SECOND)
    );
    assert_eq!(kinds(&again), ["warning first", "kasan second", "kfence third"]);
    // What comes after a repetition, while a wrong stamp is the latest, has its stack.
    let jump = "[99999.000000] said a program\n";
    let behind = format!(
        "{jump}{log}{}{}",
        lines("[    1.000000]", &FIRST[..2]),
        lines("[    4.000000]", SECOND)
    );
    assert_eq!(
        klog::read(behind.as_bytes()).last().map(|report| report.frames.len()),
        Some(2)
    );
    // The console did not have it all.
    let cut = lines("[    1.000000]", &FIRST[..3]) + "[    3.000000] talk\n" + &lines("[    1.000000]", FIRST);
    assert_eq!(kinds(&cut), ["warning first"]);
    // A second boot has a clock of its own, and its reports count.
    let boots = format!("{log}{}", lines("[    0.900000]", FIRST));
    assert_eq!(kinds(&boots), ["warning first", "kasan second", "warning first"]);
}

#[test]
fn the_lines_of_a_record_are_read_one_by_one() {
    let record = "3,339,5123456,-;fio: attempt to access beyond end of device\\x0avda: rw=1, sector=8\n";
    assert_eq!(kinds(record), ["beyond-end -"]);
    assert_eq!(
        kinds("3,339,5123456,-;\\x0aBUG: KASAN: use-after-free in f+0x1/0x2\n"),
        ["kasan f"]
    );
}
