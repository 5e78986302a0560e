//! A device's life around its requests: front ends come and go, counters are asked for, the disk goes back or out.

use std::io;
use std::path::Path;
use std::time::Duration;

use thiserror::Error;
use vhost_blk_api::control::Stats;
use vhost_blk_api::trace::{Record, ReleasedBy, TimingNote};

use super::Device;
use super::resize::Resized;
use super::state::{Pending, Ready, State};
use crate::disk::export::{ExportError, Exported, export};
use crate::power::log::UnknownMark;
use crate::power::log_writes::LogError;
use crate::power::picture::StateRequest;
use crate::rulebook::replay::Script;
use crate::sandbox::Sandbox;

/// How long a rollback waits for requests that are being completed right now. The guest may know of a completion
/// before this process has counted it; only a request that a rule holds stays longer.
const SETTLE_MAX: Duration = Duration::from_secs(1);

/// A rollback that is not possible now.
#[derive(Debug, Error)]
pub enum RollbackError {
    /// Requests are outstanding.
    #[error(
        "{outstanding} requests are outstanding ({held} of them held by rules): \
             unmount in the guest first, or release what is held"
    )]
    Outstanding {
        outstanding: u64,
        /// How many of them a rule makes wait.
        held: usize,
    },
    /// There is no such mark.
    #[error(transparent)]
    Mark(#[from] UnknownMark),
    /// The file for what is written cannot be emptied.
    #[error("cannot empty the file for what is written: {0}")]
    Written(io::Error),
}

impl Device {
    /// Notes that a front end has come; returns the connection's number.
    pub(crate) fn connected(&self) -> u64 {
        let mut state = self.lock();
        state.stats.connections += 1;
        state.stats.connected = true;
        let connection = state.stats.connections;
        self.trace.write(|| Record::Connect {
            t_us: self.trace.now_us(),
            connection,
        });
        self.trace.flush();
        connection
    }

    /// Notes that the front end is gone.
    pub(crate) fn disconnected(&self, connection: u64) {
        self.lock().stats.connected = false;
        self.trace.write(|| Record::Disconnect {
            t_us: self.trace.now_us(),
            connection,
        });
        self.trace.flush();
    }

    /// Notes that a queue's driver broke the protocol.
    pub(crate) fn queue_died(&self, queue: u16, problem: &str) {
        self.trace.write(|| Record::QueueDead {
            t_us: self.trace.now_us(),
            queue,
            problem: problem.to_owned(),
        });
        self.trace.flush();
    }

    /// Completes what waits for rings that are about to be stopped, as if it had been released.
    pub(crate) fn complete_stopping(&self) {
        let stopping = |pending: &Pending| pending.completion.is_stopping();
        let released = self.lock().schedule.remove(stopping, ReleasedBy::Stop);
        self.complete_released(released);
    }

    /// Lets go, without a word to anyone, what is held for rings that are gone.
    pub(crate) fn drop_stale(&self) {
        self.gate.recheck_waits();
        let mut state = self.lock();
        let stale = |pending: &Pending| pending.completion.is_stale();
        let (gone, lost) = std::mem::take(&mut state.lost).into_iter().partition(stale);
        state.lost = lost;
        self.forget(&mut state, gone);
        for released in state.schedule.remove(stale, ReleasedBy::Clear) {
            let Ready { pending, timing, .. } = Ready::from(released);
            let timing = timing.map(|note| TimingNote {
                released_by: None,
                ..note
            });
            pending.completion.abandon();
            self.finish(&mut state, pending.seq, pending.at, None, timing, pending.outcome);
        }
        drop(state);
        self.trace.flush();
    }

    /// Counters since the start.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.trace.flush();
        let state = self.lock();
        let mut stats = state.stats.clone();
        stats.outstanding = stats.submitted - stats.completed;
        stats.held = state.schedule.len() as u64;
        stats.replay_left = state.book.script().map(Script::left);
        stats.trace_lost = self.trace.lost();
        stats.sandbox = self.sandbox().map_or_else(|| "none".to_owned(), ToString::to_string);
        stats.uptime_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        stats
    }

    /// Makes the disk the golden image again, or what it was at a mark, its size included; gives power again if it was
    /// cut. Returns the new size if it is another one.
    ///
    /// # Errors
    /// Requests are outstanding, the file for what is written cannot be emptied, or there is no such mark.
    pub fn rollback(&self, to: Option<&str>) -> Result<Option<Resized>, RollbackError> {
        if let Some(name) = to {
            // Before the power is given back: what is refused changes nothing.
            self.disk.history.knows(name)?;
        }
        let from = self.disk.bytes();
        self.while_quiet(|| {
            match to {
                None => self.disk.rollback().map_err(RollbackError::Written)?,
                Some(name) => {
                    self.disk.history.back_to(name, &mut &self.disk)?;
                }
            }
            self.trace.write(|| Record::Rollback {
                t_us: self.trace.now_us(),
                to: to.map(str::to_owned),
            });
            self.trace_size(from);
            Ok::<(), RollbackError>(())
        })?;
        let bytes = self.disk.bytes();
        Ok((bytes != from).then(|| Resized {
            from,
            bytes,
            front_end: self.front_end.tell_size(),
        }))
    }

    /// Does something to the disk while no request is out, and none is submitted; gives power again if it was cut.
    pub(super) fn while_quiet<T, E: From<RollbackError>>(&self, deed: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.power_on();
        // It would keep the history or the disk, for which nobody must wait who has the device's lock.
        let no_export = self.gate.no_export(|| false);
        let moving = |state: &mut State| state.stats.submitted != state.stats.completed && state.schedule.is_empty();
        let mut state = self.lock();
        state.settling += 1;
        let mut state = self.gate.settle(state, SETTLE_MAX, moving);
        state.settling -= 1;
        let outstanding = state.stats.submitted - state.stats.completed;
        if outstanding > 0 {
            let held = state.schedule.len();
            return Err(RollbackError::Outstanding { outstanding, held }.into());
        }
        // The lock stays taken: no request is submitted between the look and the deed.
        let done = deed()?;
        drop((state, no_export));
        self.trace.flush();
        Ok(done)
    }

    /// Notes the sandbox that the process is in.
    pub(crate) fn confined(&self, sandbox: Sandbox) {
        // A process enters one once.
        let _ = self.sandbox.set(sandbox);
    }

    fn sandbox(&self) -> Option<&Sandbox> {
        self.sandbox.get()
    }

    /// Adds to what is wrong with a file that could not be written what the sandbox has to do with it.
    pub(crate) fn why_unwritten(&self, path: &Path, problem: &str, source: Option<&io::Error>) -> String {
        let reason = source.and_then(|source| self.sandbox()?.reason(path, source));
        reason.map_or_else(|| problem.to_owned(), |reason| format!("{problem}: {reason}"))
    }

    /// Writes the disk to a file, as it stands or as is wanted; nothing is changed.
    ///
    /// # Errors
    /// The file cannot be written, or what is wanted is not known.
    pub(crate) fn export(&self, path: &Path, wanted: &StateRequest<'_>) -> Result<Exported, ExportError> {
        self.gate.standing_still(|| export(&self.disk, path, wanted))
    }

    /// Writes the history as a log of dm-log-writes; returns the number of its entries, and the largest size that the
    /// disk had since it had the image's.
    ///
    /// # Errors
    /// The file cannot be written, or the history does not go back to the image.
    pub(crate) fn export_log(&self, path: &Path) -> Result<(u64, u64), LogError> {
        self.gate
            .standing_still(|| self.disk.history.export(path, self.disk.image_bytes()))
    }
}
