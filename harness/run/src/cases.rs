//! The cases: each test's variants with their parameters, fault plans and what makes them count.
//!
//! A *test* is a guest binary; a *case* is one way of running it. To add a case, add an entry to the table of its test
//! (`control.rs`, `direct.rs`, `mapping.rs`, `ioerr.rs`). A new test has its parameters in
//! `guest_wire::params` and a binary in `guest-tests/src/bin` as well.

mod case;
mod control;
mod direct;
mod ioerr;
mod mapping;

pub use case::{Case, Profile};

/// The name of the case that runs a user's own program.
pub(crate) const EXEC: &str = "exec";

/// Every case, in the order in which tables and reports show them.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [control::CASES, direct::CASES, mapping::CASES, ioerr::CASES]
        .into_iter()
        .flatten()
}

/// The case whose full name this is, out of any profile.
#[must_use]
pub fn find(name: &str) -> Option<&'static Case> {
    all().find(|case| case.name == name)
}

#[cfg(test)]
mod tests;
