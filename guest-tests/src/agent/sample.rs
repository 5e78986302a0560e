//! A look at the guest while a phase goes on: who is where, and whether anything moves.
//!
//! Only files are read that take no lock a hung task may hold: `cmdline`, `maps`, `environ` and the like take the
//! process's mmap lock and would hang the agent along with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use guest_wire::{Phase, Sample, Task};
use rustix::time::ClockId;

use super::procfs::{self, Stat};

/// At most so many tasks in one sample.
const TASKS_MAX: usize = 48;
/// Number of io_uring_enter(2), and what the timer of a request for a time-out runs.
const RING_ENTER: u64 = 426;
const RING_TIMER: &str = "io_timeout_fn";

/// Time since the kernel started, in milliseconds.
#[must_use]
pub(crate) fn uptime_ms() -> u64 {
    let now = rustix::time::clock_gettime(ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// Takes a sample; `agent` is the process whose descendants are watched, `disk` a name in `/sys/block`.
#[must_use]
pub(crate) fn take(phase: Phase, phase_ms: u64, agent: u32, disk: &str) -> Sample {
    let processes = processes();
    let watched = descendants(&processes, agent);
    let mut tasks: Vec<Task> = watched.iter().flat_map(|pid| threads(*pid)).take(TASKS_MAX).collect();
    let others = processes
        .values()
        .filter(|stat| stat.id != agent && matches!(stat.state, 'D' | 'R') && !watched.contains(&stat.id));
    for stat in others {
        tasks.push(task(&format!("/proc/{}", stat.id), stat.clone(), false));
    }
    tasks.truncate(TASKS_MAX);
    let waits_for_ring = tasks
        .iter()
        .any(|task| task.watched && task.syscall.first() == Some(&RING_ENTER));
    let ring_timers = if waits_for_ring {
        procfs::timers_of(&read("/proc/timer_list"), RING_TIMER)
    } else {
        0
    };
    Sample {
        phase,
        phase_ms,
        idle_ms: procfs::idle_ms(&read("/proc/stat")).unwrap_or(0),
        runnable: procfs::runnable(&read("/proc/stat")).unwrap_or(0),
        inflight: procfs::inflight(&read(&format!("/sys/block/{disk}/inflight"))).unwrap_or([0, 0]),
        ring_timers,
        tasks,
    }
}

/// All processes of the guest, its zombies among them.
pub(super) fn processes() -> BTreeMap<u32, Stat> {
    numbers("/proc")
        .into_iter()
        .filter_map(|pid| procfs::stat(&read(&format!("/proc/{pid}/stat"))))
        .map(|stat| (stat.id, stat))
        .collect()
}

/// All below a process.
pub(super) fn descendants(processes: &BTreeMap<u32, Stat>, ancestor: u32) -> BTreeSet<u32> {
    // A storm of forks leaves tens of thousands, so each is looked at once.
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for stat in processes.values() {
        children.entry(stat.parent).or_default().push(stat.id);
    }
    let mut found = BTreeSet::new();
    let mut wave = vec![ancestor];
    while let Some(parent) = wave.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            if found.insert(child) {
                wave.push(child);
            }
        }
    }
    found
}

fn threads(pid: u32) -> Vec<Task> {
    let dir = format!("/proc/{pid}/task");
    numbers(&dir)
        .into_iter()
        .filter_map(|tid| {
            let dir = format!("{dir}/{tid}");
            let stat = procfs::stat(&read(&format!("{dir}/stat")))?;
            Some(task(&dir, stat, true))
        })
        .collect()
}

fn task(dir: &str, stat: Stat, watched: bool) -> Task {
    // What a task that may be interrupted sleeps in tells whether it has set itself a time.
    let syscall = if watched && stat.state == 'S' {
        procfs::syscall(&read(&format!("{dir}/syscall")))
    } else {
        Vec::new()
    };
    Task {
        tid: stat.id,
        watched,
        kthread: stat.kthread,
        comm: stat.comm,
        state: stat.state,
        switches: procfs::switches(&read(&format!("{dir}/status"))),
        cpu_ms: stat.cpu_ms,
        user_ms: stat.user_ms,
        syscall,
        stack: procfs::stack(&read(&format!("{dir}/stack"))),
    }
}

/// The entries of a directory whose names are numbers.
fn numbers(dir: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut found: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok()))
        .collect();
    found.sort_unstable();
    found
}

/// A file's text; empty for a task that just ended.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Held by unit tests that have children: a phase's process takes every child of its own process for its own.
#[cfg(test)]
pub(super) static CHILDREN: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[cfg(test)]
mod tests {
    use super::*;

    fn process(id: u32, parent: u32) -> (u32, Stat) {
        (
            id,
            Stat {
                id,
                comm: String::new(),
                state: 'S',
                parent,
                group: 1,
                kthread: false,
                cpu_ms: 0,
                user_ms: 0,
            },
        )
    }

    #[test]
    fn descendants_are_all_below() {
        let processes = BTreeMap::from([
            process(1, 0),
            process(5, 1),
            process(9, 5),
            process(7, 9),
            process(8, 1),
        ]);
        assert_eq!(descendants(&processes, 5), BTreeSet::from([7, 9]));
        assert_eq!(descendants(&processes, 8), BTreeSet::new());
    }

    #[test]
    fn a_real_child_is_seen() {
        let _alone = CHILDREN.lock().unwrap();
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        let sample = take(Phase::Run, 5, std::process::id(), "none");
        assert!(descendants(&processes(), std::process::id()).contains(&child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(
            sample.tasks.iter().any(|task| task.watched && task.tid == child.id()),
            "{sample:?}"
        );
        assert!(sample.idle_ms > 0 && sample.runnable > 0);
    }
}
