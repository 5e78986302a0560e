//! Verdicts: what a cell showed, in the words of reports, `kernels.toml` and `results.json`.
//!
//! A [`Verdict`] can only say what makes sense: a failure has a [`FailureKind`], and a hang the phase that never ended;
//! a broken cell has the [`Stage`] at which our own side went wrong; a pass has none of these. A [`Judgement`] is a
//! verdict with its grounds: one line, whether the thing under test happened, and lines of evidence. [`results`] are
//! the cell around it and the run around that, with what `kernels.toml` expects ([`results::Expected`]) and what the
//! comparison comes to ([`results::Tally`]). [`console`] finds what our own init says in a kernel's log.
//!
//! What is stored is flat: `verdict`, `cause`, `phase`, `detail` and `place` stand side by side in `cell.json` and
//! `results.json`, and the stage of a broken cell is the first word of its `detail`. Both directions go through private
//! structs. What is read and makes no sense (a failure without a cause, a broken cell without a stage, a phase beside
//! anything but a hang) is an error that names the field.
//!
//! This crate does no I/O and decides nothing: it knows no evidence, no machine, no case table and no command line. How
//! a verdict is reached is the crate `evidence`'s business; `run` writes and reads `cell.json`, `report` prints.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! cause stage word
//! console verdict
//! judgement
//! stored
//! expected
//! cell
//! results
//! ```

mod cause;
mod cell;
pub mod console;
mod expected;
mod judgement;
pub mod results;
mod stage;
mod stored;
mod verdict;
mod word;

pub use cause::Cause;
pub use judgement::Judgement;
pub use stage::Stage;
pub use verdict::{Failure, FailureKind, Verdict};
