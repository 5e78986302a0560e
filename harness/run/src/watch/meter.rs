//! Measures the time that the host takes from a guest's CPUs, from its first job to its end.
//!
//! A thread looks, whatever the harness does meanwhile: wait for the guest, judge a case, check a disk. A look that
//! comes late then says that the harness was stopped, and QEMU with it or kept from running as well.

use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use evidence::steal::{self, StealPoint};
use machine::Vitals;

/// Time between two looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Whoever looks at most this late was not stopped itself.
const LATE: Duration = Duration::from_secs(3);
/// So much time taken at once is a pause: what was seen before and after it is no row.
const PAUSE_MS: u64 = 1_000;

/// The meter of a guest.
pub(crate) struct StealMeter {
    gauge: Arc<Gauge>,
    /// None if the host has no thread to give.
    thread: Option<(SyncSender<()>, JoinHandle<()>)>,
}

/// What a meter shows. Times are those since it was started.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) point: StealPoint,
    pub(super) pauses: u64,
    pub(super) is_stopped: bool,
}

/// When a job began and ended, as its meter showed it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JobSpan {
    begun: StealPoint,
    ended: StealPoint,
}

impl StealMeter {
    /// Looks at once, and from then on regularly.
    pub(crate) fn start(vitals: impl Fn() -> Vitals + Send + Sync + 'static) -> StealMeter {
        let reading = Mutex::new(Reading::begin(Instant::now(), vitals()));
        let gauge = Arc::new(Gauge {
            vitals: Box::new(vitals),
            reading,
        });
        let (stop, stopped) = mpsc::sync_channel(0);
        let looker = Arc::clone(&gauge);
        let regularly = move || {
            while stopped.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                looker.read(Reading::look);
            }
        };
        let thread = thread::Builder::new().name("steal".into()).spawn(regularly).ok();
        if thread.is_none() {
            gauge.read(|reading, _| reading.is_regular = false);
        }
        StealMeter {
            gauge,
            thread: thread.map(|thread| (stop, thread)),
        }
    }

    /// Looks now.
    pub(super) fn look(&self) -> Shown {
        self.gauge.read(Reading::look)
    }

    /// Time that the host takes from now on, as often as that is asked for.
    pub(crate) fn stolen_meanwhile(&self) -> impl Fn() -> Duration {
        let begun_ms = self.look().point.stolen_ms;
        move || Duration::from_millis(self.look().point.stolen_ms.saturating_sub(begun_ms))
    }

    /// The job that began there is over: what was taken in it, in its time, and when that was.
    pub(crate) fn end_of(&self, begun: StealPoint) -> (Vec<StealPoint>, JobSpan) {
        let ended = self.look().point;
        let job = JobSpan { begun, ended };
        (self.within(job), job)
    }

    /// What was taken in a job, in its time.
    fn within(&self, job: JobSpan) -> Vec<StealPoint> {
        let mut points = vec![since(job.begun, job.begun)];
        let known = self.gauge.read(|reading, _| reading.points.clone());
        let inside = |point: &StealPoint| (job.begun.host_ms..job.ended.host_ms).contains(&point.host_ms);
        for point in known.into_iter().filter(inside).chain([job.ended]) {
            steal::add(&mut points, since(job.begun, point));
        }
        points
    }

    /// What was taken since a job, in its time.
    pub(crate) fn after(&self, job: JobSpan) -> Vec<StealPoint> {
        self.look();
        let known = self.gauge.read(|reading, _| reading.points.clone());
        let later = known.into_iter().filter(|point| point.host_ms > job.ended.host_ms);
        later.map(|point| since(job.begun, point)).collect()
    }
}

impl Drop for StealMeter {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.thread.take() {
            drop(stop);
            let _ = thread.join();
        }
    }
}

/// A point by a clock and a count that begin at another one.
fn since(begun: StealPoint, point: StealPoint) -> StealPoint {
    StealPoint {
        host_ms: point.host_ms.saturating_sub(begun.host_ms),
        run_ms: point.run_ms,
        stolen_ms: point.stolen_ms.saturating_sub(begun.stolen_ms),
    }
}

/// What the thread and the harness both look at: one at a time, so that nobody takes an older look for a newer one.
struct Gauge {
    vitals: Box<dyn Fn() -> Vitals + Send + Sync>,
    reading: Mutex<Reading>,
}

impl Gauge {
    fn read<T>(&self, of: impl FnOnce(&mut Reading, &dyn Fn() -> Vitals) -> T) -> T {
        // Whoever panicked here had not changed anything yet.
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        of(&mut reading, &*self.vitals)
    }
}

#[derive(Debug)]
struct Reading {
    started: Instant,
    looked: Instant,
    vitals: Vitals,
    stolen_ms: u64,
    pauses: u64,
    points: Vec<StealPoint>,
    /// Whether somebody looks again and again, so that a late look says something.
    is_regular: bool,
}

impl Reading {
    fn begin(now: Instant, vitals: Vitals) -> Reading {
        Reading {
            started: now,
            looked: now,
            vitals,
            stolen_ms: 0,
            pauses: 0,
            points: Vec::new(),
            is_regular: true,
        }
    }

    fn look(&mut self, vitals: &dyn Fn() -> Vitals) -> Shown {
        let vitals = vitals();
        self.take(Instant::now(), vitals)
    }

    fn take(&mut self, now: Instant, vitals: Vitals) -> Shown {
        let since = now.saturating_duration_since(self.looked);
        // What could not be read is zero, and must not come back as time that was taken at once.
        let vitals = Vitals {
            run_ms: vitals.run_ms.max(self.vitals.run_ms),
            wait_ms: vitals.wait_ms.max(self.vitals.wait_ms),
            ..vitals
        };
        let stolen_ms = stolen(since, self.vitals, vitals, self.is_regular);
        self.stolen_ms += stolen_ms;
        if stolen_ms >= PAUSE_MS || vitals.is_stopped {
            self.pauses += 1;
        }
        (self.looked, self.vitals) = (now, vitals);
        let point = StealPoint {
            host_ms: milliseconds(now.saturating_duration_since(self.started)),
            run_ms: vitals.run_ms,
            stolen_ms: self.stolen_ms,
        };
        steal::add(&mut self.points, point);
        Shown {
            point,
            pauses: self.pauses,
            is_stopped: vitals.is_stopped,
        }
    }
}

/// Time between two looks in which the guest's CPUs could not run.
fn stolen(since: Duration, before: Vitals, now: Vitals, is_regular: bool) -> u64 {
    let since_ms = milliseconds(since);
    let ran_ms = now.run_ms.saturating_sub(before.run_ms);
    let is_late = since > LATE && is_regular;
    if before.is_stopped || now.is_stopped || is_late {
        // Who looks so late was not running either, and cannot tell what the guest was given.
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
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn vitals(is_stopped: bool, run_ms: u64, wait_ms: u64) -> Vitals {
        Vitals {
            is_stopped,
            run_ms,
            wait_ms,
        }
    }

    fn reading() -> Reading {
        Reading::begin(Instant::now(), Vitals::default())
    }

    fn after(reading: &mut Reading, steps: impl IntoIterator<Item = (u64, Vitals)>) -> (u64, u64) {
        for (ms, vitals) in steps {
            let now = reading.looked + Duration::from_millis(ms);
            reading.take(now, vitals);
        }
        (reading.stolen_ms, reading.pauses)
    }

    #[test]
    fn a_stop_is_time_taken_and_an_idle_guest_is_none() {
        assert_eq!(
            after(&mut reading(), (1..20).map(|n| (500, vitals(false, n, 0)))),
            (0, 0)
        );
        let stopped = (1..=80).map(|_| (500, vitals(true, 5, 0)));
        let (stolen, pauses) = after(&mut reading(), [(500, vitals(false, 5, 0))].into_iter().chain(stopped));
        assert_eq!(stolen, 40_000);
        assert!(pauses > 0);
    }

    #[test]
    fn a_guest_that_waits_for_the_host() {
        // A third of a CPU, in turns: it is slow, but no row is cut.
        let shared = (1..=20).map(|n| (500, vitals(false, 167 * n, 333 * n)));
        assert_eq!(after(&mut reading(), shared), (6_660, 0));
        // Kept off the CPU for five seconds at once.
        let (stolen, pauses) = after(
            &mut reading(),
            [(500, vitals(false, 0, 0)), (500, vitals(false, 1, 5_000))],
        );
        assert_eq!((stolen, pauses), (5_000, 1));
    }

    /// Whatever the harness was at: it looks all the while, so nobody but one who stopped it makes a look late.
    #[test]
    fn one_who_was_stopped_as_well_knows_nothing_of_the_time() {
        let mut reading = reading();
        let idle = (1..20).map(|_| (500, vitals(false, 0, 0)));
        assert_eq!(after(&mut reading, idle), (0, 0));
        assert_eq!(after(&mut reading, [(40_000, vitals(false, 100, 0))]), (39_900, 1));
    }

    /// As of a harness that has no descriptor left for a moment.
    #[test]
    fn figures_that_cannot_be_read_take_nothing_from_the_guest() {
        let mut reading = reading();
        let known = vitals(false, 60_000, 5_000);
        reading.take(reading.looked, known);
        let before = reading.stolen_ms;
        assert_eq!(after(&mut reading, [(500, Vitals::default()), (500, known)]).0, before);
        // Nor do they give it back: stopped, and then unreadable.
        let stopped = [
            (4_000, vitals(true, 60_000, 5_000)),
            (4_000, Vitals::default()),
            (500, known),
        ];
        assert_eq!(after(&mut reading, stopped).0, before + 8_000);
    }

    #[test]
    fn without_a_thread_a_late_look_says_nothing() {
        let mut reading = reading();
        reading.is_regular = false;
        assert_eq!(after(&mut reading, [(40_000, vitals(false, 100, 1_500))]), (1_500, 1));
        // A guest that is stopped is, whoever looks.
        assert_eq!(after(&mut reading, [(40_000, vitals(true, 100, 1_500))]).0, 41_500);
    }

    #[test]
    fn a_job_has_its_own_time_and_what_comes_after_it() {
        let started = Instant::now().checked_sub(Duration::from_secs(40)).expect("a moment");
        let meter = StealMeter {
            gauge: Arc::new(Gauge {
                vitals: Box::new(|| vitals(true, 5, 1_400)),
                reading: Mutex::new(Reading::begin(started, Vitals::default())),
            }),
            thread: None,
        };
        let steps = |steps: &[(u64, Vitals)]| {
            meter.gauge.read(|reading, _| {
                after(reading, steps.iter().copied());
                reading.points.last().copied().unwrap_or_default()
            })
        };
        let begun = steps(&[(500, vitals(false, 5, 1_000)); 10]);
        let ended = steps(&[(500, vitals(false, 5, 1_400)); 10]);
        let job = JobSpan { begun, ended };
        steps(&[(500, vitals(true, 5, 1_400)); 60]);
        let ends = |points: &[StealPoint]| {
            [points.first(), points.last()].map(|point| point.map(|point| (point.host_ms, point.stolen_ms)))
        };
        assert_eq!(ends(&meter.within(job)), [Some((0, 0)), Some((5_000, 400))]);
        let later = meter.after(job);
        let stopped = later
            .iter()
            .rfind(|point| point.host_ms == 35_000)
            .map(|point| point.stolen_ms);
        assert!(later.iter().all(|point| point.host_ms > 5_000), "{later:?}");
        assert_eq!(stopped, Some(30_400), "{later:?}");
    }

    /// For longer than a look may be late: as it does while it checks a disk, or judges.
    #[test]
    fn a_harness_that_works_takes_nothing_from_the_guest() {
        let (looked, looks) = mpsc::channel();
        let count = AtomicU64::new(0);
        let meter = StealMeter::start(move || {
            let _ = looked.send(());
            vitals(false, count.fetch_add(1, Ordering::Relaxed), 0)
        });
        let begun = Instant::now();
        while begun.elapsed() <= LATE {
            looks.recv_timeout(Duration::from_secs(60)).expect("a look");
        }
        let shown = meter.look();
        assert_eq!((shown.point.stolen_ms, shown.pauses), (0, 0));
        assert!(shown.point.host_ms > 3_000 && shown.point.run_ms >= 6, "{shown:?}");
        drop(meter);
        assert!(looks.iter().count() <= 2, "it looks after its end");
    }
}
