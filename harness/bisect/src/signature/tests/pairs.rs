//! Which failures are one, on whichever kernels, and which are two.

use super::*;

fn finding(kind: FailureKind, place: &str, detail: &str) -> Signature {
    Signature::of(&cell(Judgement::fail(kind, Some(place), detail)), "").expect("a failure")
}

fn hung(function: &str) -> Signature {
    let kind = FailureKind::Hang { phase: Phase::Run };
    finding(kind, &format!("run: {function}"), "in run, x blocked for ever")
}

fn in_log(kind: FailureKind, log: &str) -> Signature {
    signature(&reported(kind, log))
}

/// The same warning before and after 6.19.
const NEW_WARN: &str = "\
[    5.1] ------------[ cut here ]------------
[    5.1] WARNING: fs/btrfs/space-info.h:203 at btrfs_free_reserved_bytes+0x19/0x90 [btrfs], CPU#1: umount/72
[    5.1] Modules linked in: btrfs
[    5.1] CPU: 1 UID: 0 PID: 72 Comm: umount Not tainted 7.3.4 #1 PREEMPT(lazy)
[    5.1] RIP: 0010:btrfs_free_reserved_bytes+0x19/0x90 [btrfs]
[    5.1] Call Trace:
[    5.1]  <TASK>
[    5.1]  btrfs_finish_one_ordered+0x3d1/0x900 [btrfs]
[    5.1]  </TASK>
[    5.1] ---[ end trace 0000000000000000 ]---
";

/// A fault of a stale pointer: one kernel says page fault, the next general protection.
const FAULT: &str = "\
[    9.1] BUG: unable to handle page fault for address: ffffc90000e2d000
[    9.1] Oops: 0000 [#1] PREEMPT SMP
[    9.1] CPU: 0 PID: 71 Comm: x Not tainted 6.1.0 #1
[    9.1] RIP: 0010:btrfs_a+0x19/0x90 [btrfs]
[    9.1] Call Trace:
[    9.1]  <TASK>
[    9.1]  btrfs_b+0x3d1/0x900 [btrfs]
[    9.1]  </TASK>
[    9.1] ---[ end trace 0000000000000000 ]---
";

#[test]
fn one_bug_is_one_on_all_versions() {
    use FailureKind::{Corruption, Crash, Leak, Warning};
    let gpf = FAULT
        .replace(
            "[    9.1] BUG: unable to handle page fault for address: ffffc90000e2d000\n",
            "",
        )
        .replace(
            "Oops: 0000",
            "Oops: general protection fault, probably for non-canonical address 0xdead: 0000",
        );
    assert_ne!(gpf, FAULT);
    let pairs = [
        (hung("lock_extent_bits"), hung("wait_extent_bit")),
        (hung("wait_extent_bit"), hung("lock_extent.isra.0")),
        (hung("lock_extent_bits"), hung("btrfs_lock_extent_bits")),
        (hung("__lock_page"), hung("__folio_lock")),
        (hung("wait_on_page_bit"), hung("folio_wait_bit")),
        (hung("wait_on_page_bit_common"), hung("folio_wait_bit_common")),
        (in_log(Warning, WARN), in_log(Warning, NEW_WARN)),
        (in_log(Crash, FAULT), in_log(Crash, &gpf)),
        (
            in_log(Crash, KASAN),
            in_log(Crash, &KASAN.replace("use-after-free", "slab-use-after-free")),
        ),
        (
            in_log(Crash, &KASAN.replace("use-after-free", "double-free or invalid-free")),
            in_log(Crash, &KASAN.replace("use-after-free", "double-free")),
        ),
        (
            finding(
                Corruption,
                "data",
                "data: target (O_DIRECT read after a fresh mount): first differing offset 0, 4096 bytes: expected source (tag 1) page 0, found zeros",
            ),
            finding(
                Corruption,
                "data",
                "data: target (O_DIRECT read after a fresh mount): first differing offset 8192, 12288 bytes: expected source (tag 1) page 2, found zeros",
            ),
        ),
        (
            finding(
                Corruption,
                "file system check",
                "file system check: mirror 1 bytenr 13631488 csum 0x8941f998 expected csum 0x2a",
            ),
            finding(
                Corruption,
                "file system check",
                "file system check: mirror 1 bytenr 13635584 csum 0x11 expected csum 0x98757625",
            ),
        ),
        (
            finding(
                Leak,
                "reserved",
                "reserved: after 3 commits bytes_reserved is 4096 and bytes_may_use 0 for data, expected 0",
            ),
            finding(
                Leak,
                "reserved",
                "reserved: after 3 commits bytes_reserved is 1048576 and bytes_may_use 4096 for data, expected 0",
            ),
        ),
    ];
    for (one, other) in pairs {
        assert!(one.is_same(&other) && other.is_same(&one), "{one}\n{other}");
    }
}

/// Data that is not what belongs there.
fn differs(file: &str, expected: &str, found: &str) -> Signature {
    let read = format!("data: {file} (O_DIRECT read after a fresh mount)");
    let detail = format!("{read}: first differing offset 8192, 4096 bytes: expected {expected}, found {found}");
    finding(FailureKind::Corruption, "data", &detail)
}

#[test]
fn what_stands_in_place_of_lost_data_is_chance() {
    let lost = || differs("target", "source (tag 1) page 0", "zeros");
    let same = [
        differs("target", "source (tag 1) page 2", "source (tag 1) page 5"),
        differs("target", "source (tag 1) page 3", "old data (tag 3) page 3"),
        differs("target", "source (tag 1) page 3", "bytes 00 ff ab 12"),
        differs("target", "source (tag 1) page 4 or source (tag 1) page 0", "zeros"),
    ];
    for other in same {
        assert!(lost().is_same(&other) && other.is_same(&lost()), "{other}");
    }
    let short = "data: target (O_DIRECT read after a fresh mount): file has 12288 bytes, expected 16384";
    let different = [
        differs("source", "source (tag 1) page 0", "zeros"),
        differs("target", "zeros", "source (tag 1) page 0"),
        differs("target", "old data (tag 3) page 0", "zeros"),
        differs("target", "source (tag 1) page 0 or old data (tag 3) page 0", "zeros"),
        finding(FailureKind::Corruption, "data", short),
    ];
    for other in different {
        assert!(!lost().is_same(&other) && !other.is_same(&lost()), "{other}");
    }
}

#[test]
fn two_bugs_stay_two() {
    use FailureKind::{Corruption, Crash, Error, Warning};
    let pairs = [
        (hung("lock_extent_bits"), hung("__folio_lock")),
        (hung("folio_wait_bit"), hung("folio_wait_writeback")),
        (
            finding(
                Corruption,
                "data",
                "data: target (O_DIRECT read after a fresh mount): first differing offset 0, 4096 bytes: expected source (tag 1) page 0, found zeros",
            ),
            finding(
                Corruption,
                "data",
                "data: source (O_DIRECT read after a fresh mount): first differing offset 65552, 69616 bytes: expected source (tag 1) page 0, found source (tag 1) page 16",
            ),
        ),
        (
            finding(
                Corruption,
                "file system check",
                "file system check: mirror 1 bytenr 13631488 csum 0x8941f998 expected csum 0x2a",
            ),
            finding(
                Corruption,
                "file system check",
                "file system check: root 5 inode 257 errors 100, file extent discount",
            ),
        ),
        (
            finding(
                Corruption,
                "file system check",
                "file system check: root 5 inode 257 errors 200, nbytes wrong",
            ),
            finding(
                Corruption,
                "file system check",
                "file system check: root 5 inode 257 errors 100, file extent discount",
            ),
        ),
        (
            finding(Error, "exit code 1", "the program exited with code 1"),
            finding(Error, "exit code 2", "the program exited with code 2"),
        ),
        (
            in_log(Warning, WARN),
            in_log(
                Warning,
                &NEW_WARN.replace("btrfs_free_reserved_bytes", "btrfs_add_reserved_bytes"),
            ),
        ),
        (
            in_log(Crash, FAULT),
            in_log(Crash, &FAULT.replace("btrfs_b+", "btrfs_c+")),
        ),
        (in_log(Crash, FAULT), in_log(Crash, KASAN)),
    ];
    for (one, other) in pairs {
        assert!(!one.is_same(&other) && !other.is_same(&one), "{one}\n{other}");
    }
}

/// Signatures as earlier versions wrote them into journals, with failures as they are seen now.
#[test]
fn what_was_pinned_before_is_found_again() {
    let warn = r#"{"case":"partial-write","cause":"warning","kind":"WARNING","place":"btrfs_free_reserved_bytes",
        "frames":["btrfs_free_reserved_bytes","btrfs_finish_ordered_io"]}"#;
    let check = r#"{"case":"partial-write","cause":"corruption","place":"file system check"}"#;
    let data = r#"{"case":"partial-write","cause":"corruption","place":"data"}"#;
    let fault = r#"{"case":"partial-write","cause":"crash","kind":"BUG: unable to handle","place":"btrfs_a",
        "frames":["btrfs_a","btrfs_b"]}"#;
    let read = |text: &str| serde_json::from_str::<Signature>(text).expect("a signature");
    let check_now = "file system check: mirror 1 bytenr 13631488 csum 0x8941f998 expected csum 0x2a";
    for (pinned, found) in [
        (warn, in_log(FailureKind::Warning, WARN)),
        (warn, in_log(FailureKind::Warning, NEW_WARN)),
        (
            check,
            finding(
                FailureKind::Corruption,
                "file system check: mirror bytenr csum expected csum",
                check_now,
            ),
        ),
        (data, finding(FailureKind::Corruption, "data", "data: found zeros")),
        (fault, in_log(FailureKind::Crash, FAULT)),
    ] {
        let pinned = read(pinned);
        assert!(pinned.is_same(&found), "{pinned}\n{found}");
    }
    assert!(!read(check).is_same(&finding(FailureKind::Corruption, "data", "data: found zeros")));
}

/// The same transaction aborted by the same call, recorded.
const ABORTS: [&str; 6] = [
    include_str!("../../../../klog/tests/fixtures/5.10.218-btrfs-abort.log"),
    include_str!("../../../../klog/tests/fixtures/6.1.176-btrfs-abort.log"),
    include_str!("../../../../klog/tests/fixtures/6.1.192-btrfs-abort.log"),
    include_str!("../../../../klog/tests/fixtures/6.12.117-btrfs-abort.log"),
    include_str!("../../../../klog/tests/fixtures/7.2.12-btrfs-abort.log"),
    include_str!("../../../../klog/tests/fixtures/7.3.4-btrfs-abort.log"),
];

#[test]
fn an_aborted_transaction_has_one_signature_whether_its_warning_has_words_or_not() {
    let aborts = ABORTS.map(|log| reported(FailureKind::Warning, log));
    for pinned in aborts.iter().map(signature) {
        for (cell, log) in &aborts {
            assert_eq!(pinned.compare(cell, log), Comparison::Same, "{pinned}");
        }
    }
    // A warning by itself in that place is another one, and so is one of another place.
    let newest = ABORTS[5];
    let alone: String = newest
        .lines()
        .filter(|line| !line.contains("aborted (-ENOENT)") && !line.contains("errno=-2"))
        .map(|line| format!("{line}\n"))
        .collect();
    let elsewhere = newest.replace("in __btrfs_unlink_inode:", "in btrfs_rename:");
    assert!(elsewhere != newest && alone.len() < newest.len());
    let pinned = signature(&aborts[0]);
    for log in [alone, elsewhere] {
        let (cell, log) = reported(FailureKind::Warning, &log);
        assert!(matches!(pinned.compare(&cell, &log), Comparison::Other(_)), "{log}");
    }
}
