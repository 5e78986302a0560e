//! What a report is of.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Declares the kinds: each with its name, in which it is printed and stored, and a line for people.
macro_rules! kinds {
    ($($variant:ident = $name:literal, $about:literal;)*) => {
        /// What a report is of.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Kind {
            $(#[doc = $about] #[serde(rename = $name)] $variant,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant,)*];

            /// The word for it in JSON and in tables.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$variant => $name,)* }
            }

            /// A line for people.
            #[must_use]
            pub const fn about(self) -> &'static str {
                match self { $(Kind::$variant => $about,)* }
            }
        }
    };
}

kinds! {
    Panic = "panic", "The kernel gave up, and no earlier report says why.";
    Oops = "oops", "A fault in kernel code: page fault, general protection, divide, invalid opcode, double fault.";
    Bug = "bug", "`BUG()`, or a line that begins with `BUG:` and has no kind of its own.";
    Warning = "warning", "`WARN()` in any of its forms.";
    Kasan = "kasan", "KASAN: use after free, out of bounds.";
    Kfence = "kfence", "KFENCE: the same, sampled.";
    Kmsan = "kmsan", "KMSAN: use of uninitialised memory.";
    Kcsan = "kcsan", "KCSAN: a data race.";
    Ubsan = "ubsan", "UBSAN: undefined behaviour.";
    Lockdep = "lockdep", "Lockdep: an order or a use of locks that can deadlock, or lockdep at its limits.";
    RcuUsage = "rcu-usage", "Suspicious use of RCU.";
    RcuStall = "rcu-stall", "An RCU grace period does not end.";
    SoftLockup = "soft-lockup", "A CPU does not schedule.";
    HardLockup = "hard-lockup", "A CPU takes no interrupts.";
    HungTask = "hung-task", "A task is blocked for longer than `hung_task_timeout_secs`.";
    WorkqueueLockup = "workqueue-lockup", "A worker pool makes no progress.";
    WorkqueueLeak = "workqueue-leak", "A work item returned with a lock held or preemption off.";
    AtomicSleep = "atomic-sleep", "A function that may sleep was called where nothing may sleep.";
    AtomicSchedule = "atomic-schedule", "The scheduler was called in atomic context.";
    ProcessorId = "processor-id", "`smp_processor_id()` in preemptible code.";
    Spinlock = "spinlock", "A spinlock or rwlock was used wrongly.";
    BadPage = "bad-page", "A page's state, mapping or cache entry is wrong.";
    BadRss = "bad-rss", "A task's memory counters do not add up at its end.";
    PageTables = "page-tables", "Page tables are left over at a task's end.";
    Slab = "slab", "SLUB found an object overwritten or freed twice.";
    SlabLeft = "slab-left", "A slab cache was destroyed with objects in it.";
    Kmemleak = "kmemleak", "kmemleak suspects leaks.";
    DebugObjects = "debug-objects", "ODEBUG: a timer, work or other object in a wrong state.";
    List = "list", "A linked list is corrupt.";
    Refcount = "refcount", "A reference count over- or underflowed.";
    PercpuRef = "percpu-ref", "A percpu reference count underflowed.";
    StackGuard = "stack-guard", "A kernel stack overflowed.";
    BusyInodes = "busy-inodes", "Inodes are in use after umount.";
    FileCount = "file-count", "A file was closed once too often.";
    Dentry = "dentry", "A dentry is in use after umount.";
    BeyondEnd = "beyond-end", "A request reaches beyond the end of the device.";
    IoError = "io-error", "The block layer ended a request with an error.";
    BufferIoError = "buffer-io-error", "A buffer could not be read or written.";
    LostWrite = "lost-write", "A dirty page was lost.";
    StalePageCache = "stale-page-cache", "A direct write could not invalidate the page cache.";
    BtrfsAbort = "btrfs-abort", "btrfs aborted a transaction.";
    BtrfsError = "btrfs-error", "btrfs stops with an error in a function that it names.";
    BtrfsDeviceErrors = "btrfs-device-errors", "btrfs counted one more error of a device.";
    BtrfsReadonly = "btrfs-readonly", "btrfs made itself read-only.";
    BtrfsCorrupt = "btrfs-corrupt", "btrfs found a corrupt leaf, node or tree block.";
    BtrfsCsum = "btrfs-csum", "btrfs read data whose checksum does not match.";
    BtrfsLeak = "btrfs-leak", "btrfs has reserved space, buffers or states left over.";
    BtrfsAssertion = "btrfs-assertion", "An assertion of btrfs failed.";
    Ext4Error = "ext4-error", "ext4 found its file system inconsistent.";
    Ext4DataLost = "ext4-data-lost", "ext4 could not write data back and dropped it.";
    Ext4Reserved = "ext4-reserved", "ext4 has reserved blocks left over in an inode.";
    Ext4Orphan = "ext4-orphan", "ext4's list of orphans is not empty, or wrong.";
    JournalAbort = "journal-abort", "A journal was aborted.";
    JournalError = "journal-error", "JBD2 found its journal wrong or could not write it.";
    XfsAssertion = "xfs-assertion", "An assertion of XFS failed.";
    XfsCorruption = "xfs-corruption", "XFS found its metadata corrupt.";
    XfsInternal = "xfs-internal", "XFS met an internal error.";
    XfsShutdown = "xfs-shutdown", "XFS shut the file system down by itself.";
    XfsIoError = "xfs-io-error", "XFS could not read or write its log or metadata.";
    XfsPageDiscard = "xfs-page-discard", "XFS dropped a dirty page.";
}

impl Kind {
    /// Whether the kernel that prints it ends the task, or itself.
    pub(crate) const fn is_fatal(self) -> bool {
        matches!(
            self,
            Kind::Panic
                | Kind::Oops
                | Kind::Bug
                | Kind::List
                | Kind::Slab
                | Kind::BadPage
                | Kind::StackGuard
                | Kind::Ubsan
                | Kind::Refcount
                | Kind::Spinlock
                | Kind::Dentry
                | Kind::BtrfsAssertion
                | Kind::XfsAssertion
                | Kind::JournalError
                | Kind::Ext4Error
        )
    }

    /// Whether its stack has no head (`Call Trace:`).
    pub(crate) const fn has_bare_stack(self) -> bool {
        matches!(self, Kind::Kcsan | Kind::Kfence | Kind::Kmsan)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that is no kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKind(pub String);

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        write!(
            f,
            "`{}` is no kind of report: expected one of {}",
            self.0,
            names.join(", ")
        )
    }
}

impl std::error::Error for UnknownKind {}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Kind, UnknownKind> {
        let known = Kind::ALL.iter().find(|kind| kind.name() == word);
        known.copied().ok_or_else(|| UnknownKind(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_back_from_its_name() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse(), Ok(*kind));
            let json = format!("\"{kind}\"");
            assert_eq!(serde_json::to_string(kind).ok().as_ref(), Some(&json));
        }
        let problem = "oopsie".parse::<Kind>().expect_err("it is refused").to_string();
        assert!(problem.starts_with("`oopsie` is no kind of report: expected one of panic, oops, "));
    }
}
