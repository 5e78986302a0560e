//! From step to step: asks the search what to run next, has it made and run, writes the journal, and goes on where a
//! killed bisection was.
//!
//! Who makes kernels and runs cases is a [`Bench`]; here is only the order of things. Before anything is begun the
//! journal says so, and after it what came of it. What the search believes follows from the journal alone, so a resume
//! takes the very next step.

mod ahead;
mod each;
mod guess;
mod make;
mod prices;
mod tell;
mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use exit::{Exit, ExitError, Failure};

use super::search::{Conclusion, Next, Price, PriceList, Search, Step};
use super::signature::{Comparison, Reason, Signature};
use super::state::file::{Journal, JournalError};
use super::state::{Entry, Pending, State};
use verdict::results::Cell;
pub use words::{describe, percent, short};

/// Passes of the bad end without a failure after which the good end is run, to see whether the ends are swapped.
const SWAPPED_AFTER: u32 = 5;
/// Runs that say nothing after which an item is given up: it is tried once more.
const TRIES: u32 = 2;

/// What came of making an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildOutcome {
    /// It can be run.
    Ready {
        /// Hash of what came out: items with the same one are the same.
        artifact: String,
        /// Whether it was there already, and so cost nothing.
        is_kept: bool,
    },
    /// It cannot, and that is the item's own fault.
    Unfit(Reason),
}

/// What a bench hands back of one run of an item's kernel.
#[derive(Debug, Clone)]
pub struct Ran {
    /// What the search looks at: the verdict and its grounds.
    pub cell: Cell,
    /// The kernel's log of its case.
    pub console: String,
    /// Whether an earlier bisection ran it.
    pub known: bool,
}

/// Who makes items and runs them.
pub trait Bench {
    /// What it fails with when nothing can be said of an item.
    type Error;

    /// Where the result of making an item will lie, for the journal.
    fn place(&self, item: usize) -> PathBuf;

    /// Makes an item, unless it is made.
    ///
    /// # Errors
    /// Something failed that is not the item's fault.
    fn make(&mut self, item: usize) -> Result<BuildOutcome, Self::Error>;

    /// Runs an item's kernel for the `nth` time, counted from 1; all that is left of it lies below `dir`, which does
    /// not exist yet.
    ///
    /// # Errors
    /// Something failed that is not the item's fault.
    fn run(&mut self, item: usize, dir: &Path, nth: u32) -> Result<Ran, Self::Error>;

    /// What a run left below `dir`, if it came to its end.
    fn left(&self, item: usize, dir: &Path) -> Option<Ran>;

    /// Pairs of items that need not both be made, as nothing differs between them that reaches a build, by what is
    /// made; asked when both ends are, or the bad one is and the other one has to wait.
    ///
    /// # Errors
    /// What differs cannot be found out.
    fn same(&mut self) -> Result<Vec<(usize, usize)>, Self::Error>;

    /// What making each of these items would cost now; nothing if nobody knows.
    fn prices(&mut self, _items: &[usize]) -> Vec<Price> {
        Vec::new()
    }

    /// What an item takes that is made from nothing, in milliseconds, once that is known.
    fn whole_ms(&self) -> Option<u64> {
        None
    }

    /// Items that may be wanted soon, the likeliest first: they can be made while the next run is under way.
    fn ahead(&mut self, _items: &[usize]) {}

    /// Tells a person how it goes.
    fn say(&self, line: &str);
}

/// Why a bisection broke off. It can be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum DriverError<E> {
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A directory of a run cannot be made or removed.
    #[error("cannot write {}", path.display())]
    Dir {
        /// The run's directory, which the bench gets.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Something failed that is not an item's fault, so nothing was observed.
    #[error("{0}")]
    Bench(E),
}

impl ExitError for DriverError<Failure> {
    fn exit(&self) -> Exit {
        match self {
            DriverError::Journal(error) => error.exit(),
            DriverError::Dir { .. } => Exit::CannotCreate,
            DriverError::Bench(failure) => failure.exit,
        }
    }
}

/// What a bisection came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// Both ends held, or the search says which of them did not.
    Search(Conclusion),
    /// The bad end passes and the good end fails.
    Swapped {
        /// With what the good end failed.
        failure: Signature,
    },
}

/// A bisection that is under way.
pub struct Driver<'a, B> {
    search: Search,
    /// The search before anything was observed: what the runs come to without the pairs that were taken for the same
    /// beforehand.
    plain: Search,
    names: &'a [String],
    /// For each item those that it follows on.
    parents: &'a dyn Fn(usize) -> Vec<usize>,
    ends: (usize, usize),
    journal: Journal,
    dir: &'a Path,
    bench: &'a mut B,
    /// Artifacts of items that are made.
    made: BTreeMap<usize, String>,
    /// Pairs of items that are taken for the same beforehand, as long as nothing speaks against it.
    same: Vec<(usize, usize)>,
    /// How many of the ends were made when the bench was asked for them.
    asked_same: usize,
    prices: PriceList,
}

/// A range with all that stays the same while it is searched.
pub struct Range<'a> {
    /// Names of the items, oldest first.
    pub names: &'a [String],
    /// For each item those that it follows on.
    pub parents: &'a dyn Fn(usize) -> Vec<usize>,
    /// The bad end and the good one.
    pub ends: (usize, usize),
}

impl<'a, B: Bench> Driver<'a, B> {
    /// Takes up a bisection where its journal says that it is. Runs are kept below `dir`.
    pub fn new(search: Search, range: &Range<'a>, journal: Journal, dir: &'a Path, bench: &'a mut B) -> Self {
        let mut driver = Driver {
            plain: search.clone(),
            search,
            names: range.names,
            parents: range.parents,
            ends: range.ends,
            journal,
            dir,
            bench,
            made: BTreeMap::new(),
            same: Vec::new(),
            asked_same: 0,
            prices: PriceList::default(),
        };
        driver.begin_anew();
        driver
    }

    /// What was done so far.
    #[must_use]
    pub fn state(&self) -> &State {
        self.journal.state()
    }

    /// Goes on to the end.
    ///
    /// # Errors
    /// It broke off; nothing that was done is lost.
    pub fn go(&mut self) -> Result<Finding, DriverError<B::Error>> {
        self.take_over()?;
        // What was made before a resume.
        self.leave_out()?;
        loop {
            self.set_prices()?;
            match self.step() {
                Step::Run(next) => {
                    if let Some(swapped) = self.run(next)? {
                        return self.conclude(swapped);
                    }
                }
                // A guess beforehand that was wrong: what was pruned is not the same after all.
                Step::Done(Conclusion::Contradiction) if !self.same.is_empty() => {
                    self.bench.say(
                        "no single change explains the runs while items are left out beforehand; none are from here on",
                    );
                    self.same.clear();
                    self.begin_anew();
                }
                Step::Done(conclusion) => {
                    let known = (self.same.len(), self.state().skipped.len());
                    match self.unconfirmed(&conclusion)? {
                        Some(item) => {
                            let next = self.next(item);
                            self.run(next)?;
                        }
                        // One that does not build: a guess on which this stands was taken back, or more cannot be told
                        // apart.
                        None if (self.same.len(), self.state().skipped.len()) != known => {}
                        None => return self.conclude(Finding::Search(conclusion)),
                    }
                }
            }
        }
    }

    fn conclude(&mut self, finding: Finding) -> Result<Finding, DriverError<B::Error>> {
        if self.state().concluded.is_none() {
            let result = match &finding {
                Finding::Search(conclusion) => describe(conclusion, self.names),
                Finding::Swapped { failure } => format!("the ends are swapped: the good end fails with {failure}"),
            };
            self.journal.append(&Entry::Concluded { result })?;
        }
        Ok(finding)
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| known == name)
    }

    /// Lets the search know all that the journal does.
    fn replay(&mut self) {
        let state = self.journal.state();
        let mut search = self.search.clone();
        let mut made = BTreeMap::new();
        for (name, build) in &state.builds {
            if let Some(item) = self.index(name) {
                search.built(item);
                made.insert(item, build.artifact.clone());
            }
        }
        for (name, outcome) in &state.observations {
            if let Some(item) = self.index(name) {
                search.observe(item, *outcome);
            }
        }
        for (one, other) in &state.same {
            if let (Some(one), Some(other)) = (self.index(one), self.index(other)) {
                search.identical(one, other);
            }
        }
        // It may have been killed before it wrote down that two are the same.
        let mut of: BTreeMap<&str, usize> = BTreeMap::new();
        let alike = made.iter().filter_map(|(item, artifact)| {
            let first = *of.entry(artifact).or_insert(*item);
            (first != *item).then_some((*item, first))
        });
        search.all_identical(alike.collect::<Vec<_>>());
        self.search = search;
        self.made = made;
    }

    /// Takes over a run that ended and was not written down.
    fn take_over(&mut self) -> Result<(), DriverError<B::Error>> {
        let Some(Pending::Run(name, dir)) = self.state().pending.clone() else {
            return Ok(());
        };
        let Some(item) = self.index(&name) else { return Ok(()) };
        match self.bench.left(item, &dir) {
            Some(ran) => {
                self.bench.say(&format!(
                    "the run of {} that was under way had come to its end; it counts",
                    short(&name)
                ));
                let ms = ran.cell.duration_ms;
                self.record(item, &ran, dir, ms)?;
            }
            None => self.bench.say(&format!(
                "the run of {} that was under way was cut short; it is done again",
                short(&name)
            )),
        }
        Ok(())
    }

    /// The next step: the search's, but for a look at the good end if the bad one does not fail.
    fn step(&self) -> Step {
        let (bad, good) = self.ends;
        let at_bad = self.search.observed(bad).tally;
        if self.state().pinned.is_none()
            && at_bad.passed >= SWAPPED_AFTER
            && self.search.observed(good).tally.runs() == 0
            && !self.search.is_set_aside(good)
        {
            return Step::Run(self.next(good));
        }
        self.search.step()
    }

    fn next(&self, item: usize) -> Next {
        Next {
            item,
            bad: 0.5,
            gain: 0.0,
            build: !self.made.contains_key(&item),
        }
    }

    /// An item that a conclusion needs to have been run and was not: the change itself, or those among which it is, and
    /// what they follow on.
    fn unconfirmed(&mut self, conclusion: &Conclusion) -> Result<Option<usize>, DriverError<B::Error>> {
        let items = conclusion.items();
        let parents = items.iter().flat_map(|item| (self.parents)(*item));
        let needed: BTreeSet<usize> = items.iter().copied().chain(parents).collect();
        for needed in needed.into_iter().rev() {
            if self.search.is_set_aside(needed) || self.search.observed(needed).tally.runs() > 0 {
                continue;
            }
            if !self.make(needed)? {
                continue;
            }
            let ran = |other: &usize| self.search.observed(*other).tally.runs() > 0;
            let artifact = self.made.get(&needed);
            let same_ran = self.made.iter().any(|(other, of)| Some(of) == artifact && ran(other));
            if !same_ran {
                return Ok(Some(needed));
            }
        }
        Ok(None)
    }

    /// Makes and runs an item; what comes of it when that ends the bisection.
    fn run(&mut self, next: Next) -> Result<Option<Finding>, DriverError<B::Error>> {
        let item = next.item;
        let was_made = self.made.contains_key(&item);
        let same = self.same.len();
        if !self.make(item)? {
            return Ok(None);
        }
        // It turned out to be a kernel that was judged already, or another one than was thought: the search may want
        // something else now.
        let of_item = self.made.get(&item);
        let known = self
            .made
            .iter()
            .any(|(other, of)| *other != item && Some(of) == of_item);
        if !was_made && (known || self.same.len() != same) {
            return Ok(None);
        }
        // Before the run, so that what is told after it counts on it.
        self.leave_out()?;
        let number = self.state().runs.0 + 1;
        let name = self.names[item].clone();
        let dir = self.dir.join("runs").join(format!("{number:04}-{}", short(&name)));
        let cannot = |source| DriverError::Dir {
            path: dir.clone(),
            source,
        };
        // What a run left that was cut short.
        if dir.exists() {
            std::fs::remove_dir_all(&dir).map_err(cannot)?;
        }
        self.journal.append(&Entry::Running {
            item: name,
            dir: dir.clone(),
        })?;
        let expected = self.expected(&next);
        self.bench.ahead(&expected);
        let started = Instant::now();
        let nth = self.runs_of_kernel(item) + 1;
        let ran = self.bench.run(item, &dir, nth).map_err(DriverError::Bench)?;
        self.record(item, &ran, dir, millis(started))
    }

    /// How often an item's kernel was run, as whichever item.
    fn runs_of_kernel(&self, item: usize) -> u32 {
        let of = |name: &str| self.index(name).and_then(|at| self.made.get(&at));
        let kernel = self.made.get(&item);
        let runs = self.state().shown.iter().filter(|shown| of(&shown.item) == kernel);
        u32::try_from(runs.count()).unwrap_or(u32::MAX)
    }

    /// Writes down what a run showed, and tells the search.
    fn record(
        &mut self,
        item: usize,
        ran: &Ran,
        dir: PathBuf,
        ms: u64,
    ) -> Result<Option<Finding>, DriverError<B::Error>> {
        let (bad, good) = self.ends;
        let mut pin = None;
        let showed = match (&self.state().pinned, Signature::of(&ran.cell, &ran.console)) {
            (Some(pinned), _) => pinned.compare(&ran.cell, &ran.console),
            (None, Some(found)) if item == bad => {
                pin = Some(found);
                Comparison::Same
            }
            (None, Some(found)) => Comparison::Other(found),
            (None, None) => self.unpinned(ran),
        };
        if let Some(signature) = &pin {
            self.journal.append(&Entry::Pinned {
                signature: signature.clone(),
            })?;
        }
        let name = self.names[item].clone();
        self.journal.append(&Entry::Ran {
            item: name.clone(),
            showed: showed.clone(),
            dir,
            ms,
        })?;
        if let Comparison::Untestable(reason) = &showed {
            let tries = self.state().said_nothing.get(&name).copied().unwrap_or_default();
            self.tell(&name, &showed, ms, ran.known);
            if !reason.obstacle.may_pass() || tries >= TRIES {
                self.give_up(item, reason.clone())?;
            }
            return Ok(None);
        }
        self.search.observe(item, showed.outcome());
        self.tell(&name, &showed, ms, ran.known);
        if let Some(signature) = pin {
            self.bench.say(&format!("from here on it is about: {signature}"));
        }
        if self.state().pinned.is_none()
            && item == good
            && let Comparison::Other(failure) = showed
        {
            return Ok(Some(Finding::Swapped { failure }));
        }
        Ok(None)
    }

    /// What a run shows that did not fail, as long as no failure is pinned.
    fn unpinned(&self, ran: &Ran) -> Comparison {
        debug_assert!(ran.cell.verdict().failure().is_none(), "a failure has a signature");
        Signature::none().compare(&ran.cell, &ran.console)
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
