//! QEMU: its arguments, its process, its monitor, and the sockets that it connects to.

pub(crate) mod args;
pub(crate) mod listener;
pub(crate) mod process;
pub(crate) mod qmp;
