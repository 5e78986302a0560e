//! An item is made, or given up; and what is known of one that comes to the same kernel holds for it.

use std::time::Instant;

use super::{Bench, BuildOutcome, Driver, DriverError, millis, short};
use crate::search::RunOutcome;
use crate::signature::Reason;
use crate::state::Entry;

impl<B: Bench> Driver<'_, B> {
    /// Makes an item unless it is made; whether it can be run.
    pub(super) fn make(&mut self, item: usize) -> Result<bool, DriverError<B::Error>> {
        let name = self.names[item].clone();
        let known = self.made.contains_key(&item);
        let spared = if known { None } else { self.spared(item) };
        if !known {
            let dir = self.bench.place(item);
            self.journal.append(&Entry::Building {
                item: name.clone(),
                dir,
            })?;
        }
        let started = Instant::now();
        let made = self.bench.make(item).map_err(DriverError::Bench)?;
        match made {
            BuildOutcome::Ready { artifact, is_kept } => {
                if !known {
                    self.journal.append(&Entry::Built {
                        item: name.clone(),
                        artifact: artifact.clone(),
                        ms: millis(started),
                        spared_ms: spared.filter(|_| !is_kept),
                    })?;
                    self.prices.forget();
                    self.search.built(item);
                    let same: Vec<usize> = self
                        .made
                        .iter()
                        .filter(|(_, of)| **of == artifact)
                        .map(|(other, _)| *other)
                        .collect();
                    for other in same {
                        self.journal.append(&Entry::Same {
                            item: name.clone(),
                            other: self.names[other].clone(),
                            why: format!("both come to the kernel {artifact}"),
                        })?;
                        self.search.identical(item, other);
                        self.bench.say(&format!(
                            "{} is the same kernel as {}: what is known of one holds for the other",
                            short(&name),
                            short(&self.names[other])
                        ));
                    }
                    self.made.insert(item, artifact);
                    self.check_guess(item);
                }
                Ok(true)
            }
            BuildOutcome::Unfit(reason) => {
                self.prices.forget();
                self.give_up(item, reason)?;
                self.check_guess(item);
                Ok(false)
            }
        }
    }

    pub(super) fn give_up(&mut self, item: usize, reason: Reason) -> Result<(), DriverError<B::Error>> {
        let name = self.names[item].clone();
        self.bench.say(&format!("{} is skipped: {reason}", short(&name)));
        self.journal.append(&Entry::Skipped { item: name, reason })?;
        self.search.observe(item, RunOutcome::Untestable);
        Ok(())
    }
}
