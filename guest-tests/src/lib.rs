//! What runs inside the guest: pid 1 with its agent, and the tests.
//!
//! Each test is a static binary of its own (`src/bin`), called once a phase: `setup`, `run`, `verify`. `init` is both
//! pid 1 and the agent, which mounts, runs the phases, watches them and answers to the host. Two more programs are the
//! guest of a soak and a shell for tests of the block device.
//!
//! Three layers, each knowing only those above it:
//!
//! - [`guest_wire`], a crate of its own: what guest and host say to each other, and the parameters of the tests;
//! - what tests are made of: [`pattern`] (bytes that say where they belong), [`mapping`] (memory whose pages are
//!   present, absent or forbidden at will), [`file`](mod@file), `fiemap`, [`oracle`], [`state`] (what one phase leaves
//!   for the next), [`reporter`] (the line to the agent), and [`mod@test`], [`target`] and [`write_case`], which put
//!   them together;
//! - [`agent`], which runs tests without knowing what they do.
//!
//! A test reports what it saw: that the thing under test was set up to happen (`armed`), results of system calls, and
//! findings. It never says pass or fail; that is the host's to judge.
//!
//! Nothing here knows QEMU, the block device, its rules or a verdict. What the tests share with the device, the header
//! of a tagged page, stands in both; a test of the harness compares them.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! aio errno fiemap fio pattern reporter state
//! mapping test
//! agent file
//! oracle
//! target
//! write_case
//! ```

pub mod agent;
pub mod aio;
pub mod errno;
mod fiemap;
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
