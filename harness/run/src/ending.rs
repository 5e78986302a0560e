//! How a job ended, when its machine did.

use evidence::parts::{self, Ending};
use machine::{Outage, VmEnd};

/// What a machine's outage means for the job that it had, or was to get.
pub(crate) fn ending_of(outage: Outage) -> Ending {
    match outage {
        Outage::VmGone(VmEnd::Exited(code)) => Ending::VmGone(parts::VmEnd::Exited(code)),
        Outage::VmGone(VmEnd::Signalled(signal)) => Ending::VmGone(parts::VmEnd::Signalled(signal)),
        Outage::VmGone(VmEnd::EndedByUs) => Ending::Harness("QEMU was ended by the harness itself".to_owned()),
        Outage::DeviceGone(how) => Ending::DeviceGone(how),
        Outage::Unfit(reason) => Ending::Unfit(reason),
        Outage::NoHello => Ending::NoHello,
        Outage::OutOfTime { limit_s } => Ending::OutOfTime { limit_s },
        Outage::Rig(reason) => Ending::Harness(reason),
    }
}
