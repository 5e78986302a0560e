//! The commands of `cargo xtask`, a file each.

pub mod bisect;
pub mod build;
pub mod doctor;
pub mod inject;
mod kernel_choice;
pub mod shell;
pub mod soak;
pub mod store;
pub mod test;
pub mod update;
