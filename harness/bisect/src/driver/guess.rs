//! What is taken for the same beforehand, since nothing differs that reaches a build: a guess, until one that is made
//! turns out to be another kernel.

use std::collections::BTreeSet;

use super::{Bench, Driver, DriverError, Finding, short};
use crate::signature::Obstacle;

impl<B: Bench> Driver<'_, B> {
    /// A search that knows what is taken for the same, and all that the journal says.
    pub(super) fn begin_anew(&mut self) {
        self.search = self.plain.clone();
        self.search.all_identical(self.same.iter().copied());
        self.replay();
        let wrong: Vec<usize> = self
            .made
            .keys()
            .copied()
            .filter(|item| self.is_another(*item))
            .collect();
        if !wrong.is_empty() {
            for item in wrong {
                self.forget_same(item);
            }
            self.begin_anew();
        }
    }

    /// Leaves out what need not be made, once both ends are and so tell what a build reads, or the bad one is and the
    /// other one has to wait.
    pub(super) fn leave_out(&mut self) -> Result<(), DriverError<B::Error>> {
        let (bad, good) = self.ends;
        let is_made = |end: &usize| self.made.contains_key(end);
        let made: Vec<usize> = [bad, good].into_iter().filter(is_made).collect();
        let is_enough = made.len() == 2 || made == [bad] && self.search.is_dear(good);
        if made.len() <= self.asked_same || !is_enough {
            return Ok(());
        }
        self.asked_same = made.len();
        if made == [bad] {
            self.bench.say(&format!(
                "the good end, {}, costs most to make: it is run only if nothing nearer passes",
                short(&self.names[good])
            ));
        }
        // After a resume they are made, but the bench need not know.
        for end in made {
            self.bench.make(end).map_err(DriverError::Bench)?;
        }
        let before = std::mem::replace(&mut self.same, self.bench.same().map_err(DriverError::Bench)?);
        if self.same != before {
            let left_out: BTreeSet<usize> = self.same.iter().map(|(item, _)| *item).collect();
            self.bench.say(&format!(
                "{} of {} items change nothing that reaches the build: what is known of those before them holds for \
                them, too",
                left_out.len(),
                self.names.len() - 1
            ));
            self.begin_anew();
        }
        Ok(())
    }

    /// Items that a conclusion leaves out by a guess that nothing checks: what it names or what that follows on was not
    /// made, and is taken for the same as others. It does not build, or a person left it out. An item that was made is
    /// among these, too, if what it is taken for was not.
    #[must_use]
    pub fn unchecked(&self, finding: &Finding) -> Vec<usize> {
        let Finding::Search(conclusion) = finding else {
            return Vec::new();
        };
        let named: BTreeSet<usize> = conclusion.items().into_iter().collect();
        let parents = named.iter().flat_map(|item| (self.parents)(*item));
        let around: BTreeSet<usize> = named.iter().copied().chain(parents).collect();
        let is_made = |item: usize| self.made.contains_key(&item);
        let not_made = around.into_iter().filter(|item| !is_made(*item));
        let class: BTreeSet<usize> = not_made.flat_map(|item| self.taken_for(item)).collect();
        let guessed = self.same.iter().filter(|(item, _)| class.contains(item));
        let guessed = guessed.filter(|(item, before)| !is_made(*item) || !is_made(*before));
        let unchecked: BTreeSet<usize> = guessed.map(|(item, _)| *item).collect();
        unchecked.difference(&named).copied().collect()
    }

    /// All that is taken for the same as an item beforehand, itself among them.
    fn taken_for(&self, item: usize) -> BTreeSet<usize> {
        let mut class = BTreeSet::from([item]);
        loop {
            let before = class.len();
            // Both ways, so that a row is gone through at once, on whichever side the item is.
            for (one, other) in self.same.iter().chain(self.same.iter().rev()) {
                if class.contains(one) || class.contains(other) {
                    class.extend([*one, *other]);
                }
            }
            if class.len() == before {
                return class;
            }
        }
    }

    /// Whether an item that is made turned out to be another kernel than one that it was taken for, or than one that
    /// does not build.
    pub(super) fn is_another(&self, item: usize) -> bool {
        let of = |other: &usize| self.made.get(other);
        let does_not_build = |other: &usize| {
            let reason = self.state().skipped.get(&self.names[*other]);
            reason.is_some_and(|reason| reason.obstacle == Obstacle::Build)
        };
        let is_other = |other: &usize| of(other).map_or_else(|| does_not_build(other), |_| of(other) != of(&item));
        of(&item).is_some() && self.taken_for(item).iter().any(is_other)
    }

    /// Takes the guess back that an item is the same as others, if one of them turned out to be another kernel.
    pub(super) fn check_guess(&mut self, item: usize) {
        let class = self.taken_for(item);
        let made = class.iter().copied().find(|other| self.made.contains_key(other));
        if class.len() < 2 || !made.is_some_and(|made| self.is_another(made)) {
            return;
        }
        self.bench.say(&format!(
            "{} is another kernel after all than those that it was taken for; they are not left out any more",
            short(&self.names[item])
        ));
        self.forget_same(item);
        self.begin_anew();
    }

    /// What an item was taken for is no longer taken for anything.
    pub(super) fn forget_same(&mut self, item: usize) {
        let class = self.taken_for(item);
        self.same.retain(|(one, _)| !class.contains(one));
    }
}
