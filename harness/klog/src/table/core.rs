//! Panics, faults, `BUG()` and `WARN()`, lockups and hung tasks.

use crate::Kind;
use crate::row::{Place, Row, line, row, trace};

/// What says first what a `BUG()` is for.
const BEFORE_BUG: &[Kind] = BEFORE_FAULT.split_at(2).1;

/// And what a fault continues: the line that says which, or a `BUG()` with all that may stand before it.
const BEFORE_FAULT: &[Kind] = &[
    Kind::Oops,
    Kind::Bug,
    Kind::List,
    Kind::Slab,
    Kind::BadPage,
    Kind::BtrfsAssertion,
    Kind::XfsAssertion,
    Kind::JournalError,
    Kind::Spinlock,
    Kind::Dentry,
    Kind::Refcount,
    Kind::FileCount,
    Kind::BusyInodes,
    Kind::StackGuard,
    Kind::Ubsan,
];

/// What says first what a `WARN()` is for.
const BEFORE_WARN: &[Kind] = &[
    Kind::List,
    Kind::Refcount,
    Kind::PercpuRef,
    Kind::DebugObjects,
    Kind::BtrfsAbort,
    Kind::BtrfsAssertion,
    Kind::XfsAssertion,
    Kind::Dentry,
    Kind::FileCount,
    Kind::BusyInodes,
    Kind::Slab,
    Kind::SlabLeft,
    Kind::BadPage,
    Kind::WorkqueueLeak,
    Kind::Lockdep,
];

const fn fault(pattern: &'static str) -> Row {
    trace(Kind::Oops, pattern).place(Place::Stack).continues(BEFORE_FAULT)
}

const fn warn(pattern: &'static str) -> Row {
    trace(Kind::Warning, pattern).continues(BEFORE_WARN)
}

pub(super) const ROWS: &[Row] = &[
    row(Kind::Panic, "Kernel panic - not syncing"),
    row(Kind::Panic, "BTRFS panic (device ").place(Place::Line),
    // What a fault says first.
    fault("BUG: kernel NULL pointer dereference"),
    fault("BUG: Kernel NULL pointer dereference"),
    fault("BUG: unable to handle"),
    fault("BUG: Unable to handle"),
    fault("Unable to handle kernel "),
    // And by what it is told, at its beginning or after that.
    fault("Oops: * [#"),
    fault("Oops [#"),
    fault("Oops - * [#"),
    fault("Internal error: * [#"),
    fault("general protection fault*: * [#"),
    fault("int3: * [#"),
    fault("invalid opcode: * [#"),
    fault("divide error: * [#"),
    fault("divide_error: * [#"),
    fault("segment-related general protection fault: * [#"),
    fault("coprocessor segment overrun: * [#"),
    fault("overflow: * [#"),
    fault("fpu exception: * [#"),
    fault("simd exception: * [#"),
    fault("unexpected #NM exception: * [#"),
    fault("Split lock detected: * [#"),
    fault("stack segment: * [#"),
    fault("double fault: * [#"),
    fault("alignment check: * [#"),
    fault("invalid TSS: * [#"),
    fault("segment not present: * [#"),
    fault("bounds: * [#"),
    fault("traps: PANIC: double fault"),
    fault("PANIC: double fault"),
    fault("kernel stack overflow (*: * [#"),
    fault("stack guard page: * [#"),
    fault("kernel tried to execute "),
    fault("SMP: PANIC"),
    fault("traps: Missing ENDBR"),
    fault("control protection: * [#"),
    fault("Bad mode in ").loose(),
    fault("Bad pagetable: * [#"),
    row(Kind::StackGuard, "BUG: stack guard page was hit"),
    row(Kind::StackGuard, "BUG: * stack guard page was hit"),
    trace(Kind::Bug, "kernel BUG at ")
        .place(Place::Stack)
        .continues(BEFORE_BUG),
    // Before 6.19; then `WARNING: file:line at fn+0x…, CPU#0: comm/pid`, or without file and line.
    warn("WARNING: CPU: * PID: * at "),
    warn("WARNING: *:* at *+0x*, CPU#*: *"),
    warn("WARNING: at *+0x"),
    // Where `CPU: 0 PID: 1 Comm: …` stands on a line of its own.
    warn("WARNING: *.c:* at *+0x"),
    warn("WARNING: *.h:* at *+0x"),
    warn("WARNING: *.rs:* at *+0x"),
    // And where the line is cut.
    warn("WARNING: *.c:* at ").loose(),
    warn("WARNING: *.h:* at ").loose(),
    warn("WARNING: *.rs:* at ").loose(),
    row(Kind::SoftLockup, "watchdog: BUG: soft lockup - CPU#").place(Place::Stack),
    row(Kind::SoftLockup, "NMI watchdog: BUG: soft lockup - CPU#").place(Place::Stack),
    row(Kind::SoftLockup, "BUG: soft lockup - CPU#").place(Place::Stack),
    row(Kind::HardLockup, "watchdog: *Watchdog detected hard LOCKUP on cpu").place(Place::Stack),
    row(Kind::HardLockup, "NMI watchdog: *Watchdog detected hard LOCKUP on cpu").place(Place::Stack),
    row(Kind::HardLockup, "Watchdog detected hard LOCKUP on cpu").place(Place::Stack),
    row(Kind::HungTask, "INFO: task *:* blocked for more than * seconds").place(Place::Stack),
    row(
        Kind::HungTask,
        "INFO: task *:* blocked in I/O wait for more than * seconds",
    )
    .place(Place::Stack),
    // 7.0 and later: a task in D that the watchdog leaves alone.
    line(
        Kind::HungTask,
        "INFO: The task *:* has been waiting for writeback completion for more than * seconds",
    ),
    row(Kind::RcuStall, "rcu: INFO: * detected stall").place(Place::Stack),
    row(Kind::RcuStall, "rcu: INFO: * self-detected stall").place(Place::Stack),
    row(Kind::RcuStall, "rcu: INFO: * detected expedited stalls").place(Place::Stack),
    row(Kind::RcuStall, "INFO: rcu_* detected stall").place(Place::Stack),
    row(Kind::RcuStall, "INFO: rcu_* self-detected stall").place(Place::Stack),
    row(Kind::RcuStall, "INFO: rcu_* detected expedited stalls").place(Place::Stack),
    line(Kind::WorkqueueLockup, "BUG: workqueue lockup - pool"),
    row(Kind::WorkqueueLeak, "BUG: workqueue leaked ").place(Place::Stack),
    row(Kind::WorkqueueLeak, "workqueue: workqueue leaked ").place(Place::Stack),
    row(Kind::DebugObjects, "ODEBUG: ").place(Place::Stack).except(&[
        "ODEBUG: selftest",
        "ODEBUG: Out of memory",
        "ODEBUG: out of memory",
        "ODEBUG: * of * active objects replaced",
        "ODEBUG: * debug checks",
    ]),
    row(Kind::List, "list_add corruption").place(Place::Stack),
    row(Kind::List, "list_add double add").place(Place::Stack),
    row(Kind::List, "list_del corruption").place(Place::Stack),
    row(Kind::Refcount, "refcount_t: ").place(Place::Stack),
    row(Kind::PercpuRef, "percpu ref (").place(Place::Stack),
    line(Kind::BusyInodes, "VFS: Busy inodes after unmount of "),
    line(Kind::FileCount, "VFS: Close: file count is "),
    line(Kind::FileCount, "VFS: brelse: Trying to free free buffer"),
    row(Kind::Dentry, "BUG: Dentry ").place(Place::Stack),
    row(Kind::Ubsan, "UBSAN: * in *:*").place(Place::Stack),
    // Where UBSAN only traps.
    row(Kind::Ubsan, "UBSAN: * at *+0x"),
];

/// What begins with `BUG:`, or with the words of a fault, and has no row above.
pub(super) const LOOSE: &[Row] = &[
    fault("Oops: ").loose(),
    fault("Internal error: Oops").loose(),
    row(Kind::Bug, "BUG: ").place(Place::Stack).loose().except(&[
        "BUG: workqueue lockup",
        "BUG: * messages suppressed",
        "BUG: not creating mapping for ",
        "BUG: not updating mapping for ",
        "BUG: arch topology borken",
    ]),
];
