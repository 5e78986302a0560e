//! What a person sees who mistypes something, or whose host, network, archive or disk does not serve: the whole message
//! and the exit code. No machine is booted and no network used.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic here is the test's failure"
)]

mod archive;
mod bisect;
#[path = "../common/clone.rs"]
mod clone;
mod copies;
mod disk;
mod exec;
mod failures;
mod images;
mod inject;
mod log;
mod namespace;
mod place;
mod usage;
