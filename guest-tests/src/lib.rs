//! What runs inside the guest.
//!
//! The binaries are static and small; each test is a binary of its own, and `init` is both pid 1 and the agent that
//! mounts, runs the test's phases, watches them and answers for them. Nothing here knows QEMU or the device.
//!
//! Three layers, each knowing only those above it in this list:
//!
//! - [`guest_wire`], a crate of its own: the lines on the serial port, which the host reads too;
//! - what tests are made of: [`pattern`] (bytes that say where they belong), [`params`], [`mapping`] (memory whose
//!   pages are present, absent or forbidden at will), [`file`](mod@file), [`fiemap`], [`oracle`], [`state`], [`reporter`], and
//!   [`mod@test`] and [`write_case`], which put them together;
//! - [`agent`], which runs tests without knowing what they do.

pub mod agent;
pub mod errno;
pub mod fiemap;
pub mod file;
pub mod fio;
pub mod mapping;
pub mod oracle;
pub mod pattern;
pub mod reporter;
pub mod state;
pub mod target;
pub mod test;
pub mod write_case;
