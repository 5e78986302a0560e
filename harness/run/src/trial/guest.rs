//! The guest of a boot, as the loop over its cases knows it.

use std::io;

use evidence::EvidenceBundle;
use evidence::steal::StealPoint;
use machine::Machine;

use crate::job::{self, ConsolePlace, JobRequest};

/// A guest that takes one job after another.
pub(super) trait Guest {
    /// The kernel's command line.
    fn command_line(&self) -> &str;

    /// Runs a job and gives back what it left behind, and what the host took from the guest since the job before.
    fn run(&mut self, request: JobRequest<'_>) -> (EvidenceBundle, Vec<StealPoint>);

    /// Has the kernel power off, and gives back what the console says from the end of the last job until then, and what
    /// the host took meanwhile.
    fn power_off(self) -> (io::Result<String>, Vec<StealPoint>);

    /// Ends the machine, whatever the guest does.
    fn end(self);
}

/// That of a machine.
pub(super) struct BootedGuest {
    machine: Machine,
    console: ConsolePlace,
}

impl BootedGuest {
    /// That of a machine that has run nothing yet.
    pub(super) fn new(machine: Machine) -> BootedGuest {
        BootedGuest {
            machine,
            console: ConsolePlace::of_boot(),
        }
    }
}

impl Guest for BootedGuest {
    fn command_line(&self) -> &str {
        self.machine.command_line()
    }

    fn run(&mut self, request: JobRequest<'_>) -> (EvidenceBundle, Vec<StealPoint>) {
        job::run(&mut self.machine, request, &mut self.console)
    }

    fn power_off(mut self) -> (io::Result<String>, Vec<StealPoint>) {
        let last_words = job::power_off(&mut self.machine, &self.console);
        self.machine.end();
        last_words
    }

    fn end(self) {
        self.machine.end();
    }
}
