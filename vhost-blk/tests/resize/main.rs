//! Disks that are made larger and smaller while they run: over real rings, in memory and in files, and by front ends
//! that hear of it or not.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

#[path = "../common/mod.rs"]
mod common;
mod frontends;

use common::helpers::submitted;
use common::{DeviceProcess, Driver, IOERR};
use vhost_blk_api::control::{Command, FrontEnd, Reply};
use vhost_blk_api::trace::{self, Record};

const STORAGES: [&str; 2] = ["memory", "file"];
const MIB: u64 = 1 << 20;
/// Size of the image.
const IMAGE: u64 = 8 * MIB;

fn tell(device: &DeviceProcess, command: &Command) -> Reply {
    device.control().call(command).expect("an answer")
}

fn refused(device: &DeviceProcess, command: &Command) -> String {
    device.control().call(command).expect_err("a refusal").to_string()
}

fn resize(device: &DeviceProcess, bytes: u64) -> Reply {
    tell(device, &Command::Resize { bytes })
}

fn resized(from: u64, bytes: u64, front_end: FrontEnd) -> Reply {
    Reply::Resized { from, bytes, front_end }
}

fn rollback(device: &DeviceProcess, to: Option<&str>) -> Reply {
    tell(
        device,
        &Command::Rollback {
            to: to.map(str::to_owned),
        },
    )
}

fn mark(device: &DeviceProcess, name: &str) {
    tell(device, &Command::Mark { name: name.to_owned() });
}

fn capacity(driver: &mut Driver) -> u64 {
    let bytes: [u8; 8] = driver.config(0, 8).try_into().expect("8 bytes");
    u64::from_le_bytes(bytes) * 512
}

/// Writes a page at this byte; its status.
fn write(driver: &mut Driver, at: u64, fill: u8) -> u8 {
    let slot = driver.write(at / 512, &[fill; 4096]);
    let used = driver.done();
    assert_eq!(used.slot, slot);
    used.status
}

/// Reads a page at this byte: what fills it, or its status if that is an error.
fn read(driver: &mut Driver, at: u64) -> Result<u8, u8> {
    let slot = driver.read(at / 512, 4096);
    let used = driver.done();
    assert_eq!(used.slot, slot);
    if used.status != 0 {
        return Err(used.status);
    }
    let bytes = driver.bytes(slot, 4096);
    assert!(bytes.iter().all(|byte| *byte == bytes[0]), "half a page");
    Ok(bytes[0])
}

fn export(device: &DeviceProcess) -> Vec<u8> {
    let path = device.path("export");
    tell(device, &Command::export(path.clone()));
    std::fs::read(path).expect("the export")
}

#[test]
fn beyond_the_image_are_zeros_and_what_was_cut_off_is_gone() {
    for storage in STORAGES {
        let image = vec![7; IMAGE as usize];
        let device = DeviceProcess::with_image(&image, &["--storage", storage]);
        let mut driver = Driver::connect(&device);
        let (last, beyond) = (IMAGE - 4096, IMAGE + 5 * MIB);
        assert_eq!(read(&mut driver, beyond), Err(IOERR));
        assert_eq!(resize(&device, 16 * MIB), resized(IMAGE, 16 * MIB, FrontEnd::NoChannel));
        assert_eq!(capacity(&mut driver), 16 * MIB, "it learns of it when it asks");
        assert_eq!((read(&mut driver, last), read(&mut driver, beyond)), (Ok(7), Ok(0)));
        assert_eq!(write(&mut driver, beyond, 1), 0);
        assert_eq!(write(&mut driver, 16 * MIB - 4096, 2), 0);
        assert_eq!(write(&mut driver, 16 * MIB - 512, 2), IOERR, "reaches beyond the end");
        // Over the image's end, both in one request.
        let slot = driver.read(IMAGE / 512 - 8, 8192);
        driver.done();
        assert_eq!(driver.bytes(slot, 8192), [[7; 4096], [0; 4096]].concat());
        let mut disk = [image.clone(), vec![0; 8 * MIB as usize]].concat();
        disk[beyond as usize..][..4096].fill(1);
        disk[16 * MIB as usize - 4096..].fill(2);
        assert!(export(&device) == disk, "{storage}");

        // Within the image, and within a block of the overlay.
        let small = 3 * MIB + 512;
        assert_eq!(resize(&device, small), resized(16 * MIB, small, FrontEnd::NoChannel));
        assert_eq!(read(&mut driver, 3 * MIB), Err(IOERR));
        assert_eq!(driver.range(11, small / 512, 1), driver.done().slot);
        assert!(export(&device) == disk[..small as usize], "{storage}");
        assert_eq!(resize(&device, IMAGE), resized(small, IMAGE, FrontEnd::NoChannel));
        disk.truncate(small as usize);
        disk.resize(IMAGE as usize, 0);
        assert!(export(&device) == disk, "the image's end is gone as well, {storage}");
        assert_eq!(read(&mut driver, last), Ok(0));

        assert_eq!(resize(&device, 4096), resized(IMAGE, 4096, FrontEnd::NoChannel));
        assert_eq!(rollback(&device, None), resized(4096, IMAGE, FrontEnd::NoChannel));
        assert!(export(&device) == image, "{storage}");
        assert_eq!(rollback(&device, None), Reply::Done, "it has its size");
        let sizes: Vec<(u64, u64)> = trace::read(&device.path("trace"))
            .expect("the trace")
            .iter()
            .filter_map(|record| match record {
                Record::Resize { from, bytes, .. } => Some((*from, *bytes)),
                _ => None,
            })
            .collect();
        let expected = [
            (IMAGE, 16 * MIB),
            (16 * MIB, small),
            (small, IMAGE),
            (IMAGE, 4096),
            (4096, IMAGE),
        ];
        assert_eq!(sizes, expected);
    }
}

#[test]
fn sizes_that_no_disk_can_have_are_refused_and_change_nothing() {
    for storage in STORAGES {
        let device = DeviceProcess::start(&["--block-size", "4096", "--storage", storage]);
        let mut driver = Driver::connect(&device);
        write(&mut driver, 0, 1);
        let say = |bytes| refused(&device, &Command::Resize { bytes });
        for bytes in [0, IMAGE + 512] {
            let expected = format!(
                "cannot resize: a disk of {bytes} bytes: expected a multiple of its block size 4096, and not 0"
            );
            assert_eq!(say(bytes), expected);
        }
        assert_eq!(
            say(1 << 60),
            "cannot resize: a disk of 1152921504606846976 bytes: expected at most 17592186044416 (16384G)"
        );
        assert_eq!(capacity(&mut driver), IMAGE);
        assert_eq!(read(&mut driver, 0), Ok(1));
        assert_eq!(read(&mut driver, IMAGE), Err(IOERR));
    }
}

#[test]
fn no_room_is_an_error_and_changes_nothing() {
    // A file system of its own would want rights that a test may not have; a limit on the size of files says the same.
    let dir = tempfile::tempdir().expect("a directory");
    let image = dir.path().join("image");
    std::fs::write(&image, vec![7; MIB as usize]).expect("an image");
    let mut command = std::process::Command::new("prlimit");
    command
        .arg(format!("--fsize={}", 4 * MIB))
        .arg(common::clone::vhost_blk());
    command.arg("--die-with-parent").arg("--image").arg(&image);
    command.arg("--socket").arg(dir.path().join("socket"));
    command.arg("--control").arg(dir.path().join("control"));
    command.args(["--storage", "file", "--storage-dir"]).arg(dir.path());
    let child = common::spawn_ready(&mut command);
    let device = DeviceProcess { dir, child };
    let message = refused(&device, &Command::Resize { bytes: 8 * MIB });
    assert_eq!(
        message,
        "cannot resize: no room for a disk of 8388608 bytes: File too large (os error 27); it has 1048576 bytes still"
    );
    assert_eq!(resize(&device, 2 * MIB), resized(MIB, 2 * MIB, FrontEnd::None));
}

#[test]
fn a_request_that_waits_meets_the_end_where_it_is_when_it_is_done() {
    let device = DeviceProcess::start(&["--rule", "hold write until=release max=60s"]);
    let mut driver = Driver::connect(&device);
    let [inside, beyond] = [0, IMAGE - 4096].map(|at| driver.write(at / 512, &[1; 4096]));
    submitted(&device, 2);
    assert_eq!(resize(&device, MIB), resized(IMAGE, MIB, FrontEnd::NoChannel));
    tell(&device, &Command::Release { rule: None });
    let mut done = driver.order(2);
    done.sort_unstable();
    assert_eq!(done, [(inside, 0), (beyond, IOERR)]);
    assert_eq!(resize(&device, IMAGE), resized(MIB, IMAGE, FrontEnd::NoChannel));
    assert_eq!((read(&mut driver, 0), read(&mut driver, IMAGE - 4096)), (Ok(1), Ok(0)));
}

#[test]
fn a_disk_is_resized_under_load() {
    const RESIZES: u64 = 500;
    for storage in STORAGES {
        let device = DeviceProcess::start(&["--storage", storage, "--num-queues", "4"]);
        let mut driver = Driver::with_queues(&device, 4);
        let mut control = device.control();
        std::thread::scope(|scope| {
            let resizer = scope.spawn(move || {
                for round in 0..RESIZES {
                    let bytes = IMAGE + round % 2 * 4096;
                    // With a time limit: whoever waits for a lock for ever fails here.
                    control.call(&Command::Resize { bytes }).expect("another size");
                }
            });
            while !resizer.is_finished() {
                for queue in &mut driver.queues {
                    for _ in 0..8 {
                        queue.queue(0, 8, 4096, true);
                    }
                    queue.kick();
                }
                for queue in &mut driver.queues {
                    assert!(queue.order(8).iter().all(|(_, status)| *status == 0), "{storage}");
                }
            }
        });
    }
}

#[test]
fn marks_have_sizes_and_a_power_cut_takes_none_back() {
    for storage in STORAGES {
        let image = vec![7; IMAGE as usize];
        let device = DeviceProcess::with_image(&image, &["--history", "4M", "--storage", storage]);
        let mut driver = Driver::connect(&device);
        let last = IMAGE - 4096;
        write(&mut driver, last, 1);
        mark(&device, "whole");
        let whole = export(&device);
        resize(&device, MIB);
        mark(&device, "small");
        resize(&device, 2 * IMAGE);
        write(&mut driver, last, 2);
        mark(&device, "large");
        let large = export(&device);
        assert_eq!(
            rollback(&device, Some("small")),
            resized(2 * IMAGE, MIB, FrontEnd::NoChannel)
        );
        assert!(export(&device) == whole[..MIB as usize]);
        assert_eq!(
            rollback(&device, Some("whole")),
            resized(MIB, IMAGE, FrontEnd::NoChannel)
        );
        assert!(export(&device) == whole, "what was cut off is back, {storage}");
        assert!(
            refused(
                &device,
                &Command::Rollback {
                    to: Some("large".into())
                }
            )
            .contains("known marks: whole")
        );

        // Nothing of this was flushed; the size is there all the same, and what was cut off is gone.
        write(&mut driver, 0, 3);
        resize(&device, MIB);
        resize(&device, 2 * IMAGE);
        write(&mut driver, last, 4);
        cut_loses_two(&device);
        tell(&device, &Command::Power);
        let mut expected = whole[..MIB as usize].to_vec();
        expected.resize(2 * IMAGE as usize, 0);
        assert!(export(&device) == expected, "{storage}");
        assert_eq!(large.len(), expected.len());
        // Going back over the cut is exact, too.
        rollback(&device, Some("whole"));
        assert!(export(&device) == whole, "{storage}");
        let log = device.path("log");
        resize(&device, 2 * IMAGE);
        let logged = tell(&device, &Command::ExportLog { path: log });
        assert!(
            matches!(logged, Reply::Logged { disk_bytes, .. } if disk_bytes == 2 * IMAGE),
            "{logged:?}"
        );
    }
}

fn cut_loses_two(device: &DeviceProcess) {
    let cut = tell(
        device,
        &Command::Cut {
            lose: None,
            torn: None,
            seed: 0,
        },
    );
    assert!(
        matches!(
            cut,
            Reply::Cut {
                volatile: 2,
                lost: 2,
                ..
            }
        ),
        "{cut:?}"
    );
}

#[test]
fn a_disk_that_was_as_large_as_can_be_is_small_again_at_once_and_leaves_no_memory() {
    let device = DeviceProcess::start(&[]);
    let mut driver = Driver::connect(&device);
    // A client waits for 20 s: to look at each block of so many takes longer.
    for bytes in [1 << 40, 16 << 40] {
        resize(&device, bytes);
    }
    assert_eq!(write(&mut driver, (16 << 40) - 4096, 7), 0);
    assert_eq!(write(&mut driver, IMAGE, 8), 0);
    resize(&device, IMAGE);
    let status = std::fs::read_to_string(format!("/proc/{}/status", device.child.id())).expect("its status");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    assert!(kib.expect("a number") < 256 << 10, "{resident:?}");
    resize(&device, 16 << 40);
    assert_eq!(
        read(&mut driver, (16 << 40) - 4096),
        Ok(0),
        "zeros where it was cut off"
    );
    assert_eq!(read(&mut driver, IMAGE), Ok(0));
    // Down to less than the image, and up again: what was cut off is zeros.
    assert_eq!(write(&mut driver, IMAGE - 4096, 9), 0);
    resize(&device, MIB);
    resize(&device, IMAGE);
    assert_eq!(read(&mut driver, IMAGE - 4096), Ok(0));
}
