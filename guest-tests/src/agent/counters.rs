//! What the kernel counts of its own failures, and what makes it report a failure again that it reports only once.

use std::fs;

use guest_wire::Counters;

use super::kmsg;
use super::procfs;
use crate::errno;

/// Where a WARN_ONCE that has spoken is made to speak again (`kernel/panic.c`).
const CLEAR_WARN_ONCE: &str = "/sys/kernel/debug/clear_warn_once";

/// The counters as they stand.
pub(super) fn read() -> Counters {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse().ok();
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    Counters {
        warnings: number("/sys/kernel/warn_count"),
        oopses: number("/sys/kernel/oops_count"),
        taint: number("/proc/sys/kernel/tainted"),
        lockdep_on: procfs::lockdep_on(&text("/proc/lockdep_stats")),
        console_level: procfs::console_level(&text("/proc/sys/kernel/printk")),
    }
}

/// Lets every warning that is given once a boot be given again, where the kernel can do that.
pub(super) fn clear_warn_once() {
    match fs::write(CLEAR_WARN_ONCE, "1\n") {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            kmsg::write(&format!("{CLEAR_WARN_ONCE}: {}", errno::io_name(&error)));
        }
        _ => {}
    }
}
