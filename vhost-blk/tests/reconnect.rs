//! Front ends that lose their device and come again, devices that are killed: nothing is lost, nothing is done twice,
//! nothing leaks.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use common::helpers::{cut, stats, submitted, until_gone};
use common::reconnect::Record;
use common::{DeviceProcess, Driver, SOON, WHILE};
use vhost::VhostBackend;
use vhost_blk_api::control::{Command, Reply};
use vhost_blk_api::trace::{self, Record as Line};
use vm_memory::Bytes;

const STORAGES: [&str; 2] = ["memory", "file"];

fn tell(device: &DeviceProcess, command: &Command) -> Reply {
    device.control().call(command).expect("an answer")
}

fn release(device: &DeviceProcess) -> Reply {
    tell(device, &Command::Release { rule: None })
}

/// Two held writes, with two reads between and after them that are done.
fn two_held_and_two_done(driver: &mut Driver, device: &DeviceProcess) -> [u16; 2] {
    let first = driver.write(0, &[1; 4096]);
    driver.read(64, 4096);
    let second = driver.write(8, &[2; 4096]);
    driver.read(64, 4096);
    submitted(device, 4);
    driver.order(2);
    [first, second]
}

/// What was in flight is done, once, in its order, and the ring goes on.
fn goes_on(driver: &mut Driver, held: [u16; 2]) {
    let order: Vec<(u16, u8)> = driver.order(2);
    assert_eq!(order, held.map(|slot| (slot, 0)));
    for (sector, fill) in [(0, 1), (8, 2)] {
        let slot = driver.read(sector, 4096);
        let used = driver.done();
        assert_eq!((used.slot, used.status), (slot, 0));
        assert!(driver.bytes(slot, 4096).iter().all(|byte| *byte == fill));
    }
    assert!(driver.next_used(WHILE).is_none(), "nothing comes twice");
}

#[test]
fn what_was_in_flight_is_taken_once_more_in_its_order() {
    let device = DeviceProcess::start(&["--rule", "hold write until=release max=60s"]);
    let (mut driver, record) = Driver::connect_with_record(&device);
    let held = two_held_and_two_done(&mut driver, &device);
    driver.reconnect(&device, &record);
    submitted(&device, 6);
    assert_eq!(stats(&device).dropped, 2, "those of the first connection");
    assert!(driver.next_used(WHILE).is_none(), "they are held again");
    assert_eq!(release(&device), Reply::Released { requests: 2 });
    goes_on(&mut driver, held);
}

#[test]
fn the_device_hangs_up_and_all_that_was_out_comes_again() {
    let device = DeviceProcess::start(&[
        "--rule",
        "hold write until=release max=60s",
        "--rule",
        "disconnect flush limit=1",
    ]);
    let (mut driver, record) = Driver::connect_with_record(&device);
    let held = two_held_and_two_done(&mut driver, &device);
    let flush = driver.queue(4, 0, 0, false);
    // Not looked at before the device hangs up, or looked at and not answered: the same to a driver.
    let read = driver.read(64, 512);
    assert_eq!(driver.next_used_or_end(SOON), None, "it hangs up");
    driver.reconnect(&device, &record);
    let mut done: Vec<(u16, u8)> = driver.order(2);
    done.sort_unstable();
    assert_eq!(done, [(flush, 0), (read, 0)]);
    assert_eq!(release(&device), Reply::Released { requests: 2 });
    goes_on(&mut driver, held);
}

#[test]
fn a_device_that_was_killed_is_followed_by_another() {
    let mut device = DeviceProcess::start(&["--rule", "hold write until=release max=60s"]);
    let (mut driver, record) = Driver::connect_with_record(&device);
    let held = two_held_and_two_done(&mut driver, &device);
    // SIGKILL: nothing is put in order.
    device.child.kill().expect("kill");
    device.child.wait().expect("wait");
    device.restart(&[]);
    driver.reconnect(&device, &record);
    goes_on(&mut driver, held);
}

#[test]
fn a_ring_that_was_stopped_in_order_has_nothing_in_flight() {
    let device = DeviceProcess::start(&[]);
    let (mut driver, record) = Driver::connect_with_record(&device);
    // Without power nobody is answered, and a stop does not wait for what never will be.
    tell(&device, &cut(Some("none")));
    driver.write(0, &[1; 4096]);
    submitted(&device, 1);
    driver.frontend.get_vring_base(0).expect("it stops");
    tell(&device, &Command::Power);
    // The driver has been reset: whatever it had out is gone, and its ring is another one.
    driver.start_ring();
    let read = driver.read(0, 4096);
    assert_eq!(driver.done().slot, read);
    assert_eq!(stats(&device).submitted, 2, "what was out is not taken again");
    driver.reconnect(&device, &record);
    let read = driver.read(0, 4096);
    assert_eq!(driver.done().slot, read);
    assert_eq!(stats(&device).submitted, 3);
}

/// What the device's process has once it has done what its front end said: descriptors, threads, and KiB of memory.
fn has(device: &DeviceProcess, driver: &Driver) -> (usize, usize, u64) {
    driver.frontend.get_features().expect("an answer");
    let proc = PathBuf::from(format!("/proc/{}", device.child.id()));
    let count = |name: &str| std::fs::read_dir(proc.join(name)).expect("proc").count();
    let status = std::fs::read_to_string(proc.join("status")).expect("status");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    let kib = line
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("KiB");
    let tasks = std::fs::read_dir(proc.join("task")).expect("proc");
    let threads = tasks.flatten().filter(|task| {
        // What the kernel does for io_uring it does in threads of the process that come and go as it likes.
        let name = std::fs::read_to_string(task.path().join("comm"));
        name.is_ok_and(|name| !name.starts_with("iou-"))
    });
    (count("fd"), threads.count(), kib)
}

/// A driver that keeps several writes out, each with what no other write has.
struct Load {
    out: BTreeSet<u16>,
    sent: u64,
    /// What lies in each slot's place on the disk.
    written: [u64; Load::SLOTS],
}

impl Load {
    const SLOTS: usize = 16;

    fn fill(&mut self, driver: &mut Driver) {
        for slot in 0..Load::SLOTS as u16 {
            if self.out.insert(slot) {
                self.sent += 1;
                self.written[usize::from(slot)] = self.sent;
                let data = self.sent.to_le_bytes().repeat(64);
                let at = driver.data(slot);
                driver.mem.write_slice(&data, at).expect("data");
                driver.queue_in(slot, 1, 8 * u64::from(slot), 512);
            }
        }
        driver.kick();
    }

    fn take(&mut self, driver: &mut Driver) {
        let used = driver.next_used(SOON).expect("a completion");
        assert_eq!(used.status, 0);
        assert!(
            self.out.remove(&used.slot),
            "slot {} was not out: done twice",
            used.slot
        );
    }

    /// What was written last is what every slot holds.
    fn is_there(&self, driver: &mut Driver) {
        for slot in 0..Load::SLOTS as u16 {
            driver.queue_in(slot, 0, 8 * u64::from(slot), 512);
            driver.kick();
            assert_eq!(driver.done().slot, slot);
            let expected = self.written[usize::from(slot)].to_le_bytes().repeat(64);
            assert_eq!(driver.bytes(slot, 512), expected, "slot {slot}");
        }
    }
}

#[test]
fn a_thousand_reconnections_under_load_lose_double_and_leak_nothing() {
    for storage in STORAGES {
        const RECONNECTIONS: u64 = 1000;
        let device = DeviceProcess::start(&["--storage", storage]);
        let (mut driver, record): (Driver, Record) = Driver::connect_with_record(&device);
        let mut load = Load {
            out: BTreeSet::new(),
            sent: 0,
            written: [0; Load::SLOTS],
        };
        // One client all the while: each has a thread.
        let mut control = device.control();
        for _ in 0..50 {
            driver.reconnect(&device, &record);
        }
        let (fds, threads, kib) = has(&device, &driver);
        let rules = [
            "reorder write window=4 order=shuffle max=2ms",
            "delay write for=10us..300us p=0.3",
            "disconnect write every=61",
        ];
        let rules = rules.map(str::to_owned).to_vec();
        control.call(&Command::Plan { seed: 1, rules }).expect("an answer");
        for number in 0..RECONNECTIONS {
            load.fill(&mut driver);
            // Now and then the front end leaves with everything out, or the device is told to hang up; and by a rule it
            // does so by itself.
            for _ in 0..number % 7 {
                if driver.next_used_or_end(SOON).is_some_and(|used| {
                    assert_eq!(used.status, 0);
                    assert!(
                        load.out.remove(&used.slot),
                        "slot {} was not out: done twice",
                        used.slot
                    );
                    true
                }) {
                    continue;
                }
                break;
            }
            if number % 3 == 0 {
                // Refused if it has hung up by itself just now.
                let _ = control.call(&Command::Disconnect);
            }
            driver.reconnect(&device, &record);
        }
        control.call(&Command::Clear).expect("an answer");
        driver.reconnect(&device, &record);
        while !load.out.is_empty() {
            load.take(&mut driver);
        }
        assert!(driver.next_used(WHILE).is_none(), "nothing comes twice");
        load.is_there(&mut driver);
        assert!(stats(&device).connections >= RECONNECTIONS);
        // What belonged to the last connection but one may go a little later.
        let deadline = Instant::now() + SOON;
        let mut after = has(&device, &driver);
        while (after.0, after.1) != (fds, threads) && Instant::now() < deadline {
            std::thread::yield_now();
            after = has(&device, &driver);
        }
        assert_eq!((after.0, after.1), (fds, threads), "descriptors and threads");
        assert!(after.2 < kib + 8192, "{kib} KiB before, {} at the end", after.2);
        every_request_ends(&device, load.sent);
    }
}

/// Every request has ended, and some were taken again.
fn every_request_ends(device: &DeviceProcess, sent: u64) {
    tell(device, &Command::FlushTrace);
    let lines = trace::read(&device.path("trace")).expect("the trace");
    let submits = lines.iter().filter(|line| matches!(line, Line::Submit(_))).count() as u64;
    let completes = lines.iter().filter(|line| matches!(line, Line::Complete(_))).count() as u64;
    assert_eq!(submits, completes, "every request ends, dropped ones too");
    assert!(submits > sent, "some were taken again, or the test shows nothing");
}

#[test]
fn after_it_has_hung_up_the_device_writes_nothing_to_the_guests_memory() {
    const READS: u16 = 20;
    const LEN: usize = 64 << 10;
    for storage in STORAGES {
        let device = DeviceProcess::with_image(&vec![7; 8 << 20], &["--storage", storage]);
        for round in 0..100 {
            let mut driver = Driver::connect(&device);
            let slots: Vec<u16> = (0..READS)
                .map(|number| driver.queue(0, u64::from(number) * 128, LEN as u32, true))
                .collect();
            let mut control = device.control();
            let into = Duration::from_micros(round * 37 % 1500);
            // Into the middle of the reads, at another place each time.
            let hang_up = std::thread::spawn(move || {
                let since = Instant::now();
                while since.elapsed() < into {
                    std::hint::spin_loop();
                }
                // The device may not know yet that somebody is connected.
                while control.call(&Command::Disconnect).is_err() {
                    assert!(since.elapsed() < SOON, "it never hung up");
                }
            });
            driver.kick();
            driver.until_hung_up();
            // From here on the memory is the driver's.
            let used = driver.used_index();
            for slot in &slots {
                driver
                    .mem
                    .write_slice(&[0x55; LEN], driver.data(*slot))
                    .expect("memory");
            }
            hang_up.join().expect("it hangs up");
            until_gone(&device);
            assert_eq!(driver.used_index(), used, "{storage}, round {round}");
            for slot in slots {
                let kept = driver.bytes(slot, LEN).iter().all(|byte| *byte == 0x55);
                assert!(kept, "{storage}, round {round}: late data for request {slot}");
            }
        }
    }
}
