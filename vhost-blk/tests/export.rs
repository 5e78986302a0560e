//! Exports of states that the disk is not in: byte for byte what a real power cut with the same words makes of it.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::helpers::{stats, submitted, until, until_gone};
use common::{DeviceProcess, Driver, SOON, WHILE};
use vhost::VhostBackend;
use vhost_blk_api::control::{Command, Cut, Reply};

/// How the power goes: what is lost, whether the last write is torn, and the seed.
type Words = (Option<&'static str>, Option<&'static str>, u64);

const WORDS: [Words; 7] = [
    (None, Some("512"), 1),
    (Some("all"), None, 0),
    (Some("none"), None, 0),
    (Some("none"), Some("4k"), 3),
    (Some("some"), None, 7),
    (Some("some"), None, 8),
    (Some("some"), Some("512"), 7),
];

fn tell(device: &DeviceProcess, command: &Command) -> Reply {
    device.control().call(command).expect("an answer")
}

fn mark(device: &DeviceProcess, name: &str) {
    tell(device, &Command::Mark { name: name.to_owned() });
}

/// The disk as of these words; and what the power cut did, if one is meant.
fn export(device: &DeviceProcess, at: Option<&str>, words: Option<Words>) -> (Vec<u8>, Option<Cut>) {
    let path = device.path("export");
    let (lose, torn, seed) = words.map_or((None, None, None), |(lose, torn, seed)| (lose, torn, Some(seed)));
    let command = Command::Export {
        path: path.clone(),
        at: at.map(str::to_owned),
        lose: lose.map(str::to_owned),
        torn: torn.map(str::to_owned),
        seed,
    };
    let Reply::Exported { cut, .. } = tell(device, &command) else {
        panic!("not exported");
    };
    (std::fs::read(path).expect("the export"), cut)
}

/// Cuts the power for real; the disk after it, and what the cut did.
fn cut(device: &DeviceProcess, (lose, torn, seed): Words) -> (Vec<u8>, Cut) {
    let command = Command::Cut {
        lose: lose.map(str::to_owned),
        torn: torn.map(str::to_owned),
        seed,
    };
    let Reply::Cut {
        volatile,
        lost,
        torn_bytes,
    } = tell(device, &command)
    else {
        panic!("no power cut");
    };
    let done = Cut {
        volatile,
        lost,
        torn_bytes,
    };
    (export(device, None, None).0, done)
}

fn write(driver: &mut Driver, sector: u64, bytes: usize, fill: u8) {
    driver.write(sector, &vec![fill; bytes]);
    assert_eq!(driver.done().status, 0);
}

fn flush(driver: &mut Driver) {
    driver.ask(4, 0, 0, false);
    assert_eq!(driver.done().status, 0);
}

/// Writes over and over the same places, some of it durable, some of it zeroed, on a disk that gets other sizes
/// meanwhile.
fn work(device: &DeviceProcess, driver: &mut Driver, first: u8) {
    for round in 0..24u8 {
        let sector = u64::from(round % 7) * 5;
        write(driver, sector, 512 * (1 + usize::from(round % 9)), first + round);
        match round {
            4 => flush(driver),
            9 => {
                driver.range(13, 3, 20);
                assert_eq!(driver.done().status, 0);
            }
            12 => {
                for bytes in [16 * 512, 12 << 20] {
                    tell(device, &Command::Resize { bytes });
                }
            }
            _ => {}
        }
    }
}

fn device(storage: &str) -> DeviceProcess {
    let image: Vec<u8> = (0..64 << 10).map(|byte: u32| (byte / 512) as u8 | 0x80).collect();
    DeviceProcess::with_image(&image, &["--history", "1M", "--storage", storage])
}

#[test]
fn now_and_at_a_mark_it_is_what_a_real_power_cut_makes() {
    for storage in ["memory", "file"] {
        let shown = device(storage);
        let mut driver = Driver::connect(&shown);
        work(&shown, &mut driver, 1);
        mark(&shown, "there");
        let at_mark: Vec<_> = WORDS.map(|words| export(&shown, None, Some(words))).into();
        let whole = export(&shown, None, None).0;
        // What comes later changes nothing of what was.
        flush(&mut driver);
        work(&shown, &mut driver, 100);
        assert!(export(&shown, Some("there"), None) == (whole, None), "{storage}");
        for (words, at_mark) in WORDS.into_iter().zip(at_mark) {
            let context = format!("{words:?}, {storage}");
            assert!(export(&shown, Some("there"), Some(words)) == at_mark, "{context}");
            let real = device(storage);
            let mut driver = Driver::connect(&real);
            work(&real, &mut driver, 1);
            let (bytes, done) = cut(&real, words);
            assert_eq!(at_mark.1, Some(done), "{context}");
            assert!(at_mark.0 == bytes, "{context}");
            assert!(done.volatile > 15, "{done:?}");
        }
        // Whatever was shown, nothing was cut: the driver goes on, and the cut that comes now takes what it would have
        // taken.
        let now = export(&shown, None, Some(WORDS[6]));
        let (bytes, done) = cut(&shown, WORDS[6]);
        assert_eq!(now.1, Some(done), "{storage}");
        assert!(now.0 == bytes, "{storage}");
    }
}

#[test]
fn requests_that_wait_have_done_nothing_and_go_on_waiting() {
    let device = device("memory");
    let mut driver = Driver::connect(&device);
    write(&mut driver, 0, 4096, 1);
    flush(&mut driver);
    let before = export(&device, None, None).0;
    let rule = "hold write until=release max=60s".to_owned();
    tell(&device, &Command::Add { rule });
    driver.write(0, &[2; 4096]);
    submitted(&device, 3);
    assert!(export(&device, None, Some((Some("none"), None, 0))).0 == before);
    assert_eq!(
        tell(&device, &Command::Release { rule: None }),
        Reply::Released { requests: 1 }
    );
    assert_eq!(driver.done().status, 0);
}

#[test]
fn what_cannot_be_shown_is_refused_and_leaves_no_file() {
    let device = DeviceProcess::start(&[]);
    let say = |at: Option<&str>, lose: Option<&str>, torn: Option<&str>, seed| {
        let command = Command::Export {
            path: device.path("export"),
            at: at.map(str::to_owned),
            lose: lose.map(str::to_owned),
            torn: torn.map(str::to_owned),
            seed,
        };
        device.control().call(&command).expect_err("a refusal").to_string()
    };
    insta::assert_snapshot!(
        say(None, Some("all"), None, None),
        @"cannot export the disk: no history is kept, and so nothing is known of what was and what is durable: start the device with --history"
    );
    insta::assert_snapshot!(
        say(Some("x"), None, None, None),
        @"cannot export the disk: no history is kept, and so nothing is known of what was and what is durable: start the device with --history"
    );
    insta::assert_snapshot!(
        say(None, None, None, Some(7)),
        @"a seed chooses what a power cut loses: say that one is meant, by `lose` or `torn`"
    );
    insta::assert_snapshot!(
        say(None, Some("most"), None, None),
        @"bad value `most` for `lose`: expected all, some or none"
    );
    insta::assert_snapshot!(
        say(None, None, Some("1"), None),
        @"bad value `1` for `torn`: expected 512 or 4k; did you mean `512`?"
    );
    assert!(!device.path("export").exists());
}

/// An export that does not end, and a driver with one write out that waits for it.
fn stuck(args: &[&str]) -> (DeviceProcess, Driver) {
    let device = DeviceProcess::start(args);
    let mut driver = Driver::connect(&device);
    let out = device.path("out");
    // Nobody reads from it, so nobody comes to write to it.
    let partial = device.path(&format!("out.partial-{}", device.child.id()));
    let made = std::process::Command::new("mkfifo")
        .arg(&partial)
        .status()
        .expect("mkfifo");
    assert!(made.success());
    let mut control = device.control();
    // It has no answer before the device ends.
    std::thread::spawn(move || drop(control.call(&Command::export(out))));
    let since = Instant::now();
    loop {
        driver.write(8, &[1; 4096]);
        if driver.next_used(WHILE).is_none() {
            return (device, driver);
        }
        assert!(since.elapsed() < SOON, "the export never began");
    }
}

/// Tells the device to end, which must not take long.
fn ends(mut device: DeviceProcess) {
    let pid = rustix::process::Pid::from_child(&device.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("a process");
    let since = Instant::now();
    while device.child.try_wait().expect("a process").is_none() {
        assert!(since.elapsed() < Duration::from_secs(5), "it does not end");
        std::thread::yield_now();
    }
}

#[test]
fn an_export_keeps_nobody_from_hanging_up_and_from_ending_the_device() {
    for storage in ["memory", "file"] {
        let (device, driver) = stuck(&["--storage", storage]);
        let since = Instant::now();
        assert_eq!(tell(&device, &Command::Disconnect), Reply::Done);
        driver.until_hung_up();
        until_gone(&device);
        let now = stats(&device);
        assert_eq!((now.outstanding, now.dropped), (0, 1), "{now:?}");
        let mut driver = Driver::connect(&device);
        driver.write(8, &[1; 4096]);
        submitted(&device, now.submitted + 1);
        assert_eq!(driver.next_used(WHILE), None, "it stands still");
        assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
        ends(device);
    }
}

fn stops(storage: &str) {
    let (device, mut driver) = stuck(&["--storage", storage]);
    let (frontend, (stopped, stops)) = (driver.frontend.clone(), channel());
    std::thread::spawn(move || stopped.send(frontend.get_vring_base(0).expect("base")));
    // However long the export takes, a front end is not kept longer.
    let base = stops.recv_timeout(Duration::from_secs(15));
    base.expect("the ring is stopped");
    // It is answered for by then, and counted a little later.
    until(&device, |stats| stats.outstanding == 0);
    assert_eq!(stats(&device).dropped, 1);
    driver.start_ring();
    driver.write(8, &[1; 4096]);
    let since = Instant::now();
    let stop = std::thread::spawn(move || {
        // It may be answered, or not any more.
        let _ = driver.frontend.get_vring_base(0);
    });
    ends(device);
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    stop.join().expect("it ends");
}

#[test]
fn an_export_does_not_keep_a_ring_in_memory_from_being_stopped() {
    stops("memory");
}

#[test]
fn an_export_does_not_keep_a_ring_in_files_from_being_stopped() {
    stops("file");
}
