//! `WARN()`.

use super::{each, kinds, one};

#[test]
fn all_forms_of_a_warning_name_the_same_function() {
    each(
        "warning",
        &[
            (
                "WARNING: CPU: 0 PID: 71 at fs/btrfs/inode.c:99 btrfs_finish_one+0x12/0x80 [btrfs]",
                "btrfs_finish_one",
            ),
            (
                "WARNING: CPU: 0 PID: 71 at btrfs_finish_one+0x12/0x80 [btrfs]",
                "btrfs_finish_one",
            ),
            (
                "WARNING: fs/btrfs/inode.c:99 at btrfs_finish_one+0x12/0x80 [btrfs], CPU#0: kworker/u4:1/71",
                "btrfs_finish_one",
            ),
            (
                "WARNING: at btrfs_finish_one+0x12/0x80 [btrfs], CPU#0: kworker/u4:1/71",
                "btrfs_finish_one",
            ),
            (
                "WARNING: at fs/btrfs/inode.c:99 btrfs_finish_one+0x12/0x80 [btrfs]()",
                "btrfs_finish_one",
            ),
            ("WARNING: CPU: 0 PID: 71 at fs/btrfs/inode.c:99", "-"),
            ("WARNING: CPU: 0 PID: 71 at 0xffffffffc0123456", "-"),
        ],
    );
}

/// A warning with all that belongs to it, as 6.1 prints it.
const WARN: &str = "\
[    5.1] ------------[ cut here ]------------
[    5.1] WARNING: CPU: 0 PID: 71 at fs/btrfs/space-info.h:199 btrfs_free_reserved_bytes+0x12/0x80 [btrfs]
[    5.1] Modules linked in: btrfs xor raid6_pq
[    5.1] CPU: 0 PID: 71 Comm: umount Tainted: G            E      6.1.0-50-cloud-amd64 #1  Debian 6.1.176-1
[    5.1] RIP: 0010:btrfs_free_reserved_bytes+0x12/0x80 [btrfs]
[    5.1] Call Trace:
[    5.1]  <TASK>
[    5.1]  ? __warn+0x81/0x130
[    5.1]  ? report_bug+0x171/0x1a0
[    5.1]  btrfs_finish_ordered_io.isra.0+0x3d1/0x900 [btrfs]
[    5.1]  process_one_work+0x401/0x790
[    5.1]  </TASK>
[    5.1] ---[ end trace 0000000000000000 ]---
";

#[test]
fn a_warning_is_read_whole() {
    let report = one(WARN);
    assert_eq!(report.place.as_deref(), Some("btrfs_free_reserved_bytes"));
    assert_eq!(report.frames, ["btrfs_finish_ordered_io", "process_one_work"]);
    assert_eq!((report.line, report.cpu, report.truncated), (2, Some(0), false));
    assert_eq!(report.task.as_deref(), Some("umount/71"));
    assert_eq!(report.taint.as_deref(), Some("G            E"));
}

#[test]
fn only_the_instruction_pointer_may_name_the_function() {
    let log = WARN.replace(
        " btrfs_free_reserved_bytes+0x12/0x80 [btrfs]\n[    5.1] Modules",
        "\n[    5.1] Modules",
    );
    assert_ne!(log, WARN);
    assert_eq!(kinds(&log), ["warning btrfs_free_reserved_bytes"]);
}

#[test]
fn a_warning_that_ends_too_soon_is_truncated() {
    let lines = WARN.lines().count();
    for kept in 2..lines {
        let cut: String = WARN.split_inclusive('\n').take(kept).collect();
        assert_eq!(kinds(&cut), ["warning btrfs_free_reserved_bytes"]);
        assert!(one(&cut).truncated, "{cut}");
    }
    // Another report in its midst cuts it as well.
    let head: String = WARN.split_inclusive('\n').take(7).collect();
    let reports = klog::read(format!("{head}{WARN}").as_bytes());
    assert_eq!(
        reports.iter().map(|report| report.truncated).collect::<Vec<_>>(),
        [true, false]
    );
}

#[test]
fn the_message_of_a_warning_says_of_what_kind_it_is() {
    for (said, kind, place) in [
        (
            "BTRFS: Transaction aborted (error -2)",
            "btrfs-abort",
            "btrfs_free_reserved_bytes",
        ),
        (
            "refcount_t: underflow; use-after-free.",
            "refcount",
            "btrfs_free_reserved_bytes",
        ),
        (
            "percpu ref (btrfs_x) <= 0 (-1) after switching to atomic",
            "percpu-ref",
            "btrfs_free_reserved_bytes",
        ),
        (
            "ODEBUG: free active (active state 0) object: ffff object type: timer_list hint: x+0x0/0x1",
            "debug-objects",
            "btrfs_free_reserved_bytes",
        ),
        (
            "XFS (vda): Assertion failed: 0, file: fs/xfs/xfs_inode.c, line: 12",
            "xfs-assertion",
            "btrfs_free_reserved_bytes",
        ),
        (
            "DEBUG_LOCKS_WARN_ON(lock->magic != lock)",
            "lockdep",
            "btrfs_free_reserved_bytes",
        ),
    ] {
        let log = WARN.replacen("[    5.1] WARNING", &format!("[    5.1] {said}\n[    5.1] WARNING"), 1);
        assert_eq!(kinds(&log), [format!("{kind} {place}")], "{said}");
        let report = one(&log);
        assert_eq!((report.title.as_str(), report.line), (said, 2));
        assert_eq!(report.frames, ["btrfs_finish_ordered_io", "process_one_work"]);
    }
}

#[test]
fn a_function_that_only_checks_is_not_the_place() {
    let log = WARN.replace("btrfs_free_reserved_bytes+", "refcount_warn_saturate+");
    assert_eq!(kinds(&log), ["warning btrfs_finish_ordered_io"]);
}

#[test]
fn panic_on_warn_leaves_kind_and_place() {
    // The panic comes before the stack, which is then its own.
    let log = "\
[    5.1] ------------[ cut here ]------------
[    5.1] WARNING: fs/btrfs/inode.c:99 at btrfs_finish_one+0x12/0x80 [btrfs], CPU#1: kworker/u4:1/71
[    5.1] Modules linked in: btrfs
[    5.1] CPU: 1 UID: 0 PID: 71 Comm: kworker/u4:1 Not tainted 7.3.4 #1 PREEMPT(lazy)
[    5.1] RIP: 0010:btrfs_finish_one+0x12/0x80 [btrfs]
[    5.2] Kernel panic - not syncing: kernel: panic_on_warn set ...
[    5.2] CPU: 1 UID: 0 PID: 71 Comm: kworker/u4:1 Not tainted 7.3.4 #1 PREEMPT(lazy)
[    5.2] Call Trace:
[    5.2]  <TASK>
[    5.2]  dump_stack_lvl+0x5d/0x80
[    5.2]  vpanic+0xf3/0x2c0
[    5.2]  panic+0x6b/0x6b
[    5.2]  __warn+0x10f/0x110
[    5.2]  asm_exc_invalid_op+0x1a/0x20
[    5.2] RIP: 0010:btrfs_finish_one+0x12/0x80 [btrfs]
[    5.2] RSP: 0018:ffffc90000ff7a78 EFLAGS: 00010246
[    5.2]  btrfs_work_helper+0x1b5/0x620 [btrfs]
[    5.2]  </TASK>
[    5.2] Kernel Offset: disabled
[    5.2] ---[ end Kernel panic - not syncing: kernel: panic_on_warn set ... ]---
";
    let report = one(log);
    assert_eq!(
        (report.kind, report.place.as_deref()),
        (klog::Kind::Warning, Some("btrfs_finish_one"))
    );
    assert_eq!(report.frames, ["btrfs_finish_one", "btrfs_work_helper"]);
    assert_eq!(report.task.as_deref(), Some("kworker/u4:1/71"));
    assert!(!report.truncated);
}

#[test]
fn an_abort_after_its_warning_is_told_beside_it() {
    // 6.18 and later.
    let log = format!(
        "{WARN}\
        [    5.3] BTRFS error (device vda state A): Transaction 8 aborted (-ENOENT)\n\
        [    5.3] BTRFS: error (device vda state A) in __btrfs_unlink_inode:4337: errno=-2 No such entry\n\
        [    5.3] BTRFS info (device vda state EA): forced readonly\n"
    );
    assert_eq!(
        kinds(&log),
        ["warning btrfs_free_reserved_bytes", "btrfs-abort __btrfs_unlink_inode"]
    );
}
