//! Bisection: from "it fails" to the change that did it. Pure: nothing in here builds, boots or reads a file, but
//! [`state::file`], which keeps the journal.
//!
//! - [`search`] looks for the first changed item of a range, by what the runs so far say: which item to run next, and
//!   when to stop. [`history`] is the range, `rate` what is believed of the failure rate, `belief` the probability of
//!   each item.
//! - [`delta`] looks for a smallest set of changes that flips the verdict; [`diff`] are the changes, between two trees.
//! - [`signature`] pins a failure and tells whether another run shows the same one.
//! - [`state`] is the journal of what was done: a bisection resumes from it after SIGKILL.
//! - [`driver`] goes from step to step: it has items made and run by a [`driver::Bench`], and writes the journal.
//! - [`simulate`] plays searches against made-up ranges and compares ours with [`rivals`].
//!
//! An item is a number, its name a string: this crate knows nothing of git, kernels, builds and machines. Of a run it
//! sees the cell (`verdict`) and the console's text.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! history rate rivals
//! belief
//! search
//! signature simulate
//! delta state
//! diff driver
//! ```

mod belief;
pub mod delta;
pub mod diff;
pub mod driver;
pub mod history;
#[cfg(test)]
mod made_up;
mod rate;
pub mod rivals;
pub mod search;
pub mod signature;
pub mod simulate;
pub mod state;
