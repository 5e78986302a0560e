//! The trace: one JSON object a line for everything that the device was asked and did.
//!
//! The device's writer and the readers here ([`read`], [`requests`]) share these types. `t_us` is microseconds since
//! the device started, `seq` numbers the requests from 1 over all queues and connections.

mod live;
mod reader;
mod record;
pub mod show;
pub mod summary;

pub use live::Live;
pub use reader::{ReadError, RequestLine, read, requests};
pub use record::{Complete, OutcomeNote, RangeOnDisk, Record, ReleasedBy, Status, Submit, TimingNote, VERSION};

#[cfg(test)]
mod tests;
