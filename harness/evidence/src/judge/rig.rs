//! Whether our own side went wrong: then nothing is said of the kernel.

use verdict::{Judgement, Stage, console};

use crate::bundle::EvidenceBundle;
use crate::parts::{Ending, VmEnd};

/// Whether the device or QEMU went away. What the guest's kernel says of a disk or a CPU that is gone does not count.
pub(super) fn gone(evidence: &EvidenceBundle) -> Option<Judgement> {
    let (stage, how) = match &evidence.ending {
        Ending::DeviceGone(how) => (Stage::Device, format!("the block device went away: {how}")),
        Ending::VmGone(VmEnd::Signalled(signal)) => (Stage::Vm, format!("QEMU was ended by signal {signal}")),
        Ending::VmGone(VmEnd::Exited(code)) if *code != 0 => {
            (Stage::Vm, format!("QEMU exited with code {code}; see qemu.log"))
        }
        _ => return None,
    };
    Some(Judgement::broken(stage, how))
}

/// Whether our own side in the guest, or the harness, went wrong: unless the kernel says that it was the kernel.
pub(super) fn broken(evidence: &EvidenceBundle) -> Option<Judgement> {
    let boot = |what: &str| Judgement::broken(Stage::Boot, with_last_words(evidence, what));
    match &evidence.ending {
        Ending::Harness(reason) => return Some(Judgement::broken(Stage::Harness, reason)),
        Ending::Unfit(reason) => return Some(Judgement::broken(Stage::Boot, reason)),
        Ending::NoHello => return Some(boot("the guest never answered")),
        _ => {}
    }
    // Words of a job of which the beginning is missing are evidence that is not whole, and so is an end without words.
    if evidence.events.is_empty() && evidence.ending != Ending::Finished {
        return Some(boot(if matches!(evidence.ending, Ending::VmGone(_)) {
            "the guest went down before the case began"
        } else {
            "no word came before the case began"
        }));
    }
    if console::init_died(&evidence.kernel_log()) {
        return Some(Judgement::broken(Stage::Guest, "pid 1 of the guest died"));
    }
    if let Some(line) = console::agent_ended(&evidence.console) {
        return Some(Judgement::broken(Stage::Guest, line));
    }
    None
}

/// What is known of a guest that never got to the case, with the last thing that its kernel said.
fn with_last_words(evidence: &EvidenceBundle, what: &str) -> String {
    if evidence.began() {
        return what.to_owned();
    }
    match last_words(&evidence.console) {
        Some(words) => format!("{what}; its last words: {words}"),
        None => format!("{what}; its kernel said nothing"),
    }
}

/// The line of a panic, else the last line that says anything.
fn last_words(log: &str) -> Option<&str> {
    let lines = || log.lines().map(console::message).filter(|line| !line.is_empty());
    // After its line a panic prints a stack and `end Kernel panic`.
    lines()
        .find(|line| line.starts_with("Kernel panic - not syncing"))
        .or_else(|| lines().next_back())
}
