//! What the write tests have in common: one direct write, its result, and what it promises about the file.
//!
//! A test makes its write of its parameters (`case`), makes the files and does the write (`run`), and compares the file
//! with what the result promised (`promise`) after a fresh mount (`verify`).

mod case;
mod promise;
mod run;
mod verify;

pub use case::{WriteCase, open_flags};
pub use run::{arm_residency, make_source, map_source, write, write_from_source};
pub use verify::{verify, verify_content};

#[cfg(test)]
mod tests;
