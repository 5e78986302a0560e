//! Who may touch the disk when, and what of it would outlast a power cut.
//!
//! `gate.rs` has the locks between a request and the disk, and their order. `history.rs` keeps what was written since
//! when (`change.rs`, `log.rs`), if somebody wants it: enough to go back to a mark, to cut the power (`cut.rs`), to
//! show the disk as it stood or would stand (`picture.rs`), to present every state that a power cut may leave
//! (`choice.rs`, `present.rs`, with what is in flight: `in_flight.rs`), and to write all of it as a log of
//! dm-log-writes (`log_writes.rs`).
//!
//! Nothing here knows the disk, which uses it, or what a request is.

pub(crate) mod change;
pub(crate) mod choice;
pub(crate) mod cover;
mod cut;
pub(crate) mod gate;
pub(crate) mod history;
pub(crate) mod in_flight;
pub mod log;
pub(crate) mod log_writes;
pub(crate) mod picture;
pub(crate) mod present;
mod presented;
pub(crate) mod survivors;

#[cfg(test)]
mod tests;
