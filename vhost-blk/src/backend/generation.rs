//! A ring's generation: what came out of the ring belongs to one, and is stale once the ring was stopped.
//!
//! Work that is done for requests before their completion, with no ring's lock held (`Device::do_together`), enters the
//! generation first. Who ends it waits until all have left: then nothing of it touches the guest's memory any more.
//! Entering and leaving take no lock while nobody waits.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A generation after the other, of one ring.
#[derive(Default)]
pub(super) struct Generation {
    current: AtomicU64,
    /// How many have entered and not left.
    inside: AtomicU32,
    /// How many wait for them.
    waiters: AtomicU32,
    /// Held by nobody who waits for another lock, so it may be taken whatever is held.
    waiting: Mutex<()>,
    left: Condvar,
}

impl Generation {
    /// The one that is current now.
    pub(super) fn current(&self) -> u64 {
        self.current.load(Ordering::SeqCst)
    }

    /// Ends the current one. Who is inside may be at work still: [`until_left`](Self::until_left) waits for that.
    pub(super) fn end(&self) {
        self.current.fetch_add(1, Ordering::SeqCst);
    }

    /// Begins work for this generation, unless it is over. Who is told yes must [`leave`](Self::leave).
    pub(super) fn enter(&self, generation: u64) -> bool {
        // First counted, then looked; who ends the generation does the same the other way round. So one of the two sees
        // the other.
        self.inside.fetch_add(1, Ordering::SeqCst);
        let entered = self.current() == generation;
        if !entered {
            self.leave();
        }
        entered
    }

    /// Ends work that was begun.
    pub(super) fn leave(&self) {
        let last = self.inside.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.waiters.load(Ordering::SeqCst) > 0 {
            // Who waits has not looked yet, or waits.
            drop(self.lock());
            self.left.notify_all();
        }
    }

    /// Waits until nobody is at work for a generation that has ended, for as long as that takes: the kernel does not
    /// give back memory that it reads or writes.
    pub(super) fn until_left(&self) {
        self.waiters.fetch_add(1, Ordering::SeqCst);
        let at_work = |_: &mut ()| self.inside.load(Ordering::SeqCst) > 0;
        drop(self.left.wait_while(self.lock(), at_work));
        self.waiters.fetch_sub(1, Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::expect_used, reason = "a panic here is the test's failure")]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    #[test]
    fn nobody_enters_one_that_is_over() {
        let generation = Generation::default();
        assert!(generation.enter(0));
        generation.end();
        assert!(!generation.enter(0));
        assert!(generation.enter(1));
    }

    #[test]
    fn its_end_waits_for_who_is_inside() {
        for _ in 0..50 {
            let generation = Arc::new(Generation::default());
            let (entered, enters) = channel();
            let inside: Vec<_> = (0..3)
                .map(|_| {
                    let (generation, entered) = (Arc::clone(&generation), entered.clone());
                    thread::spawn(move || {
                        let mut works = 0;
                        while generation.enter(0) {
                            works += 1;
                            assert!(generation.inside.load(Ordering::SeqCst) > 0);
                            generation.leave();
                            if works == 1 {
                                entered.send(()).expect("somebody waits");
                            }
                        }
                    })
                })
                .collect();
            inside.iter().for_each(|_| enters.recv().expect("it enters"));
            generation.end();
            generation.until_left();
            for thread in inside {
                thread.join().expect("it ends");
            }
            assert_eq!(generation.inside.load(Ordering::SeqCst), 0);
        }
    }
}
