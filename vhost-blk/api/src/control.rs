//! The control socket: commands and replies as JSON, one a line, over a unix stream socket.
//!
//! ```text
//! → {"v":1,"cmd":"add","rule":"fail write nth=1"}
//! ← {"v":1,"ok":true,"reply":"added","name":"r1"}
//! ```
//!
//! Every command is answered, in order, before the next one is read. `v` is the protocol's version; a command may leave
//! it out, so that a person can type `{"cmd":"list"}` into `socat`.

mod about;
mod client;
mod page;
mod parse;
mod protocol;
mod stats;

pub use client::{Client, ClientError, Subscription};
pub use page::reference;
pub use parse::parse;
pub use protocol::{
    CLIENTS_MAX, Command, Cut, FrontEnd, LINE_BYTES_MAX, Reply, RuleStatus, Tear, UndecidedRequest, VERSION,
};
pub use stats::Stats;
