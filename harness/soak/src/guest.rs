//! A soak's guest, which runs fio on its machine: the orders that it gets and what it reports.

use std::time::{Duration, Instant};

use exit::{Exit, ExitError};
use guest_wire::soak::{Order, Range, SoakReport};
use machine::{Arrival, DeviceError, Launch, Machine, MachineSpec, Outage, StartError};
use vhost_blk_api::control::{Command, Reply, Stats};

/// How long the guest may take to boot.
const BOOT_WITHIN: Duration = Duration::from_secs(300);
/// How often the device is looked at while the guest works: what rules keep for ever is let go then. Only how long a
/// round takes depends on it.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// After so many looks at a device that has nothing to do, a guest that says nothing is given up.
const IDLE_LOOKS_MAX: u32 = 360;
/// Reports of one run. Each block and each request may fail once, and a run has some ten thousand of them.
const REPORTS_MAX: usize = 1 << 18;

/// Why a guest cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuestError {
    /// Its machine did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The device refused a command, or is gone.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The guest did not get to the point of taking orders.
    #[error("the guest did not get ready: {0}")]
    NotReady(String),
    /// QEMU or the device ended.
    #[error("the guest is gone: {0}")]
    Gone(String),
    /// The guest waits, and the device knows of nothing that it could wait for.
    #[error("{0}")]
    Stuck(String),
    /// The guest reports more than any run can come to.
    #[error("the guest made more than {REPORTS_MAX} reports in one run, and was ended")]
    Endless,
    /// Device and harness do not understand each other.
    #[error("the device answers {0} to a question for something else")]
    Answer(String),
}

impl ExitError for GuestError {
    fn exit(&self) -> Exit {
        match self {
            GuestError::Start(error) => error.exit(),
            GuestError::Device(error) => error.exit(),
            GuestError::NotReady(_)
            | GuestError::Gone(_)
            | GuestError::Stuck(_)
            | GuestError::Endless
            | GuestError::Answer(_) => Exit::Unavailable,
        }
    }
}

/// A guest that takes orders, on its machine.
pub(crate) struct FioGuest {
    pub(crate) machine: Machine,
}

/// What was done to the device so that a run could end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Nudges {
    /// Times that held requests were let go.
    pub(crate) releases: u64,
    /// Times that the power was given back.
    pub(crate) powers: u64,
}

impl FioGuest {
    /// Boots until the guest takes orders.
    ///
    /// # Errors
    /// Something did not start, or the guest did not get that far.
    pub(crate) fn boot(spec: MachineSpec, launch: Launch) -> Result<FioGuest, GuestError> {
        let mut guest = FioGuest {
            machine: Machine::start(spec, launch)?,
        };
        guest.until_ready()?;
        Ok(guest)
    }

    fn until_ready(&mut self) -> Result<(), GuestError> {
        let deadline = Instant::now() + BOOT_WITHIN;
        loop {
            match self.next_report(deadline)? {
                Some(SoakReport::Ready) => return Ok(()),
                Some(SoakReport::Unfit { reason }) => return Err(GuestError::NotReady(reason)),
                Some(_) => {}
                None => {
                    let reason = format!("it said nothing for {} s", BOOT_WITHIN.as_secs());
                    return Err(GuestError::NotReady(reason));
                }
            }
        }
    }

    /// The guest's next report, or none at `deadline`.
    fn next_report(&mut self, deadline: Instant) -> Result<Option<SoakReport>, GuestError> {
        loop {
            match self.machine.line().next_text(deadline) {
                Some(Arrival::Text(text)) => {
                    // Firmware and kernel may have said something before the guest's program.
                    if let Ok(report) = serde_json::from_str(&text) {
                        return Ok(Some(report));
                    }
                }
                Some(Arrival::Closed) => return Err(self.gone()),
                None => return Ok(None),
            }
        }
    }

    /// Runs fio, and zeroes beside it, until both have ended; hands on what the guest reports.
    ///
    /// # Errors
    /// The machine is gone, or the guest waits for nothing.
    pub(crate) fn run(
        &mut self,
        jobs: String,
        zero: Vec<Range>,
        nudges: &mut Nudges,
    ) -> Result<Vec<SoakReport>, GuestError> {
        self.order(&Order::Run { jobs, zero })?;
        let mut reports = Vec::new();
        let mut last = None;
        let mut idle = 0;
        let mut next_look = Instant::now() + LOOK_EVERY;
        loop {
            match self.next_report(next_look)? {
                Some(SoakReport::End { how }) => {
                    reports.push(SoakReport::End { how });
                    return Ok(reports);
                }
                Some(SoakReport::Unfit { reason }) => return Err(GuestError::NotReady(reason)),
                Some(report) => {
                    idle = 0;
                    add(&mut reports, report)?;
                }
                None => {}
            }
            // Also while the guest reports: one of its jobs may wait for what a rule keeps.
            if Instant::now() >= next_look {
                let stats = self.stats()?;
                if last.as_ref().is_some_and(|last| moved(last, &stats)) {
                    idle = 0;
                } else {
                    idle += 1;
                    self.nudge(&stats, nudges)?;
                }
                if idle > IDLE_LOOKS_MAX {
                    return Err(self.stuck(&stats));
                }
                last = Some(stats);
                next_look = Instant::now() + LOOK_EVERY;
            }
        }
    }

    /// Gives power back, and lets go what rules keep.
    fn nudge(&mut self, stats: &Stats, nudges: &mut Nudges) -> Result<(), GuestError> {
        if stats.dark {
            self.machine.device().call("power", &Command::Power)?;
            // What was out is handed in again by a front end that connects again, and by no other.
            if stats.connected {
                self.machine.device().call("disconnect", &Command::Disconnect)?;
            }
            nudges.powers += 1;
        } else if stats.held > 0 {
            self.machine
                .device()
                .call("release", &Command::Release { rule: None })?;
            nudges.releases += 1;
        }
        Ok(())
    }

    /// Sends an order.
    ///
    /// # Errors
    /// QEMU is gone.
    fn order(&mut self, order: &Order) -> Result<(), GuestError> {
        let line = serde_json::to_string(order)
            .map_err(std::io::Error::other)
            .and_then(|line| self.machine.line().send_text(&format!("{line}\n")));
        line.map_err(|_| self.gone())
    }

    /// The device's counters.
    ///
    /// # Errors
    /// The device is gone.
    pub(crate) fn stats(&mut self) -> Result<Stats, GuestError> {
        match self.machine.device().call("stats", &Command::Stats)? {
            Reply::Stats(stats) => Ok(stats),
            other => Err(GuestError::Answer(format!("{other:?}"))),
        }
    }

    fn stuck(&mut self, stats: &Stats) -> GuestError {
        // Its stacks are for the evidence; nothing depends on them.
        if self.order(&Order::DumpBlocked).is_ok() {
            let _ = self.next_report(Instant::now() + LOOK_EVERY * 10);
        }
        GuestError::Stuck(format!(
            "the guest's fio does not end, and the device has {} requests outstanding, {} of them held by rules",
            stats.outstanding, stats.held
        ))
    }

    /// Says which part of the machine ended, now that its line is closed.
    fn gone(&mut self) -> GuestError {
        GuestError::Gone(match self.machine.outage() {
            Outage::DeviceGone(how) => format!("the device {how}"),
            Outage::VmGone(end) => format!("QEMU ended: {end:?}"),
            other => format!("{other:?}"),
        })
    }
}

/// Keeps a report, unless there are too many.
fn add(reports: &mut Vec<SoakReport>, report: SoakReport) -> Result<(), GuestError> {
    if reports.len() >= REPORTS_MAX {
        return Err(GuestError::Endless);
    }
    reports.push(report);
    Ok(())
}

/// Whether the device has done something between two looks.
fn moved(before: &Stats, now: &Stats) -> bool {
    (before.submitted, before.completed, before.connections) != (now.submitted, now.completed, now.connections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_reports_without_end_is_not_heard_without_end() {
        let mut reports = Vec::new();
        let heard = (0..=REPORTS_MAX).find_map(|_| add(&mut reports, SoakReport::Ready).err());
        assert!(matches!(heard, Some(GuestError::Endless)));
        assert_eq!(reports.len(), REPORTS_MAX);
    }
}
