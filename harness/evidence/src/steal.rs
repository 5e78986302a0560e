//! Time that the host took from the guest's CPUs, and which reports in the kernel's log that explains.
//!
//! A guest that was stopped, or that waits for a busy host, looks at its clock and finds that a task was blocked, or a
//! CPU was stuck, for as long. By the host's count its CPUs did not run then: such a report says nothing of the kernel.

use serde::{Deserialize, Serialize};

/// A point is kept if its neighbours are so far apart,
const APART_MS: u64 = 1_500;
/// or if so much was taken between them.
const TAKEN_MS: u64 = 250;
/// Between the end of what a report speaks of and its line, and by how much the clocks may differ.
const SLACK_MS: u64 = 2_000;
/// The watchdogs look this often, so what one reports may lie back as far.
const BETWEEN_LOOKS_MS: u64 = 5_000;
/// Between the beginnings of two spans that are looked at.
const STEP_MS: usize = 250;

/// What the host knew of the guest's CPUs at one moment; figures only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StealPoint {
    /// Milliseconds since the job was sent.
    pub host_ms: u64,
    /// CPU time that they had.
    pub run_ms: u64,
    /// Time in which they could not have any: QEMU was stopped, or waited for a CPU.
    pub stolen_ms: u64,
}

/// Adds a point to those of a job, and leaves out what tells nothing new.
pub fn add(points: &mut Vec<StealPoint>, point: StealPoint) {
    if let [.., before, _] = points.as_slice()
        && point.host_ms.saturating_sub(before.host_ms) < APART_MS
        && point.stolen_ms.saturating_sub(before.stolen_ms) < TAKEN_MS
    {
        points.pop();
    }
    points.push(point);
}

/// Time taken from the guest's CPUs between two moments of the host's clock.
fn stolen(points: &[StealPoint], from_ms: u64, to_ms: u64) -> u64 {
    at(points, to_ms, |point| point.stolen_ms, false).saturating_sub(at(points, from_ms, |point| point.stolen_ms, true))
}

/// A figure at a moment: the last known before it, or with `is_early` false the first known after it.
fn at(points: &[StealPoint], ms: u64, figure: impl Fn(&StealPoint) -> u64, is_early: bool) -> u64 {
    let after = points.partition_point(|point| point.host_ms < ms);
    let found = if is_early {
        points.get(after.saturating_sub(1))
    } else {
        points.get(after).or(points.last())
    };
    found.map_or(0, figure)
}

/// Whether a report that something did not go on for so long, printed at this moment of the host's clock, is explained
/// by what the host took.
pub(crate) fn explains(points: &[StealPoint], host_ms: u64, claimed_ms: u64) -> bool {
    // Nobody knows when it began, so the span in which most was taken counts; of a longer one more is always taken.
    let span_ms = claimed_ms.saturating_add(SLACK_MS);
    let first_ms = host_ms.saturating_sub(span_ms.saturating_add(BETWEEN_LOOKS_MS));
    // What was taken afterwards explains nothing, also of a report that speaks of the time before the job.
    let end_ms = host_ms.saturating_add(SLACK_MS);
    let last_ms = end_ms.saturating_sub(span_ms).max(first_ms);
    let most_ms = (first_ms..=last_ms)
        .step_by(STEP_MS)
        .map(|from_ms| stolen(points, from_ms, from_ms.saturating_add(span_ms).min(end_ms)))
        .max();
    // What is a quarter of it is not all of it, but without it the limit would not have been reached.
    most_ms.unwrap_or(0).saturating_mul(4) >= claimed_ms.max(1)
}

/// For how long something did not go on, by a report of that: `stuck for 41s!`, `blocked for more than 4 seconds`,
/// `self-detected stall`, `hard LOCKUP`; none for a report of another kind.
pub(crate) fn claimed_ms(title: &str) -> Option<u64> {
    /// What RCU waits before it speaks, if nobody set another time.
    const STALL_MS: u64 = 21_000;
    /// What the watchdog for CPUs that take no interrupts waits.
    const HARD_LOCKUP_MS: u64 = 10_000;
    let claim = |(_, rest): (&str, &str), after: &str| {
        let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next()?;
        let seconds = digits.parse::<u64>().ok();
        let is_whole = rest.get(digits.len()..)?.starts_with(after);
        seconds
            .filter(|seconds| is_whole && *seconds > 0)
            .map(|seconds| seconds.saturating_mul(1000))
    };
    // The name of a task may be any words. It stands before how long that was blocked, and behind how long a CPU was.
    if title.starts_with("INFO: task ") || title.starts_with("INFO: The task ") {
        return claim(title.rsplit_once(" for more than ")?, " seconds");
    }
    if let Some(stuck) = title.split_once("stuck for ") {
        return claim(stuck, "s!");
    }
    if title.contains("detected hard LOCKUP on cpu") {
        return Some(HARD_LOCKUP_MS);
    }
    let stalls = ["detected stall", "detected stalls", "detected expedited stalls"];
    stalls.iter().any(|words| title.contains(words)).then_some(STALL_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(of: impl Fn(u64) -> (u64, u64)) -> Vec<StealPoint> {
        let mut points = Vec::new();
        for host_ms in (0..120_000).step_by(500) {
            let (run_ms, stolen_ms) = of(host_ms);
            add(
                &mut points,
                StealPoint {
                    host_ms,
                    run_ms,
                    stolen_ms,
                },
            );
        }
        points
    }

    #[test]
    fn a_stop_of_forty_seconds_explains_what_the_watchdogs_say_after_it() {
        // Stopped from 20 s to 60 s of the host's clock.
        let points = points(|ms| (ms.min(20_000) / 10, ms.clamp(20_000, 60_000) - 20_000));
        let said = |host_ms: u64, title: &str| explains(&points, host_ms, claimed_ms(title).expect("a claim"));
        assert!(said(60_500, "BUG: soft lockup - CPU#0 stuck for 41s! [swapper/0:0]"));
        assert!(said(62_000, "INFO: task rw-verify:70 blocked for more than 4 seconds."));
        assert!(said(61_000, "rcu: INFO: rcu_sched self-detected stall on CPU"));
        // Long before, and long after it.
        assert!(!said(
            15_000,
            "INFO: task rw-verify:70 blocked for more than 4 seconds."
        ));
        assert!(!said(
            80_000,
            "INFO: task rw-verify:70 blocked for more than 4 seconds."
        ));
        assert!(!said(
            110_000,
            "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [spin:70]"
        ));
        // So soon that it speaks of the time before the job.
        for host_ms in [0, 5_000, 10_000, 15_000] {
            assert!(!said(host_ms, "rcu: INFO: rcu_sched self-detected stall on CPU"));
            assert!(!said(
                host_ms,
                "watchdog: BUG: soft lockup - CPU#0 stuck for 41s! [spin:70]"
            ));
        }
    }

    #[test]
    fn a_guest_that_had_its_cpu_has_no_excuse() {
        let points = points(|ms| (ms, ms / 100));
        assert!(!explains(&points, 60_000, 22_000));
        assert!(!explains(&[], 60_000, 22_000));
    }

    #[test]
    fn a_busy_host_that_gives_the_guest_a_third() {
        let points = points(|ms| (ms / 3, ms / 3 * 2));
        assert!(explains(&points, 60_000, 22_000));
    }

    #[test]
    fn a_busy_host_that_takes_a_tenth_explains_nothing() {
        let title = |title: &str| claimed_ms(title).expect("a claim");
        let said = |percent: u64, claimed_ms| {
            let points = points(|ms| (ms / 10, ms * percent / 100));
            explains(&points, 60_000, claimed_ms)
        };
        let short = title("INFO: task rw-verify:70 blocked for more than 4 seconds.");
        assert!(!said(10, short) && said(25, short));
        for long in [
            "rcu: INFO: rcu_sched self-detected stall on CPU",
            "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [spin:70]",
            "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!",
        ] {
            assert!(!said(20, title(long)) && said(25, title(long)), "{long}");
        }
    }

    #[test]
    fn what_is_no_matter_of_time() {
        assert_eq!(claimed_ms("BUG: unable to handle page fault for address: 0"), None);
    }

    #[test]
    fn every_watchdog_says_for_how_long() {
        for (title, seconds) in [
            ("watchdog: BUG: soft lockup - CPU#1 stuck for 26s!", 26),
            (
                "BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 31s!",
                31,
            ),
            ("INFO: task a:71 blocked for more than 4 seconds.", 4),
            ("INFO: task stuck for 0s!:71 blocked for more than 120 seconds.", 120),
            ("INFO: task for more than 0:71 blocked for more than 120 seconds.", 120),
            (
                "watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [stuck for 0s!:71]",
                26,
            ),
            ("INFO: task a:71 blocked in I/O wait for more than 4 seconds.", 4),
            (
                "INFO: The task a:71 has been waiting for writeback completion for more than 130 seconds.",
                130,
            ),
            ("rcu: INFO: rcu_preempt self-detected stall on CPU", 21),
            ("watchdog: CPU0: Watchdog detected hard LOCKUP on cpu 1", 10),
        ] {
            assert_eq!(claimed_ms(title), Some(seconds * 1000), "{title}");
        }
    }

    #[test]
    fn the_name_of_a_task_claims_nothing() {
        for (title, seconds) in [
            (
                "INFO: task stuck for 0s!:71 blocked for more than 120 seconds.",
                Some(120),
            ),
            (
                "INFO: task  for more than :71 blocked for more than 120 seconds.",
                Some(120),
            ),
            (
                "INFO: task detected stall:71 blocked for more than 120 seconds.",
                Some(120),
            ),
            ("INFO: task a:71 blocked in I/O wait for more than 0 seconds.", None),
            ("BUG: soft lockup - CPU#1 stuck for 26s! [stuck for 1s!:7]", Some(26)),
            ("BUG: soft lockup - CPU#1 stuck for 26s! [ for more than :7]", Some(26)),
            ("BUG: soft lockup - CPU#1 stuck for s! [detected stall:7]", None),
        ] {
            assert_eq!(claimed_ms(title), seconds.map(|seconds: u64| seconds * 1000), "{title}");
        }
    }

    #[test]
    fn figures_beyond_all_bounds() {
        let most = claimed_ms("watchdog: BUG: soft lockup - CPU#0 stuck for 18446744073709551s! [a:71]");
        assert_eq!(most, Some(18_446_744_073_709_551_000));
        let beyond = claimed_ms("watchdog: BUG: soft lockup - CPU#0 stuck for 18446744073709551615s! [a:71]");
        assert_eq!(beyond, Some(u64::MAX));
        let point = |host_ms, stolen_ms| StealPoint {
            host_ms,
            run_ms: 0,
            stolen_ms,
        };
        // Such as no host ever wrote.
        let falls = [point(0, u64::MAX), point(9_999, 0)];
        assert!(!explains(&falls, 60_000, u64::MAX) && !explains(&falls, u64::MAX, 22_000));
        assert!(explains(&[point(0, 0), point(u64::MAX, u64::MAX)], u64::MAX, u64::MAX));
    }

    #[test]
    fn few_points_are_kept() {
        let kept = points(|ms| (ms, ms.saturating_sub(50_000).min(3_000)));
        assert!(kept.len() < 140, "{}", kept.len());
        assert_eq!(stolen(&kept, 40_000, 70_000), 3_000);
    }
}
