//! All items of a range, whatever the search wants of them.

use super::{Bench, Driver, DriverError, Finding};

impl<B: Bench> Driver<'_, B> {
    /// Makes and runs each item that was not: of a series every state should build and pass. What they show counts as
    /// it would after a resume, so what was found may be another item then.
    ///
    /// # Errors
    /// It broke off; nothing that was done is lost.
    pub fn each(&mut self, finding: Finding) -> Result<Finding, DriverError<B::Error>> {
        for item in 0..self.names.len() {
            while !self.search.is_set_aside(item) && !self.has_run(item) {
                let next = self.next(item);
                self.run(next)?;
            }
        }
        match finding {
            Finding::Search(_) => self.go(),
            Finding::Swapped { .. } => Ok(finding),
        }
    }

    /// Whether an item's kernel was run, as whichever item.
    fn has_run(&self, item: usize) -> bool {
        let seen = self.search.observed(item);
        seen.tally.runs() > 0 || seen.other > 0 || self.made.contains_key(&item) && self.runs_of_kernel(item) > 0
    }
}
