use std::io::Write;
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::export::export;

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
        assert_eq!(disk.read(offset, &slice), Err(OutOfRange));
        assert_eq!(disk.write(offset, &slice), Err(OutOfRange));
        assert_eq!(disk.zero(offset, 1024), Err(OutOfRange));
    }
    assert_eq!(disk.zero(0, u64::MAX), Err(OutOfRange));
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
    let bytes = export(&disk, &out).expect("export");
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
    let error = export(&disk, &golden.dir.path().join("no/such/dir")).expect_err("no directory");
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
