//! Each allowance both ways: with the fault that it needs, and with that fault taken away, moved after the report,
//! moved to another sector, or not being what the report says.
#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use guest_wire::Event;
use vhost_blk_api::op::Op;
use vhost_blk_api::trace::Record;

use super::*;
use crate::context::{Clocks, Offset};
use crate::parts::Timed;
use crate::testing::{WITHIN_US, held, injected, request};

/// When the reports are printed, in microseconds.
const PRINTED_US: u64 = 12_345_678;
/// A fault's time that comes before them.
const BEFORE_US: u64 = 12_300_000;
/// One that does not, however wrong the clocks are.
const AFTER_US: u64 = PRINTED_US + 2 * WITHIN_US + 200_000;
/// The sector of the faults, and that of the reports.
const SECTOR: u64 = 27_136;

fn standing_at(us: Option<u64>, lines: &[&str], trace: &[Record]) -> Vec<String> {
    let stamp = us.map_or_else(String::new, |us| {
        format!("[{:5}.{:06}] ", us / 1_000_000, us % 1_000_000)
    });
    let log: String = lines.iter().map(|line| format!("{stamp}{line}\n")).collect();
    let offset = Some(Offset {
        rate_ppm: 1_000_000,
        add_us: 0,
        within_us: WITHIN_US,
    });
    let clocks = Clocks {
        guest: offset,
        log: offset,
        device: offset,
    };
    let events = [1_000, 99_000].map(|ms| Timed {
        host_ms: ms,
        uptime_ms: ms,
        event: Event::Begin,
    });
    let reports = of_case(&log, &Faults::of(trace), &Times::of(&events, clocks), &[]);
    reports
        .standing
        .iter()
        .map(|report| report.kind.name().to_owned())
        .collect()
}

/// Kinds of the reports of these lines that count, beside this trace.
fn standing(lines: &[&str], trace: &[Record]) -> Vec<String> {
    standing_at(Some(PRINTED_US), lines, trace)
}

const BLOCK_WRITE: &str = "I/O error, dev vda, sector 27136 op 0x1:(WRITE) flags 0x3800 phys_seg 4 prio class 2";
const BLOCK_READ: &str = "blk_update_request: I/O error, dev vda, sector 27136 op 0x0:(READ) flags 0x80700 phys_seg 1";
const BUFFER: &str = "Buffer I/O error on dev vda, logical block 3392, lost async page write";

/// Lines of one report, and the operations whose failure excuses it.
const TOLD: &[(&[&str], &[Op])] = &[
    (&[BLOCK_WRITE], &[Op::Write, Op::Flush]),
    (&[BLOCK_READ], &[Op::Read]),
    (&[BUFFER], &[Op::Write, Op::Flush]),
    (
        &["Buffer I/O error on dev vda, logical block 3392, async page read"],
        &[Op::Read],
    ),
    (
        &["BTRFS error (device vda state A): Transaction aborted (error -5)"],
        &[Op::Write, Op::Flush, Op::Read],
    ),
    (
        &["BTRFS error (device vda state A): Transaction 8 aborted (-EIO)"],
        &[Op::Write, Op::Flush],
    ),
    (
        &["BTRFS: error (device vda) in cleanup_transaction:2020: errno=-5 IO failure"],
        &[Op::Write, Op::Flush],
    ),
    (
        &["BTRFS error (device vda): bdev /dev/vda errs: wr 1, rd 0, flush 0, corrupt 0, gen 0"],
        &[Op::Write, Op::Flush],
    ),
    (&["BTRFS info (device vda state EA): forced readonly"], &[Op::Write]),
    (
        &["BTRFS error (device vda): parent transid verify failed on logical 30474240 mirror 1 wanted 8 found 7"],
        &[Op::Write],
    ),
    (
        &["BTRFS warning (device vda): lost super block write due to IO error on /dev/vda (-5)"],
        &[Op::Write, Op::Flush],
    ),
    (
        &["EXT4-fs warning (device vda): ext4_end_bio:343: I/O error 10 writing to inode 12 starting block 33152)"],
        &[Op::Write, Op::Flush],
    ),
    (
        &["vda: writeback error on inode 131, offset 0, sector 264"],
        &[Op::Write, Op::Flush],
    ),
    (
        &["XFS (vda): Failing async write on buffer block 0x8. Retrying async write."],
        &[Op::Write],
    ),
    (&["Aborting journal on device vda-8."], &[Op::Write, Op::Flush]),
    (
        &["JBD2: Error -5 detected when updating journal superblock for vda-8."],
        &[Op::Write, Op::Flush],
    ),
    (
        &["JBD2: I/O error when updating journal superblock for vda-8."],
        &[Op::Write],
    ),
    (
        &["EXT4-fs error (device vda): ext4_journal_check_start:83: comm a: Detected aborted journal"],
        &[Op::Write, Op::Flush],
    ),
    (
        &["EXT4-fs error (device vda): ext4_find_entry:1683: inode #2: comm a: reading directory lblock 0"],
        &[Op::Read],
    ),
    (
        &[
            "EXT4-fs (vda): Delayed block allocation failed for inode 12 at logical offset 0 with max blocks 1 with error 5",
        ],
        &[Op::Write, Op::Read],
    ),
    (&["XFS (vda): log I/O error -5"], &[Op::Write, Op::Flush]),
    (
        &["XFS (vda): metadata I/O error in \"xfs_buf_ioend+0x12/0x34\" at daddr 0x2 len 1 error 5"],
        &[Op::Write, Op::Read],
    ),
    (
        &[
            "XFS (vda): Log I/O Error (0x2) detected at xlog_ioend_work+0x5/0x8 (fs/xfs/xfs_log.c:1378).  Shutting down filesystem.",
        ],
        &[Op::Write, Op::Flush],
    ),
    (
        &["XFS (vda): Internal error xfs_trans_cancel at line 1096 of file fs/xfs/xfs_trans.c.  Caller a+0x1/0x2"],
        &[Op::Read],
    ),
    (
        &["XFS (vda): page discard on page 0000000012345678, inode 0x83, pos 0."],
        &[Op::Write],
    ),
];

#[test]
fn what_a_failed_request_must_bring_about_is_excused_by_that_request_alone() {
    for (lines, ops) in TOLD {
        let title = lines[0];
        for op in Op::MATCHABLE {
            let sector = if op == Op::Flush { 0 } else { SECTOR };
            let fault = |t_us| injected(7, t_us, op, sector, "fail");
            if ops.contains(&op) {
                assert_eq!(standing(lines, &fault(BEFORE_US)), [""; 0], "{title}: failed {op}");
            }
            assert_eq!(
                standing(lines, &fault(AFTER_US)).len(),
                1,
                "{title}: {op} failed after it"
            );
        }
        assert_eq!(standing(lines, &[]).len(), 1, "{title}: no fault");
        let elsewhere = title.replace("vda", "vdb");
        let all: Vec<Record> = ops
            .iter()
            .flat_map(|op| injected(7, BEFORE_US, *op, SECTOR, "fail"))
            .collect();
        assert_eq!(standing(&[&elsewhere], &all).len(), 1, "{title}: another disk");
        let healthy = request(7, BEFORE_US, Op::Write, SECTOR, 8);
        assert_eq!(
            standing(lines, &healthy).len(),
            1,
            "{title}: a request that did not fail"
        );
        assert_eq!(
            standing(lines, &held(7, 1_000_000, 2_000_000)).len(),
            1,
            "{title}: a request that was late"
        );
    }
}

#[test]
fn each_counter_of_btrfs_needs_a_fault_that_raises_it() {
    let line = |counters: &str| format!("BTRFS error (device vda state EA): bdev /dev/vda errs: {counters}");
    let failed = |op| injected(7, BEFORE_US, op, SECTOR, "fail");
    let corrupt = injected(7, BEFORE_US, Op::Read, SECTOR, "corrupt");
    for (counters, excusing) in [
        ("wr 1, rd 0, flush 0, corrupt 0, gen 0", vec![Op::Write, Op::Flush]),
        ("wr 0, rd 1, flush 0, corrupt 0, gen 0", vec![Op::Read]),
        ("wr 0, rd 0, flush 1, corrupt 0, gen 0", vec![Op::Flush]),
        ("wr 1, rd 1, flush 0, corrupt 0, gen 0", vec![]),
        ("wr 0, rd 1, flush 1, corrupt 0, gen 0", vec![]),
        ("wr 0, rd 0, flush 0, corrupt 0, gen 0", vec![]),
    ] {
        for op in [Op::Read, Op::Write, Op::Flush, Op::Discard] {
            let excused = standing(&[&line(counters)], &failed(op)).is_empty();
            assert_eq!(excused, excusing.contains(&op), "{counters}: failed {op}");
        }
        assert_eq!(
            standing(&[&line(counters)], &[]),
            ["btrfs-device-errors"],
            "{counters}: nothing"
        );
        assert_eq!(standing(&[&line(counters)], &corrupt).len(), 1, "{counters}: content");
    }
    for counters in [
        "wr 0, rd 0, flush 0, corrupt 1, gen 0",
        "wr 0, rd 0, flush 0, corrupt 0, gen 1",
    ] {
        assert_eq!(standing(&[&line(counters)], &corrupt), [""; 0], "{counters}");
        assert_eq!(standing(&[&line(counters)], &failed(Op::Write)), [""; 0], "{counters}");
        assert_eq!(standing(&[&line(counters)], &[]).len(), 1, "{counters}: nothing");
    }
    let both = [failed(Op::Write), injected(9, BEFORE_US, Op::Read, SECTOR, "fail")].concat();
    assert_eq!(
        standing(&[&line("wr 1, rd 1, flush 0, corrupt 0, gen 0")], &both),
        [""; 0]
    );
}

#[test]
fn a_line_of_the_block_layer_needs_its_own_request() {
    let failed = |op, sector| injected(7, BEFORE_US, op, sector, "fail");
    for (line, op, other) in [
        (BLOCK_WRITE, Op::Write, Op::Read),
        (BLOCK_READ, Op::Read, Op::Write),
        (BUFFER, Op::Write, Op::Read),
    ] {
        assert_eq!(
            standing(&[line], &failed(op, SECTOR + 8)).len(),
            1,
            "{line}: the next sectors"
        );
        assert_eq!(
            standing(&[line], &failed(op, SECTOR - 8)).len(),
            1,
            "{line}: those before"
        );
        assert_eq!(
            standing(&[line], &failed(other, SECTOR)).len(),
            1,
            "{line}: failed {other}"
        );
        assert_eq!(
            standing(&[line], &failed(op, SECTOR - 7)),
            [""; 0],
            "{line}: its last sector"
        );
    }
    assert_eq!(
        standing(&[BLOCK_READ], &failed(Op::Flush, 0)).len(),
        1,
        "a read has no flush in it"
    );
}

#[test]
fn a_driver_may_ask_for_any_sector() {
    let last = injected(7, BEFORE_US, Op::Write, u64::MAX, "fail");
    assert_eq!(standing(&[BLOCK_WRITE], &last), ["io-error"]);
}

#[test]
fn there_are_never_more_failed_requests_in_the_log_than_at_the_device() {
    let one = injected(7, BEFORE_US, Op::Read, SECTOR, "fail");
    let two = [one.clone(), injected(9, BEFORE_US, Op::Read, SECTOR, "fail")].concat();
    let lines = [BLOCK_READ, BLOCK_READ];
    assert_eq!(standing(&lines, &one), ["io-error"]);
    assert_eq!(standing(&lines, &two), [""; 0]);
    // Lines are rate-limited.
    assert_eq!(standing(&lines[..1], &two), [""; 0]);
}

#[test]
fn a_failed_write_is_told_of_once_more_by_the_flush_around_it() {
    let one = injected(7, BEFORE_US, Op::Write, SECTOR, "fail");
    let lines = [BLOCK_WRITE; 3];
    assert_eq!(standing(&lines[..2], &one), [""; 0]);
    assert_eq!(standing(&lines, &one), ["io-error"]);
    let other_flags = BLOCK_WRITE.replace("0x3800", "0x9800");
    assert_eq!(standing(&[BLOCK_WRITE, &other_flags], &one), ["io-error"]);
    // Two writes of one sector, each with its flush.
    let two = [one.clone(), injected(9, BEFORE_US, Op::Write, SECTOR, "fail")].concat();
    assert_eq!(standing(&[BLOCK_WRITE; 4], &two), [""; 0]);
    assert_eq!(standing(&[BLOCK_WRITE; 5], &two), ["io-error"]);
}

#[test]
fn an_error_that_no_failed_request_brings_about_counts() {
    let failed = [
        injected(7, BEFORE_US, Op::Write, SECTOR, "fail"),
        injected(9, BEFORE_US, Op::Flush, 0, "fail"),
        injected(11, BEFORE_US, Op::Read, SECTOR, "fail"),
        held(13, 1_000_000, PRINTED_US + 1_000_000),
    ]
    .concat();
    for line in [
        "BTRFS error (device vda state A): Transaction 8 aborted (-ENOENT)",
        "BTRFS: Transaction aborted (error -17)",
        "BTRFS: error (device vda) in __btrfs_unlink_inode:4337: errno=-2 No such entry",
        "BTRFS critical (device vda): corrupt leaf: root=5 block=30474240 slot=4, bad key order",
        "BTRFS error (device vda): block=30474240 write time tree block corruption detected",
        "BTRFS critical (device vda): unable to find ref byte nr 30474240 parent 0 root 5 owner 0 offset 0 slot 3",
        "BTRFS warning (device vda): csum failed root 5 ino 257 off 0 csum 0x1 expected csum 0x2 mirror 1",
        "EXT4-fs error (device vda): ext4_lookup:1855: inode #2: comm a: iget: bad extra_isize",
        "EXT4-fs (vda): Delayed block allocation failed for inode 12 at logical offset 0 with max blocks 1 with error 28",
        "EXT4-fs (vda): Inode 12 (0000000012345678): i_reserved_data_blocks (1) not cleared!",
        "XFS (vda): Metadata corruption detected at xfs_agf_verify+0x1/0x2 [xfs], xfs_agf block 0x1",
        "XFS (vda): Internal error ltbno + ltlen > bno at line 1955 of file fs/xfs/libxfs/xfs_alloc.c.  Caller a+0x1/0x2",
        "VFS: Busy inodes after unmount of vda. Self-destruct in 5 seconds.  Have a nice day...",
        "WARNING: CPU: 0 PID: 7 at fs/btrfs/x.c:1 btrfs_get_extent+0x1/0x2 [btrfs]",
        "WARNING: possible circular locking dependency detected",
        "BUG: KASAN: slab-use-after-free in f+0x1/0x2",
        "Page cache invalidation failure on direct I/O.  Possible data corruption due to collision with buffered I/O!",
        "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [a:71]",
    ] {
        assert_eq!(standing(&[line], &failed).len(), 1, "{line}");
    }
}

#[test]
fn a_tree_block_has_a_wrong_checksum_only_if_it_was_written_in_part() {
    let wrong =
        "BTRFS warning (device vda): checksum verify failed on logical 30474240 mirror 1 wanted 0x1 found 0x2 level 0";
    let old = "BTRFS error (device vda): bad tree block start, mirror 1 want 30474240 have 0";
    let failed = |op| injected(7, BEFORE_US, op, SECTOR, "fail");
    assert_eq!(standing(&[wrong], &failed(Op::Write)), ["btrfs-corrupt"]);
    assert_eq!(standing(&[old], &failed(Op::Write)), [""; 0]);
    assert_eq!(standing(&[old], &failed(Op::Read)), ["btrfs-corrupt"]);
    let mut torn = injected(7, BEFORE_US, Op::Write, SECTOR, "short");
    if let Some(Record::Complete(complete)) = torn.last_mut() {
        complete.status = vhost_blk_api::trace::Status::IoErr;
    }
    assert_eq!(standing(&[wrong], &torn), [""; 0]);
}

#[test]
fn what_content_was_changed_is_found_wrong_only_after_it_was_changed() {
    for line in [
        "BTRFS warning (device vda): csum failed root 5 ino 257 off 0 csum 0x1 expected csum 0x2 mirror 1",
        "BTRFS critical (device vda): corrupt leaf: root=5 block=30474240 slot=4, bad key order",
        "BTRFS error (device vda): parent transid verify failed on logical 30474240 mirror 1 wanted 8 found 7",
        "EXT4-fs error (device vda): ext4_lookup:1855: inode #2: comm a: iget: bad extra_isize",
        "XFS (vda): Metadata corruption detected at xfs_agf_verify+0x1/0x2 [xfs], xfs_agf block 0x1",
        "a: attempt to access beyond end of device",
    ] {
        for action in ["corrupt", "drop", "early", "short"] {
            let op = if action == "corrupt" { Op::Read } else { Op::Write };
            let changed = |t_us| injected(7, t_us, op, SECTOR, action);
            assert_eq!(standing(&[line], &changed(BEFORE_US)), [""; 0], "{line}: {action}");
            assert_eq!(
                standing(&[line], &changed(AFTER_US)).len(),
                1,
                "{line}: {action} after it"
            );
        }
        assert_eq!(standing(&[line], &[]).len(), 1, "{line}: nothing");
    }
}

#[test]
fn a_task_hangs_for_a_rule_only_while_that_holds_a_request() {
    let line = "INFO: task a:71 blocked for more than 4 seconds.";
    let hung = |trace: &[Record]| standing(&[line], trace);
    assert_eq!(hung(&held(7, 2_000_000, PRINTED_US + 1_000_000)), [""; 0], "still held");
    assert_eq!(
        hung(&held(7, 2_000_000, PRINTED_US - 1_000_000)),
        [""; 0],
        "just let go"
    );
    assert_eq!(
        hung(&held(7, 2_000_000, 3_000_000)),
        ["hung-task"],
        "let go long before"
    );
    assert_eq!(
        hung(&held(7, AFTER_US, AFTER_US + 1_000_000)),
        ["hung-task"],
        "held only after it"
    );
    assert_eq!(hung(&injected(7, BEFORE_US, Op::Write, SECTOR, "fail")), ["hung-task"]);
    let moments = |from: u64, count: u64, long_us: u64| -> Vec<Record> {
        let each = |n| held(7 + n, from + n * long_us, from + (n + 1) * long_us - 1);
        (0..count).flat_map(each).collect()
    };
    assert_eq!(
        hung(&moments(PRINTED_US - 2_000_000, 10, 1_000)),
        ["hung-task"],
        "each write is a millisecond late"
    );
    assert_eq!(
        hung(&moments(PRINTED_US - 2_000_000, 20, 100_000)),
        [""; 0],
        "a row of delays"
    );
    let mut for_ever = held(7, 2_000_000, 3_000_000);
    for_ever.pop();
    assert_eq!(hung(&for_ever), ["hung-task"], "a request that is out by itself");
    if let Some(Record::Submit(submit)) = for_ever.first_mut() {
        submit.rules.push("dead".to_owned());
    }
    assert_eq!(hung(&for_ever), [""; 0], "a request that a rule hangs");
    let cut = Record::Cut {
        t_us: 2_000_000,
        rule: None,
        seq: None,
        volatile: 0,
        lost: 0,
        torn_bytes: None,
    };
    let power = |t_us| Record::Power { t_us };
    assert_eq!(hung(std::slice::from_ref(&cut)), [""; 0], "no power");
    assert_eq!(hung(&[cut, power(3_000_000)]), ["hung-task"], "power long since");
}

#[test]
fn a_log_without_times_is_compared_with_the_whole_trace() {
    let after = injected(7, AFTER_US, Op::Write, SECTOR, "fail");
    assert_eq!(standing_at(None, &[BLOCK_WRITE], &after), [""; 0]);
    assert_eq!(standing_at(None, &[BLOCK_WRITE], &[]), ["io-error"]);
}

#[test]
fn the_end_of_pid_1_and_a_lack_of_anything_to_run_are_not_the_kernels() {
    for line in [
        "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
        "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
        "Kernel panic - not syncing: No working init found.  Try passing init= option to kernel.",
        "traps: user-gpf[71] general protection fault ip:401a2b sp:7ffd5c3a4d90 error:0 in user-gpf[401000+98000]",
    ] {
        assert_eq!(standing(&[line], &[]), [""; 0], "{line}");
    }
    let line = "Kernel panic - not syncing: Fatal exception in interrupt";
    assert_eq!(standing(&[line], &[]), ["panic"]);
}

#[test]
fn every_kind_has_a_cause_that_a_report_can_be() {
    for kind in Kind::ALL {
        assert_ne!(cause(*kind), Cause::Hang, "{kind}: a hang is judged from samples");
    }
}
