//! A soak: rounds of fio with verification under random rules. Whatever fio finds wrong has to be explained by what a rule did; what no rule explains is a finding, and
//! so is damage of which fio finds nothing.
//!
//! A round, on the raw disk of a guest: [rules] come into force; fio does the round's [work](mod@workload), reads all back and compares, the rules are taken off,
//! and it reads and compares again. The [ledger] follows the device's trace, and the [judge](mod@judge) holds the one against the other.

pub mod evidence;
pub mod guest;
pub mod judge;
pub mod ledger;
pub mod libraries;
pub mod round;
pub mod rules;
mod sectors;
pub mod session;
mod summary;
mod tail;
pub mod workload;

pub use summary::Summary;
