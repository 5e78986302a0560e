//! The commands of `cargo xtask`, a file each.

pub(crate) mod bisect;
pub(crate) mod build;
pub(crate) mod doctor;
pub(crate) mod inject;
pub(crate) mod judge;
mod kernel_choice;
pub(crate) mod log;
pub(crate) mod shell;
pub(crate) mod soak;
pub(crate) mod store;
pub(crate) mod test;
pub(crate) mod update;
