//! The locks between a request and the disk, and the order in which they are taken.
//!
//! [`Rank`] is the order. [`OrderedMutex`] and [`OrderedRwLock`] are the locks; each has a rank. In a debug build, a
//! thread that takes a lock while it holds one of the same or a later rank panics, whether or not that would deadlock
//! at that moment. In a release build they are the locks of `std`. The locks of rings, of the history and of the
//! disk's overlay stand next to their data; the [`Gate`] owns the others. Other mutexes (of the trace,
//! the arena, a queue's worker) have no rank and are not checked.
//!
//! # Who holds the power lock
//!
//! Work on the disk holds it shared. A power cut holds it exclusively, so no late write follows a cut. An export
//! holds it exclusively for as long as it writes, so the disk does not change. Whoever waits for an export holds no
//! other lock: rings can be stopped, front ends hung up on and the device ended meanwhile, and a request waits only
//! while its ring runs. Requests are still taken and decided on during an export ([`Gate::power_seen`]).

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

/// The locks in the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Rank {
    /// Which exports are under way.
    Exports,
    /// Whether the power is on.
    Power,
    /// One ring and its outstanding requests. A request's work is done while it is held, so a ring must not be touched
    /// while one of the later locks is held.
    Ring,
    /// Rules, schedule and counters of the device.
    State,
    /// The history of the disk.
    History,
    /// Which blocks were written, and their bytes.
    Overlay,
    /// Of the requests in flight.
    Flights,
}

/// Records that this thread holds a lock of a rank; empty in release builds.
#[derive(Debug)]
struct Held {
    #[cfg(debug_assertions)]
    rank: Rank,
}

#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Held>() == 0, "a lock costs nothing more in a release build");

#[cfg(debug_assertions)]
thread_local! {
    /// The ranks that this thread holds, one bit each.
    static HELD: std::cell::Cell<u8> = const { std::cell::Cell::new(0) };
}

impl Held {
    #[cfg(debug_assertions)]
    #[track_caller]
    fn take(rank: Rank) -> Held {
        let held = HELD.get();
        assert!(
            held >> rank as u8 == 0,
            "locks in the wrong order: {rank:?} is taken while a lock of the same or a later rank is held \
             (bits of the ranks held: {held:#b})"
        );
        HELD.set(held | 1 << rank as u8);
        Held { rank }
    }

    #[cfg(not(debug_assertions))]
    #[inline(always)]
    fn take(_: Rank) -> Held {
        Held {}
    }
}

#[cfg(debug_assertions)]
impl Drop for Held {
    fn drop(&mut self) {
        HELD.set(HELD.get() & !(1 << self.rank as u8));
    }
}

/// A guard of `std` and the record of its rank, which is dropped after it.
#[derive(Debug)]
pub(crate) struct Ordered<G> {
    guard: G,
    held: Held,
}

pub(crate) type OrderedGuard<'a, T> = Ordered<MutexGuard<'a, T>>;
pub(crate) type ReadGuard<'a, T> = Ordered<RwLockReadGuard<'a, T>>;
pub(crate) type WriteGuard<'a, T> = Ordered<RwLockWriteGuard<'a, T>>;

impl<G: Deref> Deref for Ordered<G> {
    type Target = G::Target;

    fn deref(&self) -> &G::Target {
        &self.guard
    }
}

impl<G: DerefMut> DerefMut for Ordered<G> {
    fn deref_mut(&mut self) -> &mut G::Target {
        &mut self.guard
    }
}

impl<T> OrderedGuard<'_, T> {
    /// Gives the lock up and waits until `so` is false, for at most this long.
    pub(crate) fn wait_while(self, signal: &Condvar, at_most: Duration, so: impl FnMut(&mut T) -> bool) -> Self {
        let Ordered { guard, held } = self;
        let waited = signal.wait_timeout_while(guard, at_most, so);
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Ordered { guard, held }
    }

    /// Gives the lock up and waits for a signal, for at most this long.
    fn wait(self, signal: &Condvar, at_most: Option<Duration>) -> Self {
        let Ordered { guard, held } = self;
        let guard = match at_most {
            Some(time) => {
                let waited = signal.wait_timeout(guard, time);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => signal.wait(guard).unwrap_or_else(PoisonError::into_inner),
        };
        Ordered { guard, held }
    }
}

/// A mutex with a rank.
#[derive(Debug)]
pub(crate) struct OrderedMutex<T> {
    rank: Rank,
    mutex: Mutex<T>,
}

impl<T> OrderedMutex<T> {
    pub(crate) fn new(rank: Rank, value: T) -> OrderedMutex<T> {
        OrderedMutex {
            rank,
            mutex: Mutex::new(value),
        }
    }

    #[track_caller]
    pub(crate) fn lock(&self) -> OrderedGuard<'_, T> {
        let held = Held::take(self.rank);
        let guard = self.lock_unordered();
        Ordered { guard, held }
    }

    fn lock_unordered(&self) -> MutexGuard<'_, T> {
        self.mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reader-writer lock with a rank.
#[derive(Debug)]
pub(crate) struct OrderedRwLock<T> {
    rank: Rank,
    lock: RwLock<T>,
}

impl<T> OrderedRwLock<T> {
    pub(crate) fn new(rank: Rank, value: T) -> OrderedRwLock<T> {
        OrderedRwLock {
            rank,
            lock: RwLock::new(value),
        }
    }

    #[track_caller]
    pub(crate) fn read(&self) -> ReadGuard<'_, T> {
        let held = Held::take(self.rank);
        let guard = self.lock.read().unwrap_or_else(PoisonError::into_inner);
        Ordered { guard, held }
    }

    #[track_caller]
    fn try_read(&self) -> Option<ReadGuard<'_, T>> {
        let held = Held::take(self.rank);
        let guard = self.lock.try_read().ok()?;
        Some(Ordered { guard, held })
    }

    #[track_caller]
    pub(crate) fn write(&self) -> WriteGuard<'_, T> {
        let held = Held::take(self.rank);
        let guard = self.lock.write().unwrap_or_else(PoisonError::into_inner);
        Ordered { guard, held }
    }
}

/// The device's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Power {
    /// Whether it is on.
    pub(crate) on: bool,
    /// Cuts so far: a request that came before the last one is never answered.
    pub(crate) cuts: u64,
}

/// Exports of a device.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    /// How many are under way or wait for their turn.
    count: usize,
    /// The power, while one of them has its lock exclusively.
    power: Option<Power>,
}

/// The power as it is for a while.
pub(crate) enum PowerSeen<'a> {
    /// Nobody changes it.
    Shared(ReadGuard<'a, Power>),
    /// An export keeps it as it is, and does not end while this is kept.
    Exported(
        Power,
        #[allow(dead_code, reason = "it is kept")] OrderedGuard<'a, Exports>,
    ),
}

impl Deref for PowerSeen<'_> {
    type Target = Power;

    fn deref(&self) -> &Power {
        match self {
            PowerSeen::Shared(power) => power,
            PowerSeen::Exported(power, _) => power,
        }
    }
}

/// Exports, power, and the state `S` of the device: the locks that a request passes before it comes to the disk.
#[derive(Debug)]
pub(crate) struct Gate<S> {
    exports: OrderedMutex<Exports>,
    /// An export has begun or ended, or a waiter is to look again.
    exported: Condvar,
    power: OrderedRwLock<Power>,
    state: OrderedMutex<S>,
    /// The timer must look again: something was scheduled, or the device stops.
    timer: Condvar,
    /// All requests are completed.
    settled: Condvar,
}

/// An export that is under way, or waits for its turn.
struct Export<'a, S>(&'a Gate<S>);

/// One that holds the power lock exclusively.
struct Frozen<'a, S>(&'a Gate<S>);

impl<S> Drop for Export<'_, S> {
    fn drop(&mut self) {
        self.0.exports.lock().count -= 1;
        self.0.exported.notify_all();
    }
}

impl<S> Drop for Frozen<'_, S> {
    fn drop(&mut self) {
        self.0.exports_while_frozen().power = None;
    }
}

impl<S> Gate<S> {
    /// A gate with the power on.
    pub(crate) fn new(state: S) -> Gate<S> {
        Gate {
            exports: OrderedMutex::new(Rank::Exports, Exports::default()),
            exported: Condvar::new(),
            power: OrderedRwLock::new(Rank::Power, Power { on: true, cuts: 0 }),
            state: OrderedMutex::new(Rank::State, state),
            timer: Condvar::new(),
            settled: Condvar::new(),
        }
    }

    #[track_caller]
    pub(crate) fn state(&self) -> OrderedGuard<'_, S> {
        self.state.lock()
    }

    /// The power; it stays as it is while the answer is kept.
    #[track_caller]
    pub(crate) fn power(&self) -> ReadGuard<'_, Power> {
        self.power.read()
    }

    /// The power, exclusively: nobody works on the disk meanwhile.
    #[track_caller]
    pub(crate) fn power_exclusive(&self) -> WriteGuard<'_, Power> {
        self.power.write()
    }

    /// The power, for work on the disk; it stays as it is while the answer is kept. `None` if an export is under way
    /// and there is no reason to wait for it.
    pub(crate) fn power_unless(&self, is_pointless: impl Fn() -> bool) -> Option<ReadGuard<'_, Power>> {
        if let Some(power) = self.power.try_read() {
            return Some(power);
        }
        // All others have it for a moment only.
        let no_export = self.no_export(is_pointless)?;
        let power = self.power();
        drop(no_export);
        Some(power)
    }

    /// The power, for who does not touch the disk and so waits for no export; it stays as it is while the answer is
    /// kept.
    pub(crate) fn power_seen(&self) -> PowerSeen<'_> {
        if let Some(power) = self.power.try_read() {
            return PowerSeen::Shared(power);
        }
        let exports = self.until_exports(|exports| exports.count == 0 || exports.power.is_some());
        match exports.power {
            Some(power) => PowerSeen::Exported(power, exports),
            None => PowerSeen::Shared(self.power()),
        }
    }

    fn until_exports(&self, so: impl Fn(&Exports) -> bool) -> OrderedGuard<'_, Exports> {
        let mut exports = self.exports.lock();
        while !so(&exports) {
            exports = exports.wait(&self.exported, None);
        }
        exports
    }

    /// The exports, for the export that holds the power lock: the only lock that is taken out of its order. That is
    /// no deadlock, because the export was counted before it took the power lock, and whoever holds the exports waits
    /// for the power only while none is counted.
    fn exports_while_frozen(&self) -> MutexGuard<'_, Exports> {
        self.exports.lock_unordered()
    }

    /// Runs something during which the disk must not change.
    pub(crate) fn standing_still<T>(&self, look: impl FnOnce() -> T) -> T {
        self.exports.lock().count += 1;
        // They end in the order in which others may look: first it is said that the power may change, then its lock
        // goes, then all go on.
        let _export = Export(self);
        let power = self.power_exclusive();
        self.exports_while_frozen().power = Some(*power);
        self.exported.notify_all();
        let _frozen = Frozen(self);
        look()
    }

    /// Waits until no export is under way, and lets none begin while the answer is kept; `None` once there is no more
    /// reason to wait.
    pub(crate) fn no_export(&self, is_pointless: impl Fn() -> bool) -> Option<OrderedGuard<'_, Exports>> {
        let exports = self.until_exports(|exports| exports.count == 0 || is_pointless());
        (exports.count == 0).then_some(exports)
    }

    /// Wakes the threads that wait for an export, so that each asks again whether it still has to wait.
    pub(crate) fn recheck_waits(&self) {
        drop(self.exports.lock());
        self.exported.notify_all();
    }

    /// Waits until [`wake_timer`](Self::wake_timer), for this long at most.
    pub(crate) fn wait_timer<'a>(
        &'a self,
        state: OrderedGuard<'a, S>,
        at_most: Option<Duration>,
    ) -> OrderedGuard<'a, S> {
        state.wait(&self.timer, at_most)
    }

    pub(crate) fn wake_timer(&self) {
        self.timer.notify_all();
    }

    /// Waits while some requests are being completed, for this long at most.
    pub(crate) fn settle<'a>(
        &self,
        state: OrderedGuard<'a, S>,
        at_most: Duration,
        moving: impl FnMut(&mut S) -> bool,
    ) -> OrderedGuard<'a, S> {
        state.wait_while(&self.settled, at_most, moving)
    }

    pub(crate) fn wake_settled(&self) {
        self.settled.notify_all();
    }
}

#[cfg(test)]
mod tests;
