//! Lockdep, RCU's and the scheduler's rules, spinlocks, work queues, lists and counters.

use super::{each, kinds, one};

#[test]
fn lockdep_speaks_in_many_forms() {
    let lines = [
        "WARNING: possible circular locking dependency detected",
        "WARNING: possible recursive locking detected",
        "WARNING: possible irq lock inversion dependency detected",
        "WARNING: inconsistent lock state",
        "WARNING: HARDIRQ-safe -> HARDIRQ-unsafe lock order detected",
        "WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected",
        "WARNING: RECLAIM_FS-safe -> RECLAIM_FS-unsafe lock order detected",
        "WARNING: bad unlock balance detected!",
        "WARNING: bad contention detected!",
        "WARNING: held lock freed!",
        "WARNING: Nested lock was not taken",
        "WARNING: repro/71 still has locks held!",
        "WARNING: lock held when returning to user space!",
        "WARNING: chain_key collision",
        "[ BUG: Invalid wait context ]",
        "[ BUG: bad unlock balance detected! ]",
        "[ INFO: possible circular locking dependency detected ]",
        "[ INFO: possible recursive locking detected ]",
        "[ INFO: inconsistent lock state ]",
        "INFO: trying to register non-static key.",
        "BUG: MAX_LOCKDEP_ENTRIES too low!",
        "BUG: MAX_LOCKDEP_CHAINS too low!",
        "BUG: MAX_LOCKDEP_KEYS too low!",
        "BUG: MAX_LOCK_DEPTH too low!",
        "BUG: MAX_STACK_TRACE_ENTRIES too low!",
        "BUG: looking up invalid subclass: 9",
        "BUG: key ffff8881051cf910 has not been registered!",
        "DEBUG_LOCKS_WARN_ON(1)",
    ];
    each("lockdep", &lines.map(|line| (line, "-")));
}

#[test]
fn a_circle_of_locks_is_placed_by_its_stack_and_not_by_its_chain() {
    let log = "\
[    7.0] ======================================================
[    7.0] WARNING: possible circular locking dependency detected
[    7.0] 6.1.0 #1 Not tainted
[    7.0] ------------------------------------------------------
[    7.0] repro/70 is trying to acquire lock:
[    7.0] ffff8881051cf910 (&mm->mmap_lock){++++}-{3:3}, at: internal_get_user_pages_fast+0x1a/0x230
[    7.0] the existing dependency chain (in reverse order) is:
[    7.0] -> #1 (&ei->lock){++++}-{3:3}:
[    7.0]        lock_acquire+0xc8/0x2f0
[    7.0]        chained+0x49/0x200
[    7.0] stack backtrace:
[    7.0] CPU: 0 PID: 70 Comm: repro Not tainted 6.1.0 #1
[    7.0] Call Trace:
[    7.0]  <TASK>
[    7.0]  dump_stack_lvl+0x44/0x5c
[    7.0]  check_noncircular+0xfe/0x110
[    7.0]  __lock_acquire+0x12d1/0x1e10
[    7.0]  down_read_killable+0x49/0x200
[    7.0]  get_user_pages_fast+0x1a/0x230
[    7.0]  </TASK>
";
    let report = one(log);
    assert_eq!(
        (report.place.as_deref(), report.task.as_deref()),
        (Some("get_user_pages_fast"), Some("repro/70"))
    );
    // Without its stack the lock that it wants says where.
    let head = log.split("[    7.0] stack backtrace").next().unwrap_or_default();
    assert_eq!(kinds(head), ["lockdep internal_get_user_pages_fast"]);
    assert!(one(head).truncated);
}

/// Kinds, and lines with the function that each names.
const RULES: &[(&str, &[(&str, &str)])] = &[
    (
        "rcu-usage",
        &[
            ("WARNING: suspicious RCU usage", "-"),
            ("[ INFO: suspicious RCU usage. ]", "-"),
        ],
    ),
    (
        "atomic-sleep",
        &[
            (
                "BUG: sleeping function called from invalid context at mm/slab.h:494",
                "-",
            ),
            ("BUG: assuming atomic context at fs/btrfs/inode.c:12", "-"),
        ],
    ),
    (
        "atomic-schedule",
        &[("BUG: scheduling while atomic: repro/71/0x00000002", "-")],
    ),
    (
        "processor-id",
        &[
            (
                "BUG: using smp_processor_id() in preemptible [00000000] code: repro/71",
                "-",
            ),
            (
                "BUG: using __this_cpu_add() in preemptible [00000000] code: repro/71",
                "-",
            ),
        ],
    ),
    (
        "spinlock",
        &[
            ("BUG: spinlock bad magic on CPU#0, repro/71", "-"),
            ("BUG: spinlock lockup suspected on CPU#0, repro/71", "-"),
            ("BUG: rwlock recursion on CPU#0, repro/71, 00000000a1b2c3d4", "-"),
        ],
    ),
    (
        "workqueue-leak",
        &[
            ("BUG: workqueue leaked atomic, lock or RCU: kworker/u4:2[71]", "-"),
            ("BUG: workqueue leaked lock or atomic: kworker/u4:2/0x00000000/71", "-"),
        ],
    ),
    (
        "list",
        &[
            ("list_add corruption. prev is NULL.", "-"),
            (
                "list_del corruption. prev->next should be ffff, but was ffff. (prev=ffff)",
                "-",
            ),
            ("list_add double add: new=ffff, prev=ffff, next=ffff.", "-"),
        ],
    ),
    (
        "refcount",
        &[
            ("refcount_t: underflow; use-after-free.", "-"),
            ("refcount_t: saturated; leaking memory.", "-"),
        ],
    ),
    (
        "percpu-ref",
        &[(
            "percpu ref (blk_queue_usage_counter_release) <= 0 (0) after switching to atomic",
            "-",
        )],
    ),
    (
        "debug-objects",
        &[(
            "ODEBUG: free active (active state 0) object: ffff object type: timer_list hint: f+0x0/0x12",
            "-",
        )],
    ),
    (
        "busy-inodes",
        &[
            ("VFS: Busy inodes after unmount of vda (btrfs)", "-"),
            (
                "VFS: Busy inodes after unmount of vda. Self-destruct in 5 seconds.  Have a nice day...",
                "-",
            ),
        ],
    ),
    (
        "file-count",
        &[
            ("VFS: Close: file count is 0 (f_op=btrfs_file_operations)", "-"),
            ("VFS: Close: file count is 0", "-"),
        ],
    ),
    (
        "dentry",
        &[(
            "BUG: Dentry 00000000a1b2c3d4{i=101,n=f}  still in use (1) [unmount of btrfs vda]",
            "-",
        )],
    ),
    ("bug", &[("BUG: arch made up a form that no table has", "-")]),
];

#[test]
fn rules_of_rcu_and_of_the_scheduler() {
    for (kind, lines) in RULES {
        each(kind, lines);
    }
}

#[test]
fn sleeping_in_atomic_context_is_placed_by_its_stack() {
    let log = "\
[    7.0] BUG: sleeping function called from invalid context at mm/slab.h:494
[    7.0] in_atomic(): 1, irqs_disabled(): 0, non_block: 0, pid: 71, name: repro
[    7.0] preempt_count: 1, expected: 0
[    7.0] CPU: 0 PID: 71 Comm: repro Not tainted 6.1.0 #1
[    7.0] Call Trace:
[    7.0]  <TASK>
[    7.0]  dump_stack_lvl+0x44/0x5c
[    7.0]  __might_resched.cold+0x141/0x17b
[    7.0]  kmem_cache_alloc+0x2d1/0x2f0
[    7.0]  btrfs_a+0x12/0x80 [btrfs]
[    7.0]  </TASK>
";
    let report = one(log);
    assert_eq!(report.place.as_deref(), Some("kmem_cache_alloc"));
    assert_eq!((report.cpu, report.task.as_deref()), (Some(0), Some("repro/71")));
}

#[test]
fn openings_name_their_tasks() {
    for (line, cpu, task) in [
        ("BUG: scheduling while atomic: a b/71/0x00000002", None, "a b/71"),
        (
            "BUG: using smp_processor_id() in preemptible [00000000] code: kworker/0:1/71",
            None,
            "kworker/0:1/71",
        ),
        (
            "BUG: spinlock bad magic on CPU#3, kworker/0:1/71",
            Some(3),
            "kworker/0:1/71",
        ),
    ] {
        let report = one(line);
        assert_eq!((report.cpu, report.task.as_deref()), (cpu, Some(task)), "{line}");
    }
}
