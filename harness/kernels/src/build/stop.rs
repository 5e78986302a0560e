//! A build that nobody waits for, and that can be stopped.

use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process_group};

/// How such a build is stopped, from another thread.
#[derive(Debug, Default)]
pub struct Stop(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    make: Option<Pid>,
}

impl Stop {
    /// Ends what runs, and lets nothing more begin.
    pub fn stop(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.stopped = true;
        if let Some(make) = state.make {
            // It may have ended just now.
            let _ = kill_process_group(make, Signal::TERM);
        }
    }

    /// Whether it was stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).stopped
    }

    /// Starts make as the leader of a group of its own; unless it is stopped already.
    pub(super) fn spawn(&self, command: &mut Command) -> std::io::Result<Child> {
        use std::os::unix::process::CommandExt as _;
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.stopped {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let child = command.process_group(0).spawn()?;
        state.make = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        Ok(child)
    }

    /// It ended, and its number may soon be another one's.
    pub(super) fn ended(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).make = None;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]
mod tests {
    use super::*;

    #[test]
    fn what_runs_is_ended_with_what_it_started_and_nothing_more_begins() {
        let stop = Stop::default();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & wait"]);
        let mut child = stop.spawn(&mut command).unwrap();
        assert!(!stop.is_stopped());
        stop.stop();
        assert!(!child.wait().unwrap().success());
        stop.ended();
        assert!(stop.is_stopped() && stop.spawn(&mut command).is_err());
    }
}
