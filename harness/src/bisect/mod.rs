//! Bisection: from "it fails" to the change that did it. Pure: nothing in here builds, boots, or reads a file.
//!
//! - [`search`] looks for the first changed item of a range, by what the runs so far say: which item to run next, and when to stop.
//!   [`history`] is the range, [`rate`] what is believed of the failure rate, [`belief`] the probability of each item.
//! - [`signature`] pins a failure and tells whether another run shows the same one.
//! - [`simulate`] plays searches against made-up ranges and compares ours with [`rivals`].

pub mod belief;
pub mod history;
#[cfg(test)]
mod made_up;
pub mod rate;
pub mod rivals;
pub mod search;
pub mod signature;
pub mod simulate;
