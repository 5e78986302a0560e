//! Why a machine is of no more use.

use crate::vm::process::VmEnd;

/// What kept a machine from taking a job, or ended it under one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outage {
    /// QEMU went away.
    VmGone(VmEnd),
    /// The device went away; how, for a person.
    DeviceGone(String),
    /// The agent says that the guest is not fit to run anything.
    Unfit(String),
    /// The guest never got as far as the agent.
    NoHello,
    /// The guest's clock does not run like the host's.
    WrongClock {
        /// Its time in percent of the host's.
        percent: u128,
    },
    /// The time given ran out.
    OutOfTime {
        /// Seconds that were given.
        limit_s: u64,
    },
    /// Something in the harness itself failed.
    Rig(String),
}
