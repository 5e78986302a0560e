//! The block device as a real Linux drives it: every feature that it offers, by what the guest finds, by the device's
//! trace, and by the disk as the device has it in the end.

use std::collections::BTreeSet;

use guest_wire::Fs;
use host::cache::Cache;
use machine::DiskShape;
use machine::golden;
use vhost_blk_api::op::Op;
use vhost_blk_api::trace::RangeOnDisk;
use vhost_blk_api::trace::{RequestLine, Status};

use crate::guest::{DISK_BYTES, FILL, Guest, MIB, Setup, status};

/// Feature bits by their names in the specification.
const RO: u32 = 5;
const FLUSH: u32 = 9;
const CONFIG_WCE: u32 = 11;
const MQ: u32 = 12;
const DISCARD: u32 = 13;
const WRITE_ZEROES: u32 = 14;
const INDIRECT_DESC: u32 = 28;
const EVENT_IDX: u32 = 29;

fn ranges(requests: &[RequestLine]) -> Vec<Vec<RangeOnDisk>> {
    requests.iter().map(|request| request.submit.ranges.clone()).collect()
}

fn range(offset: u64, len: u64, flags: u32) -> RangeOnDisk {
    RangeOnDisk {
        sector: offset / 512,
        sectors: u32::try_from(len / 512).expect("a short range"),
        flags,
    }
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn discard_and_write_zeroes() {
    let mut guest = Guest::boot(&Setup::default());
    for bit in [FLUSH, CONFIG_WCE, DISCARD, WRITE_ZEROES, INDIRECT_DESC, EVENT_IDX] {
        assert!(guest.has_feature(bit), "bit {bit}");
    }
    assert!(!guest.has_feature(RO));
    for path in ["queue/discard_max_bytes", "queue/write_zeroes_max_bytes"] {
        guest.assert_sys(path, "1073741824");
    }
    guest.assert_sys("queue/discard_granularity", "512");
    let mut expected = vec![FILL; DISK_BYTES as usize];
    // Whole blocks of the device's overlay, and less than one.
    for (command, op, flags, offset, len) in [
        ("discard", Op::Discard, 0, MIB, MIB),
        ("discard", Op::Discard, 0, 3 * MIB + 512, 1024),
        ("zeroout", Op::WriteZeroes, 0, 4 * MIB, MIB),
        ("zeroout", Op::WriteZeroes, 0, 6 * MIB + 3584, 4096),
        ("zero-range", Op::WriteZeroes, 0, 8 * MIB, 8192),
        ("punch-hole", Op::WriteZeroes, 1, 9 * MIB, 2 * MIB),
    ] {
        let requests = guest.requests_of(op, |guest| {
            guest.ask(&format!("{command} {offset} {len}"));
        });
        assert_eq!(ranges(&requests), [[range(offset, len, flags)]], "{command}");
        assert_eq!(status(&requests[0]), Some(Status::Ok), "{command}");
        guest.assert_reads(offset - 512, len + 1024, &format!("512x5a {len}x00 512x5a"));
        expected[offset as usize..(offset + len) as usize].fill(0);
    }
    // Over what was discarded one can write again, also less than a block.
    guest.ask(&format!("write {} 512 77", MIB + 512));
    guest.assert_reads(MIB, 4096, "512x00 512x77 3072x00");
    expected[(MIB + 512) as usize..(MIB + 1024) as usize].fill(0x77);
    assert!(guest.disk() == expected, "the disk as the device has it");
    let whole = guest.requests_of(Op::Discard, |guest| {
        guest.ask(&format!("discard 0 {DISK_BYTES}"));
    });
    assert_eq!(ranges(&whole), [[range(0, DISK_BYTES, 0)]]);
    assert!(guest.disk().iter().all(|byte| *byte == 0));
    guest.end();
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_file_systems_discards_have_many_ranges() {
    let cache = Cache::of_user().expect("the cache");
    let image = golden::image(Fs::Xfs, &cache).expect("an image");
    let mut guest = Guest::boot(&Setup {
        image: Some(&image),
        modules: &["xfs"],
        ..Setup::default()
    });
    let trimmed = guest.requests_of(Op::Discard, |guest| {
        guest.ask("mount xfs discard");
        guest.ask("trim");
    });
    assert!(!trimmed.is_empty(), "fstrim came as discards");
    assert!(trimmed.iter().all(|request| status(request) == Some(Status::Ok)));
    let several = guest.requests_of(Op::Discard, |guest| {
        for number in 0..48 {
            guest.ask(&format!("make-file f{number} 65536"));
        }
        guest.ask("sync-fs");
        for number in (0..48).step_by(2) {
            guest.ask(&format!("unlink f{number}"));
        }
        guest.ask("sync-fs");
        guest.ask("umount");
    });
    assert!(several.iter().all(|request| status(request) == Some(Status::Ok)));
    let most = several.iter().map(|request| request.submit.ranges.len()).max();
    assert!(
        most >= Some(2),
        "no request with several ranges: {:?}",
        ranges(&several)
    );
    // Files that were not deleted are whole: their data is there, and nothing of it was discarded.
    guest.ask("mount xfs discard");
    for number in (1..48).step_by(2) {
        guest.ask(&format!("check-file f{number} 65536"));
    }
    guest.ask("umount");
    let disk = guest.disk();
    // What was discarded last and not written since reads as zeros; the file data that was there is gone.
    let gone = several.iter().flat_map(|request| &request.submit.ranges);
    let zeros = gone.filter(|range| {
        let start = range.sector as usize * 512;
        disk[start..start + range.sectors as usize * 512]
            .iter()
            .all(|byte| *byte == 0)
    });
    assert!(zeros.count() >= 12, "the deleted files' data reads as zeros");
    guest.end();
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_read_only_disk_stays_as_it_is() {
    let mut guest = Guest::boot(&Setup {
        options: &["--read-only"],
        ..Setup::default()
    });
    assert!(guest.has_feature(RO) && !guest.has_feature(DISCARD) && !guest.has_feature(WRITE_ZEROES));
    guest.assert_sys("ro", "1");
    for (command, error) in [
        ("write 0 4096 11", "EPERM"),
        ("discard 0 4096", "EOPNOTSUPP"),
        ("zeroout 0 4096", "EPERM"),
        ("zero-range 0 4096", "EPERM"),
    ] {
        assert_eq!(guest.tell(command), error, "{command}");
    }
    guest.assert_reads(0, MIB, "1048576x5a");
    let written = guest.requests_of(Op::Write, |guest| {
        guest.ask("read 4096 4096");
    });
    assert_eq!(written, []);
    assert!(guest.disk().iter().all(|byte| *byte == FILL));
    guest.end();
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn blocks_of_4096_bytes() {
    let mut guest = Guest::boot(&Setup {
        options: &["--block-size", "4096"],
        ..Setup::default()
    });
    for (path, value) in [
        ("queue/logical_block_size", "4096"),
        ("queue/physical_block_size", "4096"),
        ("queue/discard_granularity", "4096"),
        // In sectors of 512 bytes, whatever the blocks.
        ("size", "131072"),
    ] {
        guest.assert_sys(path, value);
    }
    for command in [
        "write 0 512 11",
        "write 512 4096 11",
        "read 0 512",
        "discard 512 4096",
        "zeroout 0 512",
    ] {
        assert_eq!(guest.tell(command), "EINVAL", "{command}");
    }
    guest.ask("write 4096 4096 11");
    guest.ask("write 8192 12288 22");
    guest.ask("discard 12288 4096");
    guest.ask("zeroout 32768 4096");
    guest.assert_reads(0, 36_864, "4096x5a 4096x11 4096x22 4096x00 4096x22 12288x5a 4096x00");
    guest.assert_works();
    let requests = guest.requests();
    let in_blocks =
        |request: &RequestLine| request.submit.sector.is_multiple_of(8) && request.submit.len.is_multiple_of(4096);
    let mut data = requests.iter().filter(|request| request.submit.op != Op::GetId);
    assert!(data.all(in_blocks));
    guest.end();
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn limits_topology_serial_and_two_queues() {
    let mut guest = Guest::boot(&Setup {
        shape: DiskShape {
            num_queues: 2,
            queue_size: 64,
            seg_max: Some(5),
            size_max: Some(8192),
        },
        options: &["--serial", "twenty bytes, no NUL"],
        cpus: 2,
        ..Setup::default()
    });
    assert!(guest.has_feature(MQ));
    for (path, value) in [
        ("queue/max_segments", "5"),
        ("queue/max_segment_size", "8192"),
        ("queue/logical_block_size", "512"),
        ("queue/physical_block_size", "4096"),
        ("queue/minimum_io_size", "4096"),
        ("queue/optimal_io_size", "0"),
        ("alignment_offset", "0"),
        ("serial", "twenty bytes, no NUL"),
    ] {
        guest.assert_sys(path, value);
    }
    assert_eq!(guest.ask("list mq"), "0 1");
    let ids: Vec<RequestLine> = guest.requests();
    assert!(ids.iter().any(|request| request.submit.op == Op::GetId));
    let writes = guest.requests_of(Op::Write, |guest| {
        guest.ask("cpu 0 write 0 262144 11");
        guest.ask("cpu 1 write 1048576 262144 22");
    });
    guest.assert_reads(0, 262_144, "262144x11");
    guest.assert_reads(MIB, 262_144, "262144x22");
    assert!(
        writes
            .iter()
            .all(|write| write.submit.segs <= 5 && write.submit.len <= 5 * 8192)
    );
    assert_eq!(writes.iter().map(|write| write.submit.len).sum::<u64>(), 2 * 262_144);
    let queues: BTreeSet<u16> = writes.iter().map(|write| write.submit.queue).collect();
    assert_eq!(queues, BTreeSet::from([0, 1]));
    guest.assert_works();
    guest.end();
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn the_guest_switches_the_write_cache() {
    let mut guest = Guest::boot(&Setup::default());
    let flushes = |guest: &mut Guest| {
        let requests = guest.requests_of(Op::Flush, |guest| {
            guest.ask("write 0 4096 11");
            guest.ask("sync");
        });
        requests.len()
    };
    // `cache_type` is the driver's and tells the device; `queue/write_cache` is the block layer's own view of it.
    for (path, mode, expected) in [
        ("cache_type", "write back", 1),
        ("cache_type", "write through", 0),
        ("cache_type", "write back", 1),
        ("queue/write_cache", "write through", 0),
        ("queue/write_cache", "write back", 1),
    ] {
        guest.ask(&format!("put {path} {mode}"));
        guest.assert_sys(path, mode);
        guest.assert_sys("queue/write_cache", mode);
        assert_eq!(flushes(&mut guest), expected, "{mode} by {path}");
    }
    guest.rule("fail flush");
    assert_eq!(guest.tell("sync"), "EIO", "a flush's status gets to the guest");
    guest.end();
}

#[test]
#[ignore = "boots a VM; run by cargo xtask selftest"]
fn a_device_without_anything_optional() {
    let mut guest = Guest::boot(&Setup {
        options: &[
            "--no-flush",
            "--no-discard",
            "--no-write-zeroes",
            "--no-indirect",
            "--no-event-idx",
        ],
        ..Setup::default()
    });
    for bit in [FLUSH, CONFIG_WCE, DISCARD, WRITE_ZEROES, INDIRECT_DESC, EVENT_IDX] {
        assert!(!guest.has_feature(bit), "bit {bit}");
    }
    guest.assert_sys("queue/write_cache", "write through");
    guest.assert_sys("queue/discard_max_bytes", "0");
    guest.assert_sys("queue/write_zeroes_max_bytes", "0");
    guest.assert_works();
    guest.ask("sync");
    assert_eq!(guest.tell("discard 0 4096"), "EOPNOTSUPP");
    guest.ask("zeroout 0 1048576");
    guest.assert_reads(0, 2 * MIB, "1048576x00 1048576x5a");
    let ops: BTreeSet<Op> = guest.requests().iter().map(|request| request.submit.op).collect();
    assert_eq!(ops, BTreeSet::from([Op::Read, Op::Write]));
    guest.end();
}
