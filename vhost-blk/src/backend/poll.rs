//! How long a queue's thread looks at its ring by itself before it sleeps and has to be woken.
//!
//! To wake a thread costs a driver that waits for one request more than the request. To look all the time costs a core.
//! The rule is QEMU's for its own I/O threads (`aio_poll`): the time grows while requests come soon after the thread
//! fell asleep, and ends when they come late. On a machine with one CPU the driver could not run meanwhile, so there it
//! is never done.

use std::sync::OnceLock;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

/// Longest look. QEMU's default is 32 µs; a driver in a process of its own takes a little longer to come again.
const MAX: Duration = Duration::from_micros(50);
/// The first look after a time without.
const FIRST: Duration = Duration::from_micros(4);
/// Looks between two looks at the clock.
const LOOKS: u32 = 32;

/// Longest look on this machine. Its CPUs are counted once: the sandbox keeps the device from the files that tell of
/// some of their limits.
pub(super) fn max_here() -> Duration {
    static MAX_HERE: OnceLock<Duration> = OnceLock::new();
    *MAX_HERE.get_or_init(|| {
        let alone = available_parallelism().is_ok_and(|cpus| cpus.get() == 1);
        if alone { Duration::ZERO } else { MAX }
    })
}

/// One thread's habit.
#[derive(Debug)]
pub(super) struct Poll {
    max: Duration,
    now: Duration,
    /// When it ran out of work.
    idle_since: Option<Instant>,
}

impl Poll {
    /// Of a thread that was never busy.
    pub(super) fn new() -> Poll {
        Poll::with_max(max_here())
    }

    fn with_max(max: Duration) -> Poll {
        Poll {
            max,
            now: Duration::ZERO,
            idle_since: None,
        }
    }

    /// The thread was woken.
    pub(super) fn woken(&mut self) {
        if let Some(since) = self.idle_since.take() {
            self.learn(since.elapsed());
        }
    }

    /// The thread was without work for this long, and asleep at its end.
    fn learn(&mut self, idle: Duration) {
        if idle > self.max {
            self.now = Duration::ZERO;
        } else if idle > self.now {
            self.now = (self.now * 2).clamp(FIRST, self.max);
        }
    }

    /// Looks until there is work or the time is over; whether there is.
    pub(super) fn wait(&mut self, mut look: impl FnMut() -> bool) -> bool {
        let since = Instant::now();
        self.idle_since = Some(since);
        while since.elapsed() < self.now {
            for _ in 0..LOOKS {
                if look() {
                    self.idle_since = None;
                    return true;
                }
                std::hint::spin_loop();
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_looks_longer_while_work_comes_soon_and_not_at_all_when_it_comes_late() {
        let mut poll = Poll::with_max(MAX);
        let mut times = Vec::new();
        for _ in 0..6 {
            poll.learn(MAX);
            times.push(poll.now.as_micros());
        }
        assert_eq!(times, [4, 8, 16, 32, 50, 50]);
        poll.learn(Duration::from_micros(10));
        assert_eq!(poll.now, MAX, "that was soon enough");
        poll.learn(MAX * 2);
        assert_eq!(poll.now, Duration::ZERO);
    }

    #[test]
    fn it_ends_with_work_and_without() {
        let mut poll = Poll::with_max(MAX);
        assert!(!poll.wait(|| true), "it does not look at all at first");
        poll.now = MAX;
        assert!(poll.wait(|| true));
        assert_eq!(poll.idle_since, None);
        let mut looks = 0u64;
        assert!(!poll.wait(|| {
            looks += 1;
            false
        }));
        assert!(looks > 0);
        assert!(poll.idle_since.is_some());
    }

    #[test]
    fn with_one_cpu_it_never_looks() {
        let mut poll = Poll::with_max(Duration::ZERO);
        poll.learn(Duration::ZERO);
        assert!(!poll.wait(|| panic!("it looked")));
    }
}
