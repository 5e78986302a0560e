//! The parts of a request's way between a ring and the disk.
//!
//! `chain.rs` reads it out of guest memory (`buffers.rs`), `schedule.rs` keeps it for as long as rules say,
//! `execute.rs` does its work (`access.rs`: on what, `corrupt.rs`: with other data than it should), and `completion.rs`
//! gives it back, once. The device (`device.rs`) takes it from one to the next.

pub mod access;
pub(crate) mod buffers;
pub mod chain;
pub mod completion;
mod corrupt;
pub mod execute;
pub(crate) mod schedule;
