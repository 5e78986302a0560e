//! A trace's decisions made again by another device, over a real ring of the real binary.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::io::Read;
use std::path::Path;
use std::process::{Output, Stdio};

use common::helpers::{stats, submitted};
use common::{DeviceProcess, Driver, IOERR, command, spawn_ready};
use vhost_blk_api::control::{Command, Reply};
use vhost_blk_api::trace::{self, Record};
use vm_memory::{Bytes, GuestAddress};

fn tell(device: &DeviceProcess, command: &Command) -> Reply {
    device.control().call(command).expect("an answer")
}

fn with_rules(seed: &str, rules: &[&str]) -> DeviceProcess {
    let mut args = vec!["--seed", seed];
    args.extend(rules.iter().flat_map(|rule| ["--rule", rule]));
    DeviceProcess::start(&args)
}

/// Another device that makes the decisions of this one's trace again.
fn again(first: &DeviceProcess) -> DeviceProcess {
    // It hands the trace to the kernel.
    stats(first);
    DeviceProcess::start(&["--replay", &first.path("trace").to_string_lossy()])
}

fn write(driver: &mut Driver, sector: u64) -> u8 {
    driver.write(sector, &[1; 4096]);
    driver.done().status
}

/// So many writes that the device is told of at once; the order in which they complete.
fn writes_at_once(driver: &mut Driver, count: u16) -> Vec<u16> {
    let slots: Vec<u16> = (0..count)
        .map(|number| driver.queue(1, u64::from(number) * 8, 4096, false))
        .collect();
    driver.kick();
    let place = |slot| slots.iter().position(|other| *other == slot).expect("one of them");
    let order = driver.order(slots.len());
    order.into_iter().map(|(slot, _)| place(slot) as u16).collect()
}

/// Writes and reads; what each write was told, and what is read.
fn work(driver: &mut Driver, first: u64) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut statuses = Vec::new();
    for page in first..first + 8 {
        driver.write(page * 8, &[1 + page as u8; 4096]);
        statuses.push(driver.done().status);
    }
    let mut pages = Vec::new();
    for page in first..first + 8 {
        let slot = driver.read(page * 8, 4096);
        assert_eq!(driver.done().status, 0);
        pages.push(driver.bytes(slot, 4096));
    }
    (statuses, pages)
}

#[test]
fn the_same_guest_meets_the_same_faults_and_another_is_told() {
    let first = DeviceProcess::start(&[
        "--seed",
        "7",
        "--rule",
        "fail write p=0.5",
        "--rule",
        "corrupt read flip=2bit p=0.5",
    ]);
    let seen = work(&mut Driver::connect(&first), 0);
    assert!(seen.0.contains(&0) && seen.0.contains(&IOERR), "the seed gives both");
    stats(&first);
    let trace = first.path("trace");
    let trace = trace.to_string_lossy();
    let second = DeviceProcess::start(&["--replay", &trace]);
    let mut driver = Driver::connect(&second);
    assert!(work(&mut driver, 0) == seen);
    assert_eq!(stats(&second).diverged_at, None);
    drop(driver);

    let third = DeviceProcess::start(&["--replay", &trace]);
    let mut driver = Driver::connect(&third);
    let (statuses, _) = work(&mut driver, 1);
    assert!(
        statuses.iter().all(|status| *status == 0),
        "nothing is injected after it"
    );
    assert_eq!(stats(&third).diverged_at, Some(1));
    let records = trace::read(&third.path("trace")).expect("trace");
    let diverged = records.iter().find_map(|record| match record {
        Record::Diverged { expected, found, .. } => Some((expected.clone(), found.clone())),
        _ => None,
    });
    let (expected, found) = diverged.expect("it is in the trace");
    assert_eq!(
        (expected.as_str(), found.as_str()),
        ("write of 4096 bytes at sector 0", "write of 4096 bytes at sector 8")
    );
}

#[test]
fn a_shuffled_window_has_the_same_order() {
    let shuffle = "reorder write window=8 order=shuffle max=20s";
    let orders = ["1", "7"].map(|seed| {
        let first = with_rules(seed, &[shuffle]);
        let mut driver = Driver::connect(&first);
        let seen = [writes_at_once(&mut driver, 8), writes_at_once(&mut driver, 8)];
        let second = again(&first);
        let mut driver = Driver::connect(&second);
        assert_eq!(
            [writes_at_once(&mut driver, 8), writes_at_once(&mut driver, 8)],
            seen,
            "seed {seed}"
        );
        assert_eq!(stats(&second).diverged_at, None);
        seen
    });
    assert_ne!(orders[0], orders[1], "the seed says the order");
}

#[test]
fn a_plan_and_a_clear_come_where_they_came() {
    let first = with_rules("1", &["reorder write window=2 order=reverse max=20s"]);
    let second_plan = Command::Plan {
        seed: 5,
        rules: vec!["reorder write window=4 order=shuffle max=20s".to_owned()],
    };
    let third_rule = Command::Add {
        rule: "reorder write window=4 order=shuffle max=20s name=r1".to_owned(),
    };
    let between = |commands: &[Command]| commands.iter().for_each(|command| drop(tell(&first, command)));
    let mut driver = Driver::connect(&first);
    let mut seen = vec![writes_at_once(&mut driver, 2)];
    between(&[second_plan]);
    seen.extend((0..3).map(|_| writes_at_once(&mut driver, 4)));
    // Windows are numbered anew, and the order goes by the number.
    between(&[Command::Clear, third_rule]);
    seen.extend((0..3).map(|_| writes_at_once(&mut driver, 4)));
    between(&[Command::Clear]);
    seen.push(writes_at_once(&mut driver, 4));
    assert_eq!(seen[0], [1, 0]);
    assert_eq!(seen[1..4], seen[4..7]);
    assert_eq!(seen[7], [0, 1, 2, 3]);

    let second = again(&first);
    let mut driver = Driver::connect(&second);
    let found: Vec<Vec<u16>> = [2, 4, 4, 4, 4, 4, 4, 4]
        .map(|count| writes_at_once(&mut driver, count))
        .into();
    assert_eq!(found, seen);
    assert_eq!(stats(&second).diverged_at, None);
}

#[test]
fn what_waited_for_a_plan_waits_no_longer_than_for_the_request_after_it() {
    let first = with_rules("1", &["hang write", "fail read"]);
    let work = |device: &DeviceProcess, between: &dyn Fn()| {
        let mut driver = Driver::connect(device);
        let wrote = driver.write(0, &[1; 4096]);
        submitted(device, 1);
        between();
        let read = driver.read(0, 4096);
        let order = driver.order(2);
        order
            .into_iter()
            .map(|(slot, status)| (slot == wrote, slot == read, status))
            .collect::<Vec<_>>()
    };
    let seen = work(&first, &|| {
        let rules = vec!["fail read status=unsupp".to_owned()];
        assert_eq!(tell(&first, &Command::Plan { seed: 2, rules }), Reply::Done);
    });
    assert_eq!(seen, [(true, false, 0), (false, true, common::UNSUPP)]);
    assert_eq!(work(&again(&first), &|| ()), seen);
}

#[test]
fn what_came_without_power_is_no_part_of_it() {
    let work = |device: &DeviceProcess, in_the_dark: u64| {
        let mut driver = Driver::connect(device);
        assert_eq!(write(&mut driver, 0), 0);
        driver.write(8, &[2; 4096]);
        for sector in 0..in_the_dark {
            driver.read(sector, 4096);
        }
        submitted(device, 2 + in_the_dark);
        assert!(stats(device).dark);
        tell(device, &Command::Power);
        drop(driver);
        let mut driver = Driver::connect(device);
        (0..20).map(|page| write(&mut driver, page * 16)).collect::<Vec<u8>>()
    };
    let first = with_rules("3", &["cut write nth=2", "fail write p=0.5 after=rule(r1)"]);
    let seen = work(&first, 3);
    assert!(seen.contains(&0) && seen.contains(&IOERR), "the seed gives both");
    for in_the_dark in [3, 1] {
        let second = again(&first);
        assert_eq!(work(&second, in_the_dark), seen);
        assert_eq!(stats(&second).diverged_at, None);
        assert_eq!(stats(&second).replay_left, Some(0));
    }
}

/// A write-zeroes of eight sectors each at two places.
fn zero_two(driver: &mut Driver, sectors: [u64; 2], flags: u32) {
    let slot = driver.free_slot();
    driver.put_range(slot, sectors[0], 8, 0);
    let at = |offset| GuestAddress(driver.data(slot).0 + 16 + offset);
    driver.mem.write_obj(sectors[1], at(0)).expect("range");
    driver.mem.write_obj(8u32, at(8)).expect("range");
    driver.mem.write_obj(flags, at(12)).expect("range");
    driver.ask(13, 0, 32, false);
    assert_eq!(driver.done().status, 0);
}

#[test]
fn each_range_of_a_request_is_a_part_of_how_it_looks() {
    let first = with_rules("0", &[]);
    zero_two(&mut Driver::connect(&first), [0, 1000], 0);
    for (sectors, flags, found) in [
        ([0, 1000], 0, None),
        (
            [0, 2000],
            0,
            Some("write-zeroes of 8192 bytes at sector 0, sectors 0..8, 2000..2008"),
        ),
        (
            [0, 1000],
            1,
            Some("write-zeroes of 8192 bytes at sector 0, sectors 0..8, 1000..1008 with flags 1"),
        ),
    ] {
        let second = again(&first);
        zero_two(&mut Driver::connect(&second), sectors, flags);
        assert_eq!(stats(&second).diverged_at, found.map(|_| 1));
        let records = trace::read(&second.path("trace")).expect("trace");
        let told = records.iter().find_map(|record| match record {
            Record::Diverged { found, .. } => Some(found.as_str()),
            _ => None,
        });
        assert_eq!(told, found);
    }
}

#[test]
fn what_hangs_can_be_released_by_the_rules_name() {
    let first = with_rules(
        "0",
        &["hang write nth=1 name=stuck", "hold write nth=2 until=release max=300s"],
    );
    let release = |device: &DeviceProcess, rule: &str| {
        let mut driver = Driver::connect(device);
        let slots = [driver.write(0, &[1; 4096]), driver.write(8, &[1; 4096])];
        submitted(device, 2);
        let listed = tell(device, &Command::List);
        let rule = Some(rule.to_owned());
        assert_eq!(
            tell(device, &Command::Release { rule }),
            Reply::Released { requests: 1 }
        );
        assert_eq!(driver.done().slot, slots[0]);
        // What else there is of rules is the trace's and stays, but what waits is let go.
        assert_eq!(tell(device, &Command::Clear), Reply::Released { requests: 1 });
        assert_eq!(driver.done().slot, slots[1]);
        let Reply::Rules { rules } = listed else {
            panic!("{listed:?}")
        };
        rules
            .into_iter()
            .map(|rule| (rule.name, rule.text, rule.hits, rule.holding))
            .collect::<Vec<_>>()
    };
    let listed = release(&first, "stuck");
    let holding: Vec<usize> = listed.iter().map(|(.., holding)| *holding).collect();
    assert_eq!(holding, [1, 1]);
    let second = again(&first);
    assert_eq!(release(&second, "stuck"), listed);
    let rule = Some("other".to_owned());
    let refused = device_says(&second, &Command::Release { rule });
    assert!(refused.ends_with("known rules: stuck, r2"), "{refused}");
}

/// What a device says to a command that it does not carry out.
fn device_says(device: &DeviceProcess, command: &Command) -> String {
    match device.control().call(command) {
        Ok(reply) => format!("{reply:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn its_rules_are_not_to_be_changed_and_letting_go_does_not_change_them() {
    let first = with_rules("1", &["reorder write window=3 order=shuffle max=300s"]);
    let mut driver = Driver::connect(&first);
    let seen: Vec<Vec<u16>> = (0..4).map(|_| writes_at_once(&mut driver, 3)).collect();
    let second = again(&first);
    let rules = vec!["fail write".to_owned()];
    for command in [
        Command::Add { rule: rules[0].clone() },
        Command::Plan { seed: 1, rules },
    ] {
        let refused = device_says(&second, &command);
        assert!(refused.contains("start one without --replay"), "{refused}");
    }
    let mut driver = Driver::connect(&second);
    for order in seen {
        assert_eq!(writes_at_once(&mut driver, 3), order);
        assert_eq!(tell(&second, &Command::Clear), Reply::Released { requests: 0 });
    }
    assert_eq!(write(&mut driver, 0), 0, "the trace is at its end");
    assert_eq!(stats(&second).diverged_at, None);
}

#[test]
fn the_trace_of_a_replay_can_be_replayed_and_summed_up() {
    let first = with_rules(
        "4",
        &["fail write p=0.5 name=coin", "corrupt read flip=2bit", "drop flush"],
    );
    let seen = work(&mut Driver::connect(&first), 0);
    let second = again(&first);
    assert!(work(&mut Driver::connect(&second), 0) == seen);
    let third = again(&second);
    assert!(work(&mut Driver::connect(&third), 0) == seen);
    let rules = [&first, &second, &third].map(|device| {
        stats(device);
        let records = trace::read(&device.path("trace")).expect("trace");
        let summary = trace::summary::summary(&records, &trace::show::Filter::default()).expect("no marks");
        let (_, rules) = summary.split_once("\nrule ").expect("rules");
        let (rules, _) = rules.split_once("\n\n").expect("the queue depth");
        rules.to_owned()
    });
    assert!(rules[0].contains("fail write p=0.5 name=coin"), "{}", rules[0]);
    assert_eq!(rules[1], rules[0]);
    assert_eq!(rules[2], rules[0]);
}

#[test]
fn in_the_end_it_says_where_the_guest_left_the_trace() {
    let first = with_rules("0", &["fail write nth=3"]);
    let mut driver = Driver::connect(&first);
    for _ in 0..3 {
        write(&mut driver, 0);
    }
    let said = |sectors: &[u64]| {
        let mut second = again_with_complaints(&first);
        let mut driver = Driver::connect(&second);
        for sector in sectors {
            write(&mut driver, *sector);
        }
        let left = stats(&second).replay_left;
        tell(&second, &Command::Quit);
        let mut said = String::new();
        let mut stderr = second.child.stderr.take().expect("its complaints");
        stderr.read_to_string(&mut said).expect("text");
        (left, said)
    };
    assert_eq!(said(&[0, 0, 0]), (Some(0), String::new()));
    let (left, stopped) = said(&[0]);
    assert_eq!(left, Some(2));
    insta::assert_snapshot!(stopped, @r"
    vhost-blk: the guest stopped before request 2 of the replayed trace, write of 4096 bytes at sector 0: 2 of its 3 requests did not come
    vhost-blk: 1 rule never fired:
      r1: fail write nth=3 (in a replay nobody asks for its trigger)
    ");
    let (left, diverged) = said(&[0, 8, 0]);
    assert_eq!(left, Some(2));
    insta::assert_snapshot!(diverged, @r"
    vhost-blk: the guest diverged from the replayed trace at request 2: write of 4096 bytes at sector 8 instead of write of 4096 bytes at sector 0; nothing was injected after it
    vhost-blk: 1 rule never fired:
      r1: fail write nth=3 (in a replay nobody asks for its trigger)
    ");
}

/// A replay of this device's trace whose complaints can be read.
fn again_with_complaints(first: &DeviceProcess) -> DeviceProcess {
    stats(first);
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::copy(first.path("image"), dir.path().join("image")).expect("an image");
    let mut command = command(dir.path());
    command.arg("--replay").arg(first.path("trace")).stderr(Stdio::piped());
    let child = spawn_ready(&mut command);
    DeviceProcess { dir, child }
}

/// How a run ends that is to end at once.
fn ends(command: &mut std::process::Command) -> Output {
    let piped = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("spawn");
    // One that listens would not end.
    let mut word = [0; 6];
    let stdout = child.stdout.as_mut().expect("stdout");
    if stdout.read_exact(&mut word).is_ok() && word == *b"ready\n" {
        let _ = child.kill();
    }
    child.wait_with_output().expect("its end")
}

#[test]
fn a_trace_that_is_of_no_use_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("image"), vec![0; 1 << 20]).expect("an image");
    let file = dir.path().join("old");
    let refused = |text: &str| {
        std::fs::write(&file, text).expect("a trace");
        let output = ends(command(dir.path()).arg("--replay").arg(&file));
        let said = String::from_utf8(output.stderr).expect("text");
        let said = said.replace(&*dir.path().to_string_lossy(), "DIR");
        assert_eq!(output.status.code(), Some(65), "{said}");
        assert!(!dir.path().join("trace").exists(), "no trace was begun");
        said
    };
    insta::assert_snapshot!(refused(""), @"vhost-blk: cannot replay DIR/old: it does not begin with the line `start`, which has the seed: expected the whole file of a device's --trace");
    insta::assert_snapshot!(
        refused("{\"ev\":\"power\",\"t_us\":1}\n"),
        @"vhost-blk: cannot replay DIR/old: it does not begin with the line `start`, which has the seed: expected the whole file of a device's --trace"
    );
    insta::assert_snapshot!(
        refused("{\"ev\":\"start\",\"version\":1,\"disk_bytes\":8388608,\"seed\":0}\n"),
        @"vhost-blk: cannot replay DIR/old: it is of a disk of 8M bytes, and the image has 1M: expected the image that it was made with"
    );
    let newer = "{\"ev\":\"start\",\"version\":2,\"when\":\"now\"}\n{\"ev\":\"new\"}\n";
    insta::assert_snapshot!(refused(newer), @"vhost-blk: the trace DIR/old has version 2: this vhost-blk reads version 1, use the one that wrote it");

    let output = ends(show(&file).arg("--summary"));
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("has version 2: this vhost-blk reads version 1"), "{said}");
    assert_eq!(output.status.code(), Some(65));
}

fn show(file: &Path) -> std::process::Command {
    let mut command = std::process::Command::new(common::clone::vhost_blk());
    command.arg("trace").arg(file);
    command
}

#[test]
fn a_rule_that_was_taken_off_is_another_than_the_next_of_its_name() {
    let work = |device: &DeviceProcess, between: &dyn Fn()| {
        let mut driver = Driver::connect(device);
        let mut seen = work(&mut driver, 0);
        between();
        seen.0.extend(work(&mut driver, 0).0);
        seen
    };
    let rule = |text: &str| text.to_owned();
    let first = DeviceProcess::start(&["--seed", "7", "--rule", "fail write name=x p=0.5"]);
    let seen = work(&first, &|| {
        let mut control = first.control();
        control.call(&Command::Remove { rule: rule("x") }).expect("it is off");
        let rule = rule("corrupt read flip=2bit name=x");
        control.call(&Command::Add { rule }).expect("another");
    });
    assert!(seen.0[8..].iter().all(|status| *status == 0));
    stats(&first);
    let trace = first.path("trace");
    let second = DeviceProcess::start(&["--replay", &trace.to_string_lossy()]);
    assert!(work(&second, &|| ()) == seen);
    assert_eq!(stats(&second).diverged_at, None);
}
