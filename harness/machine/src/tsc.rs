//! How fast the host's time stamp counter runs.
//!
//! Under translation a guest reads the host's counter, and its kernel measures at boot how fast that runs: it counts
//! while a timer of 10 ms runs. A QEMU that is off the CPU between the start of the timer and that of the count makes
//! the result many times too small, and the guest's clocks run as many times too fast. The kernel notices by a second
//! timer and still takes the first (`PIT calibration deviates from HPET`). So it is told what the host measures.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long the counter is watched. At both ends it is read within a microsecond, which is 0.01 % of this.
const WATCHED: Duration = Duration::from_millis(20);
/// How often the counter and the clock are read for the pair that is nearest.
const READ: usize = 16;

/// The counter's frequency in kHz, measured once a process; none if the host has none that is steady.
pub(crate) fn host_khz() -> Option<u64> {
    static MEASURED: OnceLock<Option<u64>> = OnceLock::new();
    *MEASURED.get_or_init(|| {
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        if !is_steady(&cpus) {
            return None;
        }
        let first = pair()?;
        std::thread::sleep(WATCHED);
        khz(first, pair()?)
    })
}

/// Whether every CPU has a counter that runs at one frequency.
fn is_steady(cpuinfo: &str) -> bool {
    let mut flags = cpuinfo.lines().filter(|line| line.starts_with("flags")).peekable();
    flags.peek().is_some() && flags.all(|line| line.split(' ').any(|flag| flag == "constant_tsc"))
}

/// The counter and the clock at one moment, as nearly as can be had.
fn pair() -> Option<(u64, Instant)> {
    let reads = (0..READ).map(|_| {
        let before = Instant::now();
        let counter = counter()?;
        Some((before.elapsed(), counter, before))
    });
    let (_, counter, at) = reads.min_by_key(|read| read.map_or(Duration::MAX, |(gap, ..)| gap))??;
    Some((counter, at))
}

fn khz(first: (u64, Instant), last: (u64, Instant)) -> Option<u64> {
    let micros = u64::try_from(last.1.duration_since(first.1).as_micros()).ok()?;
    let ticks = last.0.checked_sub(first.0)?;
    ticks.checked_mul(1000)?.checked_div(micros).filter(|khz| *khz > 0)
}

#[cfg(target_arch = "x86_64")]
fn counter() -> Option<u64> {
    // SAFETY: every CPU of this architecture has the counter, and Linux lets programs read it.
    Some(unsafe { std::arch::x86_64::_rdtsc() })
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_measurements_agree() {
        let (Some(first), Some(begun)) = (host_khz(), pair()) else {
            return;
        };
        std::thread::sleep(5 * WATCHED);
        let again = khz(begun, pair().expect("a counter")).expect("a frequency");
        assert!(first.abs_diff(again) * 1000 < again, "{first} and {again} kHz");
    }

    #[test]
    fn ticks_and_time() {
        let now = Instant::now();
        let later = now + Duration::from_millis(20);
        assert_eq!(khz((1_000, now), (51_924_040, later)), Some(2_596_152));
        assert_eq!(khz((1_000, now), (1_000, later)), None);
        assert_eq!(khz((1_000, now), (2_000, now)), None);
    }

    #[test]
    fn every_cpu_must_be_steady() {
        let cpu = |flags: &str| format!("processor : 0\nflags\t\t: fpu tsc {flags} sse\n");
        assert!(is_steady(&(cpu("constant_tsc") + &cpu("constant_tsc"))));
        assert!(!is_steady(&(cpu("constant_tsc") + &cpu("nonstop_tsc"))));
        assert!(!is_steady(""));
    }
}
