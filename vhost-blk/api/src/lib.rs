//! What others need to know of the device: how to tell it what to do, and how to read what it did.
//!
//! - [`plan`]: the rule language. A rule is parsed, checked, printed and explained here, and [`plan::words`] lists
//!   every word of it; what becomes of a request that a rule matches is the device's business.
//! - [`control`]: the control socket's protocol, the client, and the protocol's reference page. The server is the
//!   device's.
//! - [`ctl`]: the control socket's commands and answers in words, for people.
//! - [`trace`]: the records of a trace, a reader, and what people see of it: a listing, a summary, and lines as they
//!   come. The writer is the device's.
//! - [`op`] and [`payload`]: operations and tagged pages, which all three speak of.
//! - [`rng`]: choices that follow from a seed. The device chooses faults with it, and the soak its rounds, so that both
//!   can be repeated from a seed alone.
//!
//! This crate knows nothing of virtio, vhost-user, rings, guest memory, the disk, its history or the sandbox, and it
//! starts no thread. It reads files that a caller names ([`plan::file`], [`trace::read`]) and connects to sockets that
//! a caller names ([`control::Client`]); it does no other I/O. Its dependencies are those of text: serde, toml, error
//! types.
//!
//! What must hold:
//!
//! - A rule printed and parsed again is the same rule, and its explanation is made of the parsed form, not of its text.
//! - Every record and every command reads back what was written; a field that is added later has a default, so that an
//!   older trace stays readable. [`trace::VERSION`] and [`control::VERSION`] change when that cannot be kept.
//! - A command with a word or a field that is not known is refused, never passed over.
//! - [`rng::Rng`] gives the same choices on every machine and in every version: recorded runs depend on it.
//! - `docs/rule-language.md` and `docs/control.md` are made here ([`plan::reference`], [`control::reference`]),
//!   and a test compares them with the code.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! markdown op payload rng
//! plan
//! control trace
//! ctl
//! ```

pub mod control;
pub mod ctl;
mod markdown;
pub mod op;
pub mod payload;
pub mod plan;
pub mod rng;
pub mod trace;
