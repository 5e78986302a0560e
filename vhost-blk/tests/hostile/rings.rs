//! Rings whose driver lies: indices that jump, heads that are none, heads that come twice. The queue is looked at no
//! more, or gives back what it can; the other queues and the next ring are served.

use std::time::Instant;

use vhost::VhostBackend;
use vhost_blk_api::control::{Command, Reply};
use vhost_blk_api::trace::{self, Record};

use crate::common::helpers::{page, stats, submitted};
use crate::common::{DeviceProcess, Driver, QUEUE_SIZE, Queue, SOON, WHILE};
use crate::{serves, until};

const RULE: &str = "hold write payload=tag:9 until=release max=300s";
const QUEUES: usize = 2;

/// Queues that the device has given up.
fn dead(device: &DeviceProcess) -> usize {
    device.control().call(&Command::FlushTrace).expect("flush");
    let records = trace::read(&device.path("trace")).expect("trace");
    records
        .iter()
        .filter(|record| matches!(record, Record::QueueDead { .. }))
        .count()
}

/// What is held of a queue that a lie then ends; the other queue goes on, and a stop gives back what was held.
fn lies(what: &str, lie: impl Fn(&mut Queue)) {
    let device = DeviceProcess::start(&["--rule", RULE]);
    let mut driver = Driver::with_queues(&device, QUEUES);
    let held = driver.write(0, &page(9, 0, 1));
    submitted(&device, 1);
    lie(&mut driver.queues[0]);
    driver.queues[0].kick();
    let deadline = Instant::now() + SOON;
    while dead(&device) == 0 {
        assert!(Instant::now() < deadline, "{what}: it does not notice");
        std::thread::yield_now();
    }
    let other = driver.queues[1].write(8, &page(1, 0, 2));
    let used = driver.queues[1].done();
    assert_eq!((used.slot, used.status), (other, 0), "{what}: the other queue goes on");
    // It does not look there again by itself.
    driver.queues[0].kick();
    assert_eq!(driver.queues[0].next_used(WHILE), None, "{what}");
    assert_eq!(dead(&device), 1, "{what}: latched");
    driver.frontend.get_vring_base(0).expect("it stops");
    let used = driver.done();
    assert_eq!((used.slot, used.status), (held, 0), "{what}: what was held comes back");
    driver.start_ring();
    let again = driver.write(16, &page(1, 0, 3));
    let used = driver.done();
    assert_eq!((used.slot, used.status), (again, 0), "{what}: a reset heals it");
    drop(driver);
    serves(&device);
}

#[test]
fn an_index_that_jumps() {
    lies("ahead", |queue| queue.set_avail_index(QUEUE_SIZE * 3));
    lies("just too far", |queue| queue.set_avail_index(1 + QUEUE_SIZE + 1));
    lies("back", |queue| queue.set_avail_index(0));
    lies("to the end", |queue| queue.set_avail_index(u16::MAX));
}

#[test]
fn a_head_that_is_none() {
    lies("just beyond", |queue| queue.publish(QUEUE_SIZE));
    lies("far beyond", |queue| queue.publish(u16::MAX));
}

#[test]
fn a_head_that_comes_again_and_again() {
    let device = DeviceProcess::start(&["--rule", RULE]);
    let mut driver = Driver::connect(&device);
    // The same request as often as the ring has entries: all of them are taken, each comes back.
    let slot = driver.write(0, &page(9, 0, 1));
    for _ in 1..QUEUE_SIZE {
        driver.publish(slot * 3);
    }
    driver.kick();
    submitted(&device, u64::from(QUEUE_SIZE));
    assert_eq!(driver.unseen(), 0);
    let released = device
        .control()
        .call(&Command::Release { rule: None })
        .expect("release");
    let requests = usize::from(QUEUE_SIZE);
    assert_eq!(released, Reply::Released { requests });
    let order = driver.order(requests);
    assert!(order.iter().all(|done| *done == (slot, 0)));
    assert_eq!(driver.next_used(WHILE), None);
    drop(driver);
    serves(&device);
}

#[test]
fn more_than_the_ring_has_entries() {
    let device = DeviceProcess::start(&["--rule", RULE]);
    let mut driver = Driver::connect(&device);
    let slot = driver.write(0, &page(9, 0, 1));
    for _ in 1..QUEUE_SIZE {
        driver.publish(slot * 3);
    }
    driver.kick();
    submitted(&device, u64::from(QUEUE_SIZE));
    // None came back, so there cannot be one more.
    driver.publish(slot * 3);
    driver.kick();
    let deadline = Instant::now() + SOON;
    while dead(&device) == 0 {
        assert!(Instant::now() < deadline, "it does not notice");
        std::thread::yield_now();
    }
    assert_eq!(stats(&device).submitted, u64::from(QUEUE_SIZE));
    drop(driver);
    until(&device, |stats| stats.outstanding == 0);
    serves(&device);
}
