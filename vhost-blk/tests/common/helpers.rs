//! What tests ask of a device again and again.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

use std::time::Instant;

use vhost_blk_api::control::{Command, Reply, Stats};
use vhost_blk_api::payload::Tag;

use super::{DeviceProcess, SOON};

pub fn stats(device: &DeviceProcess) -> Stats {
    match device.control().call(&Command::Stats).expect("stats") {
        Reply::Stats(stats) => stats,
        other => panic!("{other:?}"),
    }
}

/// A power cut by command that tears nothing; without a word it loses all.
pub fn cut(lose: Option<&str>) -> Command {
    Command::Cut {
        lose: lose.map(str::to_owned),
        torn: None,
        seed: 0,
    }
}

/// Waits until the device has taken what was sent.
pub fn submitted(device: &DeviceProcess, count: u64) {
    until(device, |stats| stats.submitted >= count);
}

/// Waits until the device knows that its front end is gone.
pub fn until_gone(device: &DeviceProcess) {
    until(device, |stats| !stats.connected);
}

/// Waits until the device's counters say so.
pub fn until(device: &DeviceProcess, so: impl Fn(&Stats) -> bool) {
    let deadline = Instant::now() + SOON;
    loop {
        let now = stats(device);
        if so(&now) {
            return;
        }
        assert!(Instant::now() < deadline, "it never came to that: {now:?}");
        std::thread::yield_now();
    }
}

pub fn page(tag: u64, page: u64, fill: u8) -> Vec<u8> {
    let mut bytes = vec![fill; 4096];
    bytes[..24].copy_from_slice(&Tag { tag, page }.header());
    bytes
}
