//! A vhost-user block device that injects faults.

pub mod op;
pub mod payload;
pub mod plan;
