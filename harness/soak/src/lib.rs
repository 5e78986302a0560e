//! A soak: rounds of fio with verification under random rules. Whatever fio finds wrong has to be explained by what a
//! rule did; what no rule explains is a finding, and so is damage of which fio finds nothing.
//!
//! A round, on the raw disk of a guest: rules come into force; fio does the round's work, reads all back and compares,
//! the rules are taken off, and it reads and compares again. [`session`] is the whole soak: one round after another,
//! on one machine as long as it lives. Its parts:
//!
//! - `rules` and `workload` draw a round's rules and fio's job from the seed: the same seed gives the same round.
//! - `round` runs one: it tells the guest and the device what to do, and collects what they say.
//! - `ledger` follows the device's trace (`tail` reads it as it grows) and knows which sectors a rule had a say in;
//!   `sectors` is that per sector. `judge` holds it against what fio found. These three are pure.
//! - `evidence` keeps what explains a finding, `summary` counts, `libraries` finds what fio needs in the guest.
//!
//! `guest` is the guest with fio and the device. This crate knows nothing of cases, cells and bisections, and
//! nothing of file systems: fio writes to the raw disk.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! guest libraries tail workload
//! rules sectors
//! ledger
//! judge
//! round
//! evidence summary
//! session
//! ```

mod evidence;
mod guest;
mod judge;
mod ledger;
mod libraries;
mod round;
mod rules;
mod sectors;
pub mod session;
mod summary;
mod tail;
mod workload;
