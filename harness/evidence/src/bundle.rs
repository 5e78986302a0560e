//! All that is known of a cell, as one value and as one directory.
//!
//! What people read has a file of its own: the kernel's log, the guest's events, the device's trace, the output of the
//! file system check. `bundle.json` holds the rest and the size of each of these files, and is written last. So a
//! bundle that was not written to its end has none, and a file that is missing or has another size is noticed on
//! loading.

mod error;
mod head;
mod lines;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use guest_wire::{Event, Phase, PhaseOutcome};
use host::atomic;
use vhost_blk_api::trace::{Record, RequestLine, requests};

pub use error::BundleError;

use crate::needs::Need;
use crate::parts::{ARM_MARK, DISARM_MARK, Ending, Fsck, ProgramKind, RuleHits, Timed};
use crate::steal::StealPoint;
use head::{Checked, Head, Part, Parts, VERSION};

/// What has no file of its own, and the sizes of the files.
const HEAD: &str = "bundle.json";
const CONSOLE: &str = "console.log";
const EVENTS: &str = "events.jsonl";
const TRACE: &str = "trace.jsonl";
const FSCK: &str = "fsck.log";

/// Everything known about a cell: what its verdict is made from, and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceBundle {
    /// What ran in the guest.
    pub kind: ProgramKind,
    /// What the device must have seen for the cell to count.
    pub needs: Vec<Need<String>>,
    /// How the host stopped listening: the job is over, or what went away.
    pub ending: Ending,
    /// The guest's events of this job.
    pub events: Vec<Timed>,
    /// The device's trace of this job.
    pub trace: Vec<Record>,
    /// The kernel's console from the job's beginning (from power-on if there was no beginning).
    pub console: String,
    /// Hits of the plan's rules.
    pub rules: Vec<RuleHits>,
    /// The host's file system check, if one was possible.
    pub fsck: Option<Fsck>,
    /// Time that the host took from the guest's CPUs, in the order of time.
    pub steal: Vec<StealPoint>,
}

impl EvidenceBundle {
    /// Names of the files that a bundle may have, `bundle.json` last.
    pub const FILES: [&str; 5] = [CONSOLE, EVENTS, TRACE, FSCK, HEAD];

    /// The evidence of a job that never ran, or of which nothing was heard.
    #[must_use]
    pub fn silent(kind: ProgramKind, needs: &[Need], ending: Ending, console: String) -> EvidenceBundle {
        EvidenceBundle {
            kind,
            needs: needs.iter().map(|need| need.into_owned()).collect(),
            ending,
            events: Vec::new(),
            trace: Vec::new(),
            console,
            rules: Vec::new(),
            fsck: None,
            steal: Vec::new(),
        }
    }

    /// Writes the bundle into a directory, in place of the one that may be there.
    ///
    /// # Errors
    /// The directory cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), BundleError> {
        let write = |name: &str, bytes: &[u8]| {
            let file = dir.join(name);
            atomic::write(&file, bytes).map_err(|source| BundleError::Write { file, source })?;
            Ok(Part {
                bytes: bytes.len() as u64,
            })
        };
        // From here to the end there is no bundle: old files and new ones do not make one.
        remove(&dir.join(HEAD))?;
        let parts = Parts {
            console: write(CONSOLE, self.console.as_bytes())?,
            events: write(EVENTS, &lines::write(&self.events)?)?,
            trace: write(TRACE, &lines::write(&self.trace)?)?,
            fsck: match &self.fsck {
                Some(fsck) => Some(Checked {
                    clean: fsck.clean,
                    bytes: write(FSCK, fsck.output.as_bytes())?.bytes,
                }),
                None => {
                    remove(&dir.join(FSCK))?;
                    None
                }
            },
        };
        let head = Head {
            version: VERSION,
            kind: self.kind,
            needs: self.needs.clone(),
            ending: self.ending.clone(),
            rules: self.rules.clone(),
            steal: self.steal.clone(),
            parts,
        };
        write(HEAD, &head.to_bytes()?)?;
        Ok(())
    }

    /// Reads a bundle from its directory.
    ///
    /// # Errors
    /// It is of another version; a part is missing, has not the size that it was written with, or is not understood.
    /// Nothing is taken for empty because it is not there.
    pub fn load(dir: &Path) -> Result<EvidenceBundle, BundleError> {
        let file = dir.join(HEAD);
        let head = Head::from_bytes(&read(&file)?, &file)?;
        let text = |name: &str, bytes: u64| {
            let file = dir.join(name);
            let text = read(&file)?;
            let found = text.len() as u64;
            if found != bytes {
                return Err(BundleError::Torn { file, bytes, found });
            }
            String::from_utf8(text).map_err(|_| BundleError::NotText { file })
        };
        Ok(EvidenceBundle {
            kind: head.kind,
            needs: head.needs,
            ending: head.ending,
            events: lines::read(&text(EVENTS, head.parts.events.bytes)?, &dir.join(EVENTS))?,
            trace: lines::read(&text(TRACE, head.parts.trace.bytes)?, &dir.join(TRACE))?,
            console: text(CONSOLE, head.parts.console.bytes)?,
            rules: head.rules,
            steal: head.steal,
            fsck: match head.parts.fsck {
                Some(Checked { clean, bytes }) => Some(Fsck {
                    clean,
                    output: text(FSCK, bytes)?,
                }),
                None => None,
            },
        })
    }

    /// Whether the guest accepted the job.
    pub(crate) fn began(&self) -> bool {
        self.events.iter().any(|timed| timed.event == Event::Begin)
    }

    /// How a phase ended, if it did.
    pub(crate) fn outcome(&self, wanted: Phase) -> Option<&PhaseOutcome> {
        self.events.iter().find_map(|timed| match &timed.event {
            Event::PhaseEnd { phase, outcome } if *phase == wanted => Some(outcome),
            _ => None,
        })
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

    fn mark(&self, wanted: &str) -> Option<usize> {
        self.trace
            .iter()
            .position(|record| matches!(record, Record::Mark { name, .. } if name == wanted))
    }
}

fn read(file: &Path) -> Result<Vec<u8>, BundleError> {
    fs::read(file).map_err(|source| {
        let file = file.to_owned();
        match source.kind() {
            std::io::ErrorKind::NotFound => BundleError::Missing { file },
            _ => BundleError::Read { file, source },
        }
    })
}

/// Removes a file that may be there.
fn remove(file: &Path) -> Result<(), BundleError> {
    match fs::remove_file(file) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(BundleError::Write {
            file: file.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}
