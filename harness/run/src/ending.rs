//! How a job ended, when its machine did.

use evidence::parts::{self, Ending};
use machine::{Outage, VmEnd};

/// What a machine's outage means for the job that it had, or was to get.
pub(crate) fn ending_of(outage: Outage) -> Ending {
    match outage {
        Outage::VmGone(end) => match vm_end(&end) {
            Some(end) => Ending::VmGone(end),
            None => Ending::Harness("QEMU was ended by the harness itself".to_owned()),
        },
        Outage::DeviceGone(how) => Ending::DeviceGone(how),
        Outage::Unfit(reason) => Ending::Unfit(reason),
        Outage::NoHello => Ending::NoHello,
        Outage::OutOfTime { limit_s } => Ending::OutOfTime { limit_s },
        Outage::WrongClock { percent } => {
            Ending::Harness(format!("the guest's clock runs for {percent} % of the host's time"))
        }
        Outage::Rig(reason) => Ending::Harness(reason),
    }
}

/// How QEMU ended by itself; none if it was us.
pub(crate) fn vm_end(end: &VmEnd) -> Option<parts::VmEnd> {
    match end {
        VmEnd::Exited(code) => Some(parts::VmEnd::Exited(*code)),
        VmEnd::Signalled(signal) => Some(parts::VmEnd::Signalled(*signal)),
        VmEnd::EndedByUs => None,
    }
}
