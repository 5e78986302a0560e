//! Lockdep, RCU's and the scheduler's rules, spinlocks.

use crate::Kind;
use crate::row::{Extent, Place, Row, line, row};

const fn lockdep(pattern: &'static str) -> Row {
    row(Kind::Lockdep, pattern).place(Place::Stack)
}

pub(super) const ROWS: &[Row] = &[
    lockdep("WARNING: possible circular locking dependency detected"),
    lockdep("WARNING: possible recursive locking detected"),
    lockdep("WARNING: possible irq lock inversion dependency detected"),
    lockdep("WARNING: inconsistent lock state"),
    lockdep("WARNING: *-safe -> *-unsafe lock order detected"),
    lockdep("WARNING: bad unlock balance detected"),
    lockdep("WARNING: bad contention detected"),
    lockdep("WARNING: held lock freed"),
    lockdep("WARNING: Nested lock was not taken"),
    lockdep("WARNING: * still has locks held"),
    lockdep("WARNING: lock held when returning to user space").extent(Extent::Locks),
    lockdep("WARNING: lock held at task exit time"),
    lockdep("WARNING: chain_key collision"),
    lockdep("WARNING: circular locking deadlock detected"),
    // Before 4.11, and wait contexts to this day.
    lockdep("[ BUG: Invalid wait context ]"),
    lockdep("[ BUG: "),
    lockdep("[ INFO: possible "),
    lockdep("[ INFO: inconsistent lock state ]"),
    lockdep("[ INFO: *-safe -> *-unsafe lock order detected"),
    lockdep("INFO: trying to register non-static key"),
    lockdep("BUG: MAX_LOCK"),
    lockdep("BUG: MAX_STACK_TRACE_ENTRIES too low"),
    lockdep("Increase LOCKDEP_CIRCULAR_QUEUE_BITS to avoid this warning"),
    lockdep("BUG: looking up invalid subclass"),
    lockdep("BUG: key * has not been registered"),
    lockdep("DEBUG_LOCKS_WARN_ON("),
    row(Kind::RcuUsage, "WARNING: suspicious RCU usage").place(Place::Stack),
    row(Kind::RcuUsage, "INFO: suspicious RCU usage").place(Place::Stack),
    row(Kind::RcuUsage, "[ INFO: suspicious RCU usage").place(Place::Stack),
    row(
        Kind::AtomicSleep,
        "BUG: sleeping function called from invalid context at ",
    )
    .place(Place::Stack),
    row(Kind::AtomicSleep, "BUG: assuming atomic context at ").place(Place::Stack),
    row(Kind::AtomicSleep, "BUG: assuming non migratable context at ").place(Place::Stack),
    row(Kind::AtomicSchedule, "BUG: scheduling while atomic: ").place(Place::Stack),
    row(Kind::AtomicSchedule, "bad: scheduling from the idle thread!").place(Place::Stack),
    row(Kind::AtomicSchedule, "BUG: scheduling in a non-blocking section: ").place(Place::Stack),
    row(Kind::ProcessorId, "BUG: using * in preemptible [").place(Place::Stack),
    row(Kind::Spinlock, "BUG: spinlock ").place(Place::Stack),
    row(Kind::Spinlock, "BUG: rwlock ").place(Place::Stack),
    line(Kind::Spinlock, "BUG: rwlock-").place(Place::Stack),
];
