//! The disk as a power cut at a mark would have left it, over a real ring of the real binary.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use common::helpers::cut;
use common::{DeviceProcess, Driver, WHILE};
use vhost_blk_api::control::{Command, Reply, UndecidedRequest};
use vhost_blk_api::trace::{self, Record};

fn tell(device: &DeviceProcess, command: &Command) -> Reply {
    device.control().call(command).expect("the device obeys")
}

fn refused(device: &DeviceProcess, command: &Command) -> String {
    device
        .control()
        .call(command)
        .expect_err("the device refuses")
        .to_string()
}

fn mark(name: &str) -> Command {
    Command::Mark { name: name.to_owned() }
}

/// A state of the mark `m`.
fn present(lose: &str, order: Option<&str>, torn: Option<&str>) -> Command {
    Command::Present {
        at: "m".to_owned(),
        lose: Some(lose.to_owned()),
        order: order.map(str::to_owned),
        torn: torn.map(str::to_owned),
        seed: 0,
    }
}

fn write(driver: &mut Driver, sector: u64, fill: u8) {
    driver.write(sector, &[fill; 4096]);
    assert_eq!(driver.done().status, 0);
}

/// The bytes that fill the first pages.
fn pages<const N: usize>(driver: &mut Driver) -> [u8; N] {
    std::array::from_fn(|page| {
        let slot = driver.read(page as u64 * 8, 4096);
        assert_eq!(driver.done().status, 0);
        let bytes = driver.bytes(slot, 4096);
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "half a page");
        bytes[0]
    })
}

#[test]
fn what_is_in_flight_and_what_came_during_a_flush_is_undecided() {
    let device = DeviceProcess::start(&[
        "--history",
        "1M",
        "--rule",
        "hold flush nth=2 until=mark(never) name=flush",
        "--rule",
        "hold write nth=4 until=mark(never) name=write",
    ]);
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 1);
    driver.queue(4, 0, 0, false);
    driver.kick();
    assert_eq!(driver.done().status, 0);
    write(&mut driver, 8, 2);
    // A flush that is on its way, and a write that is completed before it is.
    driver.queue(4, 0, 0, false);
    driver.kick();
    assert!(driver.next_used(WHILE).is_none());
    write(&mut driver, 16, 3);
    let release = |rule: &str| Command::Release {
        rule: Some(rule.to_owned()),
    };
    tell(&device, &release("flush"));
    assert_eq!(driver.done().status, 0);
    // And one that is in flight.
    driver.write(16, &[4; 4096]);
    assert!(driver.next_used(WHILE).is_none());
    tell(&device, &mark("m"));
    let busy = refused(&device, &present("all", None, None));
    assert!(busy.contains("1 requests are outstanding"), "{busy}");
    tell(&device, &release("write"));
    assert_eq!(driver.done().status, 0);
    write(&mut driver, 0, 9);

    states_of_both(&device, &mut driver);
}

/// Of the mark the second write to the third page was completed, and the third was in flight.
fn states_of_both(device: &DeviceProcess, driver: &mut Driver) {
    let undecided = Command::Undecided { at: "m".to_owned() };
    let request = |in_flight| UndecidedRequest {
        sectors: vec![(16, 8)],
        zeros: false,
        in_flight,
    };
    let requests = vec![request(false), request(true)];
    assert_eq!(tell(device, &undecided), Reply::Undecided { requests });
    for (lose, expected) in [
        ("all", [1, 2, 0]),
        ("none", [1, 2, 4]),
        ("1", [1, 2, 3]),
        ("0", [1, 2, 4]),
    ] {
        tell(device, &present(lose, None, None));
        assert_eq!(pages(driver), expected, "{lose}");
        // Whatever is done to one state is not there in the next.
        write(driver, 8, 7);
        write(driver, 16, 7);
    }
    // Without power, too: and it is there again.
    tell(device, &cut(None));
    let Reply::Presented { kept, moved_bytes, .. } = tell(device, &present("0", Some("1"), None)) else {
        panic!("another answer");
    };
    assert_eq!((kept, moved_bytes), (vec![1], 8192));
    assert_eq!(pages(driver), [1, 2, 4]);
    // What was presented is no part of what happened.
    tell(
        device,
        &Command::Rollback {
            to: Some("m".to_owned()),
        },
    );
    assert_eq!(pages(driver), [1, 2, 3]);
    let records = trace::read(&device.path("trace")).expect("trace");
    let presented = |record: &&Record| matches!(record, Record::Present { at, undecided: 2, .. } if at == "m");
    assert_eq!(records.iter().filter(presented).count(), 5);
}

#[test]
fn a_write_is_torn_where_it_is_said() {
    let device = DeviceProcess::start(&["--history", "1M"]);
    let mut driver = Driver::connect(&device);
    driver.write(0, &[5; 4 * 4096]);
    assert_eq!(driver.done().status, 0);
    tell(&device, &mark("m"));
    tell(&device, &present("all", None, Some("0:8192")));
    assert_eq!(pages(&mut driver), [5, 5, 0, 0]);
    let Reply::Presented { torn: Some(torn), .. } = tell(&device, &present("all", None, Some("4k"))) else {
        panic!("another answer");
    };
    let expected: [u8; 4] = std::array::from_fn(|page| if (page as u64) < torn.bytes / 4096 { 5 } else { 0 });
    assert_eq!(pages(&mut driver), expected);
}

#[test]
fn what_cannot_be_presented_is_said_and_changes_nothing() {
    let device = DeviceProcess::start(&["--history", "1M"]);
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 1);
    tell(&device, &mark("m"));
    write(&mut driver, 0, 2);
    let said = |lose, order, torn| refused(&device, &present(lose, order, torn));
    insta::assert_snapshot!(
        said("1", None, None),
        @"cannot present this state: there is no undecided request 1: they are 0 to 0"
    );
    insta::assert_snapshot!(
        said("al", None, None),
        @"bad value `al` for `lose`: expected all, some, none, or numbers of undecided requests, like 0,3; did you mean `all`?"
    );
    insta::assert_snapshot!(
        said("none", Some("0"), None),
        @"cannot present this state: request 0 was completed before the mark: only those in flight can come in another order"
    );
    insta::assert_snapshot!(
        said("none", Some("a"), None),
        @"bad value `a` for `order`: expected numbers of undecided requests that are in flight, like 5,4"
    );
    insta::assert_snapshot!(
        said("none", None, Some("0:100")),
        @"cannot present this state: request 0 can be torn after each of its sectors but the last (512 to 3584 bytes), not after 100"
    );
    insta::assert_snapshot!(
        said("none", None, Some("8k")),
        @"bad value `8k` for `torn`: expected 512, 4k, or a request's number and how many bytes of it are there, like 3:4096; did you mean `4k`?"
    );
    let nowhere = Command::Undecided {
        at: "nowhere".to_owned(),
    };
    insta::assert_snapshot!(
        refused(&device, &nowhere),
        @"cannot say what was undecided: no mark `nowhere` to go back to: known marks: m"
    );
    assert_eq!(pages(&mut driver), [2]);
    // What was durable at a mark is not known of a disk of another size.
    tell(&device, &Command::Resize { bytes: 64 << 10 });
    insta::assert_snapshot!(
        said("all", None, None),
        @"cannot present this state: the disk has had another size since what was durable at mark `m`: only marks after a resize can be presented"
    );
    let plain = DeviceProcess::start(&[]);
    insta::assert_snapshot!(
        refused(&plain, &present("all", None, None)),
        @"cannot present this state: no mark `m` to go back to: known marks: none; start the device with --history to keep what is needed"
    );
}
