//! Oopses, `BUG()`, panics, lockups, stalls and hung tasks.

use super::{each, kinds, one};

#[test]
fn what_a_fault_says_first_is_an_oops() {
    each(
        "oops",
        &[
            ("BUG: kernel NULL pointer dereference, address: 0000000000000008", "-"),
            ("BUG: unable to handle page fault for address: ffffc90000e2d000", "-"),
            ("BUG: unable to handle kernel paging request at ffff88002bde1e40", "-"),
            ("BUG: unable to handle kernel NULL pointer dereference at (null)", "-"),
            ("Oops: 0002 [#1] PREEMPT SMP NOPTI", "-"),
            ("Oops: Oops: 0000 [#1] SMP NOPTI", "-"),
            (
                "Oops: general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP",
                "-",
            ),
            ("Oops: invalid opcode: 0000 [#1] SMP", "-"),
            ("Oops: divide error: 0000 [#1] SMP", "-"),
            (
                "general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP PTI",
                "-",
            ),
            ("general protection fault: 0000 [#1] PREEMPT SMP", "-"),
            ("segment-related general protection fault: beec [#2] PREEMPT SMP", "-"),
            ("divide error: 0000 [#1] PREEMPT SMP", "-"),
            ("invalid opcode: 0000 [#1] PREEMPT SMP NOPTI", "-"),
            ("stack segment: 0000 [#1] PREEMPT SMP", "-"),
            ("double fault: 0000 [#1] PREEMPT SMP", "-"),
            ("traps: PANIC: double fault, error_code: 0x0", "-"),
            ("int3: 0000 [#1] PREEMPT SMP", "-"),
            (
                "Unable to handle kernel paging request at virtual address dfff800000000001",
                "-",
            ),
            ("Internal error: Oops: 0000000096000004 [#1] PREEMPT SMP", "-"),
        ],
    );
}

/// A page fault, as x86 prints it from 6.10 on.
const PAGE_FAULT: &str = "\
[    9.1] BUG: kernel NULL pointer dereference, address: 0000000000000008
[    9.1] #PF: supervisor read access in kernel mode
[    9.1] #PF: error_code(0x0000) - not-present page
[    9.1] PGD 0 P4D 0
[    9.1] Oops: Oops: 0000 [#1] SMP NOPTI
[    9.1] CPU: 1 UID: 0 PID: 71 Comm: partial-write Tainted: G        W           6.12.0 #1
[    9.1] Tainted: [W]=WARN
[    9.1] RIP: 0010:btrfs_finish_one_ordered.isra.0+0x12/0x80 [btrfs]
[    9.1] Code: 40 00 48
[    9.1] RSP: 0018:ffffc90000ff7a78 EFLAGS: 00010246
[    9.1] Call Trace:
[    9.1]  <TASK>
[    9.1]  ? __die_body.cold+0x19/0x27
[    9.1]  ? asm_exc_page_fault+0x26/0x30
[    9.1]  ? btrfs_finish_one_ordered.isra.0+0x12/0x80 [btrfs]
[    9.1]  btrfs_work_helper+0x1b5/0x620 [btrfs]
[    9.1]  process_one_work+0x401/0x790
[    9.1]  </TASK>
[    9.1] Modules linked in: btrfs
[    9.1] CR2: 0000000000000008
[    9.1] ---[ end trace 0000000000000000 ]---
[    9.1] RIP: 0010:btrfs_finish_one_ordered.isra.0+0x12/0x80 [btrfs]
[    9.2] Kernel panic - not syncing: Fatal exception
[    9.2] Kernel Offset: disabled
[    9.2] ---[ end Kernel panic - not syncing: Fatal exception ]---
";

#[test]
fn a_fault_is_one_report_from_its_first_line_to_the_panic() {
    let report = one(PAGE_FAULT);
    assert_eq!(report.kind, klog::Kind::Oops);
    assert_eq!(
        report.title,
        "BUG: kernel NULL pointer dereference, address: 0000000000000008"
    );
    assert_eq!(report.place.as_deref(), Some("btrfs_finish_one_ordered"));
    assert_eq!(report.frames, ["btrfs_work_helper", "process_one_work"]);
    assert_eq!((report.line, report.cpu), (1, Some(1)));
    assert_eq!(report.task.as_deref(), Some("partial-write/71"));
    assert_eq!(report.taint.as_deref(), Some("G        W"));
    assert_eq!((report.truncated, report.time_us), (false, Some(9_100_000)));
}

#[test]
fn a_jump_to_nowhere_is_placed_at_its_caller() {
    let log = PAGE_FAULT.replace(
        "RIP: 0010:btrfs_finish_one_ordered.isra.0+0x12/0x80 [btrfs]",
        "RIP: 0010:0x0",
    );
    assert_eq!(one(&log).place.as_deref(), Some("btrfs_work_helper"));
}

/// A `BUG()`, with the fault that it makes.
const BUG: &str = "\
[    9.1] ------------[ cut here ]------------
[    9.1] kernel BUG at fs/btrfs/ordered-data.c:281!
[    9.1] invalid opcode: 0000 [#1] PREEMPT SMP NOPTI
[    9.1] CPU: 0 PID: 71 Comm: partial-write Not tainted 6.1.0 #1
[    9.1] RIP: 0010:btrfs_add_ordered_sum.cold+0x5/0x10 [btrfs]
[    9.1] Call Trace:
[    9.1]  <TASK>
[    9.1]  btrfs_csum_one_bio+0x1d1/0x3a0 [btrfs]
[    9.1]  </TASK>
[    9.1] ---[ end trace 0000000000000000 ]---
";

#[test]
fn a_bug_and_its_fault_are_one_report() {
    assert_eq!(kinds(BUG), ["bug btrfs_add_ordered_sum"]);
    assert_eq!(one(BUG).title, "kernel BUG at fs/btrfs/ordered-data.c:281!");
    let newer = BUG.replace("] invalid opcode:", "] Oops: invalid opcode:");
    assert_eq!(kinds(&newer), ["bug btrfs_add_ordered_sum"]);
    // The message that says what for comes before it.
    for (said, kind) in [
        (
            "list_del corruption, ffff8881051cf910->next is LIST_POISON1 (dead000000000100)",
            "list",
        ),
        (
            "list_add corruption. next->prev should be prev (ffff), but was ffff. (next=ffff).",
            "list",
        ),
        ("assertion failed: inode, in fs/btrfs/inode.c:12", "btrfs-assertion"),
        (
            "XFS: Assertion failed: 0, file: fs/xfs/xfs_inode.c, line: 12",
            "xfs-assertion",
        ),
        ("page dumped because: VM_BUG_ON_PAGE(PageTail(page))", "bad-page"),
    ] {
        let log = format!("[    9.0] {said}\n{BUG}");
        assert_eq!(kinds(&log), [format!("{kind} btrfs_add_ordered_sum")], "{log}");
    }
    // But not a long time before it.
    let log = format!(
        "[    9.0] list_del corruption, a\n{}{BUG}",
        "[    9.0] talk\n".repeat(40)
    );
    assert_eq!(kinds(&log), ["list -", "bug btrfs_add_ordered_sum"]);
}

#[test]
fn a_second_fault_is_a_second_report() {
    let second = BUG.replace("[#1]", "[#2]").replace("btrfs_add_ordered_sum", "other");
    assert_eq!(
        kinds(&format!("{BUG}{second}")),
        ["bug btrfs_add_ordered_sum", "bug other"]
    );
}

#[test]
fn panics_alone_are_panics() {
    each(
        "panic",
        &[
            ("Kernel panic - not syncing: sysrq triggered crash", "-"),
            (
                "Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
                "-",
            ),
            (
                "Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b",
                "-",
            ),
            (
                "Kernel panic - not syncing: stack-protector: Kernel stack is corrupted in: ip6_xmit+0x12/0x34",
                "ip6_xmit",
            ),
            ("Kernel panic - not syncing: hung_task: blocked tasks", "-"),
            (
                "BTRFS panic (device vda) in btrfs_x:12: oh (errno=-17 Object already exists)",
                "btrfs_x",
            ),
        ],
    );
}

/// Lines with kind, CPU and task.
const LOCKUPS: &[(&str, &str, Option<u32>, Option<&str>)] = &[
    (
        "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [repro:71]",
        "soft-lockup",
        Some(1),
        Some("repro/71"),
    ),
    (
        "BUG: soft lockup - CPU#1 stuck for 26s! [a b:71]",
        "soft-lockup",
        Some(1),
        Some("a b/71"),
    ),
    (
        "watchdog: Watchdog detected hard LOCKUP on cpu 2",
        "hard-lockup",
        Some(2),
        None,
    ),
    (
        "NMI watchdog: Watchdog detected hard LOCKUP on cpu 2",
        "hard-lockup",
        Some(2),
        None,
    ),
    (
        "watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 2",
        "hard-lockup",
        Some(2),
        None,
    ),
    (
        "INFO: task a:b:71 blocked for more than 4 seconds.",
        "hung-task",
        None,
        Some("a:b/71"),
    ),
    (
        "INFO: task repro:71 blocked in I/O wait for more than 4 seconds.",
        "hung-task",
        None,
        Some("repro/71"),
    ),
    (
        "rcu: INFO: rcu_preempt self-detected stall on CPU",
        "rcu-stall",
        None,
        None,
    ),
    (
        "rcu: INFO: rcu_sched detected stalls on CPUs/tasks:",
        "rcu-stall",
        None,
        None,
    ),
    (
        "rcu: INFO: rcu_preempt detected expedited stalls on CPUs/tasks: { 1-.... }",
        "rcu-stall",
        None,
        None,
    ),
    ("INFO: rcu_sched self-detected stall on CPU", "rcu-stall", None, None),
    ("INFO: rcu_tasks detected stalls on tasks:", "rcu-stall", None, None),
    (
        "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 34s!",
        "workqueue-lockup",
        None,
        None,
    ),
];

#[test]
fn lockups_and_stalls_name_cpu_and_task() {
    for (line, kind, cpu, task) in LOCKUPS {
        each(kind, &[(line, "-")]);
        let report = one(line);
        assert_eq!((report.cpu, report.task.as_deref()), (*cpu, *task), "{line}");
    }
}

#[test]
fn a_soft_lockup_is_placed_where_the_cpu_was() {
    let log = "\
[   40.1] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [repro:71]
[   40.1] Modules linked in: btrfs
[   40.1] CPU: 0 PID: 71 Comm: repro Tainted: G            EL     6.1.0-50-cloud-amd64 #1  Debian 6.1.176-1
[   40.1] RIP: 0010:btrfs_spin+0x12/0x80 [btrfs]
[   40.1] Code: 90 90
[   40.1] Call Trace:
[   40.1]  <TASK>
[   40.1]  ? __hrtimer_run_queues+0x10f/0x2b0
[   40.1]  btrfs_loop+0x15/0x20 [btrfs]
[   40.1]  </TASK>
[   40.2] Kernel panic - not syncing: softlockup: hung tasks
[   40.2] CPU: 0 PID: 71 Comm: repro Tainted: G            EL     6.1.0-50-cloud-amd64 #1  Debian 6.1.176-1
[   40.2] Call Trace:
[   40.2]  panic+0x344/0x3a0
";
    let report = one(log);
    assert_eq!(report.place.as_deref(), Some("btrfs_spin"));
    assert_eq!(report.frames, ["btrfs_loop"]);
    assert_eq!(report.taint.as_deref(), Some("G            EL"));
}

#[test]
fn a_hung_task_is_placed_at_what_it_waits_for() {
    let log = "\
[   12.1] INFO: task self-deadlock:115 blocked for more than 4 seconds.
[   12.1]       Not tainted 5.10.0-30-cloud-amd64 #1 Debian 5.10.218-1
[   12.1] \"echo 0 > /proc/sys/kernel/hung_task_timeout_secs\" disables this message.
[   12.1] task:self-deadlock   state:D stack:    0 pid:  115 ppid:    99 flags:0x00004000
[   12.1] Call Trace:
[   12.1]  __schedule+0x282/0x870
[   12.1]  schedule+0x46/0xb0
[   12.1]  io_schedule+0x42/0x70
[   12.1]  folio_wait_bit_common+0x11e/0x310
[   12.1]  ? filemap_invalidate_unlock_two+0x40/0x40
[   12.1]  btrfs_start_ordered_extent+0x91/0x170 [btrfs]
[   12.1]  do_syscall_64+0x33/0x80
[   12.1] RIP: 0033:0x430730
[   12.2] Kernel panic - not syncing: hung_task: blocked tasks
[   12.2] CPU: 1 PID: 30 Comm: khungtaskd Not tainted 5.10.0-30-cloud-amd64 #1 Debian 5.10.218-1
[   12.2] Call Trace:
[   12.2]  dump_stack+0x6b/0x83
[   12.2]  panic+0x101/0x2d7
[   12.2]  watchdog.cold+0xc/0xb5
";
    let report = one(log);
    assert_eq!(
        (report.kind, report.place.as_deref()),
        (klog::Kind::HungTask, Some("btrfs_start_ordered_extent"))
    );
    assert_eq!(report.task.as_deref(), Some("self-deadlock/115"));
    assert_eq!(
        report.frames,
        ["folio_wait_bit_common", "btrfs_start_ordered_extent", "do_syscall_64"]
    );
}
