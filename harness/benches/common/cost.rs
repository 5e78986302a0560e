//! What a command costs, by the clock and by the processors.

use std::fmt;
use std::time::{Duration, Instant};

/// What something took.
pub struct Cost {
    /// By the clock.
    pub clock: Duration,
    /// Of all processors, in this program's children and theirs; other work on the machine changes it less.
    pub work: Duration,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1?} ({:.1?} of processors)", self.clock, self.work)
    }
}

/// A cost that is being measured.
pub struct Meter {
    begun: Instant,
    before: Duration,
}

impl Meter {
    /// Begins.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn start() -> std::io::Result<Meter> {
        Ok(Meter {
            begun: Instant::now(),
            before: children()?,
        })
    }

    /// What it came to so far.
    ///
    /// # Errors
    /// As of [`Meter::start`].
    pub fn stop(&self) -> std::io::Result<Cost> {
        Ok(Cost {
            clock: self.begun.elapsed(),
            work: children()?.saturating_sub(self.before),
        })
    }
}

/// Processors' time of all children that have ended and that were waited for, and of theirs.
fn children() -> std::io::Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // The name may hold anything; it ends with the last bracket. Then come the fields from the third on.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| fields.get(field - 3).and_then(|value| value.parse::<u64>().ok());
    let missing = || std::io::Error::other("/proc/self/stat has no times of children");
    let (user, system) = (ticks(16).ok_or_else(missing)?, ticks(17).ok_or_else(missing)?);
    let per_second = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_millis((user + system) * 1000 / per_second))
}
