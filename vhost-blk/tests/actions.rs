//! What each action does, over a real ring of the real binary.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use common::{DeviceProcess, Driver, SOON, WHILE};
use vhost_blk_api::control::{Command, Reply};
use vhost_blk_api::trace::{self, Record};
use vm_memory::{Bytes, GuestAddress};

/// Sends a command that the device must obey.
fn tell(device: &DeviceProcess, command: &Command) -> Reply {
    device.control().call(command).expect("the device obeys")
}

fn mark(device: &DeviceProcess, name: &str) {
    tell(device, &Command::Mark { name: name.into() });
}

/// Hits of the rules, in their order.
fn hits(device: &DeviceProcess) -> Vec<u64> {
    match tell(device, &Command::List) {
        Reply::Rules { rules } => rules.iter().map(|rule| rule.hits).collect(),
        other => panic!("{other:?}"),
    }
}

fn rules(rules: &[&str]) -> DeviceProcess {
    let args: Vec<&str> = rules.iter().flat_map(|rule| ["--rule", *rule]).collect();
    DeviceProcess::start(&args)
}

/// Reads a page at this sector.
fn read(driver: &mut Driver, sector: u64) -> Vec<u8> {
    let slot = driver.read(sector, 4096);
    let used = driver.done();
    assert_eq!((used.slot, used.status), (slot, 0));
    driver.bytes(slot, 4096)
}

/// Writes a page of one byte at this sector, and is told that all is well.
fn write(driver: &mut Driver, sector: u64, fill: u8) {
    let slot = driver.write(sector, &[fill; 4096]);
    let used = driver.done();
    assert_eq!((used.slot, used.status), (slot, 0));
}

fn flush(driver: &mut Driver) -> u16 {
    let slot = driver.queue(4, 0, 0, false);
    driver.kick();
    slot
}

#[test]
fn a_hung_request_waits_for_its_release_and_others_pass_it() {
    let device = rules(&["hang read nth=1"]);
    let mut driver = Driver::connect(&device);
    let hung = driver.read(0, 512);
    read(&mut driver, 8);
    assert!(driver.next_used(WHILE).is_none(), "it hangs");
    let released = tell(&device, &Command::Release { rule: None });
    assert_eq!(released, Reply::Released { requests: 1 });
    let used = driver.next_used(SOON).expect("it is let go");
    assert_eq!((used.slot, used.status), (hung, 0));
}

#[test]
fn a_dropped_write_is_acknowledged_and_never_happened() {
    let device = rules(&["drop write sectors=8..16", "drop discard", "drop write-zeroes"]);
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 0x55);
    write(&mut driver, 8, 0x55);
    assert!(read(&mut driver, 0).iter().all(|byte| *byte == 0x55));
    assert!(read(&mut driver, 8).iter().all(|byte| *byte == 0));
    // A range of 8 sectors from 0: discarded, and zeroed.
    for kind in [11, 13] {
        driver.range(kind, 0, 8);
        assert_eq!(driver.done().status, 0);
    }
    assert!(read(&mut driver, 0).iter().all(|byte| *byte == 0x55));
    assert_eq!(hits(&device), [1, 1, 1]);
}

#[test]
fn a_corrupted_read_is_right_the_next_time() {
    let device = rules(&["corrupt read flip=1bit limit=1", "corrupt read zero=1 limit=1"]);
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 0x55);
    let flipped: u32 = read(&mut driver, 0).iter().map(|byte| (byte ^ 0x55).count_ones()).sum();
    assert_eq!(flipped, 1);
    let zeros = read(&mut driver, 0).iter().filter(|byte| **byte == 0).count();
    assert_eq!(zeros, 512);
    assert!(read(&mut driver, 0).iter().all(|byte| *byte == 0x55));
}

#[test]
fn as_many_bits_are_inverted_as_the_rule_says() {
    let device = rules(&["corrupt read flip=4096bit"]);
    let mut driver = Driver::connect(&device);
    // All bits of one sector, every eighth of a page: one that is chosen twice would be missing.
    for (len, bits) in [(512, 4096), (4096, 4096)] {
        let slot = driver.read(0, len);
        assert_eq!(driver.done().status, 0);
        let inverted: u32 = driver
            .bytes(slot, len as usize)
            .iter()
            .map(|byte| byte.count_ones())
            .sum();
        assert_eq!(inverted, bits, "of {len} bytes");
    }
}

#[test]
fn a_corrupted_write_stays_wrong() {
    let device = rules(&[
        "corrupt write misdirect=8 limit=1 name=lost",
        "corrupt write stale=1 after=rule(lost) limit=1",
    ]);
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 0x55);
    assert!(read(&mut driver, 0).iter().all(|byte| *byte == 0));
    assert!(read(&mut driver, 8).iter().all(|byte| *byte == 0x55));
    write(&mut driver, 16, 0x66);
    let stale = read(&mut driver, 16).iter().filter(|byte| **byte == 0).count();
    assert_eq!(stale, 512);
    write(&mut driver, 16, 0x66);
    assert!(read(&mut driver, 16).iter().all(|byte| *byte == 0x66));
}

#[test]
fn an_epoch_is_reordered_up_to_its_flush() {
    let device = rules(&["reorder write window=epoch order=reverse max=60s"]);
    let mut driver = Driver::connect(&device);
    let writes: Vec<u16> = (0..3).map(|page| driver.write(page * 8, &[1; 4096])).collect();
    assert!(driver.next_used(WHILE).is_none());
    let flush = flush(&mut driver);
    let order: Vec<u16> = driver.order(4).into_iter().map(|(slot, _)| slot).collect();
    assert_eq!(order, [writes[2], writes[1], writes[0], flush]);
}

#[test]
fn a_window_that_goes_on_filling_is_let_go_in_time_all_the_same() {
    let device = rules(&["reorder write window=1024 order=reverse max=200ms"]);
    let mut driver = Driver::connect(&device);
    let mut sent = Vec::new();
    let first = loop {
        assert!(sent.len() < 20, "the first still waits after {} others", sent.len());
        sent.push(driver.write(0, &[1; 512]));
        // One follows after the other, each long before the window's time is up.
        match driver.next_used(WHILE / 4) {
            // On a machine that slept through the window's whole time there was nothing to fill it: once more.
            Some(used) if sent == [used.slot] => sent.clear(),
            Some(used) => break used,
            None => {}
        }
    };
    assert_eq!(first.status, 0);
    // The first of them was in that window: it came with it, as its last.
    let released = sent.iter().position(|slot| *slot == first.slot).expect("one of them");
    for slot in sent[..released].iter().rev() {
        assert_eq!(driver.done().slot, *slot);
    }
}

#[test]
fn marks_and_variables_reach_the_rules() {
    let device = rules(&[
        "hold write until=mark(go) max=60s limit=1",
        "fail read after=mark(go) when=phase:3 name=fault",
    ]);
    let mut driver = Driver::connect(&device);
    let held = driver.write(0, &[1; 4096]);
    read(&mut driver, 8);
    assert!(driver.next_used(WHILE).is_none());
    mark(&device, "go");
    let used = driver.next_used(SOON).expect("the mark lets it go");
    assert_eq!((used.slot, used.status), (held, 0));
    read(&mut driver, 8);
    tell(&device, &Command::Set { var: "phase:3".into() });
    driver.read(8, 4096);
    assert_eq!(driver.done().status, common::IOERR);
    let refused = device.control().call(&Command::Set { var: "phase".into() });
    let refused = refused.expect_err("no variable").to_string();
    assert!(refused.contains("a name and a number, like phase:2"), "{refused}");
}

#[test]
fn a_rule_that_is_taken_off_lets_go_what_it_holds_and_leaves_the_others() {
    let device = rules(&[
        "hold write sectors=0..8 until=release max=60s name=first",
        "reorder write sectors=8..64 window=4 order=reverse max=60s name=window",
        "fail read after=rule(window) name=fails",
        "fail read sectors=8..16 nth=2 name=counts",
    ]);
    let mut driver = Driver::connect(&device);
    let waiting: Vec<u16> = [0, 8, 16].map(|sector| driver.write(sector, &[1; 4096])).to_vec();
    common::helpers::submitted(&device, 3);
    let remove = |rule: &str| tell(&device, &Command::Remove { rule: rule.to_owned() });
    assert_eq!(remove("window"), Reply::Released { requests: 2 });
    assert_eq!(driver.order(2), [(waiting[1], 0), (waiting[2], 0)], "as they came");
    assert!(driver.next_used(WHILE).is_none(), "the other rule holds its own");
    // The rules behind it are found and counted as before.
    let status = |driver: &mut Driver| {
        driver.read(8, 4096);
        driver.done().status
    };
    assert_eq!(status(&mut driver), common::IOERR, "the rule that is off was applied");
    assert_eq!(remove("fails"), Reply::Released { requests: 0 });
    assert_eq!(status(&mut driver), common::IOERR, "the second that it sees");
    assert_eq!(hits(&device), [1, 1], "first and counts");
    // Another rule of the same name is another rule, and its window a new one.
    for rule in [
        "fail read after=rule(window) name=again",
        "reorder write sectors=8..64 window=2 order=reverse max=60s name=window",
    ] {
        let rule = rule.to_owned();
        tell(&device, &Command::Add { rule });
    }
    assert_eq!(status(&mut driver), 0);
    let pair = [8, 16].map(|sector| driver.write(sector, &[2; 4096]));
    assert_eq!(driver.order(2), [(pair[1], 0), (pair[0], 0)]);
    assert_eq!(status(&mut driver), common::IOERR);
    assert_eq!(remove("first"), Reply::Released { requests: 1 });
    assert_eq!(driver.done().slot, waiting[0]);
}

#[test]
fn the_first_write_after_a_flush_fails() {
    let device = rules(&["fail write first-after=flush"]);
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 1);
    flush(&mut driver);
    assert_eq!(driver.done().status, 0);
    driver.write(0, &[2; 4096]);
    assert_eq!(driver.done().status, common::IOERR);
    write(&mut driver, 0, 3);
}

#[test]
fn any_counts_only_what_the_action_can_be_done_to() {
    let device = rules(&["drop any nth=1"]);
    let mut driver = Driver::connect(&device);
    read(&mut driver, 0);
    write(&mut driver, 0, 7);
    assert_eq!(hits(&device), [1], "the first request that is no read");
    assert!(read(&mut driver, 0).iter().all(|byte| *byte == 0));
}

/// Discards two ranges of 8 sectors with one request; its status.
fn discard_two(driver: &mut Driver, first: u64, second: u64) -> u8 {
    let slot = driver.free_slot();
    driver.put_range(slot, first, 8, 0);
    let mut range = [0; 16];
    range[..8].copy_from_slice(&second.to_le_bytes());
    range[8..12].copy_from_slice(&8u32.to_le_bytes());
    let at = driver.data(slot).0 + 16;
    driver.mem.write_slice(&range, GuestAddress(at)).expect("a range");
    driver.queue(11, 0, 32, false);
    driver.kick();
    driver.done().status
}

#[test]
fn a_discard_lies_where_each_of_its_ranges_lies() {
    let device = rules(&[
        "fail discard sectors=1000..1008",
        "fail discard sectors=8..16",
        "delay any for=1us sectors=0..8",
    ]);
    let mut driver = Driver::connect(&device);
    assert_eq!(discard_two(&mut driver, 0, 1000), common::IOERR);
    assert_eq!(discard_two(&mut driver, 0, 2000), 0, "nothing from 8 to 16 is touched");
    assert_eq!(hits(&device), [1, 0, 2]);
}

#[test]
fn what_comes_after_a_mark_is_not_held_until_it() {
    let device = rules(&["hold read until=mark(mounted) max=60s"]);
    let mut driver = Driver::connect(&device);
    let held = driver.read(0, 512);
    assert!(driver.next_used(WHILE).is_none(), "the mark was not made yet");
    mark(&device, "mounted");
    assert_eq!(driver.done().slot, held);
    // Within the time that the driver gives an answer, far less than `max`.
    read(&mut driver, 0);
    assert_eq!(hits(&device), [1]);
}

#[test]
fn of_a_request_that_cuts_the_power_only_the_cut_is_told() {
    let device = rules(&[
        "fail write name=f",
        "delay write for=1ms name=d",
        "cut write nth=1 name=c",
    ]);
    let mut driver = Driver::connect(&device);
    driver.write(0, &[1; 4096]);
    assert!(driver.next_used(WHILE).is_none());
    assert_eq!(hits(&device), [0, 0, 1]);
    let records = trace::read(&device.path("trace")).expect("a trace");
    let rules = records.iter().find_map(|record| match record {
        Record::Submit(submit) => Some(submit.rules.clone()),
        _ => None,
    });
    assert_eq!(rules.expect("a request"), ["c"]);
}
