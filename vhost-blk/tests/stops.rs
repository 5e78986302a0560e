//! Rings that stop with requests out: nothing is lost, nothing is done twice, and the front end never waits for a rule.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::time::{Duration, Instant};

use common::helpers::{page, stats, submitted};
use common::{DeviceProcess, Driver, IOERR, WHILE};
use vhost::VhostBackend;
use vhost::vhost_user::VhostUserFrontend;
use vhost_blk_api::control::{Command, Reply};
use vhost_blk_api::trace::{self, ReleasedBy, Status};

const STORAGES: [&str; 2] = ["memory", "file"];

#[test]
fn a_stopped_ring_lets_go_what_is_held_and_goes_on() {
    for storage in STORAGES {
        let device = DeviceProcess::start(&[
            "--storage",
            storage,
            "--rule",
            "hold write nth=1 until=release max=300s",
            "--rule",
            "hold write nth=2 until=release max=300s",
            "--rule",
            "fail write nth=2",
        ]);
        let mut driver = Driver::connect(&device);
        driver.write(0, &page(1, 0, 1));
        driver.write(8, &page(1, 1, 1));
        submitted(&device, 2);
        let before = Instant::now();
        let base = driver.frontend.get_vring_base(0).expect("base");
        assert!(
            before.elapsed() < Duration::from_secs(5),
            "a held request does not keep the front end"
        );
        assert_eq!(base, 2, "both were taken, none will be fetched again");
        assert_eq!(
            (driver.mem_status(0), driver.mem_status(1)),
            (0, IOERR),
            "the answer comes after the completions, with the statuses that they would have had"
        );
        assert_eq!(driver.order(2), [(0, 0), (1, IOERR)], "the driver was told");
        driver.resume_ring(base);
        assert_eq!(
            device
                .control()
                .call(&Command::Release { rule: None })
                .expect("release"),
            Reply::Released { requests: 0 }
        );
        let read = driver.read(0, 8192);
        assert_eq!(driver.done().slot, read);
        assert_eq!(driver.bytes(read, 4096), page(1, 0, 1), "what was held was done");
        assert_eq!(driver.bytes(read, 8192)[4096..], [0; 4096], "what was to fail was not");
        assert_eq!(driver.next_used(WHILE), None, "nothing comes twice");
        let lines = trace::requests(&trace::read(&device.path("trace")).expect("trace"));
        let ends = lines.iter().map(|line| {
            let complete = line.complete.as_ref().expect("a completion");
            let timing = complete.timing.as_ref().and_then(|timing| timing.released_by);
            (complete.status, timing)
        });
        let stop = Some(ReleasedBy::Stop);
        assert_eq!(
            ends.collect::<Vec<_>>(),
            [(Status::Ok, stop), (Status::IoErr, stop), (Status::Ok, None)]
        );
        assert!(lines[2].submit.generation > lines[0].submit.generation);
    }
}

#[test]
fn nothing_is_lost_or_done_twice_over_many_stops() {
    for storage in STORAGES {
        let device = DeviceProcess::start(&[
            "--storage",
            storage,
            "--rule",
            "delay write for=0ms..2ms p=0.5",
            "--rule",
            "reorder write window=4 order=shuffle p=0.5 max=60s",
            "--rule",
            "hold read until=done(write) max=60s p=0.3",
        ]);
        let mut driver = Driver::connect(&device);
        for round in 0..200u64 {
            // As many as the ring has room for: descriptors are not used again before the ring starts anew.
            let count = u16::try_from(round % 16 + 1).expect("small");
            for number in 0..count {
                if number % 3 == 2 {
                    driver.read(0, 4096);
                } else {
                    driver.write(u64::from(number) * 8, &page(round, u64::from(number), 7));
                }
            }
            let base = driver.frontend.get_vring_base(0).expect("base");
            let base = u16::try_from(base).expect("16 bits");
            assert_eq!(driver.unseen(), base, "round {round}: all that was taken is completed");
            driver.resume_ring(base.into());
            // What was not taken before the stop is taken now; the second stop lets it go.
            submitted(&device, driver.sent);
            let base = driver.frontend.get_vring_base(0).expect("base");
            assert_eq!(base, u32::from(count), "round {round}");
            let mut slots: Vec<u16> = driver.order(count.into()).iter().map(|(slot, _)| *slot).collect();
            slots.sort_unstable();
            assert_eq!(slots, (0..count).collect::<Vec<_>>(), "round {round}: each once");
            assert_eq!(driver.unseen(), 0, "round {round}: and no more");
            driver.start_ring();
        }
        let now = stats(&device);
        assert_eq!((now.outstanding, now.dropped, now.errors), (0, 0, 0), "{now:?}");
    }
}

#[test]
fn a_stop_does_not_wait_for_what_a_power_cut_left_unanswered() {
    for storage in STORAGES {
        let device = DeviceProcess::start(&["--storage", storage, "--rule", "cut write nth=1"]);
        let mut driver = Driver::connect(&device);
        let stop = |driver: &mut Driver| {
            let before = Instant::now();
            let base = driver.frontend.get_vring_base(0).expect("base");
            assert!(
                before.elapsed() < Duration::from_secs(5),
                "nobody will answer these requests, so nobody is waited for"
            );
            base
        };
        // One that met the cut, and one that came after it; the power is off.
        driver.write(0, &page(1, 0, 1));
        driver.write(8, &page(1, 1, 1));
        submitted(&device, 2);
        let base = stop(&mut driver);
        assert_eq!(base, 2);
        driver.resume_ring(base);
        // And once more with the power back, after which the driver goes on without an answer to the third.
        driver.write(16, &page(1, 2, 1));
        submitted(&device, 3);
        device.control().call(&Command::Power).expect("power");
        let read = driver.read(0, 4096);
        assert_eq!(driver.done().slot, read);
        assert_eq!(stop(&mut driver), 4);
        assert_eq!(stats(&device).dropped, 3);
    }
}

#[test]
fn what_is_held_when_the_owner_is_reset_never_reaches_the_new_ring() {
    for storage in STORAGES {
        let device = DeviceProcess::start(&["--storage", storage, "--rule", "hang any limit=3"]);
        let mut driver = Driver::connect(&device);
        driver.write(0, &page(1, 0, 1));
        let read = driver.read(8, 4096);
        submitted(&device, 2);
        // As VMMs in Rust reset a device: without GET_VRING_BASE.
        driver.frontend.set_vring_enable(0, false).expect("disabled");
        driver.frontend.reset_owner().expect("reset");
        driver.frontend.set_owner().expect("owner");
        let features = driver.frontend.get_features().expect("features");
        assert_eq!(driver.unseen(), 0, "nothing is said of what the driver has forgotten");
        assert_eq!(driver.bytes(read, 4096), [0x55; 4096], "nor is it done");
        let now = stats(&device);
        assert_eq!((now.outstanding, now.held, now.dropped), (0, 0, 2), "{now:?}");
        driver.frontend.set_features(features & !(1 << 29)).expect("features");
        driver.start_ring();
        let hangs = driver.read(0, 512);
        submitted(&device, 3);
        let release = Command::Release { rule: None };
        assert_eq!(
            device.control().call(&release).expect("release"),
            Reply::Released { requests: 1 }
        );
        assert_eq!(driver.order(1), [(hangs, 0)]);
        let read = driver.read(0, 4096);
        assert_eq!(driver.order(1), [(read, 0)], "and the ring goes on");
        assert_eq!(driver.bytes(read, 4096), [0; 4096], "the write was dropped");
        assert_eq!(driver.next_used(WHILE), None, "nothing of before comes late");
    }
}

#[test]
fn what_is_out_of_a_ring_that_is_given_another_base_or_place_is_completed_first() {
    for storage in STORAGES {
        let device = DeviceProcess::start(&[
            "--storage",
            storage,
            "--num-queues",
            "2",
            "--rule",
            "hang write limit=2",
        ]);
        let mut driver = Driver::with_queues(&device, 2);
        driver.write(0, &page(1, 0, 1));
        submitted(&device, 1);
        driver.frontend.set_vring_base(0, 1).expect("base");
        // Answered after it.
        driver.frontend.get_features().expect("features");
        assert_eq!(driver.order(1), [(0, 0)]);
        driver.write(8, &page(1, 1, 1));
        submitted(&device, 2);
        // The same place once more changes nothing; the other ring's is another one.
        driver.place_queue(0, 0);
        driver.frontend.get_features().expect("features");
        assert_eq!(stats(&device).held, 1);
        driver.place_queue(0, 1);
        driver.frontend.get_features().expect("features");
        assert_eq!(driver.order(1), [(1, 0)], "where it came from");
        assert_eq!(stats(&device).held, 0);
    }
}
