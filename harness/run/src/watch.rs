//! The host's own eyes on a guest while a job runs: what time it took from the guest's CPUs, and where these are while
//! nothing is heard of the agent.

use std::time::{Duration, Instant};

use evidence::hang::{self, CpuLook, Look, Stall};
use evidence::steal::{self, StealPoint};
use guest_wire::Phase;
use machine::{Machine, Vitals};
use vhost_blk_api::control::Stats;

/// Time between two looks.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Whoever looks at most this late was not stopped itself.
const LATE: Duration = Duration::from_secs(3);
/// So much time taken at once is a pause: what was seen before and after it is no row.
const PAUSE_MS: u64 = 1_000;
/// CPU time that a guest may use without a word of its agent before its CPUs are looked at, in milliseconds.
const SILENT_MS: u64 = 3_000;

/// What has been seen of a guest since its job was sent.
#[derive(Debug)]
pub(crate) struct Watch {
    started: Instant,
    begun: Vitals,
    looked: Instant,
    vitals: Vitals,
    stolen_ms: u64,
    pub(crate) pauses: u64,
    pub(crate) points: Vec<StealPoint>,
    /// CPU time of the guest at the agent's last word.
    heard_at_ms: u64,
    looks: Vec<Look>,
}

impl Watch {
    pub(crate) fn begin(machine: &Machine) -> Watch {
        let vitals = machine.vitals();
        Watch {
            started: Instant::now(),
            begun: vitals,
            looked: Instant::now(),
            vitals,
            stolen_ms: 0,
            pauses: 0,
            points: Vec::new(),
            heard_at_ms: vitals.run_ms,
            looks: Vec::new(),
        }
    }

    /// What the host took after this watch's last look: until the next job was sent, and then as the watch of that job
    /// saw it. Times are those of this watch.
    pub(crate) fn followed_by(&mut self, next: &Watch) -> Vec<StealPoint> {
        // The harness judged and wrote meanwhile.
        let mut points = vec![self.look_at(next.started, next.begun, Looker::Busy)];
        let since_ms = milliseconds(next.started.saturating_duration_since(self.started));
        for point in &next.points {
            let point = StealPoint {
                host_ms: point.host_ms.saturating_add(since_ms),
                run_ms: point.run_ms,
                stolen_ms: point.stolen_ms.saturating_add(self.stolen_ms),
            };
            steal::add(&mut points, point);
        }
        points
    }

    /// When the next look is due.
    pub(crate) fn next_look(&self) -> Instant {
        self.looked + LOOK_EVERY
    }

    /// Time that the host has taken from the guest so far.
    pub(crate) fn stolen(&self) -> Duration {
        Duration::from_millis(self.stolen_ms)
    }

    /// The agent said something.
    pub(crate) fn heard(&mut self) {
        self.heard_at_ms = self.vitals.run_ms;
        self.looks.clear();
    }

    /// Looks whether the guest gets its time.
    pub(crate) fn look(&mut self, machine: &Machine) {
        self.take(Instant::now(), machine.vitals(), Looker::Waiting);
    }

    /// The same after the harness did something that may have taken long: that it looks late says nothing then.
    pub(crate) fn look_after_work(&mut self, machine: &Machine) {
        self.take(Instant::now(), machine.vitals(), Looker::Busy);
    }

    fn take(&mut self, now: Instant, vitals: Vitals, looker: Looker) {
        let point = self.look_at(now, vitals, looker);
        steal::add(&mut self.points, point);
    }

    fn look_at(&mut self, now: Instant, vitals: Vitals, looker: Looker) -> StealPoint {
        let since = now.saturating_duration_since(self.looked);
        let stolen_ms = stolen(since, self.vitals, vitals, looker);
        self.stolen_ms += stolen_ms;
        if stolen_ms >= PAUSE_MS || vitals.is_stopped {
            self.pauses += 1;
        }
        (self.looked, self.vitals) = (now, vitals);
        StealPoint {
            host_ms: milliseconds(now.saturating_duration_since(self.started)),
            run_ms: vitals.run_ms,
            stolen_ms: self.stolen_ms,
        }
    }

    /// Whether the guest has used so much CPU time without a word that its CPUs are worth a look.
    pub(crate) fn is_silent(&self) -> bool {
        !self.vitals.is_stopped && self.vitals.run_ms.saturating_sub(self.heard_at_ms) >= SILENT_MS
    }

    /// Looks at the CPUs of a silent guest, and judges what has been seen of them since the agent's last word.
    pub(crate) fn look_at_cpus(&mut self, machine: &mut Machine, stats: &Stats, phase: Phase) -> Option<Stall> {
        let cpus = machine.look_at_cpus().into_iter().map(|view| CpuLook {
            is_kernel: view.is_kernel,
            is_halted: view.is_halted,
            frames: view.frames,
        });
        self.looks.push(Look {
            vcpu_ms: self.vitals.run_ms,
            outstanding: stats.outstanding,
            submitted: stats.submitted,
            pauses: self.pauses,
            cpus: cpus.collect(),
        });
        hang::starved(&self.looks, phase)
    }
}

/// What the harness did since the look before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looker {
    /// It waited for its time to look.
    Waiting,
    /// Something else.
    Busy,
}

/// Time between two looks in which the guest's CPUs could not run.
fn stolen(since: Duration, before: Vitals, now: Vitals, looker: Looker) -> u64 {
    let since_ms = milliseconds(since);
    let ran_ms = now.run_ms.saturating_sub(before.run_ms);
    let is_late = since > LATE && looker == Looker::Waiting;
    if before.is_stopped || now.is_stopped || is_late {
        // Who waited and looks so late was not running either, and cannot tell what the guest was given.
        return since_ms.saturating_sub(ran_ms);
    }
    // It is counted when the wait is over, so it may have begun before the look before.
    now.wait_ms.saturating_sub(before.wait_ms)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vitals(is_stopped: bool, run_ms: u64, wait_ms: u64) -> Vitals {
        Vitals {
            is_stopped,
            run_ms,
            wait_ms,
        }
    }

    fn watch() -> Watch {
        Watch {
            started: Instant::now(),
            begun: Vitals::default(),
            looked: Instant::now(),
            vitals: Vitals::default(),
            stolen_ms: 0,
            pauses: 0,
            points: Vec::new(),
            heard_at_ms: 0,
            looks: Vec::new(),
        }
    }

    fn after(watch: &mut Watch, steps: impl IntoIterator<Item = (u64, Vitals)>) -> (u64, u64) {
        for (ms, vitals) in steps {
            let now = watch.looked + Duration::from_millis(ms);
            watch.take(now, vitals, Looker::Waiting);
        }
        (watch.stolen_ms, watch.pauses)
    }

    #[test]
    fn a_stop_is_time_taken_and_an_idle_guest_is_none() {
        assert_eq!(after(&mut watch(), (1..20).map(|n| (500, vitals(false, n, 0)))), (0, 0));
        let stopped = (1..=80).map(|_| (500, vitals(true, 5, 0)));
        let (stolen, pauses) = after(&mut watch(), [(500, vitals(false, 5, 0))].into_iter().chain(stopped));
        assert_eq!(stolen, 40_000);
        assert!(pauses > 0);
    }

    #[test]
    fn a_guest_that_waits_for_the_host() {
        // A third of a CPU, in turns: it is slow, but no row is cut.
        let shared = (1..=20).map(|n| (500, vitals(false, 167 * n, 333 * n)));
        assert_eq!(after(&mut watch(), shared), (6_660, 0));
        // Kept off the CPU for five seconds at once.
        let (stolen, pauses) = after(
            &mut watch(),
            [(500, vitals(false, 0, 0)), (500, vitals(false, 1, 5_000))],
        );
        assert_eq!((stolen, pauses), (5_000, 1));
    }

    #[test]
    fn a_stop_that_the_next_job_saw_belongs_to_the_one_before_too() {
        let mut first = watch();
        after(&mut first, (1..=20).map(|_| (500, vitals(false, 5, 1_000))));
        let sent = first.looked + Duration::from_secs(1);
        let begun = vitals(false, 5, 1_400);
        let mut next = Watch {
            started: sent,
            begun,
            looked: sent,
            vitals: begun,
            ..watch()
        };
        let stopped = (1..=60).map(|_| (500, vitals(true, 5, 1_400)));
        assert_eq!(after(&mut next, stopped).0, 30_000);
        let points = first.followed_by(&next);
        let ends = [points.first(), points.last()].map(|point| point.map(|point| (point.host_ms, point.stolen_ms)));
        assert_eq!(ends, [Some((11_000, 1_400)), Some((41_000, 31_400))]);
        assert_eq!(first.points.last().map(|point| point.stolen_ms), Some(1_000));
    }

    #[test]
    fn one_who_was_stopped_as_well_knows_nothing_of_the_time() {
        assert_eq!(after(&mut watch(), [(40_000, vitals(false, 100, 0))]), (39_900, 1));
    }

    #[test]
    fn one_who_was_busy_is_late_for_its_own_reasons() {
        let mut watch = watch();
        let now = watch.looked + Duration::from_secs(40);
        watch.take(now, vitals(false, 100, 1_500), Looker::Busy);
        assert_eq!((watch.stolen_ms, watch.pauses), (1_500, 1));
        // A guest that is stopped is, whoever looks.
        watch.take(now + Duration::from_secs(40), vitals(true, 100, 1_500), Looker::Busy);
        assert_eq!(watch.stolen_ms, 41_500);
    }
}
