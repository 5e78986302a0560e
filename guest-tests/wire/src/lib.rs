//! What guest and host say to each other over the second serial port (`ttyS1`) of a machine.
//!
//! The host side is the harness, the guest side is `guest-tests` (pid 1, agent, tests). Both use these types, so that
//! neither can say what the other does not understand:
//!
//! - [`HostMessage`] and [`GuestMessage`]: jobs, questions and answers. The guest never goes on past an
//!   [`Ask`](GuestMessage::Ask) before its [`Answer`](HostMessage::Answer) arrived;
//! - [`Event`]: what happened in a job. Recorded cells hold these, so their format is kept: a field that is added later
//!   has a default and is left out where it has it, or the hash of an old cell no longer fits ([`EventSeal`]);
//! - [`params`]: the parameters of every test, typed, and the check of what types cannot rule out;
//! - [`Fs`]: the file systems by their names;
//! - [`symbols`]: the kernel's symbols in the guest's memory, where the host finds them;
//! - [`to_line`] and [`from_line`]: a message as one line, with the version of the protocol in front. Change
//!   [`PREFIX`] together with the meaning or the form of a message;
//! - [`soak`]: the other protocol of that port, spoken by a soak's guest.
//!
//! This crate has data and the checks of that data only. It knows nothing of QEMU, of the block device and its rules,
//! of how a test does its work, or of what a verdict is made of. It does no I/O and depends on none of the other
//! crates.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! digest fs line params symbols
//! event
//! message seal soak
//! ```

mod digest;
mod event;
mod fs;
mod line;
mod message;
pub mod params;
mod seal;
pub mod soak;
pub mod symbols;

pub use digest::{LineDigest, LogDigest, printable};
pub use event::{
    Counters, Event, ExecTime, FindingCause, LogPiece, LogRecord, Phase, PhaseOutcome, Sample, Task, WhenOver,
};
pub use fs::{Fs, UnknownFs};
pub use line::{LineError, PREFIX, from_line, to_line};
pub use message::{DUMPED, GuestMessage, HostMessage, Job, JobKind, Want};
pub use seal::EventSeal;
