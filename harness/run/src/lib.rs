//! A run: which cells it has, how they are run, and what they leave behind.
//!
//! [`cases`] are the tables of tests and variants, [`select`] chooses the cells of a run from them and from
//! kernels.toml (pure: listing costs nothing), [`prepare`] gets ready what they need, and the result is a [`Run`],
//! resolved and written down before the first machine starts. [`trial`] runs a test's cases on one kernel and file
//! system, [`job`] one case on a booted machine; both end in evidence and a verdict. [`inject`] has the words in
//! which a person or a guest commands the device.
//!
//! Around that, [`mod@exec`] makes the user's own program and its fault plan, which can take the cases' place.
//! [`mod@programs`] are those that go into a guest, [`mod@jobs`] is how many virtual machines the host has room for.
//! [`rejudge`] judges stored cells again. [`cell_file`] keeps a cell's result in its directory, and [`extents`]
//! measures what a file costs on a btrfs image.
//!
//! This crate knows no command line and prints nothing but progress.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! cases cell_file ending extents inject jobs kept watch
//! programs resolved
//! collect exec job prepare rejudge select
//! trial
//! ```

pub mod cases;
pub mod cell_file;
mod collect;
mod ending;
pub mod exec;
pub mod extents;
pub mod inject;
pub mod job;
pub mod jobs;
mod kept;
pub mod prepare;
pub mod programs;
pub mod rejudge;
pub mod resolved;
pub mod select;
pub mod trial;
mod watch;

pub use resolved::{CASE_LIMIT, Exec, FaultPlan, KernelOrigin, RUN_ENV, Run, RunError, Trial, TrialCase};
