//! Whether our own side went wrong: then nothing is said of the kernel.

use guest_wire::{Phase, PhaseOutcome};
use verdict::{Judgement, Stage, console};

use crate::bundle::EvidenceBundle;
use crate::parts::{Ending, VmEnd};

/// Whether our own side went wrong.
pub(super) fn broken(evidence: &EvidenceBundle) -> Option<Judgement> {
    if console::init_died(&evidence.console) {
        return Some(Judgement::broken(Stage::Guest, "pid 1 of the guest died"));
    }
    match &evidence.ending {
        Ending::DeviceGone(how) => {
            return Some(Judgement::broken(
                Stage::Device,
                format!("the block device went away: {how}"),
            ));
        }
        Ending::VmGone(VmEnd::Signalled(signal)) => {
            return Some(Judgement::broken(
                Stage::Vm,
                format!("QEMU was ended by signal {signal}"),
            ));
        }
        Ending::VmGone(VmEnd::Exited(code)) if *code != 0 => {
            return Some(Judgement::broken(
                Stage::Vm,
                format!("QEMU exited with code {code}; see qemu.log"),
            ));
        }
        Ending::Harness(reason) => return Some(Judgement::broken(Stage::Harness, reason)),
        Ending::Unfit(reason) => return Some(Judgement::broken(Stage::Boot, reason)),
        Ending::NoHello => return Some(Judgement::broken(Stage::Boot, "the guest never answered")),
        _ => {}
    }
    if let Some(line) = console::agent_ended(&evidence.console) {
        return Some(Judgement::broken(Stage::Guest, line));
    }
    if !evidence.began() {
        let how = if matches!(evidence.ending, Ending::VmGone(_)) {
            "the guest went down"
        } else {
            "no word came"
        };
        return Some(Judgement::broken(Stage::Boot, format!("{how} before the case began")));
    }
    // The first mount is of a fresh golden image: what fails there is the rig's or this kernel's ability to take part.
    [Phase::Mount, Phase::Remount]
        .into_iter()
        .find_map(|phase| match evidence.outcome(phase) {
            Some(PhaseOutcome::Failed(what)) => Some(Judgement::broken(Stage::Phase(Phase::Mount), what)),
            _ => None,
        })
}
