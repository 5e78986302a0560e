//! Listeners to the trace: each gets the lines as they are written, as far as it keeps up.
//!
//! A listener that is slow never slows the device. It misses lines, and is told how many as soon as it has room again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Lines that wait for a listener at most.
const WAITING_MAX: usize = 4096;

/// A line of the trace, or how many were missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A line, with its line end.
    Line(Arc<[u8]>),
    /// So many lines did not find room before the next one.
    Missed(u64),
}

/// Those who listen.
#[derive(Debug, Default)]
pub(super) struct Taps {
    any: AtomicBool,
    taps: Mutex<Vec<Tap>>,
}

#[derive(Debug)]
struct Tap {
    to: SyncSender<Heard>,
    missed: u64,
}

impl Taps {
    /// Whether somebody listens; a look that costs nothing.
    pub(super) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    /// Listens from now on.
    pub(super) fn add(&self) -> Receiver<Heard> {
        self.add_with_room(WAITING_MAX)
    }

    fn add_with_room(&self, room: usize) -> Receiver<Heard> {
        let (to, heard) = sync_channel(room);
        let mut taps = self.taps.lock().unwrap_or_else(PoisonError::into_inner);
        taps.push(Tap { to, missed: 0 });
        self.any.store(true, Ordering::Relaxed);
        heard
    }

    /// Tells everybody; those who went away are forgotten.
    pub(super) fn tell(&self, line: &[u8]) {
        let line: Arc<[u8]> = line.into();
        let mut taps = self.taps.lock().unwrap_or_else(PoisonError::into_inner);
        taps.retain_mut(|tap| tap.tell(&line));
        self.any.store(!taps.is_empty(), Ordering::Relaxed);
    }
}

impl Tap {
    /// Whether it still listens.
    fn tell(&mut self, line: &Arc<[u8]>) -> bool {
        if self.missed > 0 {
            match self.to.try_send(Heard::Missed(self.missed)) {
                Ok(()) => self.missed = 0,
                Err(TrySendError::Full(_)) => {
                    self.missed += 1;
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        match self.to.try_send(Heard::Line(Arc::clone(line))) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed += 1;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_listener_misses_lines_and_is_told_how_many() {
        let taps = Taps::default();
        assert!(!taps.any());
        let slow = taps.add_with_room(2);
        let quick = taps.add();
        let line = |number: u8| Heard::Line([number].into());
        for number in 1..=5 {
            taps.tell(&[number]);
        }
        assert_eq!((slow.recv().unwrap(), slow.recv().unwrap()), (line(1), line(2)));
        taps.tell(&[6]);
        assert_eq!(
            (slow.recv().unwrap(), slow.recv().unwrap()),
            (Heard::Missed(3), line(6))
        );
        assert_eq!(
            quick.try_iter().collect::<Vec<_>>(),
            (1..=6).map(line).collect::<Vec<_>>()
        );
        drop(slow);
        drop(quick);
        assert!(taps.any(), "nobody was told yet");
        taps.tell(&[7]);
        assert!(!taps.any());
    }
}
