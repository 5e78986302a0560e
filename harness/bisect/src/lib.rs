//! Bisection: from "it fails" to the change that did it. Nothing in here builds or boots, or reads a file, but for
//! [`state::file`], which keeps the journal; `commands/bisect` does.
//!
//! - [`search`] looks for the first changed item of a range, by what the runs so far say: which item to run next, and
//!   when to stop. [`history`] is the range, [`rate`] what is believed of the failure rate, [`belief`] the probability
//!   of each item.
//! - [`delta`] looks for a smallest set of changes that flips the verdict; [`diff`] are the changes, between two trees.
//! - [`signature`] pins a failure and tells whether another run shows the same one.
//! - [`state`] is the journal of what was done, so that a bisection that was killed goes on where it was.
//! - [`driver`] goes from step to step: it has items made and run by whoever can, and writes the journal.
//! - [`simulate`] plays searches against made-up ranges and compares ours with [`rivals`].

pub mod belief;
pub mod delta;
pub mod diff;
pub mod driver;
pub mod history;
#[cfg(test)]
mod made_up;
pub mod rate;
pub mod rivals;
pub mod search;
pub mod signature;
pub mod simulate;
pub mod state;
