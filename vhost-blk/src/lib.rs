//! A vhost-user block device that injects faults.

pub mod decide;
pub mod disk;
pub mod export;
pub mod op;
pub mod payload;
pub mod plan;
pub mod rng;
pub mod schedule;
pub mod trace;
