//! How many virtual machines the host has room for.

use machine::MEMORY_MIB;

/// Virtual machines at once: a core each, and memory for the guest, QEMU and the golden image's pages.
#[must_use]
pub fn jobs() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let per_vm_mib = u64::from(MEMORY_MIB) * 2;
    let by_memory = available_mib().map_or(cores, |mib| usize::try_from(mib / per_vm_mib).unwrap_or(cores));
    cores.min(by_memory).max(1)
}

/// `MemAvailable` of /proc/meminfo, in MiB.
fn available_mib() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? / 1024)
}
