//! What a tree does: built once, and run until that is known.

use std::path::Path;
use std::time::Instant;

use crate::bench::Machines;
use crate::maker::Maker;
use crate::trees::Trees;
use bisect::driver::{Bench, Ran};
use bisect::search::RunOutcome;
use bisect::signature::{Comparison, Obstacle, Reason, Signature};
use bisect::state::file::Journal;
use bisect::state::{Entry, State};
use exit::Failure;
use kernels::Artifact;
use kernels::source::Tree;

/// Runs that say nothing, or fail in another way, after which a set is given up.
const TRIES: u32 = 2;

/// What a tree does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Does {
    /// It fails as pinned.
    Fail,
    /// It passes, often enough.
    Pass,
    /// Nothing that says anything.
    Nothing(Reason),
}

/// Trees that are judged, each by as many runs as it takes, with everything written down.
pub(crate) struct Judge<'a, 'b> {
    /// Who builds and runs.
    pub(crate) bench: &'a mut Machines<'b, Trees>,
    /// What was done.
    pub(crate) journal: Journal,
    /// The bisection's directory.
    pub(crate) dir: &'a Path,
    /// Passes that count as proof.
    pub(crate) passes: u32,
}

impl Judge<'_, '_> {
    /// Writes an entry down.
    ///
    /// # Errors
    /// The journal cannot be written.
    pub(crate) fn write(&mut self, entry: &Entry) -> Result<(), Failure> {
        self.journal.append(entry).map_err(Failure::from)
    }

    /// What is known of a tree, by runs of its kernel under whichever name.
    pub(crate) fn tally(&self, artifact: &str) -> (u32, u32, u32) {
        tally(self.journal.state(), artifact)
    }

    /// Builds a tree and runs it until it is known what it does; `failures` are how many of them it takes.
    ///
    /// # Errors
    /// Something failed that is not the tree's fault.
    pub(crate) fn judge(&mut self, name: &str, tree: &Tree, failures: u32) -> Result<Does, Failure> {
        if let Some(reason) = self.journal.state().skipped.get(name) {
            return Ok(Does::Nothing(reason.clone()));
        }
        let artifact = match self.build(name, tree)? {
            Ok(artifact) => artifact,
            Err(reason) => return Ok(Does::Nothing(reason)),
        };
        loop {
            let (failed, passed, other) = self.tally(&artifact.hash);
            if failed >= failures {
                return Ok(Does::Fail);
            }
            if failed == 0 && passed >= self.passes {
                return Ok(Does::Pass);
            }
            if other >= TRIES {
                return Ok(Does::Nothing(Reason {
                    obstacle: Obstacle::Inconclusive,
                    detail: "its runs say nothing of it; they are listed above".to_owned(),
                    files: Vec::new(),
                    noted: Vec::new(),
                }));
            }
            self.run_once(name, &artifact, failed + passed + other + 1)?;
        }
    }

    /// Builds a tree, and writes down what came of it.
    fn build(&mut self, name: &str, tree: &Tree) -> Result<Result<Artifact, Reason>, Failure> {
        let known = self.journal.state().builds.contains_key(name);
        if !known {
            let dir = self.bench.maker.place(0);
            self.write(&Entry::Building {
                item: name.to_owned(),
                dir,
            })?;
        }
        let started = Instant::now();
        let artifact = match self.bench.maker.build(&format!("delta-{name}"), tree)? {
            Ok(artifact) => artifact,
            Err(reason) => {
                self.bench.say(&format!("{name} is skipped: {reason}"));
                self.write(&Entry::Skipped {
                    item: name.to_owned(),
                    reason: reason.clone(),
                })?;
                return Ok(Err(reason));
            }
        };
        if let Some(built) = built(self.journal.state(), name, &artifact.hash, started) {
            self.write(&built)?;
        }
        Ok(Ok(artifact))
    }

    /// Runs a tree's kernel for the `nth` time, and writes down what it showed.
    fn run_once(&mut self, name: &str, artifact: &Artifact, nth: u32) -> Result<(), Failure> {
        let number = self.journal.state().runs.0 + 1;
        let place = self.dir.join("runs").join(format!("{number:04}-{name}"));
        let ran = match self.bench.left(0, &place) {
            // A killed bisection finished it and did not write it down.
            Some(ran) => ran,
            None => {
                if place.exists() {
                    std::fs::remove_dir_all(&place)
                        .map_err(|error| Failure::cannot_create(&place.display().to_string(), &error))?;
                }
                self.write(&Entry::Running {
                    item: name.to_owned(),
                    dir: place.clone(),
                })?;
                self.bench.run_on(artifact, &place, nth)?
            }
        };
        let showed = self.compare(&ran)?;
        let said = match &showed {
            Comparison::Same => "fails".to_owned(),
            Comparison::Pass => "passes".to_owned(),
            Comparison::Other(other) => format!("fails in another way: {other}"),
            Comparison::Untestable(reason) => format!("says nothing: {reason}"),
        };
        self.bench.say(&format!("run {number}: {name} {said}"));
        self.write(&Entry::Ran {
            item: name.to_owned(),
            showed,
            dir: place,
            ms: ran.cell.duration_ms,
        })
    }

    /// What a run showed, by the pinned signature; the first failure pins it.
    fn compare(&mut self, ran: &Ran) -> Result<Comparison, Failure> {
        if let Some(pinned) = &self.journal.state().pinned {
            return Ok(pinned.compare(&ran.cell, &ran.console));
        }
        let Some(signature) = Signature::of(&ran.cell, &ran.console) else {
            return Ok(Signature::none().compare(&ran.cell, &ran.console));
        };
        self.bench.say(&format!("from here on it is about: {signature}"));
        self.write(&Entry::Pinned { signature })?;
        Ok(Comparison::Same)
    }
}

/// How often runs of a kernel failed as pinned, passed, said nothing of it.
fn tally(state: &State, artifact: &str) -> (u32, u32, u32) {
    let is_it = |name: &str| state.builds.get(name).is_some_and(|build| build.artifact == artifact);
    let (mut failed, mut passed, mut other) = (0, 0, 0);
    for shown in state.shown.iter().filter(|shown| is_it(&shown.item)) {
        match shown.outcome {
            RunOutcome::Failed => failed += 1,
            RunOutcome::Passed => passed += 1,
            RunOutcome::Other | RunOutcome::Untestable => other += 1,
        }
    }
    (failed, passed, other)
}

/// What is to be written down of a build; nothing if that was done. Another compiler makes another kernel of a tree:
/// under the old one's hash no run of it would ever count.
fn built(state: &State, name: &str, artifact: &str, started: Instant) -> Option<Entry> {
    let is_known = state.builds.get(name).is_some_and(|build| build.artifact == artifact);
    (!is_known).then(|| Entry::Built {
        item: name.to_owned(),
        artifact: artifact.to_owned(),
        ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        spared_ms: None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

    use std::path::PathBuf;

    use bisect::search::Direction;
    use bisect::state::{FORMAT, Header, Kind};
    use guest_wire::Fs;

    use super::*;

    #[test]
    fn runs_count_after_another_compiler_made_the_kernel_anew() {
        let header = Header {
            format: FORMAT,
            kind: Kind::Delta,
            bad: String::new(),
            good: String::new(),
            scope: Vec::new(),
            items: 2,
            range: String::new(),
            direction: Direction::Fix,
            case: String::new(),
            fs: Fs::Btrfs,
            exec: Vec::new(),
            rules: Vec::new(),
            seed: 1,
            error: 0.01,
            versions: std::collections::BTreeMap::new(),
        };
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(&dir.path().join("journal.jsonl"), &header).unwrap();
        for artifact in ["gcc-12", "gcc-14"] {
            let entry = built(journal.state(), "t", artifact, Instant::now()).unwrap();
            journal.append(&entry).unwrap();
            assert_eq!(built(journal.state(), "t", artifact, Instant::now()), None);
            let before = tally(journal.state(), artifact).1;
            let ran = Entry::Ran {
                item: "t".to_owned(),
                showed: Comparison::Pass,
                dir: PathBuf::new(),
                ms: 1,
            };
            journal.append(&ran).unwrap();
            assert_eq!(tally(journal.state(), artifact).1, before + 1);
        }
    }
}
