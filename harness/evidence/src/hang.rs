//! Whether a guest that does not go on is hung, on evidence and never on the clock alone.
//!
//! - [`judge`] looks at a row of samples of the agent's. A watched task that sleeps, and that nothing is left to wake
//!   (`still`); a task that burns CPU in the kernel (`spin`).
//! - [`starved()`] looks at a row of the host's own looks at the CPUs, for a guest whose agent does not get to run.
//! - `place` names where a stack is stuck, in words that stay the same from run to run and over versions.
//!
//! What keeps a hang from being seen where there is none: user time is no hang; a sleep that a program asked for is
//! none, whatever it sleeps on, unless it is for an I/O; a request that the device has may still be answered; a machine
//! that was stopped begins a new row.

mod place;
mod row;
mod spin;
mod stall;
mod starved;
mod still;

#[cfg(test)]
mod tests;

pub use row::{Finding, HostView, Row};
pub use stall::{Behind, Stall, StallKind};
pub use starved::{CpuLook, Look, starved};

/// Judges a row of samples, of a guest with so many CPUs.
#[must_use]
pub fn judge(row: &Row, cpus: u32) -> Option<Finding> {
    still::judge(row, cpus).or_else(|| spin::judge(row).map(Finding::Stall))
}
