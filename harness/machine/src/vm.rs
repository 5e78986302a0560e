//! Virtual machines: QEMU's arguments, its process, and the line to the agent inside.

pub mod accel;
pub mod args;
pub mod channel;
pub mod process;
pub mod qmp;
