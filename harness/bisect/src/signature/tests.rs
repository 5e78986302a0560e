mod pairs;

use guest_wire::{Fs, Phase};

use super::*;
use verdict::{FailureKind, Judgement};

/// Logs of the same crash on three kernels, recorded.
const SYSRQ: [&str; 3] = [
    include_str!("../../../tests/fixtures/consoles/debian-5.10.218.sysrq-crash.log"),
    include_str!("../../../tests/fixtures/consoles/debian-6.1.192.sysrq-crash.log"),
    include_str!("../../../tests/fixtures/consoles/debian-6.12.sysrq-crash.log"),
];

/// The forms that follow are those in which the kernel prints its reports, with made-up addresses.
const KASAN: &str = "\
[    9.1] ==================================================================
[    9.1] BUG: KASAN: use-after-free in btrfs_put_ordered_extent.part.0+0x1a/0x230 [btrfs]
[    9.1] Write of size 4 at addr ffff8881051cf910 by task kworker/u4:2/71
[    9.1] CPU: 0 PID: 71 Comm: kworker/u4:2 Not tainted 6.1.0 #1
[    9.1] Hardware name: QEMU Standard PC (i440FX + PIIX, 1996)
[    9.1] Workqueue: btrfs-endio-write btrfs_work_helper [btrfs]
[    9.1] Call Trace:
[    9.1]  <TASK>
[    9.1]  dump_stack_lvl+0x44/0x5c
[    9.1]  print_report+0x16a/0x4c0
[    9.1]  ? btrfs_put_ordered_extent.part.0+0x1a/0x230 [btrfs]
[    9.1]  kasan_report+0xa8/0xe0
[    9.1]  kasan_check_range+0x3c/0x1b0
[    9.1]  btrfs_put_ordered_extent.part.0+0x1a/0x230 [btrfs]
[    9.1]  btrfs_finish_one_ordered.constprop.0+0x2d1/0x900 [btrfs]
[    9.1]  btrfs_work_helper+0x1b5/0x620 [btrfs]
[    9.1]  process_one_work+0x401/0x790
[    9.1]  worker_thread+0x60/0x640
[    9.1]  kthread+0x14c/0x180
[    9.1]  </TASK>
[    9.1] Allocated by task 70:
[    9.1]  kasan_save_stack+0x1e/0x40
";

const KERNEL_BUG: &str = "\
[    9.1] ------------[ cut here ]------------
[    9.1] kernel BUG at fs/btrfs/ordered-data.c:281!
[    9.1] invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
[    9.1] CPU: 0 PID: 71 Comm: partial-write Not tainted 6.1.0 #1
[    9.1] RIP: 0010:btrfs_add_ordered_sum.cold+0x5/0x10 [btrfs]
[    9.1] Code: 40 00 48 c7 c2 b8 ff ff ff
[    9.1] RSP: 0018:ffffc90000ff7a78 EFLAGS: 00010246
[    9.1] Call Trace:
[    9.1]  <TASK>
[    9.1]  ? die+0x2f/0x50
[    9.1]  btrfs_csum_one_bio+0x1d1/0x3a0 [btrfs]
[    9.1]  btrfs_submit_chunk+0x2aa/0x560 [btrfs]
[    9.1]  entry_SYSCALL_64_after_hwframe+0x6e/0xd8
[    9.1] RIP: 0033:0x430730
[    9.1] ---[ end trace 0000000000000000 ]---
";

const WARN: &str = "\
[    5.1] ------------[ cut here ]------------
[    5.1] WARNING: CPU: 0 PID: 71 at fs/btrfs/space-info.h:199 btrfs_free_reserved_bytes+0x12/0x80 [btrfs]
[    5.1] Modules linked in: btrfs xor raid6_pq
[    5.1] RIP: 0010:btrfs_free_reserved_bytes+0x12/0x80 [btrfs]
[    5.1] Call Trace:
[    5.1]  <TASK>
[    5.1]  ? __warn+0x81/0x130
[    5.1]  ? report_bug+0x171/0x1a0
[    5.1]  btrfs_finish_ordered_io.isra.0+0x3d1/0x900 [btrfs]
[    5.1]  </TASK>
[    5.1] ---[ end trace 0000000000000000 ]---
[    5.2] WARNING: CPU: 0 PID: 71 at fs/btrfs/other.c:1 other+0x12/0x80 [btrfs]
";

const LIST: &str = "\
[    5.1] list_del corruption, ffff8881051cf910->next is LIST_POISON1 (dead000000000100)
[    5.1] ------------[ cut here ]------------
[    5.1] kernel BUG at lib/list_debug.c:56!
[    5.1] RIP: 0010:__list_del_entry_valid.cold+0x12/0x80
[    5.1] Call Trace:
[    5.1]  <TASK>
[    5.1]  btrfs_remove_ordered_extent+0x3d/0x90 [btrfs]
[    5.1]  btrfs_finish_ordered_io+0x3d1/0x900 [btrfs]
[    5.1]  </TASK>
";

const LOCKDEP: &str = "\
[    7.0] ======================================================
[    7.0] WARNING: possible circular locking dependency detected
[    7.0] 6.1.0 #1 Not tainted
[    7.0] partial-write/70 is trying to acquire lock:
[    7.0] ffff8881051cf910 (&mm->mmap_lock){++++}-{3:3}, at: internal_get_user_pages_fast+0x1a/0x230
[    7.0] stack backtrace:
[    7.0] CPU: 0 PID: 70 Comm: partial-write Not tainted 6.1.0 #1
[    7.0] Call Trace:
[    7.0]  <TASK>
[    7.0]  dump_stack_lvl+0x44/0x5c
[    7.0]  check_noncircular+0xfe/0x110
[    7.0]  __lock_acquire+0x12d1/0x1e10
[    7.0]  lock_acquire+0xc8/0x2f0
[    7.0]  down_read_killable+0x49/0x200
[    7.0]  internal_get_user_pages_fast+0x1a/0x230
[    7.0]  </TASK>
";

fn cell(judgement: Judgement) -> Cell {
    let judgement = judgement.with_grounds(true, Vec::new());
    Cell::new("debian-6.1.192", Fs::Btrfs, "partial-write", judgement, None)
}

/// A cell as it is judged from a log alone: by its first report.
fn reported(kind: FailureKind, log: &str) -> (Cell, String) {
    let report = klog::read(log.as_bytes()).into_iter().next().expect("a report");
    let within = report.place.as_ref().map(|place| format!("in {place}: "));
    let detail = format!("{}{}", within.unwrap_or_default(), report.title);
    (
        cell(Judgement::fail(kind, report.place.as_deref(), detail)),
        log.to_owned(),
    )
}

fn signature((cell, log): &(Cell, String)) -> Signature {
    Signature::of(cell, log).expect("a failure")
}

#[test]
fn one_crash_has_one_signature_on_three_kernels() {
    let crashes = SYSRQ.map(|log| reported(FailureKind::Crash, log));
    let pinned = signature(&crashes[0]);
    assert_eq!(
        pinned.to_string(),
        "partial-write: crash, Kernel panic - not syncing: sysrq triggered crash, sysrq_handle_crash \
         (sysrq_handle_crash < __handle_sysrq < write_sysrq_trigger < proc_reg_write < vfs_write)"
    );
    for (cell, log) in &crashes {
        assert_eq!(pinned.compare(cell, log), Comparison::Same);
    }
}

#[test]
fn reports_are_pinned_by_kind_and_functions() {
    let seen: Vec<String> = [
        (FailureKind::Crash, KASAN),
        (FailureKind::Crash, KERNEL_BUG),
        (FailureKind::Warning, WARN),
        (FailureKind::Crash, LIST),
        (FailureKind::Warning, LOCKDEP),
    ]
    .into_iter()
    .map(|(kind, log)| signature(&reported(kind, log)).to_string())
    .collect();
    insta::assert_snapshot!(seen.join("\n"), @"
    partial-write: crash, BUG: KASAN: use-after-free, btrfs_put_ordered_extent (btrfs_put_ordered_extent < \
    btrfs_finish_one_ordered < btrfs_work_helper < process_one_work < worker_thread)
    partial-write: crash, kernel BUG at fs/btrfs/ordered-data.c, btrfs_add_ordered_sum (btrfs_add_ordered_sum < \
    btrfs_csum_one_bio < btrfs_submit_chunk < entry_SYSCALL_64_after_hwframe)
    partial-write: warning, WARNING, btrfs_free_reserved_bytes (btrfs_free_reserved_bytes < btrfs_finish_ordered_io)
    partial-write: crash, list_del corruption, btrfs_remove_ordered_extent (btrfs_remove_ordered_extent < \
    btrfs_finish_ordered_io)
    partial-write: warning, WARNING: possible circular locking dependency detected, internal_get_user_pages_fast \
    (internal_get_user_pages_fast)
    ");
}

#[test]
fn what_changes_from_build_to_build_changes_nothing() {
    let (cell, log) = reported(FailureKind::Crash, KASAN);
    let pinned = signature(&(cell, log.clone()));
    let rebuilt = log
        .replace(".part.0+0x1a/0x230", "+0x9/0x1f0")
        .replace(".constprop.0+0x2d1/0x900", ".isra.0.cold+0x1/0x2")
        .replace("[    9.1]", "[   11.9] [  T71]")
        .replace("ffff8881051cf910", "ffff88810badcafe")
        .replace("kthread+0x14c/0x180", "another_way_to_get_there+0x14c/0x180");
    assert_ne!(rebuilt, log);
    let (cell, log) = reported(FailureKind::Crash, &rebuilt);
    assert_eq!(pinned.compare(&cell, &log), Comparison::Same);
}

#[test]
fn another_failure_is_neither_good_nor_bad() {
    let pinned = signature(&reported(FailureKind::Crash, KASAN));
    let others = [
        (FailureKind::Crash, KERNEL_BUG.to_owned()),
        (FailureKind::Warning, WARN.to_owned()),
        (
            FailureKind::Crash,
            KASAN.replace("use-after-free", "slab-out-of-bounds"),
        ),
        (
            FailureKind::Crash,
            KASAN.replace("btrfs_put_ordered_extent", "btrfs_get_extent"),
        ),
        (
            FailureKind::Crash,
            KASAN.replace("btrfs_finish_one_ordered", "btrfs_start_ordered_extent"),
        ),
    ];
    for (kind, log) in others {
        let (cell, log) = reported(kind, &log);
        let comparison = pinned.compare(&cell, &log);
        assert!(matches!(comparison, Comparison::Other(_)), "{comparison:?}");
        assert_eq!(comparison.outcome(), RunOutcome::Other);
    }
}

#[test]
fn hangs_are_compared_by_phase_and_function() {
    let hang = |place| {
        let kind = FailureKind::Hang { phase: Phase::Run };
        cell(Judgement::fail(kind, Some(place), "in run, x blocked for ever"))
    };
    let pinned = Signature::of(&hang("run: lock_extent_bits.constprop.0"), "").expect("a failure");
    assert_eq!(pinned.to_string(), "partial-write: hang, run: lock_extent_bits");
    assert_eq!(pinned.compare(&hang("run: lock_extent_bits"), ""), Comparison::Same);
    for other in ["umount: lock_extent_bits", "run: btrfs_start_ordered_extent"] {
        assert!(matches!(pinned.compare(&hang(other), ""), Comparison::Other(_)));
    }
}

#[test]
fn what_says_nothing_is_untestable_with_the_reason() {
    let corruption = Judgement::fail(FailureKind::Corruption, Some("data"), "data: zeros");
    let pinned = Signature::of(&cell(corruption), "").expect("a failure");
    let compare = |judgement| pinned.compare(&cell(judgement), "");
    let seen = [
        compare(Judgement::new(
            Verdict::Inconclusive,
            "rule fault fired 0 times, 1 needed",
        )),
        compare(Judgement::new(
            Verdict::Skipped,
            "setup: the program says that it does not apply here",
        )),
        compare(Judgement::broken(Stage::Boot, "the guest never answered")),
        compare(Judgement::broken(Stage::Device, "the block device went away")),
    ];
    let seen = seen.map(|comparison| match comparison {
        Comparison::Untestable(reason) => (reason.obstacle, reason.to_string(), reason.obstacle.may_pass()),
        other => panic!("{other:?}"),
    });
    let [inconclusive, skipped, boot, broken] = &seen;
    assert_eq!((inconclusive.0, inconclusive.2), (Obstacle::Inconclusive, true));
    assert_eq!((skipped.0, skipped.2), (Obstacle::NotApplicable, false));
    assert_eq!((boot.0, boot.2), (Obstacle::Boot, true));
    assert_eq!((broken.0, broken.2), (Obstacle::Broken, true));
    assert_eq!(broken.1, "broken: device: the block device went away");
    assert_eq!(compare(Judgement::new(Verdict::Pass, "")), Comparison::Pass);
    assert!(Signature::of(&cell(Judgement::new(Verdict::Pass, "")), "").is_none());
}

#[test]
fn a_log_cut_short_anywhere_makes_no_panic_and_never_another_kind() {
    for log in [KASAN, KERNEL_BUG, WARN, LIST, LOCKDEP, SYSRQ[1]] {
        let (cell, _) = reported(FailureKind::Crash, log);
        let whole = Signature::of(&cell, log).expect("a failure");
        for end in (0..log.len()).step_by(3) {
            let cut = Signature::of(&cell, &log[..end]).expect("a failure");
            let agree = cut.frames.iter().zip(&whole.frames).filter(|(a, b)| a == b).count();
            // Only a name that the cut went through may differ.
            assert!(agree + 1 >= cut.frames.len(), "{:?}", cut.frames);
        }
    }
}

#[test]
fn a_signature_outlives_its_writing_down() {
    for pinned in [
        signature(&reported(FailureKind::Crash, KASAN)),
        signature(&reported(FailureKind::Warning, LOCKDEP)),
    ] {
        let text = serde_json::to_string(&pinned).expect("json");
        assert_eq!(serde_json::from_str::<Signature>(&text).expect("a signature"), pinned);
    }
}

#[test]
fn the_report_that_was_judged_by_is_the_one_that_is_pinned() {
    // A warning comes first, the failure is a corruption that a later report tells of.
    let log = format!(
        "{WARN}[    9.0] EXT4-fs error (device vda): ext4_lookup:1855: inode #2: comm ls: deleted inode referenced: 12\n"
    );
    let title = "EXT4-fs error (device vda): ext4_lookup:1855: inode #2: comm ls: deleted inode referenced: 12";
    let judgement = Judgement::fail(
        FailureKind::Corruption,
        Some("ext4_lookup"),
        format!("in ext4_lookup: {title}"),
    );
    let pinned = Signature::of(&cell(judgement), &log).expect("a failure");
    assert_eq!(pinned.to_string(), "partial-write: corruption, ext4-error, ext4_lookup");
}
