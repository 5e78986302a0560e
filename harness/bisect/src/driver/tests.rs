mod each;
mod guesses;
mod prices;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use guest_wire::{Fs, Phase};

use super::*;
use crate::history::History;
use crate::search::{Config, Direction, End, RunOutcome};
use crate::signature::Obstacle;
use crate::state::{FORMAT, Header, Kind};
use verdict::{Failure, FailureKind, Judgement, Verdict};

/// How an item behaves in its runs.
#[derive(Clone, Copy, PartialEq)]
enum Is {
    Good,
    /// Fails this often.
    Bad(f64),
    DoesNotBuild,
    Hangs,
    /// Inconclusive in the first runs.
    QuietFor(u32),
}

/// A range whose items behave as they are told, in a bisection that can be cut off at any call.
struct World {
    items: Vec<Is>,
    /// Items with the same number are the same kernel.
    artifacts: Vec<usize>,
    seed: u64,
    /// Pairs that are taken for the same.
    same: Vec<(usize, usize)>,
    /// Calls until it is cut off, and whether a run is cut off before or after it left its result.
    cut: Option<(u32, bool)>,
    calls: u32,
    /// Runs that came to their end, with what they left.
    done: BTreeMap<PathBuf, Ran>,
    runs: Vec<usize>,
    made: Vec<usize>,
    /// What may be made ahead, by the last run.
    expected: Vec<usize>,
    /// Items that were made and not expected.
    surprises: Vec<usize>,
    /// An item that makes everything anew, and what was made last on either side of it; none where nobody knows.
    jump: Option<usize>,
    sides: [Option<usize>; 2],
    said: RefCell<Vec<String>>,
    /// Whether all kernels are there already.
    is_kept: bool,
    /// What the answer leaves out unchecked.
    unchecked: Vec<usize>,
}

/// It was cut off.
#[derive(Debug, PartialEq)]
struct Cut;

fn cell(verdict: Verdict) -> Ran {
    let judgement = Judgement::new(verdict, "as told").with_grounds(true, Vec::new());
    Ran {
        cell: Cell::new("k", Fs::Btrfs, "partial-write", judgement, None),
        console: String::new(),
        known: false,
    }
}

fn fail(kind: FailureKind) -> Ran {
    cell(Verdict::Fail(Failure {
        kind,
        place: Some("data".into()),
    }))
}

impl World {
    fn new(items: Vec<Is>) -> World {
        World {
            artifacts: (0..items.len()).collect(),
            items,
            seed: 1,
            same: Vec::new(),
            cut: None,
            calls: 0,
            done: BTreeMap::new(),
            runs: Vec::new(),
            made: Vec::new(),
            expected: Vec::new(),
            surprises: Vec::new(),
            jump: None,
            sides: [None, None],
            said: RefCell::new(Vec::new()),
            is_kept: false,
            unchecked: Vec::new(),
        }
    }

    /// A line of which the items from `change` on are bad.
    fn line(items: usize, change: usize, rate: f64) -> World {
        let bad = |item| if item >= change { Is::Bad(rate) } else { Is::Good };
        World::new((0..items).map(bad).collect())
    }

    fn call(&mut self) -> Result<bool, Cut> {
        self.calls += 1;
        match self.cut {
            Some((at, left)) if at == self.calls => {
                if left {
                    Ok(true)
                } else {
                    Err(Cut)
                }
            }
            _ => Ok(false),
        }
    }
}

impl Bench for World {
    type Error = Cut;

    fn place(&self, item: usize) -> PathBuf {
        PathBuf::from("made").join(item.to_string())
    }

    fn make(&mut self, item: usize) -> Result<BuildOutcome, Cut> {
        if self.call()? {
            return Err(Cut);
        }
        if !self.made.contains(&item) && !self.expected.contains(&item) {
            self.surprises.push(item);
        }
        self.made.push(item);
        self.sides[usize::from(self.jump.is_some_and(|jump| item >= jump))] = Some(item);
        Ok(match self.items[item] {
            Is::DoesNotBuild => BuildOutcome::Unfit(Reason {
                obstacle: Obstacle::Build,
                detail: "error: expected ';'".into(),
                files: Vec::new(),
                noted: Vec::new(),
            }),
            _ => BuildOutcome::Ready {
                artifact: format!("artifact-{}", self.artifacts[item]),
                is_kept: self.is_kept,
            },
        })
    }

    fn run(&mut self, item: usize, dir: &Path, nth: u32) -> Result<Ran, Cut> {
        let cut_after = self.call()?;
        let mut rng = Rng::with_seed(self.seed.wrapping_mul(1_000_000) + (item as u64) * 1000 + u64::from(nth));
        let before = u32::try_from(self.runs.iter().filter(|run| **run == item).count()).expect("few runs");
        let ran = match self.items[item] {
            Is::Bad(rate) if rng.f64() < rate => fail(FailureKind::Corruption),
            Is::Hangs => fail(FailureKind::Hang { phase: Phase::Run }),
            Is::QuietFor(runs) if before < runs => cell(Verdict::Inconclusive),
            _ => cell(Verdict::Pass),
        };
        assert!(!self.done.contains_key(dir), "{} is run a second time", dir.display());
        self.runs.push(item);
        self.done.insert(dir.to_owned(), ran.clone());
        if cut_after { Err(Cut) } else { Ok(ran) }
    }

    fn left(&self, _item: usize, dir: &Path) -> Option<Ran> {
        self.done.get(dir).cloned()
    }

    fn same(&mut self) -> Result<Vec<(usize, usize)>, Cut> {
        Ok(self.same.clone())
    }

    fn prices(&mut self, items: &[usize]) -> Vec<Price> {
        let (Some(jump), Some(last)) = (self.jump, self.made.last()) else {
            return Vec::new();
        };
        let part = |is_near: bool| if is_near { 0.1 } else { 1.0 };
        let price = |item: &usize| Price {
            nearest: part(self.sides[usize::from(*item >= jump)].is_some()),
            last: part((*item >= jump) == (*last >= jump)),
        };
        items.iter().map(price).collect()
    }

    fn whole_ms(&self) -> Option<u64> {
        Some(100_000)
    }

    fn ahead(&mut self, items: &[usize]) {
        assert!(
            items.len() <= 2 && items.iter().all(|item| !self.made.contains(item)),
            "{items:?}"
        );
        items.clone_into(&mut self.expected);
    }

    fn say(&self, line: &str) {
        self.said.borrow_mut().push(line.to_owned());
    }
}

/// One bisection with its directory.
struct Place {
    dir: tempfile::TempDir,
    direction: Direction,
    parents: Vec<Vec<usize>>,
    /// Items that a person leaves out.
    skip: Vec<usize>,
    /// Whether each item is run.
    each: bool,
}

impl Place {
    fn line(items: usize, direction: Direction) -> Place {
        Place {
            dir: tempfile::tempdir().expect("a directory"),
            direction,
            parents: (0..items)
                .map(|item| item.checked_sub(1).into_iter().collect())
                .collect(),
            skip: Vec::new(),
            each: false,
        }
    }

    fn names(&self) -> Vec<String> {
        (0..self.parents.len()).map(|item| format!("v{item}")).collect()
    }

    fn header(&self) -> Header {
        Header {
            format: FORMAT,
            kind: Kind::Releases,
            bad: "b".into(),
            good: "g".into(),
            scope: Vec::new(),
            items: self.parents.len(),
            range: "r".into(),
            direction: self.direction,
            case: "partial-write".into(),
            fs: Fs::Btrfs,
            exec: Vec::new(),
            rules: Vec::new(),
            seed: 1,
            error: 0.01,
            versions: BTreeMap::new(),
        }
    }

    /// Goes as far as it gets.
    fn go(&self, world: &mut World) -> Result<(Finding, State), DriverError<Cut>> {
        let path = self.dir.path().join("journal.jsonl");
        let journal = if path.exists() {
            Journal::resume(&path, &self.header()).expect("a journal").journal
        } else {
            Journal::create(&path, &self.header()).expect("a journal")
        };
        let config = Config {
            direction: self.direction,
            ..Config::default()
        };
        let history = History::of_parents(&self.parents).expect("a history");
        let mut search = Search::new(history, config).expect("a search");
        for item in &self.skip {
            search.observe(*item, RunOutcome::Untestable);
        }
        let names = self.names();
        let newest = names.len() - 1;
        let parents = |item: usize| self.parents[item].clone();
        let range = Range {
            names: &names,
            parents: &parents,
            ends: match self.direction {
                Direction::Regression => (newest, 0),
                Direction::Fix => (0, newest),
            },
        };
        let mut driver = Driver::new(search, &range, journal, self.dir.path(), world);
        let mut finding = driver.go()?;
        if self.each {
            finding = driver.each(finding)?;
        }
        let (unchecked, state) = (driver.unchecked(&finding), driver.state().clone());
        world.unchecked = unchecked;
        Ok((finding, state))
    }
}

fn found(finding: &Finding) -> usize {
    match finding {
        Finding::Search(Conclusion::Found { item, .. }) => *item,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_bad_and_the_first_good_item_are_found_wherever_they_are() {
    for change in 1..9 {
        let mut world = World::line(9, change, 1.0);
        let (finding, _) = Place::line(9, Direction::Regression).go(&mut world).expect("an answer");
        assert_eq!(found(&finding), change);
        // Both sides of the change were seen.
        assert!(
            world.runs.contains(&change) && world.runs.contains(&(change - 1)),
            "{:?}",
            world.runs
        );
        let kernels: BTreeSet<usize> = world.runs.iter().copied().collect();
        assert!(kernels.len() <= 2 + 3, "{kernels:?}");

        let mut world = World::new(
            (0..9)
                .map(|item| if item < change { Is::Bad(1.0) } else { Is::Good })
                .collect(),
        );
        let (finding, _) = Place::line(9, Direction::Fix).go(&mut world).expect("an answer");
        assert_eq!(found(&finding), change);
    }
}

#[test]
fn cut_off_at_any_moment_it_comes_to_the_same_answer_and_repeats_no_run() {
    let whole = {
        let mut world = World::line(9, 6, 0.8);
        let (finding, state) = Place::line(9, Direction::Regression).go(&mut world).expect("an answer");
        (found(&finding), state.runs.0, world.calls)
    };
    for at in 1..=whole.2 {
        for left in [false, true] {
            let place = Place::line(9, Direction::Regression);
            let mut world = World::line(9, 6, 0.8);
            world.cut = Some((at, left));
            assert!(place.go(&mut world).is_err(), "it is cut off at call {at}");
            world.cut = None;
            let (finding, state) = place.go(&mut world).expect("an answer");
            assert_eq!(
                (found(&finding), state.runs.0),
                (whole.0, whole.1),
                "cut off at call {at}, left {left}"
            );
            assert_eq!(world.runs.len(), whole.1 as usize, "cut off at call {at}, left {left}");
            // A third time nothing is done at all.
            let runs = world.runs.len();
            assert_eq!(found(&place.go(&mut world).expect("an answer").0), whole.0);
            assert_eq!(world.runs.len(), runs);
        }
    }
}

#[test]
fn what_does_not_build_is_skipped_and_the_answer_is_a_set_where_nothing_tells() {
    let mut world = World::line(9, 5, 1.0);
    world.items[4] = Is::DoesNotBuild;
    world.items[5] = Is::DoesNotBuild;
    let (finding, state) = Place::line(9, Direction::Regression).go(&mut world).expect("an answer");
    let Finding::Search(Conclusion::Among { items, probability }) = finding else {
        panic!("{finding:?}");
    };
    assert_eq!(items.iter().map(|(item, _)| *item).collect::<Vec<_>>(), [4, 5, 6]);
    assert!(probability > 0.99);
    assert_eq!(state.skipped.len(), 2);
    // Nothing is built twice that does not build.
    assert_eq!(world.made.iter().filter(|item| **item == 4).count(), 1);
}

#[test]
fn another_failure_is_neither_good_nor_bad() {
    let mut world = World::line(9, 7, 1.0);
    world.items[4] = Is::Hangs;
    let (finding, state) = Place::line(9, Direction::Regression).go(&mut world).expect("an answer");
    assert_eq!(found(&finding), 7);
    assert!(state.observations.contains(&("v4".to_owned(), RunOutcome::Other)));
    let said = world.said.borrow();
    assert!(
        said.iter().any(|line| line.contains(
            "v4 fails in another way, which says nothing of the change: \
            partial-write: hang"
        )),
        "{said:#?}"
    );
}

#[test]
fn a_run_that_says_nothing_is_tried_once_more() {
    let mut world = World::line(9, 9 - 1, 1.0);
    world.items[4] = Is::QuietFor(1);
    let (finding, state) = Place::line(9, Direction::Regression).go(&mut world).expect("an answer");
    assert_eq!(found(&finding), 8);
    assert!(state.skipped.is_empty() && world.runs.iter().filter(|run| **run == 4).count() >= 2);
    let mut world = World::line(9, 8, 1.0);
    world.items[4] = Is::QuietFor(9);
    let (finding, state) = Place::line(9, Direction::Regression).go(&mut world).expect("an answer");
    assert_eq!(found(&finding), 8);
    assert_eq!(state.skipped["v4"].obstacle, Obstacle::Inconclusive);
    assert_eq!(world.runs.iter().filter(|run| **run == 4).count(), 2);
}

#[test]
fn wrong_ends_are_told_apart() {
    let go = |items: Vec<Is>| {
        let mut world = World::new(items);
        let (finding, _) = Place::line(world.items.len(), Direction::Regression)
            .go(&mut world)
            .expect("an answer");
        (finding, world.runs.len())
    };
    let (finding, runs) = go(vec![Is::Bad(1.0), Is::Bad(1.0), Is::Good]);
    assert!(matches!(finding, Finding::Swapped { .. }), "{finding:?}");
    assert!(runs <= 6);
    let (finding, _) = go(vec![Is::Good, Is::Good, Is::Good]);
    assert!(
        matches!(finding, Finding::Search(Conclusion::BadEndPasses { .. })),
        "{finding:?}"
    );
    let (finding, _) = go(vec![Is::Bad(1.0), Is::Bad(1.0), Is::Bad(1.0)]);
    assert!(
        matches!(finding, Finding::Search(Conclusion::GoodEndFails { .. })),
        "{finding:?}"
    );
    let (finding, runs) = go(vec![Is::Good, Is::Good, Is::DoesNotBuild]);
    assert_eq!(
        (finding, runs),
        (Finding::Search(Conclusion::EndUntestable(End::Bad)), 0)
    );
    let (finding, _) = go(vec![Is::DoesNotBuild, Is::Good, Is::Bad(1.0)]);
    assert_eq!(finding, Finding::Search(Conclusion::EndUntestable(End::Good)));
}

#[test]
fn what_is_wanted_next_was_told_while_a_guest_ran() {
    for (change, rate) in [(3, 1.0), (40, 1.0), (61, 1.0), (17, 0.5), (50, 0.5)] {
        let mut world = World::line(64, change, rate);
        let (finding, _) = Place::line(64, Direction::Regression)
            .go(&mut world)
            .expect("an answer");
        assert_eq!(found(&finding), change);
        // The first one of all is made before anything runs.
        assert_eq!(world.surprises, [63], "{:?}", world.made);
    }
}

#[test]
fn the_same_kernel_is_not_judged_twice() {
    let mut world = World::line(17, 9, 1.0);
    // Only two changes reach the build.
    world.artifacts = (0..17)
        .map(|item| usize::from(item >= 5) + usize::from(item >= 9))
        .collect();
    let (finding, state) = Place::line(17, Direction::Regression)
        .go(&mut world)
        .expect("an answer");
    assert_eq!(found(&finding), 9);
    assert!(!state.same.is_empty());
    let kernels: BTreeSet<usize> = world.runs.iter().map(|run| world.artifacts[*run]).collect();
    assert_eq!(kernels.len(), 3);
}

#[test]
fn commits_that_are_taken_for_the_same_beforehand_are_not_even_made() {
    let place = Place::line(33, Direction::Regression);
    let reach = [8, 20, 21];
    let mut world = World::line(33, 20, 1.0);
    world.same = (1..33)
        .filter(|item| !reach.contains(item))
        .map(|item| (item, item - 1))
        .collect();
    world.artifacts = (0..33)
        .map(|item| reach.iter().filter(|at| **at <= item).count())
        .collect();
    let (finding, _) = place.go(&mut world).expect("an answer");
    assert_eq!(found(&finding), 20);
    let made: BTreeSet<usize> = world.made.iter().copied().collect();
    assert!(made.len() <= 2 + 2 + 1, "{made:?}");
}

#[test]
fn a_failure_in_three_of_ten_runs_is_bisected_right() {
    for seed in 0..40 {
        let change = 1 + usize::try_from(seed).expect("small") % 29;
        let mut world = World::line(30, change, 0.3);
        world.seed = seed;
        let (finding, _) = Place::line(30, Direction::Regression)
            .go(&mut world)
            .expect("an answer");
        assert_eq!(found(&finding), change, "seed {seed}");
    }
}
