//! Guests and front ends that break every rule: the device answers with a status where there is a byte for it, looks no
//! more at a queue where there is none to be had, lives on, holds no request of theirs, and serves the next good
//! connection.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod chains;
#[path = "../common/mod.rs"]
mod common;
mod frontends;
mod rings;

use std::time::Instant;

use common::helpers::stats;
use common::{DeviceProcess, Driver, SOON};
use vhost_blk_api::control::Stats;

/// Waits until the counters say so.
fn until(device: &DeviceProcess, so: impl Fn(&Stats) -> bool) {
    let deadline = Instant::now() + SOON;
    loop {
        let stats = stats(device);
        if so(&stats) {
            return;
        }
        assert!(Instant::now() < deadline, "it never came to that: {stats:?}");
        std::thread::yield_now();
    }
}

/// A good front end is served, and nothing is left of those before it.
fn serves(device: &DeviceProcess) {
    let mut driver = Driver::connect(device);
    for byte in [1, 2] {
        driver.write(64, &[byte; 4096]);
        assert_eq!(driver.done().status, 0);
        let read = driver.read(64, 4096);
        assert_eq!(driver.done().status, 0);
        assert_eq!(driver.bytes(read, 4096), [byte; 4096]);
    }
    // The device has counted a completion soon after the driver knows of it.
    until(device, |stats| (stats.outstanding, stats.held) == (0, 0));
}
