//! Where our own side went wrong.

use std::fmt;

use guest_wire::Phase;

/// The part of the rig, or the phase of the job, that kept a cell from a verdict on the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    /// The guest was not ready for the case.
    Boot,
    /// The block device went away.
    Device,
    /// Part of the evidence is missing, cut or cannot be read.
    Evidence,
    /// Our own programs in the guest died, or part of what they had to say was not heard.
    Guest,
    /// The harness on the host failed, or gave up.
    Harness,
    /// The test did not end as a test ends; a finding is no such thing.
    Test,
    /// QEMU went away.
    Vm,
    /// The agent could not do what belongs to this phase.
    Phase(Phase),
}

impl Stage {
    /// Every stage that is no phase.
    const RIG: [Stage; 7] = [
        Stage::Boot,
        Stage::Device,
        Stage::Evidence,
        Stage::Guest,
        Stage::Harness,
        Stage::Test,
        Stage::Vm,
    ];

    /// Every stage.
    pub(crate) fn all() -> impl Iterator<Item = Stage> {
        Stage::RIG.into_iter().chain(Phase::ALL.map(Stage::Phase))
    }

    /// The word that stands before the detail of a broken cell.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Stage::Boot => "boot",
            Stage::Device => "device",
            Stage::Evidence => "evidence",
            Stage::Guest => "guest",
            Stage::Harness => "harness",
            Stage::Test => "test",
            Stage::Vm => "vm",
            Stage::Phase(phase) => phase.name(),
        }
    }

    pub(crate) fn from_word(word: &str) -> Option<Stage> {
        Stage::all().find(|stage| stage.word() == word)
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Stage;

    #[test]
    fn no_two_stages_share_a_word() {
        let words: BTreeSet<&str> = Stage::all().map(Stage::word).collect();
        assert_eq!(words.len(), Stage::all().count());
        for stage in Stage::all() {
            assert_eq!(Stage::from_word(stage.word()), Some(stage));
        }
    }
}
