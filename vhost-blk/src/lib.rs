//! A vhost-user block device that injects faults.
//!
//! Usable by itself with any vhost-user front end. Rules, the control protocol and the trace's records are
//! `vhost_blk_api`'s; this crate does what they say. A request's way: [`backend`] takes a chain from a ring,
//! [`request`] reads it, [`device`] asks the [`rulebook`] what becomes of it, a schedule keeps it as long as rules say,
//! its bytes move between guest memory and [`disk`], and a completion gives it back, once. [`trace`] has a line for
//! every step, and [`control`] changes the rules meanwhile. [`power`] has the locks on that way, and knows what is
//! durable.
//!
//! Only [`backend`] knows that the transport is vhost-user; nothing here knows a file system.
//!
//! Modules from the ground up; each knows only those of the lines above its own:
//!
//! ```layers
//! config power say trace
//! disk rulebook
//! request sandbox
//! device
//! backend control
//! server
//! ```

pub mod backend;
pub mod config;
pub mod control;
pub mod device;
pub mod disk;
pub mod power;
pub mod request;
pub mod rulebook;
pub mod sandbox;
pub mod say;
pub mod server;
pub mod trace;
