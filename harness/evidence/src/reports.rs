//! Which reports of a kernel's log count, and as what failure.
//!
//! A report counts unless one of our own faults must have brought it about: then the trace shows that fault before it
//! (`excuse`). Reports of what is no kernel's doing, such as the end of pid 1, never count. Pure.

mod excuse;
mod failed;
mod text;

#[cfg(test)]
mod tests;

use klog::{KernelReport, Kind, Reader};
use verdict::Cause;

use crate::faults::Faults;
use crate::steal::{self, StealPoint};
use crate::times::Times;
use excuse::Excuses;

/// The failure that a kind of report is.
pub(crate) fn cause(kind: Kind) -> Cause {
    match kind {
        Kind::Panic
        | Kind::Oops
        | Kind::Bug
        | Kind::Kasan
        | Kind::Kfence
        | Kind::Kmsan
        | Kind::Ubsan
        | Kind::SoftLockup
        | Kind::HardLockup
        | Kind::Spinlock
        | Kind::BadPage
        | Kind::BadRss
        | Kind::PageTables
        | Kind::Slab
        | Kind::List
        | Kind::Refcount
        | Kind::StackGuard => Cause::Crash,
        Kind::Warning
        | Kind::Kcsan
        | Kind::Lockdep
        | Kind::RcuUsage
        | Kind::RcuStall
        | Kind::HungTask
        | Kind::WorkqueueLockup
        | Kind::WorkqueueLeak
        | Kind::AtomicSleep
        | Kind::AtomicSchedule
        | Kind::ProcessorId
        | Kind::SlabLeft
        | Kind::Kmemleak
        | Kind::DebugObjects
        | Kind::PercpuRef
        | Kind::FileCount
        | Kind::BtrfsAbort
        | Kind::BtrfsError
        | Kind::BtrfsReadonly
        | Kind::BtrfsLeak
        | Kind::BtrfsAssertion
        | Kind::XfsAssertion
        | Kind::XfsShutdown => Cause::Warning,
        Kind::StalePageCache
        | Kind::BtrfsCorrupt
        | Kind::BtrfsCsum
        | Kind::Ext4Error
        | Kind::Ext4DataLost
        | Kind::Ext4Orphan
        | Kind::JournalAbort
        | Kind::JournalError
        | Kind::XfsCorruption
        | Kind::XfsInternal => Cause::Corruption,
        Kind::BusyInodes | Kind::Dentry | Kind::Ext4Reserved => Cause::Leak,
        Kind::BeyondEnd
        | Kind::IoError
        | Kind::BufferIoError
        | Kind::LostWrite
        | Kind::BtrfsDeviceErrors
        | Kind::XfsIoError
        | Kind::XfsPageDiscard => Cause::Error,
    }
}

/// Panics that say that there is nothing to run: the rig, or a kernel that is not made for it.
const NOTHING_TO_RUN: &[&str] = &[
    "VFS: Unable to mount root fs",
    "No working init found",
    "No init found",
    "Requested init ",
    "Attempted to kill init!",
];

/// Whether a report is of something that is not the kernel's doing.
fn is_foreign(report: &KernelReport) -> bool {
    report.kind == Kind::Panic && NOTHING_TO_RUN.iter().any(|reason| report.title.contains(reason))
}

/// Reports of a kind that are looked at. The kernel limits the rate of nearly all that a fault brings about, so faults
/// alone do not get here.
const OF_A_KIND_MAX: usize = 2_000;

/// What a kernel's log says.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// What counts, in the log's order.
    pub(crate) standing: Vec<KernelReport>,
    /// What our own faults must have brought about.
    pub(crate) excused: Vec<KernelReport>,
    /// What only says that the host had no time for the guest.
    pub(crate) stolen: Vec<KernelReport>,
    /// How many nobody looked at, because there were many of their kind.
    pub(crate) left_out: u64,
}

/// Whether a watchdog of the guest only saw that the host had no time for it.
fn is_of_host(report: &KernelReport, times: &Times, steal: &[StealPoint]) -> bool {
    let is_watchdog = matches!(
        report.kind,
        Kind::SoftLockup | Kind::HardLockup | Kind::HungTask | Kind::RcuStall | Kind::WorkqueueLockup
    );
    let printed = report.time_us.and_then(|at_us| times.of_log(at_us));
    let printed_ms = printed.and_then(|(earliest, latest)| u64::try_from(earliest.midpoint(latest) / 1000).ok());
    let claimed_ms = steal::claimed_ms(&report.title);
    let both = printed_ms.zip(claimed_ms).filter(|_| is_watchdog);
    both.is_some_and(|(printed_ms, claimed_ms)| steal::explains(steal, printed_ms, claimed_ms))
}

/// Whether this is what a kernel says of a CPU that does not come back: a stall has it for its evidence.
pub(crate) fn is_lockup(report: &KernelReport) -> bool {
    matches!(report.kind, Kind::SoftLockup | Kind::HardLockup | Kind::RcuStall)
}

/// Reads the log of a case.
pub(crate) fn of_case(log: &str, faults: &Faults, times: &Times, steal: &[StealPoint]) -> Reports {
    let mut excuses = Excuses::new(faults, times);
    let mut reader = Reader::keeping(OF_A_KIND_MAX);
    reader.feed(log.as_bytes());
    let read = reader.finish();
    let mut reports = Reports {
        left_out: reader.left_out(),
        ..Reports::default()
    };
    for report in read.into_iter().filter(|report| !is_foreign(report)) {
        if is_of_host(&report, times, steal) {
            reports.stolen.push(report);
        } else if excuses.cover(&report) {
            reports.excused.push(report);
        } else {
            reports.standing.push(report);
        }
    }
    reports
}

/// What a log says that came before the case: what faults may excuse is left out, for those were not this case's.
pub(crate) fn before_case(log: &str) -> Vec<KernelReport> {
    klog::read(log.as_bytes())
        .into_iter()
        .filter(|report| !is_foreign(report) && !excuse::may_be_excused(report.kind))
        .collect()
}
