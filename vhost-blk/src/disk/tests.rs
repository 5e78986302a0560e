use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;
use crate::disk::export::export;
use crate::power::picture::StateRequest;

struct Golden {
    dir: tempfile::TempDir,
    path: PathBuf,
}

/// A 1 MiB image: one block of 0xAA at 64 KiB, holes elsewhere.
fn golden() -> Golden {
    let dir = tempfile::tempdir().expect("tempdir");
    let path = dir.path().join("golden");
    let mut file = File::create(&path).expect("create");
    file.set_len(1 << 20).expect("set_len");
    io::Seek::seek(&mut file, io::SeekFrom::Start(1 << 16)).expect("seek");
    file.write_all(&[0xAA; 4096]).expect("write");
    Golden { dir, path }
}

fn write(disk: &Disk, offset: u64, mut bytes: Vec<u8>) {
    disk.write(offset, &VolatileSlice::from(&mut bytes[..])).expect("write");
}

fn read(disk: &Disk, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0x55; len];
    disk.read(offset, &VolatileSlice::from(&mut bytes[..])).expect("read");
    bytes
}

#[test]
fn writes_stay_in_the_overlay_and_go_on_rollback() {
    let golden = golden();
    let before = std::fs::read(&golden.path).expect("golden");
    let disk = Disk::open(&golden.path, 512).expect("open");
    assert_eq!(read(&disk, 1 << 16, 4096), [0xAA; 4096]);
    write(&disk, (1 << 16) + 512, vec![1; 512]);
    assert_eq!(read(&disk, (1 << 16) + 512, 513)[511..], [1, 0xAA]);
    disk.rollback().expect("rollback");
    assert_eq!(read(&disk, 1 << 16, 4096), [0xAA; 4096]);
    assert_eq!(
        std::fs::read(&golden.path).expect("golden"),
        before,
        "the image is never written"
    );
}

#[test]
fn zeroed_blocks_read_as_zeros_and_can_be_written_in_part() {
    let golden = golden();
    let disk = Disk::open(&golden.path, 512).expect("open");
    disk.zero((1 << 16) - 512, 4096 + 1024).expect("zero");
    assert_eq!(read(&disk, (1 << 16) - 512, 4096 + 1024), vec![0; 5120]);
    write(&disk, (1 << 16) + 1024, vec![7; 512]);
    let block = read(&disk, 1 << 16, 4096);
    assert_eq!(block[1024..1536], [7; 512]);
    assert!(
        block[..1024].iter().chain(&block[1536..]).all(|byte| *byte == 0),
        "no byte of the image comes back"
    );
}

#[test]
fn accesses_outside_the_disk_are_refused() {
    let golden = golden();
    let disk = Disk::open(&golden.path, 512).expect("open");
    let mut bytes = [0; 1024];
    let slice = VolatileSlice::from(&mut bytes[..]);
    for offset in [(1 << 20) - 512, 1 << 20, u64::MAX - 511, u64::MAX] {
        assert_eq!(disk.read(offset, &slice), Err(AccessError::OutOfRange));
        assert_eq!(disk.write(offset, &slice), Err(AccessError::OutOfRange));
        assert_eq!(disk.zero(offset, 1024), Err(AccessError::OutOfRange));
    }
    assert_eq!(disk.zero(0, u64::MAX), Err(AccessError::OutOfRange));
}

#[test]
fn export_is_the_merged_disk_and_sparse() {
    let golden = golden();
    let disk = Disk::open(&golden.path, 512).expect("open");
    write(&disk, 512, vec![1; 1024]);
    write(&disk, 1 << 19, vec![2; 8192]);
    disk.zero(1 << 19, 4096).expect("zero");
    let expected = read(&disk, 0, 1 << 20);
    let out = golden.dir.path().join("out");
    let bytes = export(&disk, &out, &StateRequest::default())
        .expect("export")
        .data_bytes;
    assert_eq!(std::fs::read(&out).expect("out"), expected);
    assert_eq!(bytes, 3 * 4096, "one block of the image, two written, none zeroed");
    assert!(out.metadata().expect("metadata").blocks() * 512 <= 64 << 10, "sparse");
    let names: Vec<_> = std::fs::read_dir(golden.dir.path())
        .expect("dir")
        .flatten()
        .map(|e| e.file_name())
        .collect();
    assert_eq!(names.len(), 2, "nothing left beside it: {names:?}");
}

#[test]
fn a_failed_export_leaves_nothing() {
    let golden = golden();
    let disk = Disk::open(&golden.path, 512).expect("open");
    let error =
        export(&disk, &golden.dir.path().join("no/such/dir"), &StateRequest::default()).expect_err("no directory");
    assert!(error.to_string().contains("no/such/dir"), "{error}");
}

#[test]
fn images_of_odd_size_are_refused() {
    let golden = golden();
    File::options()
        .write(true)
        .open(&golden.path)
        .expect("open")
        .set_len(1000)
        .expect("set_len");
    let error = Disk::open(&golden.path, 512).expect_err("odd").to_string();
    assert!(
        error.contains("1000 bytes: expected a multiple of the block size 512"),
        "{error}"
    );
    assert!(
        matches!(Disk::open(golden.dir.path(), 512), Err(DiskError::Open { .. })),
        "a directory"
    );
}

/// Something done to a disk: where and how long in sectors.
#[derive(Debug, Clone)]
enum Deed {
    Write(u64, u64, u8),
    Zero(u64, u64),
    Read(u64, u64),
    Together(Vec<(bool, u64, u64, u8)>),
    Rollback,
    /// To so many sectors.
    Resize(u64),
}

fn deed() -> impl Strategy<Value = Deed> {
    // A disk of 64 KiB and half a block; most accesses of blocks, many of parts of them.
    let range = || {
        prop_oneof![
            (0u64..16, 1u64..4).prop_map(|(block, blocks)| (block * 8, blocks.min(16 - block) * 8)),
            (0u64..130, 1u64..20).prop_map(|(sector, sectors)| (sector, sectors.min(132 - sector))),
        ]
    };
    // What is under way at once does not overlap here: a disk may do that in any order.
    let together = proptest::collection::vec((any::<bool>(), 0u64..16, any::<u8>()), 1..12).prop_map(|accesses| {
        let mut seen = std::collections::BTreeSet::new();
        let apart = accesses.into_iter().filter(|(_, block, _)| seen.insert(*block));
        Deed::Together(apart.map(|(write, block, fill)| (write, block * 8, 8, fill)).collect())
    });
    prop_oneof![
        6 => (range(), any::<u8>()).prop_map(|((sector, sectors), fill)| Deed::Write(sector, sectors, fill)),
        2 => range().prop_map(|(sector, sectors)| Deed::Zero(sector, sectors)),
        4 => range().prop_map(|(sector, sectors)| Deed::Read(sector, sectors)),
        4 => together,
        1 => Just(Deed::Rollback),
        // To less, to the image's size, and to more; often within a block.
        3 => prop_oneof![1u64..300, Just(132), (0u64..40).prop_map(|blocks| blocks * 8 + 8)].prop_map(Deed::Resize),
    ]
}

/// What of a row of sectors lies on the disk.
fn on_disk(model: &[u8], sector: u64, sectors: u64) -> u64 {
    (model.len() as u64 / 512).saturating_sub(sector).min(sectors)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn memory_and_file_are_the_same_disk(deeds in proptest::collection::vec(deed(), 1..40)) {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("image");
        let image: Vec<u8> = (0..132 * 512u32).map(|byte| (byte / 300) as u8).collect();
        std::fs::write(&path, &image).expect("image");
        let in_file = Storage::File { dir: dir.path().to_owned() };
        for storage in [Storage::Memory, in_file] {
            let disk = Disk::open_in(&path, 512, &storage).expect("open");
            let mut model = image.clone();
            let at = |sector: u64, sectors: u64| (sector * 512) as usize..((sector + sectors) * 512) as usize;
            for deed in &deeds {
                let (sector, sectors) = match deed {
                    Deed::Write(sector, sectors, _) | Deed::Zero(sector, sectors) | Deed::Read(sector, sectors) => {
                        (*sector, *sectors)
                    }
                    _ => (0, 0),
                };
                let fits = on_disk(&model, sector, sectors);
                if fits < sectors {
                    let mut bytes = vec![0; (sectors * 512) as usize];
                    let slice = VolatileSlice::from(&mut bytes[..]);
                    prop_assert_eq!(disk.write(sector * 512, &slice), Err(AccessError::OutOfRange));
                    prop_assert_eq!(disk.read(sector * 512, &slice), Err(AccessError::OutOfRange));
                    prop_assert_eq!(disk.zero(sector * 512, sectors * 512), Err(AccessError::OutOfRange));
                }
                match deed {
                    Deed::Write(_, _, fill) if fits > 0 => {
                        write(&disk, sector * 512, vec![*fill; (fits * 512) as usize]);
                        model[at(sector, fits)].fill(*fill);
                    }
                    Deed::Zero(..) if fits > 0 => {
                        disk.zero(sector * 512, fits * 512).expect("zero");
                        model[at(sector, fits)].fill(0);
                    }
                    Deed::Read(..) if fits > 0 => {
                        let found = read(&disk, sector * 512, (fits * 512) as usize);
                        prop_assert_eq!(&found[..], &model[at(sector, fits)]);
                    }
                    Deed::Write(..) | Deed::Zero(..) | Deed::Read(..) => {}
                    Deed::Together(accesses) => {
                        let fit = |(_, sector, sectors, _): &&_| on_disk(&model, *sector, *sectors) == *sectors;
                        let fitting: Vec<_> = accesses.iter().filter(fit).copied().collect();
                        together(&disk, &fitting, &mut model);
                    }
                    Deed::Rollback => {
                        disk.rollback().expect("rollback");
                        model.clone_from(&image);
                    }
                    Deed::Resize(sectors) => {
                        disk.resize(sectors * 512).expect("resize");
                        model.resize((sectors * 512) as usize, 0);
                    }
                }
                prop_assert_eq!(disk.bytes(), model.len() as u64);
            }
            prop_assert_eq!(&read(&disk, 0, model.len())[..], &model[..]);
            let out = dir.path().join("export");
            export(&disk, &out, &StateRequest::default()).expect("export");
            prop_assert_eq!(&std::fs::read(&out).expect("the export")[..], &model[..]);
        }
        prop_assert_eq!(std::fs::read(&path).expect("the image"), image);
    }
}

/// Does accesses together where the disk can, else one by one.
fn together(disk: &Disk, accesses: &[(bool, u64, u64, u8)], model: &mut [u8]) {
    let mut memory: Vec<Vec<u8>> = accesses
        .iter()
        .map(|(_, _, sectors, fill)| vec![*fill; (*sectors * 512) as usize])
        .collect();
    let mut expected = memory.clone();
    for ((write, sector, sectors, fill), expected) in accesses.iter().zip(&mut expected) {
        let place = &mut model[(*sector * 512) as usize..((*sector + *sectors) * 512) as usize];
        if *write {
            place.fill(*fill);
        } else {
            expected.copy_from_slice(place);
        }
    }
    if let Some(mut batch) = disk.together() {
        for ((write, sector, ..), memory) in accesses.iter().zip(&mut memory) {
            let slice = VolatileSlice::from(&mut memory[..]);
            if *write {
                assert!(batch.write(sector * 512, &slice).expect("in range"), "whole blocks");
            } else {
                batch.read(sector * 512, &slice).expect("in range");
            }
        }
        batch.finish().expect("done");
    } else {
        for ((write, sector, ..), memory) in accesses.iter().zip(&mut memory) {
            let slice = VolatileSlice::from(&mut memory[..]);
            if *write {
                disk.write(sector * 512, &slice).expect("write");
            } else {
                disk.read(sector * 512, &slice).expect("read");
            }
        }
    }
    assert!(memory == expected);
}

#[test]
fn a_directory_that_is_none_is_told_with_its_option() {
    let golden = golden();
    let storage = Storage::File {
        dir: golden.dir.path().join("none"),
    };
    let error = Disk::open_in(&golden.path, 512, &storage).expect_err("no directory");
    assert!(error.to_string().contains("--storage-dir"), "{error}");
}

/// Who wrote a block last, and when, in every sector of it.
fn stamped(writer: u8, round: u8, blocks: usize) -> Vec<u8> {
    [writer, round].repeat(blocks * 2048)
}

#[test]
fn blocks_that_many_write_at_once_are_one_writers_each() {
    const BLOCKS: u64 = 24;
    let golden = golden();
    let in_file = Storage::File {
        dir: golden.dir.path().to_owned(),
    };
    for storage in [Storage::Memory, in_file] {
        let disk = Disk::open_in(&golden.path, 512, &storage).expect("open");
        let mut since = 1;
        for round in 1..=40u8 {
            // All write every block, in an order of their own, alone and in runs; and somebody reads.
            std::thread::scope(|scope| {
                let disk = &disk;
                for writer in 1..=4u8 {
                    scope.spawn(move || {
                        for step in 0..BLOCKS {
                            let block = (step * 5 + u64::from(writer) * 7) % BLOCKS;
                            let run = (BLOCKS - block).min(1 + (step + u64::from(writer)) % 4);
                            write(disk, block * 4096, stamped(writer, round, run as usize));
                        }
                    });
                }
                scope.spawn(move || {
                    for block in 0..BLOCKS {
                        let bytes = read(disk, block * 4096, 4096);
                        // Not even what was written before the disk went back, to memory that it has still.
                        let known = |pair: &[u8]| match pair {
                            [1..=4, when] => (since..=round).contains(when),
                            pair => matches!(pair, [0, 0] | [0xAA, 0xAA]),
                        };
                        assert!(bytes.chunks(2).all(known), "bytes that nobody wrote to block {block}");
                    }
                });
            });
            for block in 0..BLOCKS {
                let bytes = read(&disk, block * 4096, 4096);
                assert!(
                    bytes
                        .chunks(2)
                        .all(|pair| matches!(pair, [1..=4, _]) && pair[1] == round),
                    "block {block} in round {round}"
                );
            }
            if round % 3 == 0 {
                disk.rollback().expect("rolled back");
                since = round + 1;
                assert_eq!(read(&disk, 0, 4096), [0; 4096]);
            }
            if round % 4 == 0 {
                disk.zero(0, BLOCKS / 2 * 4096).expect("zeroed");
                assert_eq!(read(&disk, 8192, 4096), [0; 4096]);
            }
        }
    }
}

#[test]
fn writers_to_parts_of_a_block_do_not_lose_each_others() {
    let golden = golden();
    let in_file = Storage::File {
        dir: golden.dir.path().to_owned(),
    };
    for storage in [Storage::Memory, in_file] {
        let disk = Disk::open_in(&golden.path, 512, &storage).expect("open");
        for round in 1..=40u8 {
            std::thread::scope(|scope| {
                let disk = &disk;
                for sector in 0..7u64 {
                    scope.spawn(move || {
                        for block in 0..16 {
                            write(disk, block * 4096 + sector * 512, vec![round + sector as u8; 512]);
                        }
                    });
                }
            });
            for block in 0..16u64 {
                let mut expected: Vec<u8> = (0..7).flat_map(|sector| [round + sector; 512]).collect();
                expected.extend([0; 512]);
                assert!(
                    read(&disk, block * 4096, 4096) == expected,
                    "block {block} in round {round}"
                );
            }
            match round % 3 {
                0 => disk.rollback().expect("rolled back"),
                1 => disk.zero(0, 16 * 4096).expect("zeroed"),
                _ => {}
            }
        }
    }
}

#[test]
fn nobody_sees_what_memory_held_before_it_was_a_blocks() {
    let golden = golden();
    let disk = Disk::open(&golden.path, 512).expect("open");
    for round in 1..=60u8 {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // In one piece, which takes a while.
                write(&disk, 0, stamped(1, round, 256));
                done.store(true, Ordering::Relaxed);
            });
            let mut block = 0;
            while !done.load(Ordering::Relaxed) {
                block = (block + 37) % 256;
                let bytes = read(&disk, block * 4096, 4096);
                let known = |pair: &[u8]| matches!(pair, [0, 0] | [0xAA, 0xAA]) || pair == [1, round];
                assert!(bytes.chunks(2).all(known), "block {block} in round {round}");
            }
        });
        disk.rollback().expect("rolled back");
    }
}

#[test]
fn what_a_block_held_does_not_come_back_when_it_is_zeroed_while_a_part_is_written() {
    let golden = golden();
    let storage = Storage::File {
        dir: golden.dir.path().to_owned(),
    };
    let disk = Disk::open_in(&golden.path, 512, &storage).expect("open");
    write(&disk, 0, vec![1; 4096]);
    // The second block becomes a written one with the first one's last part.
    let (mut part, mut more) = ([2; 512], [3; 4608]);
    let mut together = disk.together().expect("a disk in a file");
    for (offset, bytes) in [(0, &mut part[..]), (3584, &mut more[..])] {
        assert_eq!(together.write(offset, &VolatileSlice::from(bytes)), Ok(true));
    }
    // Another thread does it: this one has the overlay, and none takes a lock twice.
    std::thread::scope(|scope| scope.spawn(|| disk.zero(0, 4096).expect("zeroed")).join()).expect("no panic");
    together.finish().expect("written");
    assert_eq!(read(&disk, 0, 4096), [0; 4096], "the writes came first");
    assert_eq!(read(&disk, 4096, 4096), [3; 4096]);
}

#[test]
fn what_the_image_holds_does_not_come_back_either() {
    let golden = golden();
    let storages = [
        Storage::Memory,
        Storage::File {
            dir: golden.dir.path().to_owned(),
        },
    ];
    for storage in storages {
        let disk = Disk::open_in(&golden.path, 512, &storage).expect("open");
        for round in 0..300 {
            let both = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    both.wait();
                    write(&disk, 1 << 16, vec![1; 512]);
                });
                both.wait();
                disk.zero(1 << 16, 4096).expect("zeroed");
            });
            let rest = read(&disk, (1 << 16) + 512, 3584);
            assert!(rest == [0; 3584], "{storage:?}, round {round}");
            disk.rollback().expect("rolled back");
        }
    }
}
