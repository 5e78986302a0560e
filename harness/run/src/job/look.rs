//! What the host looks at while a job runs, and when that ends the job.

use std::time::Duration;

use evidence::hang::{self, Finding, HostView};
use evidence::parts::Ending;
use guest_wire::{Event, Phase, Sample};
use vhost_blk_api::control::{Command, Reply, Stats};

use super::{Runner, statuses};
use crate::kept;

/// Bytes that a guest may print in one case. The whole suite prints a few hundred KiB; a kernel that warns in a loop
/// would fill the disk, and nobody reads what it says after that.
const CONSOLE_MAX: u64 = 128 << 20;

/// The end of a case whose guest prints without end.
fn endless(printed: u64) -> Option<Ending> {
    (printed > CONSOLE_MAX).then(|| {
        let mib = CONSOLE_MAX >> 20;
        Ending::Harness(format!(
            "the guest printed more than {mib} MiB on its console, and was ended"
        ))
    })
}

impl Runner<'_> {
    /// Looks at device, console, QEMU and, if nothing is heard of the agent, at the guest's CPUs.
    pub(super) fn look(&mut self) -> Option<Ending> {
        if let Some(how) = self.machine.device().ended() {
            return Some(Ending::DeviceGone(how));
        }
        let printed = self.machine.console_bytes().saturating_sub(self.console_from);
        if let Some(ending) = endless(printed) {
            return Some(ending);
        }
        self.watch.look();
        if !self.watch.is_silent() {
            return None;
        }
        let stats = match self.stats() {
            Ok(stats) => stats,
            Err(ending) => return Some(ending),
        };
        let phase = self.phase();
        self.watch
            .look_at_cpus(self.machine, &stats, phase)
            .map(Ending::Stalled)
    }

    /// The phase that began last.
    fn phase(&self) -> Phase {
        let begun = self.events.iter().rev().find_map(|timed| match timed.event {
            Event::PhaseStart { phase } => Some(phase),
            _ => None,
        });
        begun.unwrap_or(Phase::Mount)
    }

    /// No end came in time: because a rule makes a request wait, or nobody knows why.
    pub(super) fn out_of_time(&mut self, limit: Duration) -> Ending {
        let rules = statuses(self.machine).unwrap_or_default();
        let kept = match self.stats() {
            Ok(stats) => kept::for_ever(&self.begin, &stats, &rules).or_else(|| kept::now(&rules)),
            Err(_) => None,
        };
        match kept {
            Some(rule) => Ending::Held {
                rule,
                phase: self.phase(),
            },
            None => Ending::OutOfTime {
                limit_s: limit.as_secs(),
            },
        }
    }

    pub(super) fn stats(&mut self) -> Result<Stats, Ending> {
        match self.machine.device().call("stats", &Command::Stats) {
            Ok(Reply::Stats(stats)) => Ok(stats),
            Ok(_) => Err(Ending::Harness("the device answered stats with something else".into())),
            Err(error) => Err(self.device_error(&error)),
        }
    }

    /// Adds a sample with what the host knows at its arrival, and judges the row.
    pub(super) fn judge_sample(&mut self, sample: Sample) -> Option<Ending> {
        let stats = match self.stats() {
            Ok(stats) => stats,
            Err(ending) => return Some(ending),
        };
        let rules = match statuses(self.machine) {
            Ok(rules) => rules,
            Err(error) => return Some(self.device_error(&error)),
        };
        // A guest that was stopped may speak before anybody has looked at it again.
        self.watch.look();
        let view = HostView {
            outstanding: stats.outstanding,
            submitted: stats.submitted,
            kept_by: kept::for_ever(&self.begin, &stats, &rules),
            host_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            qemu_cpu_ms: self.machine.qemu_cpu_ms(),
            pauses: self.watch.pauses(),
        };
        self.row.push((sample, view));
        hang::judge(&self.row, self.machine.cpus()).map(|finding| match finding {
            Finding::Stall(stall) => Ending::Stalled(stall),
            Finding::Held { rule, phase } => Ending::Held { rule, phase },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_may_print_much_but_not_without_end() {
        assert_eq!(endless(CONSOLE_MAX), None);
        let ending = endless(CONSOLE_MAX + 1);
        assert!(
            matches!(&ending, Some(Ending::Harness(why)) if why.contains("more than 128 MiB")),
            "{ending:?}"
        );
    }
}
