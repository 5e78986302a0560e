//! Damage is where it should be, and nowhere else.

use std::io::Write;

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use vhost_blk_api::plan::{Facts, Prefix};
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::config::SERIAL_BYTES;
use crate::request::buffers::Buffer;
use crate::request::completion::Effect;
use crate::request::execute::RequestOutcome;
use crate::request::execute::execute;

const DISK_SECTORS: u64 = 256;
/// Where the request under test lies: 4 KiB on an odd place.
const SECTOR: u64 = 33;
const LEN: usize = 4096;

/// A disk whose golden image has 0x11 everywhere and that was overwritten with 0x22, and 4 KiB of guest memory in two
/// buffers.
struct Bed {
    disk: Disk,
    mem: Mem,
    _image: tempfile::NamedTempFile,
}

impl Bed {
    fn new() -> Bed {
        let mut image = tempfile::NamedTempFile::new().unwrap();
        image.write_all(&vec![0x11; (DISK_SECTORS * 512) as usize]).unwrap();
        let disk = Disk::open(image.path(), 512).unwrap();
        let mut bytes = vec![0x22; (DISK_SECTORS * 512) as usize];
        disk.write(0, &VolatileSlice::from(&mut bytes[..])).unwrap();
        let mem = Mem::from_ranges(&[(GuestAddress(0), 1 << 16)]).unwrap();
        Bed {
            disk,
            mem,
            _image: image,
        }
    }

    fn run(&self, op: Op, text: &str) -> Effect {
        let rule: vhost_blk_api::plan::Rule = text.parse().expect(text);
        let outcome = match rule.action {
            vhost_blk_api::plan::Action::Corrupt(how) => RequestOutcome::Corrupt { how, seed: 7 },
            vhost_blk_api::plan::Action::Drop => RequestOutcome::Drop,
            other => panic!("{other:?}"),
        };
        let facts = Facts {
            op,
            sector: SECTOR,
            len: LEN as u64,
            ranges: Vec::new(),
            queue: 0,
            tag: None,
            prefix: Prefix::default(),
        };
        let buffer = |addr, len| Buffer {
            addr: GuestAddress(addr),
            len,
        };
        // Not even the sectors are whole in one buffer.
        let request = Request {
            facts,
            buffers: [buffer(0x1000, 1000), buffer(0x5000, LEN as u32 - 1000)]
                .into_iter()
                .collect(),
            ranges: Vec::new(),
        };
        let target = Target {
            flushes: 0,
            flight: None,
            disk: &self.disk,
            read_only: false,
            write_through: false,
            serial: &[0; SERIAL_BYTES],
        };
        execute(&request, target, &self.mem, Some(outcome))
    }

    fn put(&self, data: &[u8]) {
        self.mem.write_slice(&data[..1000], GuestAddress(0x1000)).unwrap();
        self.mem.write_slice(&data[1000..], GuestAddress(0x5000)).unwrap();
    }

    fn got(&self) -> Vec<u8> {
        let mut data = vec![0; LEN];
        self.mem.read_slice(&mut data[..1000], GuestAddress(0x1000)).unwrap();
        self.mem.read_slice(&mut data[1000..], GuestAddress(0x5000)).unwrap();
        data
    }

    fn on_disk(&self) -> Vec<u8> {
        let mut bytes = vec![0; (DISK_SECTORS * 512) as usize];
        self.disk.read(0, &VolatileSlice::from(&mut bytes[..])).unwrap();
        bytes
    }

    /// What the disk holds of the request's sectors, after a check that it was not touched elsewhere.
    fn written(&self) -> Vec<u8> {
        let disk = self.on_disk();
        let (start, end) = ((SECTOR * 512) as usize, (SECTOR * 512) as usize + LEN);
        assert!(disk[..start].iter().chain(&disk[end..]).all(|byte| *byte == 0x22));
        disk[start..end].to_vec()
    }
}

fn bits_that_differ(a: &[u8], b: &[u8]) -> u32 {
    a.iter().zip(b).map(|(a, b)| (a ^ b).count_ones()).sum()
}

fn sectors_of(data: &[u8], value: u8) -> usize {
    data.chunks(512)
        .filter(|sector| sector.iter().all(|byte| *byte == value))
        .count()
}

#[test]
fn a_read_is_damaged_in_memory_and_the_disk_stays_good() {
    for (text, good, wrong, sectors) in [
        ("corrupt read zero=1", 0x22, 0x00, 1),
        ("corrupt read zero=all", 0x22, 0x00, 8),
        ("corrupt read stale=3", 0x22, 0x11, 3),
        ("corrupt read stale=100", 0x22, 0x11, 8),
    ] {
        let bed = Bed::new();
        let effect = bed.run(Op::Read, text);
        assert_eq!((effect.status, effect.bytes, effect.written), (Status::Ok, 4096, 4096));
        let data = bed.got();
        assert_eq!(
            (sectors_of(&data, good), sectors_of(&data, wrong)),
            (8 - sectors, sectors),
            "{text}"
        );
        assert!(bed.on_disk().iter().all(|byte| *byte == 0x22));
    }
    let bed = Bed::new();
    bed.run(Op::Read, "corrupt read flip=1bit");
    assert_eq!(bits_that_differ(&bed.got(), &[0x22; LEN]), 1);
}

#[test]
fn a_write_is_damaged_on_the_disk() {
    for (text, wrong, sectors) in [
        ("corrupt write zero=2", 0x00, 2),
        ("corrupt write stale=1", 0x22, 1),
        ("corrupt write stale=all", 0x22, 8),
    ] {
        let bed = Bed::new();
        bed.put(&[0x33; LEN]);
        let effect = bed.run(Op::Write, text);
        assert_eq!((effect.status, effect.bytes, effect.written), (Status::Ok, 4096, 0));
        let data = bed.written();
        assert_eq!(
            (sectors_of(&data, 0x33), sectors_of(&data, wrong)),
            (8 - sectors, sectors),
            "{text}"
        );
        assert!(
            bed.got().iter().all(|byte| *byte == 0x33),
            "the guest's buffer is its own"
        );
    }
    let bed = Bed::new();
    bed.put(&[0x33; LEN]);
    bed.run(Op::Write, "corrupt write flip=3bit");
    assert_eq!(bits_that_differ(&bed.written(), &[0x33; LEN]), 3);
}

#[test]
fn as_many_bits_are_inverted_as_the_rule_says() {
    // A tenth of all bits: chosen one by one some would be chosen twice.
    for op in [Op::Read, Op::Write] {
        let bed = Bed::new();
        bed.put(&[0x33; LEN]);
        bed.run(op, &format!("corrupt {op} flip=3277bit"));
        let flipped = match op {
            Op::Read => bits_that_differ(&bed.got(), &[0x22; LEN]),
            _ => bits_that_differ(&bed.written(), &[0x33; LEN]),
        };
        assert_eq!(flipped, 3277, "{op}");
    }
}

proptest! {
    #[test]
    fn distinct_numbers(count in 0u64..70, bound in 0u64..70, seed: u64) {
        let numbers = distinct(count, bound, &mut Rng::for_choice(seed, "x", 0));
        prop_assert_eq!(numbers.len() as u64, count.min(bound));
        prop_assert!(numbers.iter().all(|number| *number < bound));
    }
}

#[test]
fn every_bit_is_as_likely_as_another() {
    let mut counts = [0; 8];
    for ordinal in 0..8000 {
        for number in distinct(3, 8, &mut Rng::for_choice(1, "x", ordinal)) {
            counts[number as usize] += 1;
        }
    }
    assert!(counts.iter().all(|count| (2800..3200).contains(count)), "{counts:?}");
}

#[test]
fn misdirected_data_is_elsewhere() {
    let bed = Bed::new();
    bed.put(&[0x33; LEN]);
    bed.run(Op::Write, "corrupt write misdirect=-9");
    let disk = bed.on_disk();
    let start = ((SECTOR - 9) * 512) as usize;
    assert!(disk[start..start + LEN].iter().all(|byte| *byte == 0x33));
    assert_eq!(disk.iter().filter(|byte| **byte == 0x33).count(), LEN);
    bed.run(Op::Read, "corrupt read misdirect=-9");
    assert!(bed.got().iter().all(|byte| *byte == 0x33));
    // Beyond either end of the disk there is nothing.
    for by in ["1000", "-1000"] {
        let bed = Bed::new();
        bed.put(&[0x33; LEN]);
        let effect = bed.run(Op::Write, &format!("corrupt write misdirect={by}"));
        assert_eq!(effect.status, Status::Ok);
        assert!(bed.on_disk().iter().all(|byte| *byte == 0x22));
        bed.run(Op::Read, &format!("corrupt read misdirect={by}"));
        assert!(bed.got().iter().all(|byte| *byte == 0));
    }
}

#[test]
fn what_is_dropped_never_happened() {
    let bed = Bed::new();
    bed.put(&[0x33; LEN]);
    let effect = bed.run(Op::Write, "drop write");
    assert_eq!((effect.status, effect.bytes), (Status::Ok, 0));
    assert!(bed.on_disk().iter().all(|byte| *byte == 0x22));
}
