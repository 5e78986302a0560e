//! A disk in files does what a disk in memory does: over a ring, with faults, history and exports.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use common::{DeviceProcess, Driver, IOERR};
use vhost_blk_api::control::{Command, Reply};

const STORAGES: [&str; 2] = ["memory", "file"];

fn device(storage: &str, more: &[&str]) -> DeviceProcess {
    let args: Vec<&str> = ["--storage", storage].into_iter().chain(more.iter().copied()).collect();
    DeviceProcess::start(&args)
}

fn tell(device: &DeviceProcess, command: &Command) -> Reply {
    device.control().call(command).expect("an answer")
}

fn write(driver: &mut Driver, sector: u64, data: &[u8]) -> u8 {
    let slot = driver.write(sector, data);
    let used = driver.done();
    assert_eq!(used.slot, slot);
    used.status
}

fn read(driver: &mut Driver, sector: u64, len: u32) -> Vec<u8> {
    let slot = driver.read(sector, len);
    let used = driver.done();
    assert_eq!((used.slot, used.status, used.len), (slot, 0, len + 1));
    driver.bytes(slot, len as usize)
}

#[test]
fn whole_and_partial_blocks_discards_and_rollbacks() {
    for storage in STORAGES {
        let device = device(storage, &["--history", "1M"]);
        let mut driver = Driver::connect(&device);
        assert_eq!(write(&mut driver, 0, &[1; 8192]), 0);
        assert_eq!(write(&mut driver, 3, &[2; 1024]), 0);
        // In the middle of blocks that were never written.
        assert_eq!(write(&mut driver, 17, &[3; 4096]), 0);
        let mut expected = [vec![1; 1536], vec![2; 1024], vec![1; 5632]].concat();
        assert_eq!(read(&mut driver, 0, 8192), expected, "{storage}");
        let around = read(&mut driver, 16, 8192);
        assert_eq!(
            (around[511], around[512], around[4607], around[4608]),
            (0, 3, 3, 0),
            "{storage}"
        );
        tell(&device, &Command::Mark { name: "before".into() });
        driver.range(11, 8, 4);
        assert_eq!(driver.done().status, 0);
        let after = read(&mut driver, 0, 8192);
        expected[4096..6144].fill(0);
        assert_eq!(after, expected, "{storage}");
        let back = Command::Rollback {
            to: Some("before".into()),
        };
        assert_eq!(tell(&device, &back), Reply::Done);
        assert_eq!(read(&mut driver, 8, 512), [1; 512], "{storage}");
        assert_eq!(tell(&device, &Command::Rollback { to: None }), Reply::Done);
        assert_eq!(read(&mut driver, 0, 8192), [0; 8192], "{storage}");
    }
}

#[test]
fn many_at_once_and_faults_among_them() {
    for storage in STORAGES {
        let device = device(
            storage,
            &[
                "--rule",
                "fail write sectors=80..81",
                "--rule",
                "short write bytes=512 then=ok sectors=160..161",
            ],
        );
        let mut driver = Driver::connect(&device);
        for page in 0..20u8 {
            let slot = driver.free_slot();
            vm_memory::Bytes::write_slice(&driver.mem, &[page + 1; 4096], driver.data(slot)).expect("data");
            driver.queue(1, 16 * u64::from(page), 4096, false);
        }
        driver.kick();
        let failed: Vec<u16> = driver
            .order(20)
            .into_iter()
            .filter(|(_, status)| *status != 0)
            .map(|(slot, status)| {
                assert_eq!(status, IOERR);
                slot
            })
            .collect();
        assert_eq!(failed, [5], "{storage}");
        let mut driver = again(driver, &device);
        for page in 0..20u8 {
            driver.queue(0, 16 * u64::from(page), 4096, true);
        }
        driver.kick();
        driver.order(20);
        for page in 0..20u8 {
            let bytes = driver.bytes(u16::from(page), 4096);
            let expected = match page {
                5 => vec![0; 4096],
                10 => [vec![11; 512], vec![0; 3584]].concat(),
                _ => vec![page + 1; 4096],
            };
            assert!(bytes == expected, "page {page}, {storage}");
        }
    }
}

/// Puts a write into the ring without telling the device.
fn queue_write(driver: &mut Driver, sector: u64, data: &[u8]) {
    let slot = driver.free_slot();
    vm_memory::Bytes::write_slice(&driver.mem, data, driver.data(slot)).expect("data");
    driver.queue(1, sector, data.len() as u32, false);
}

#[test]
fn what_overlaps_in_a_batch_is_done_in_the_order_in_which_it_completes() {
    for storage in STORAGES {
        let device = device(storage, &[]);
        let mut driver = Driver::connect(&device);
        for round in 0..40u64 {
            // A block of its own each time, for what was never written cannot be written in part together with others.
            let sector = round * 8;
            queue_write(&mut driver, sector, &[1; 512]);
            queue_write(&mut driver, sector, &[2; 4096]);
            let zeroes = driver.free_slot();
            driver.put_range(zeroes, sector, 4, 0);
            driver.queue(13, 0, 16, false);
            queue_write(&mut driver, sector + 1, &[3; 512]);
            let before = driver.queue(0, sector, 4096, true);
            queue_write(&mut driver, sector, &[4; 4096]);
            driver.kick();
            assert!(driver.order(6).iter().all(|(_, status)| *status == 0), "{storage}");
            let expected = [[0; 512], [3; 512], [0; 512], [0; 512]].concat();
            let expected = [expected, vec![2; 2048]].concat();
            assert!(driver.bytes(before, 4096) == expected, "{storage}, round {round}");
            assert!(read(&mut driver, sector, 4096) == [4; 4096], "{storage}, round {round}");
            driver = again(driver, &device);
        }
    }
}

#[test]
fn what_a_reorder_window_turns_round_is_done_the_other_way_round() {
    for storage in STORAGES {
        let device = device(storage, &["--rule", "reorder write window=2 order=reverse max=60s"]);
        let mut driver = Driver::connect(&device);
        for round in 0..20u64 {
            let sector = round * 8;
            queue_write(&mut driver, sector, &[2; 4096]);
            queue_write(&mut driver, sector, &[1; 512]);
            driver.kick();
            driver.order(2);
            assert!(read(&mut driver, sector, 4096) == [2; 4096], "{storage}, round {round}");
            driver = again(driver, &device);
        }
    }
}

/// Another driver: a ring of this one has room for 21 requests.
fn again(driver: Driver, device: &DeviceProcess) -> Driver {
    drop(driver);
    Driver::connect(device)
}

#[test]
fn what_lies_in_a_file_has_no_name_and_is_exported() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().to_str().expect("UTF-8");
    let device = device("file", &["--storage-dir", path]);
    let mut driver = Driver::connect(&device);
    assert_eq!(write(&mut driver, 8, &[7; 4096]), 0);
    assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);
    let out = device.path("out");
    let exported = tell(&device, &Command::export(out.clone()));
    assert_eq!(
        exported,
        Reply::Exported {
            data_bytes: 4096,
            cut: None
        }
    );
    let bytes = std::fs::read(out).expect("the export");
    assert_eq!(bytes.len(), 8 << 20);
    assert!(bytes[4096..8192].iter().all(|byte| *byte == 7));
    let image = std::fs::read(device.path("image")).expect("the image");
    assert!(image.iter().all(|byte| *byte == 0), "the image is never written");
}

/// Memory of its own that a device has, in KiB.
fn own_kib(device: &DeviceProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", device.child.id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.expect("RssAnon").parse().expect("a number")
}

#[test]
fn memory_is_taken_for_what_is_written_wherever_that_is() {
    const BLOCKS: u64 = 400;
    // 8 MiB are kept ahead of use; the rest is the program's.
    const AT_ONCE_KIB: u64 = (8 << 10) + (8 << 10);
    let device = DeviceProcess::with_disk(&[], 1 << 30, &[]);
    for round in 1..=3u8 {
        for first in (0..BLOCKS).step_by(20) {
            let mut driver = Driver::connect(&device);
            for block in first..first + 20 {
                // Two MiB and a block apart.
                assert_eq!(write(&mut driver, block * (4096 + 8), &[round; 4096]), 0);
            }
        }
        let own = own_kib(&device);
        assert!(own < AT_ONCE_KIB + BLOCKS * 4, "{own} KiB for {BLOCKS} blocks");
        let mut driver = Driver::connect(&device);
        assert_eq!(read(&mut driver, 4104, 4096), [round; 4096]);
        assert_eq!(tell(&device, &Command::Rollback { to: None }), Reply::Done);
        assert_eq!(read(&mut driver, 4104, 4096), [0; 4096]);
    }
}

#[test]
fn what_is_cut_off_gives_its_memory_back() {
    const MIB: u64 = 1 << 20;
    // 8 MiB are kept ahead of use; the rest is the program's, and one round's.
    const AT_ONCE_KIB: u64 = (8 << 10) + (8 << 10) + (4 << 10);
    let device = DeviceProcess::with_disk(&[], 32 * MIB, &[]);
    let resize = |bytes| tell(&device, &Command::Resize { bytes });
    for round in 1..=20u8 {
        assert!(matches!(resize(64 * MIB), Reply::Resized { .. }));
        let mut driver = Driver::connect(&device);
        for at in (0..4 * MIB).step_by(64 << 10) {
            assert_eq!(read(&mut driver, (48 * MIB + at) / 512, 4096), [0; 4096]);
            assert_eq!(write(&mut driver, (48 * MIB + at) / 512, &[round; 64 << 10]), 0);
        }
        assert!(matches!(resize(32 * MIB), Reply::Resized { .. }));
        let own = own_kib(&device);
        assert!(own < AT_ONCE_KIB, "{own} KiB after round {round}");
    }
}
