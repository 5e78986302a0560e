//! What the host's kernel says of a QEMU: whether it runs, and what CPU time its virtual CPUs had and wanted.

use std::time::{Duration, Instant};

/// A QEMU at one moment; the times only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals {
    /// Whether somebody stopped it (SIGSTOP, a debugger).
    pub is_stopped: bool,
    /// CPU time that the virtual CPUs have had, in milliseconds.
    pub run_ms: u64,
    /// Time that they waited for a CPU, in milliseconds; it is counted when they get one.
    pub wait_ms: u64,
}

/// How much longer a guest may take because the host had no time for it.
const STOLEN_MAX: Duration = Duration::from_secs(600);

impl Vitals {
    /// The end of a limit that began with the process, in which what the CPUs waited for does not count.
    pub(crate) fn end_of(&self, begun: Instant, limit: Duration) -> Instant {
        begun + limit + Duration::from_millis(self.wait_ms).min(STOLEN_MAX)
    }
}

/// Looks at a process and those of its threads that are virtual CPUs; without any, at all of it.
pub(crate) fn of(pid: u32, cpu_threads: &[u32]) -> Vitals {
    let read = |path: String| std::fs::read_to_string(path).unwrap_or_default();
    let mut vitals = Vitals {
        is_stopped: is_stopped(&read(format!("/proc/{pid}/stat"))),
        ..Vitals::default()
    };
    let whole = [pid];
    let threads = if cpu_threads.is_empty() { &whole } else { cpu_threads };
    for thread in threads {
        let (run_ms, wait_ms) = times(&read(format!("/proc/{pid}/task/{thread}/schedstat")));
        vitals.run_ms += run_ms;
        vitals.wait_ms += wait_ms;
    }
    vitals
}

/// The third field of `/proc/PID/stat`.
fn is_stopped(stat: &str) -> bool {
    let after = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    after.is_some_and(|rest| rest.starts_with(['T', 't']))
}

/// `/proc/PID/task/TID/schedstat`: nanoseconds on a CPU, nanoseconds of waiting for one, and a count.
fn times(schedstat: &str) -> (u64, u64) {
    let mut numbers = schedstat.split_whitespace().map(|word| word.parse().unwrap_or(0));
    let mut ms = || numbers.next().unwrap_or(0u64) / 1_000_000;
    (ms(), ms())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

    use super::*;

    #[test]
    fn a_process_that_is_stopped() {
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        let pid = Pid::from_child(&child);
        assert!(!of(child.id(), &[]).is_stopped);
        kill_process(pid, Signal::STOP).unwrap();
        waitpid(Some(pid), WaitOptions::UNTRACED).unwrap();
        assert!(of(child.id(), &[]).is_stopped);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_limit_is_as_much_longer_as_the_cpus_waited() {
        let begun = Instant::now();
        let end = |wait_ms| {
            let vitals = Vitals {
                wait_ms,
                ..Vitals::default()
            };
            vitals.end_of(begun, Duration::from_secs(180)) - begun
        };
        assert_eq!(end(0), Duration::from_secs(180));
        assert_eq!(end(90_000), Duration::from_secs(270));
        assert_eq!(end(1_000_000_000), Duration::from_secs(780));
    }

    #[test]
    fn times_of_a_thread() {
        assert_eq!(times("4211000000 17000000 812\n"), (4211, 17));
        assert_eq!(times(""), (0, 0));
        assert!(!is_stopped("12 (a) T b) S 1") && is_stopped("12 (qemu) T 1"));
    }
}
