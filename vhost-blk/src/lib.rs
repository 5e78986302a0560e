//! A vhost-user block device that injects faults.
//!
//! Usable by itself with any vhost-user front end. A request's way: [`backend`] takes a chain from a ring, [`request`]
//! reads it, [`device`] asks [`rules`] and [`decide`] what the [`plan`]'s rules make of it, [`schedule`] keeps it as long as they say,
//! [`execute`] moves its bytes between guest memory and [`disk`], and [`completion`] gives it back, once. [`trace`] has a
//! line for every step, and [`control`] changes the rules meanwhile. [`history`] knows what is durable, for [`power`] cuts and
//! marks to go back to.
//!
//! Only [`backend`] knows that the transport is vhost-user; nothing here knows a file system.

pub mod arming;
pub mod backend;
pub mod buffers;
pub mod completion;
pub mod config;
pub mod control;
mod corrupt;
pub mod decide;
pub mod device;
pub mod disk;
pub mod execute;
pub mod export;
pub mod history;
pub mod log_writes;

pub mod power;
pub mod replay;
pub mod request;
pub mod resize;

pub mod rules;
pub mod sandbox;
pub mod say;
pub mod schedule;
pub mod server;

mod still;
pub mod trace;
pub mod upkeep;
