//! Starts a program, watches its lines for the marks of the guest, and takes its times.

use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

use host::tool;

use crate::Result;

/// How long one boot may take; one takes 2 to 15 s.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// Said by the guest when user space is up and the modules are loaded.
pub const READY: &str = "bench: ready";
/// Said by the guest when all of the work was done and checked.
pub const VERIFIED: &str = "bench: verified";

/// What one contender took in one round, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// From the first process' start until user space is up and the modules are loaded.
    pub ready_ms: u64,
    /// From the first process' start until the work is done and the machine is gone.
    pub off_ms: u64,
    /// All of it, with what the host does before and after.
    pub cell_ms: u64,
    /// CPU time of all processes of it.
    pub cpu_ms: u64,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Measured {
            ready_ms,
            off_ms,
            cell_ms,
            cpu_ms,
        } = self;
        write!(
            f,
            "ready {ready_ms:>6} ms   off {off_ms:>6} ms   cell {cell_ms:>6} ms   cpu {cpu_ms:>6} ms"
        )
    }
}

/// Measures a whole round of one contender: clock and CPU time from here until [`Whole::end`].
pub struct Whole {
    started: Instant,
    cpu_ms: u64,
}

impl Whole {
    /// Starts the clock.
    pub fn start() -> Whole {
        Whole {
            started: Instant::now(),
            cpu_ms: children_cpu_ms(),
        }
    }

    /// Stops it; every process of the round has ended and was waited for.
    pub fn end(self, ready_ms: u64, off_ms: u64) -> Measured {
        Measured {
            ready_ms,
            off_ms,
            cell_ms: ms(self.started.elapsed()),
            cpu_ms: children_cpu_ms() - self.cpu_ms,
        }
    }
}

/// Runs a machine to its power-off; gives back when it was ready and when it was gone.
///
/// # Errors
/// It did not end in time, or never said that the work is done; its last lines are in the error.
pub fn machine(command: &mut Command) -> Result<(u64, u64)> {
    let started = Instant::now();
    let mut ready_ms = None;
    let finished = tool::run_watched(command, DEADLINE, |line| {
        if line.contains(READY) {
            ready_ms.get_or_insert_with(|| ms(started.elapsed()));
        }
    })?;
    let off_ms = ms(started.elapsed());
    let text = finished.text();
    match ready_ms {
        Some(ready_ms) if text.contains(VERIFIED) => Ok((ready_ms, off_ms)),
        _ => {
            let lines: Vec<&str> = text.lines().collect();
            let last = lines
                .get(lines.len().saturating_sub(12)..)
                .unwrap_or_default()
                .join("\n    ");
            Err(format!(
                "the guest never said `{VERIFIED}` ({}); its last lines:\n    {last}",
                finished.status
            )
            .into())
        }
    }
}

/// Milliseconds of a duration.
pub fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// User and system time of all children that were waited for so far, theirs included (fields 16 and 17 of
/// `/proc/self/stat`).
fn children_cpu_ms() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The command name may hold spaces; the fields that matter come after its parenthesis.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let ticks: u64 = after
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    ticks * 1000 / rustix::param::clock_ticks_per_second()
}
