//! The last confirmation: the newest item with the change taken back.

use std::fmt;
use std::path::{Path, PathBuf};

use super::bench::Machines;
use super::found::{Came, Cost, Found};
use super::maker::Maker;
use super::request::Confirm;
use bisect::driver::{Bench, short};
use bisect::search::Direction;
use exit::Failure;
use kernels::source::Tree;

/// A build is cheap up to this part of a whole one.
const CHEAP: f64 = 0.25;

/// What the newest item shows without the change.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reverted {
    /// The newest item and the change, for a person.
    pub(crate) what: String,
    /// What the change does.
    direction: Direction,
    /// What came of it.
    pub(crate) outcome: Came,
}

impl Reverted {
    /// Whether a kernel without the change was run.
    pub(crate) fn was_run(&self) -> bool {
        matches!(self.outcome, Came::Ran(..))
    }
}

impl fmt::Display for Reverted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.outcome)?;
        match self.direction {
            Direction::Regression if self.outcome.fails() => f.write_str(
                ", which does not confirm it: it fails without the change, too, by a later one or by more than one",
            ),
            Direction::Fix if self.outcome.passes() => {
                f.write_str(", which does not confirm it: it passes without the change, too, perhaps by a later one")
            }
            _ => Ok(()),
        }
    }
}

/// Runs the newest item with a change taken back, if that goes cleanly and may cost what it does: where it should pass,
/// as often as the item before the change passed; where it should fail, until it does.
///
/// # Errors
/// The kernel or a machine cannot be had.
pub(crate) fn confirm<M: Maker>(bench: &mut Machines<'_, M>, found: &Found<'_>) -> Result<Option<Reverted>, Failure> {
    let Some(tree) = bench.maker.without(found.item)? else {
        return Ok(None);
    };
    let names = &found.planned.names;
    let newest = short(&names[names.len() - 1]);
    let dear = match found.confirm {
        Confirm::Never => return Ok(None),
        Confirm::Cheap => too_dear(bench, &tree, found.dir),
        Confirm::Always => None,
    };
    let outcome = match dear {
        Some(cost) => Came::LeftOut(cost),
        None => found.tried(bench, &format!("{newest}-reverted"), &tree, &|nth| {
            place(found.dir, nth)
        })?,
    };
    let reverted = Reverted {
        what: format!("{newest} without {}", short(&names[found.item])),
        direction: found.planned.direction,
        outcome,
    };
    bench.say(&reverted.to_string());
    Ok(Some(reverted))
}

/// What a build costs that is not cheap; none if it is, or if the bisection has run it: what came of that still holds
/// when something else was built meanwhile.
fn too_dear<M: Maker>(bench: &Machines<'_, M>, tree: &Tree, dir: &Path) -> Option<Cost> {
    let part = bench.maker.price_of(tree)?.nearest;
    if part <= CHEAP || bench.left(0, &place(dir, 1)).is_some() {
        return None;
    }
    let whole_s = bench.maker.pace().whole_s;
    Some(Cost {
        part,
        seconds: whole_s.map(|whole_s| whole_s * part),
    })
}

/// Where the nth run without the change is.
fn place(dir: &Path, nth: u32) -> PathBuf {
    dir.join("reverted").join(format!("{nth:04}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

    use bisect::search::Price;
    use bisect::signature::Reason;
    use evidence::EvidenceBundle;
    use evidence::context::{CellContext, KernelIdentity};
    use evidence::parts::{Ending, ProgramKind};
    use guest_wire::Fs;
    use host::progress::Progress;
    use kernels::Artifact;
    use run::{Trial, TrialCase, cell_file};
    use verdict::Judgement;
    use verdict::results::Cell;

    use super::*;
    use crate::plan::Pace;
    use crate::setting::Setting;

    /// Of whom a third of a tree has to be made anew.
    struct Third;

    impl Maker for Third {
        fn again(&self, _item: usize) -> String {
            String::new()
        }

        fn place(&self, _item: usize) -> PathBuf {
            PathBuf::new()
        }

        fn make(&mut self, _item: usize) -> Result<Result<Artifact, Reason>, Failure> {
            unreachable!("nothing is made")
        }

        fn price_of(&self, _tree: &Tree) -> Option<Price> {
            Some(Price {
                nearest: 0.33,
                last: 1.0,
            })
        }

        fn pace(&self) -> Pace {
            Pace {
                whole_s: Some(300.0),
                ..Pace::default()
            }
        }
    }

    #[test]
    fn what_does_not_confirm_a_change_is_said() {
        let ran = |direction, failed, passed| Reverted {
            what: "b without a".to_owned(),
            direction,
            outcome: Came::Ran(failed, passed, 0),
        };
        for (direction, failed, passed, confirms) in [
            (Direction::Regression, 0, 3, true),
            (Direction::Regression, 1, 0, false),
            (Direction::Fix, 1, 2, true),
            (Direction::Fix, 0, 60, false),
        ] {
            let said = ran(direction, failed, passed).to_string();
            assert_eq!(said.contains("does not confirm"), !confirms, "{said}");
        }
        // Given up after a pass, for it said nothing twice.
        let said = Reverted {
            outcome: Came::Ran(0, 1, 2),
            ..ran(Direction::Fix, 0, 0)
        };
        assert_eq!(said.to_string(), "b without a: 0 of 3 runs fail, 2 say nothing of it");
    }

    #[test]
    fn what_is_dear_is_said_and_what_was_run_is_not_taken_back() {
        let dir = tempfile::tempdir().unwrap();
        let setting = Setting::of_test();
        let mut bench = Machines::new(Third, &setting, Progress::hidden());
        let trial = Trial {
            kernel: "k".to_owned(),
            fs: Fs::Btrfs,
            test: "exec".to_owned(),
            cases: vec![TrialCase {
                name: "exec".to_owned(),
                expect: None,
            }],
        };
        bench.look_at(trial.clone());
        let tree = Tree {
            id: "t".to_owned(),
            name: "t".to_owned(),
            alternates: Vec::new(),
        };
        let cost = too_dear(&bench, &tree, dir.path()).unwrap();
        let reverted = Reverted {
            what: "b without a".to_owned(),
            direction: Direction::Fix,
            outcome: Came::LeftOut(cost),
        };
        assert_eq!(
            reverted.to_string(),
            "b without a: not built, as 33 % of it would have to be made anew, in about 99 s (`--confirm always` does \
            it)"
        );
        // As a bisection leaves it that came to its end.
        let artifact = Artifact {
            id: "k".to_owned(),
            hash: String::new(),
            dir: PathBuf::new(),
            kernel: PathBuf::new(),
            bzimage: PathBuf::new(),
            release: String::new(),
            version: String::new(),
            modules_root: None,
        };
        let at = place(dir.path(), 1);
        let run = bench.describe(&artifact, std::slice::from_ref(&trial), &at, 1);
        let cell_dir = run.cell_dir("k", Fs::Btrfs, "exec");
        std::fs::create_dir_all(&cell_dir).unwrap();
        run.save().unwrap();
        let context = CellContext::new(KernelIdentity::default(), Fs::Btrfs, "exec");
        let evidence = EvidenceBundle::silent(ProgramKind::Exec, &[], context, Ending::Finished, String::new());
        evidence.save(&cell_dir).unwrap();
        let judgement = Judgement::broken(verdict::Stage::Evidence, "a test");
        let cell = Cell {
            dir: cell_dir.clone(),
            ..Cell::new("k", Fs::Btrfs, "exec", judgement, None)
        };
        cell_file::save(&cell, &cell_dir).unwrap();
        assert_eq!(too_dear(&bench, &tree, dir.path()), None);
        // What was run is that kernel, and no other one that is made at its place.
        let another = Artifact {
            hash: "another".to_owned(),
            ..artifact.clone()
        };
        assert!(bench.left_of(&artifact, &at).is_some());
        assert!(bench.left_of(&another, &at).is_none());
    }
}
