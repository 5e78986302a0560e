//! Listeners to the trace: each gets the lines as they are written, as far as it keeps up.
//!
//! A listener that is slow never slows the device. It misses lines, and is told how many as soon as it has room again.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

/// Lines that wait for a listener at most.
const WAITING_MAX: usize = 4096;

/// A line of the trace, or how many were missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// A line, with its line end.
    Line(Arc<[u8]>),
    /// So many lines did not find room before the next one.
    Missed(u64),
}

/// Those who listen.
#[derive(Debug, Default)]
pub(super) struct Taps {
    any: AtomicBool,
    taps: Mutex<Vec<Arc<Tap>>>,
}

/// One of those who listen, until this is dropped.
#[derive(Debug)]
pub(crate) struct Listener<'a> {
    taps: &'a Taps,
    tap: Arc<Tap>,
}

#[derive(Debug)]
struct Tap {
    room: usize,
    waiting: Mutex<Waiting>,
    /// Readable while something waits. A descriptor, because a listener waits for the end of its connection, too.
    event: OwnedFd,
}

#[derive(Debug, Default)]
struct Waiting {
    heard: VecDeque<Heard>,
    missed: u64,
}

impl Taps {
    /// Whether somebody listens; a look that costs nothing.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Listens from now on.
    ///
    /// # Errors
    /// Descriptors have run out.
    pub(super) fn add(&self) -> io::Result<Listener<'_>> {
        self.add_with_room(WAITING_MAX)
    }

    fn add_with_room(&self, room: usize) -> io::Result<Listener<'_>> {
        let tap = Arc::new(Tap {
            room,
            waiting: Mutex::default(),
            event: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
        });
        let mut taps = self.lock();
        taps.push(Arc::clone(&tap));
        self.any.store(true, Ordering::Relaxed);
        drop(taps);
        Ok(Listener { taps: self, tap })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Tap>>> {
        self.taps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells everybody.
    pub(super) fn tell(&self, line: &[u8]) {
        let line: Arc<[u8]> = line.into();
        for tap in &*self.lock() {
            tap.tell(&line);
        }
    }
}

impl Tap {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, line: &Arc<[u8]>) {
        let mut waiting = self.lock();
        let Waiting { heard, missed } = &mut *waiting;
        if heard.len() >= self.room {
            *missed += 1;
            return;
        }
        let was_empty = heard.is_empty();
        if *missed > 0 {
            heard.push_back(Heard::Missed(std::mem::take(missed)));
        }
        heard.push_back(Heard::Line(Arc::clone(line)));
        if was_empty {
            // The only way to fail is a counter that is full, and then it is readable already.
            let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
        }
    }
}

impl Listener<'_> {
    /// What was heard next, if there is something.
    #[must_use]
    pub(crate) fn next(&self) -> Option<Heard> {
        let mut waiting = self.tap.lock();
        let heard = waiting.heard.pop_front();
        if heard.is_none() {
            // While the lock is held, so that what comes next is not taken for what is told of here. It may be
            // unreadable already.
            let _ = rustix::io::read(&self.tap.event, &mut [0; 8]);
        }
        heard
    }

    /// Readable, after [`next`](Self::next) had nothing, as soon as it has something.
    #[must_use]
    pub(crate) fn event(&self) -> BorrowedFd<'_> {
        self.tap.event.as_fd()
    }
}

impl Drop for Listener<'_> {
    fn drop(&mut self) {
        let mut taps = self.taps.lock();
        taps.retain(|tap| !Arc::ptr_eq(tap, &self.tap));
        self.taps.any.store(!taps.is_empty(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_listener_misses_lines_and_is_told_how_many() {
        let taps = Taps::default();
        assert!(!taps.any());
        let slow = taps.add_with_room(2).expect("a listener");
        let quick = taps.add().expect("a listener");
        let line = |number: u8| Some(Heard::Line([number].into()));
        for number in 1..=5 {
            taps.tell(&[number]);
        }
        assert_eq!((slow.next(), slow.next()), (line(1), line(2)));
        taps.tell(&[6]);
        assert_eq!((slow.next(), slow.next()), (Some(Heard::Missed(3)), line(6)));
        assert_eq!(slow.next(), None);
        for number in 1..=6 {
            assert_eq!(quick.next(), line(number));
        }
        drop(slow);
        assert!(taps.any());
        drop(quick);
        assert!(!taps.any(), "those who went away are forgotten at once");
    }

    #[test]
    fn a_listener_that_waits_is_woken_by_the_next_line() {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};

        let taps = Taps::default();
        let listener = taps.add().expect("a listener");
        let is_woken = || {
            let event = listener.event();
            let mut polled = [PollFd::from_borrowed_fd(event, PollFlags::IN)];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            poll(&mut polled, Some(&now)).expect("poll") == 1
        };
        assert!(!is_woken());
        for number in 1..=3 {
            taps.tell(&[number]);
            taps.tell(&[number]);
            assert!(is_woken());
            assert!(listener.next().is_some() && listener.next().is_some());
            assert_eq!(listener.next(), None);
            assert!(!is_woken());
        }
    }
}
