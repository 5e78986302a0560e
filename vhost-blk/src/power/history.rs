//! What was written since when: enough to take writes back, to a mark or as a power cut does.
//!
//! Off until somebody wants it, for every change then costs two copies. While it is on, changes are made one after
//! another and each request's changes are one entry, with what was there before and what is there now. A flush makes
//! the entries before it durable; the others are what a volatile write cache would hold.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::change::{Change, Content, Medium};
use super::gate::{OrderedGuard, OrderedMutex, Rank};
use super::in_flight::{Flight, Flights, Pieces};
use super::log::{Entry, Keep, Log, UnknownMark, undo};
use super::log_writes::{self, LogError, Step};

/// The history of a disk, if it is kept.
#[derive(Debug)]
pub(crate) struct History {
    /// Whether it is kept: a look that costs a request nothing. Once kept it stays so.
    kept: AtomicBool,
    log: OrderedMutex<Option<Log>>,
    /// How many entries the log has had.
    noted: Arc<AtomicU64>,
    /// Whether all of it is kept, and with it what is in flight.
    has_marks: AtomicBool,
    pub(super) flights: Arc<Flights>,
}

impl Default for History {
    fn default() -> History {
        History {
            kept: AtomicBool::new(false),
            log: OrderedMutex::new(Rank::History, None),
            noted: Arc::default(),
            has_marks: AtomicBool::new(false),
            flights: Arc::default(),
        }
    }
}

impl History {
    /// The log, if it is kept, whatever is meant to be done with it.
    pub(crate) fn lock(&self) -> OrderedGuard<'_, Option<Log>> {
        self.log.lock()
    }

    /// The log, if it is kept.
    fn lock_kept(&self) -> Option<OrderedGuard<'_, Option<Log>>> {
        self.kept.load(Ordering::Acquire).then(|| self.lock())
    }

    /// Begins to keep it, or keeps more of it; what was written before counts as durable.
    pub(crate) fn keep(&self, keep: Keep) {
        let mut history = self.lock();
        match history.as_mut() {
            Some(log) if keep != Keep::Volatile => log.keep = keep,
            Some(_) => {}
            None => *history = Some(Log::new(keep, Arc::clone(&self.noted))),
        }
        if keep != Keep::Volatile {
            self.has_marks.store(true, Ordering::Release);
        }
        self.kept.store(true, Ordering::Release);
    }

    /// Whether it is kept.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Acquire)
    }

    /// The log, for one request's changes; none if it is not kept.
    pub(crate) fn open(&self) -> Option<OrderedGuard<'_, Option<Log>>> {
        self.lock_kept()
    }

    /// What a flush that is submitted now makes durable: how many entries there are, if it is kept. Waits for nobody.
    pub(crate) fn completed(&self) -> u64 {
        self.noted.load(Ordering::Acquire)
    }

    /// Whether what a request would change is to be said as it [arrives](Self::arrived).
    pub(crate) fn wants_arrivals(&self) -> bool {
        self.has_marks.load(Ordering::Acquire)
    }

    /// Notes a request that has arrived, and what it would change. Waits for nobody.
    pub(crate) fn arrived(&self, pieces: Pieces) -> Flight {
        self.flights.arrived(pieces)
    }

    /// Notes what a request, if it is known as one in flight, has changed.
    pub(crate) fn landed(&self, log: &mut Log, changes: Vec<Change>, flight: Option<u64>) {
        log.changed(changes);
        if let Some(number) = flight {
            self.flights.landed(number);
        }
    }

    /// Notes a flush that makes these first entries durable, after this long.
    pub(crate) fn flush(&self, covers: u64, after: Duration) {
        if let Some(log) = self.open().as_mut().and_then(|log| log.as_mut()) {
            log.flushed(covers, Instant::now() + after, !after.is_zero());
        }
    }

    /// Notes a mark.
    pub(crate) fn mark(&self, name: &str) {
        if let Some(log) = self.lock_kept().as_mut().and_then(|log| log.as_mut()) {
            log.marked(name, self.flights.now());
        }
    }

    /// Writes all of it as a log of dm-log-writes; returns the number of its entries, and the largest size that the
    /// disk had since it had this one.
    pub(crate) fn export(&self, path: &Path, mut disk_bytes: u64) -> Result<(u64, u64), LogError> {
        let history = self.lock();
        let log = match history.as_ref() {
            None => return Err(LogError::Incomplete("none is kept; start the device with --history")),
            Some(log) if log.keep == Keep::Volatile => {
                return Err(LogError::Incomplete(
                    "only what is not durable is kept; start the device with --history",
                ));
            }
            Some(log) if log.forgotten > 0 => {
                return Err(LogError::Incomplete(
                    "its oldest part was forgotten; give --history more bytes",
                ));
            }
            Some(log) => log,
        };
        let entries = log_writes::write(path, |out| {
            for (number, entry) in (log.forgotten..).zip(&log.entries) {
                for presented in log.presented.iter().filter(|presented| presented.begins == number) {
                    for (at, content) in presented.iter() {
                        out(Step::Change(at, content))?;
                    }
                }
                match entry {
                    Entry::Changes(changes) => {
                        for change in changes {
                            out(Step::Change(change.offset, &change.after))?;
                        }
                    }
                    Entry::Resize(resize) => {
                        disk_bytes = disk_bytes.max(resize.to);
                        // A log has no word for a disk's size. Were it to grow again there would be zeros.
                        for (at, len) in resize.lost() {
                            out(Step::Change(at, &Content::Zeros(len)))?;
                        }
                    }
                    // The log has no word for a time: whether it ever made anything durable is not known there.
                    Entry::Flush { early: true, .. } => {}
                    Entry::Flush { .. } => out(Step::Flush)?,
                    Entry::Mark { name, .. } => out(Step::Mark(name))?,
                }
            }
            Ok(())
        })?;
        Ok((entries, disk_bytes))
    }

    /// Forgets everything: the disk is the golden image again.
    pub(crate) fn clear(&self) {
        if let Some(log) = self.lock_kept().as_mut().and_then(|log| log.as_mut()) {
            log.clear();
        }
    }

    /// Whether there is a mark of this name to go back to.
    pub(crate) fn knows(&self, name: &str) -> Result<(), UnknownMark> {
        match self.lock().as_ref() {
            Some(log) => log.find(name).map(drop).ok_or_else(|| log.unknown(name)),
            None => Err(UnknownMark::without_history(name)),
        }
    }

    /// Takes back what was done to the disk since the last mark of this name.
    pub(crate) fn back_to(&self, name: &str, medium: &mut impl Medium) -> Result<usize, UnknownMark> {
        let mut history = self.lock();
        let Some(log) = history.as_mut() else {
            return Err(UnknownMark::without_history(name));
        };
        let at = log.find(name).ok_or_else(|| log.unknown(name))?;
        let level = log.level_of(log.forgotten + at as u64);
        log.unwind(level, medium);
        log.drop_excursions(level);
        let undone = undo(log.take_from(at + 1).iter(), medium);
        // Nothing of it is in a cache any more.
        log.flushed_all();
        Ok(undone)
    }
}
