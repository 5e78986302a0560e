//! All that is known of a cell, as one value and as one directory.
//!
//! What people read has a file of its own: the kernel's log, the guest's events, the device's trace, the output of the
//! file system check and of QEMU. `bundle.json` holds the rest and the size, the number of lines and the hash of each
//! of these files, and is written last. So a bundle that was not written to its end has none, and a file that is
//! missing, cut or changed is noticed on loading, as is a change of `bundle.json` itself.
//!
//! Beside the bundle stands `output.log`, the output of a user's own program, made of the events and read by nobody.

mod error;
mod files;
mod head;
mod kernel_log;
mod lines;
mod output;

#[cfg(test)]
mod tests;

use std::path::Path;

use guest_wire::{Counters, Event, Phase, PhaseOutcome};
use vhost_blk_api::trace::{Record, RequestLine, requests};

pub use error::BundleError;

use crate::context::{CellContext, Clocks};
use crate::needs::Need;
use crate::parts::{ARM_MARK, DISARM_MARK, Earlier, Ending, Fsck, LostPart, ProgramKind, RuleHits, Timed, VmEnd};
use crate::steal::StealPoint;
use files::{load_part, read, remove, save_part, write};
use head::{Answer, Before, Head, Parts, VERSION};

/// What has no file of its own, and the hashes of the files.
const HEAD: &str = "bundle.json";
const CONSOLE: &str = "console.log";
const EVENTS: &str = "events.jsonl";
const TRACE: &str = "trace.jsonl";
const FSCK: &str = "fsck.log";
const QEMU: &str = "qemu.log";
/// Written for people, and read by nobody: the events have it, too.
const OUTPUT: &str = "output.log";

/// Everything known about a cell: what its verdict is made from, and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceBundle {
    /// What ran in the guest.
    pub kind: ProgramKind,
    /// What the device must have seen for the cell to count.
    pub needs: Vec<Need<String>>,
    /// Kernel, file system, case, plan, expectation, tools.
    pub context: CellContext,
    /// How the host stopped listening: the job is over, or what went away.
    pub ending: Ending,
    /// The guest's events of this job.
    pub events: Vec<Timed>,
    /// The device's trace of this job, from its begin mark to its end mark.
    pub trace: Vec<Record>,
    /// The kernel's console from the job's beginning (from power-on if there was no beginning) to the moment at which
    /// the cell was judged: what comes after the last umount is there as well.
    pub console: String,
    /// What the console said before, since the cell before was judged; none if there was no beginning.
    pub earlier: Option<Earlier>,
    /// Hits of the plan's rules.
    pub rules: Vec<RuleHits>,
    /// The host's file system check, if one was possible.
    pub fsck: Option<Fsck>,
    /// Time that the host took from the guest's CPUs, in the order of time.
    pub steal: Vec<StealPoint>,
    /// What QEMU said since it was started.
    pub qemu_log: String,
    /// How QEMU had ended by itself when the job was over; none if it still ran.
    pub qemu_end: Option<VmEnd>,
    /// What makes times of the guest and the device comparable.
    pub clocks: Clocks,
    /// Parts that there should be and that could not be had.
    pub lost: Vec<LostPart>,
}

impl EvidenceBundle {
    /// Names of the files that a bundle may have, `bundle.json` last.
    pub const FILES: [&str; 6] = [CONSOLE, EVENTS, TRACE, FSCK, QEMU, HEAD];

    /// The file beside them that has the output of a user's own program.
    pub const OUTPUT: &str = OUTPUT;

    /// The evidence of a job that never ran, or of which nothing was heard.
    #[must_use]
    pub fn silent(
        kind: ProgramKind,
        needs: &[Need],
        context: CellContext,
        ending: Ending,
        console: String,
    ) -> EvidenceBundle {
        EvidenceBundle {
            kind,
            needs: needs.iter().map(|need| need.into_owned()).collect(),
            context,
            ending,
            events: Vec::new(),
            trace: Vec::new(),
            console,
            earlier: None,
            rules: Vec::new(),
            fsck: None,
            steal: Vec::new(),
            qemu_log: String::new(),
            qemu_end: None,
            clocks: Clocks::default(),
            lost: Vec::new(),
        }
    }

    /// Writes the bundle into a directory, in place of the one that may be there.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), BundleError> {
        // From here to the end there is no bundle: old files and new ones do not make one.
        remove(&dir.join(HEAD))?;
        let earlier = self.earlier.as_ref();
        let before = earlier.map_or("", |earlier| earlier.text.as_str());
        let parts = Parts {
            console: save_part(dir, CONSOLE, [before, &self.console].concat().as_bytes())?,
            events: save_part(dir, EVENTS, &lines::write(&self.events)?)?,
            trace: save_part(dir, TRACE, &lines::write(&self.trace)?)?,
            fsck: match &self.fsck {
                Some(fsck) => Some(save_part(dir, FSCK, fsck.output.as_bytes())?),
                None => {
                    remove(&dir.join(FSCK))?;
                    None
                }
            },
            qemu: save_part(dir, QEMU, self.qemu_log.as_bytes())?,
        };
        match self.kind {
            ProgramKind::Exec => write(&dir.join(OUTPUT), output::text(&self.events).as_bytes())?,
            ProgramKind::Test => remove(&dir.join(OUTPUT))?,
        }
        let head = Head {
            version: VERSION,
            kind: self.kind,
            needs: self.needs.clone(),
            context: self.context.clone(),
            ending: self.ending.clone(),
            fsck: self.fsck.as_ref().map(|fsck| Answer {
                clean: fsck.clean,
                unable: fsck.unable.clone(),
            }),
            earlier: earlier.map(|earlier| Before {
                owner: earlier.owner.clone(),
                bytes: before.len(),
            }),
            rules: self.rules.clone(),
            steal: self.steal.clone(),
            qemu_end: self.qemu_end.clone(),
            clocks: self.clocks,
            lost: self.lost.clone(),
            parts,
            seal: String::new(),
        };
        write(&dir.join(HEAD), &head.into_bytes()?)
    }

    /// Reads a bundle from its directory.
    ///
    /// # Errors
    /// It is of another version; a part is missing, is not what was written, or is not understood. Nothing is taken for
    /// empty because it is not there.
    pub fn load(dir: &Path) -> Result<EvidenceBundle, BundleError> {
        let file = dir.join(HEAD);
        let head = Head::from_bytes(&read(&file)?, &file)?;
        let parts = &head.parts;
        let mut console = load_part(dir, CONSOLE, &parts.console)?;
        let earlier = match head.earlier {
            Some(Before { bytes, .. }) if !console.is_char_boundary(bytes) => {
                return Err(BundleError::Changed { file });
            }
            Some(Before { owner, bytes }) => {
                let rest = console.split_off(bytes);
                Some(Earlier {
                    owner,
                    text: std::mem::replace(&mut console, rest),
                })
            }
            None => None,
        };
        Ok(EvidenceBundle {
            events: lines::read(&load_part(dir, EVENTS, &parts.events)?, &dir.join(EVENTS))?,
            trace: lines::read(&load_part(dir, TRACE, &parts.trace)?, &dir.join(TRACE))?,
            console,
            earlier,
            fsck: match (head.fsck, &parts.fsck) {
                (Some(Answer { clean, unable }), Some(part)) => Some(Fsck {
                    clean,
                    unable,
                    output: load_part(dir, FSCK, part)?,
                }),
                (None, None) => None,
                _ => return Err(BundleError::Changed { file }),
            },
            qemu_log: load_part(dir, QEMU, &parts.qemu)?,
            kind: head.kind,
            needs: head.needs,
            context: head.context,
            ending: head.ending,
            rules: head.rules,
            steal: head.steal,
            qemu_end: head.qemu_end,
            clocks: head.clocks,
            lost: head.lost,
        })
    }

    /// The end of what a user's own program wrote, for a person: so many lines at most.
    pub(crate) fn output_end(&self, lines_max: usize) -> Vec<String> {
        output::end(&self.events, lines_max, OUTPUT)
    }

    /// Whether the guest accepted the job.
    pub(crate) fn began(&self) -> bool {
        self.events.iter().any(|timed| timed.event == Event::Begin)
    }

    /// The kernel's counters at the job's beginning and at its end; twice those of its beginning if it
    /// did not come to its end.
    pub(crate) fn counters(&self) -> Option<(&Counters, &Counters)> {
        let mut counters = self.events.iter().filter_map(|timed| match &timed.event {
            Event::Counters(counters) => Some(counters),
            _ => None,
        });
        let first = counters.next()?;
        Some((first, counters.next_back().unwrap_or(first)))
    }

    /// Whether lockdep reported something in this job, from when on it checks nothing.
    #[must_use]
    pub fn lockdep_spoke(&self) -> bool {
        self.counters()
            .is_some_and(|(before, after)| before.lockdep_on == Some(true) && after.lockdep_on == Some(false))
    }

    /// How a phase ended, if it did.
    pub(crate) fn outcome(&self, wanted: Phase) -> Option<&PhaseOutcome> {
        self.events.iter().find_map(|timed| match &timed.event {
            Event::PhaseEnd { phase, outcome } if *phase == wanted => Some(outcome),
            _ => None,
        })
    }

    /// Whether a guest that was taken for stalled ended the phase after the last sample, when asked for its stacks.
    pub(crate) fn went_on(&self) -> bool {
        let Ending::Stalled(stall) = &self.ending else {
            return false;
        };
        let after = self.events.iter().rev().map(|timed| &timed.event);
        after
            .take_while(|event| !matches!(event, Event::Sample(_)))
            .any(|event| matches!(event, Event::PhaseEnd { phase, .. } if *phase == stall.phase))
    }

    pub(crate) fn last_phase(&self) -> Option<Phase> {
        self.events.iter().rev().find_map(|timed| match timed.event {
            Event::PhaseStart { phase } => Some(phase),
            _ => None,
        })
    }

    /// Requests that reached the device while the plan was in force: what the test's setup wrote carries the same tags.
    pub(crate) fn requests(&self) -> Vec<RequestLine> {
        let Some(armed) = self.mark(ARM_MARK) else {
            return Vec::new();
        };
        let disarmed = self.mark(DISARM_MARK).unwrap_or(self.trace.len());
        requests(self.trace.get(armed..disarmed).unwrap_or_default())
    }

    /// Whether the trace shows that the plan (an empty one, too) was put in force.
    pub(crate) fn plan_in_force(&self) -> bool {
        self.mark(ARM_MARK).is_some()
    }

    pub(crate) fn mark(&self, wanted: &str) -> Option<usize> {
        self.trace
            .iter()
            .position(|record| matches!(record, Record::Mark { name, .. } if name == wanted))
    }
}
