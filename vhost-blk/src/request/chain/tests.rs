//! Chains that a driver can make, good and bad, in a real split ring.

use virtio_bindings::virtio_ring::{VRING_DESC_F_INDIRECT, VRING_DESC_F_NEXT, VRING_DESC_F_WRITE};
use virtio_queue::desc::{RawDescriptor, split::Descriptor};
use virtio_queue::mock::MockSplitQueue;

use super::*;

const HEADER: u64 = 0x10_0000;
const DATA: u64 = 0x11_0000;
const STATUS: u64 = 0x12_0000;
const TABLE: u64 = 0x13_0000;
const NEXT: u16 = VRING_DESC_F_NEXT as u16;
const WRITE: u16 = VRING_DESC_F_WRITE as u16;
const INDIRECT: u16 = VRING_DESC_F_INDIRECT as u16;

fn memory() -> Mem {
    Mem::from_ranges(&[(GuestAddress(0), 0x20_0000)]).expect("memory")
}

fn put_header(mem: &Mem, kind: u32, sector: u64) {
    mem.write_obj(kind, GuestAddress(HEADER)).expect("type");
    mem.write_obj(0u32, GuestAddress(HEADER + 4)).expect("reserved");
    mem.write_obj(sector, GuestAddress(HEADER + 8)).expect("sector");
}

/// Parses a chain of (address, length, flags), linked one after the other.
fn parsed(mem: &Mem, chain: &[(u64, u32, u16)]) -> Parsed {
    let descriptors: Vec<RawDescriptor> = chain
        .iter()
        .map(|(addr, len, flags)| Descriptor::new(*addr, *len, *flags, 0).into())
        .collect();
    let queue = MockSplitQueue::new(mem, 16);
    parse(0, queue.build_desc_chain(&descriptors).expect("chain"), mem)
}

/// Parses descriptors exactly as given.
fn parsed_raw(mem: &Mem, descriptors: &[Descriptor]) -> Parsed {
    let raw: Vec<RawDescriptor> = descriptors
        .iter()
        .map(|descriptor| RawDescriptor::from(*descriptor))
        .collect();
    let queue = MockSplitQueue::new(mem, 16);
    parse(0, queue.build_multiple_desc_chains(&raw).expect("chain"), mem)
}

fn problem(parsed: &Parsed) -> Malformed {
    parsed.request.clone().expect_err("malformed")
}

#[test]
fn a_write_in_three_descriptors() {
    let mem = memory();
    put_header(&mem, virtio_blk::VIRTIO_BLK_T_OUT, 2048);
    mem.write_slice(&Tag { tag: 7, page: 2 }.header(), GuestAddress(DATA))
        .expect("tag");
    let parsed = parsed(&mem, &[(HEADER, 16, 0), (DATA, 4096, 0), (STATUS, 1, WRITE)]);
    let request = parsed.request.expect("request");
    let facts = Facts {
        op: Op::Write,
        sector: 2048,
        len: 4096,
        ranges: Vec::new(),
        queue: 0,
        tag: Some(Tag { tag: 7, page: 2 }),
        prefix: Prefix::of(&[&Tag { tag: 7, page: 2 }.header()[..], &[0; 8]].concat()),
    };
    assert_eq!(request.facts, facts);
    assert_eq!(
        &*request.buffers,
        [Buffer {
            addr: GuestAddress(DATA),
            len: 4096
        }]
    );
    assert_eq!(parsed.status, Some(GuestAddress(STATUS)));
}

#[test]
fn borders_of_descriptors_mean_nothing() {
    let mem = memory();
    put_header(&mem, virtio_blk::VIRTIO_BLK_T_IN, 8);
    // Header cut in two; the status is the last byte of the data's descriptor.
    let read = parsed(
        &mem,
        &[
            (HEADER, 5, 0),
            (HEADER + 5, 11, 0),
            (DATA, 100, WRITE),
            (DATA + 100, 413, WRITE),
        ],
    );
    assert_eq!(read.request.expect("read").facts.len, 512);
    assert_eq!(read.status, Some(GuestAddress(DATA + 512)));
    // Header and data in one descriptor, with a tag that runs over a border.
    put_header(&mem, virtio_blk::VIRTIO_BLK_T_OUT, 8);
    mem.write_slice(&Tag { tag: 1, page: 0 }.header(), GuestAddress(HEADER + 16))
        .expect("tag");
    let write = parsed(&mem, &[(HEADER, 26, 0), (HEADER + 26, 502, 0), (STATUS, 1, WRITE)]);
    assert_eq!(write.request.expect("write").facts.tag, Some(Tag { tag: 1, page: 0 }));
}

#[test]
fn indirect_tables() {
    let mem = memory();
    put_header(&mem, virtio_blk::VIRTIO_BLK_T_FLUSH, 99);
    let table = [
        Descriptor::new(HEADER, 16, NEXT, 1),
        Descriptor::new(STATUS, 1, WRITE, 0),
    ];
    for (index, descriptor) in (0u64..).zip(table) {
        mem.write_obj(RawDescriptor::from(descriptor), GuestAddress(TABLE + 16 * index))
            .expect("table");
    }
    let flush = parsed_raw(&mem, &[Descriptor::new(TABLE, 32, INDIRECT, 0)]);
    assert_eq!(
        flush.request.expect("flush").facts,
        Facts {
            op: Op::Flush,
            sector: 0,
            len: 0,
            ranges: Vec::new(),
            queue: 0,
            tag: None,
            prefix: Prefix::default()
        }
    );
    // A table outside memory, of a strange length, or within a table.
    for (addr, len) in [(0xffff_0000, 32), (TABLE, 31)] {
        let bad = parsed_raw(&mem, &[Descriptor::new(addr, len, INDIRECT, 0)]);
        assert_eq!((problem(&bad), bad.status), (Malformed::CutOff, None));
    }
    let nested = Descriptor::new(TABLE, 32, INDIRECT, 0);
    mem.write_obj(RawDescriptor::from(nested), GuestAddress(TABLE + 16))
        .expect("table");
    let bad = parsed_raw(&mem, &[Descriptor::new(TABLE, 32, INDIRECT, 0)]);
    assert_eq!(problem(&bad), Malformed::CutOff);
}

#[test]
fn chains_without_an_end() {
    let mem = memory();
    put_header(&mem, virtio_blk::VIRTIO_BLK_T_IN, 0);
    let looped = parsed_raw(
        &mem,
        &[
            Descriptor::new(HEADER, 16, NEXT, 1),
            Descriptor::new(DATA, 512, WRITE | NEXT, 1),
        ],
    );
    assert_eq!(problem(&looped), Malformed::CutOff);
    assert!(looped.status.is_some(), "the guest can still be told");
    let outside = parsed_raw(&mem, &[Descriptor::new(HEADER, 16, NEXT, 77)]);
    assert_eq!((problem(&outside), outside.status), (Malformed::CutOff, None));
}

#[test]
fn bad_status_and_direction() {
    let mem = memory();
    put_header(&mem, virtio_blk::VIRTIO_BLK_T_OUT, 0);
    assert_eq!(
        problem(&parsed(&mem, &[(HEADER, 16, 0), (DATA, 512, 0)])),
        Malformed::NoStatus
    );
    let direction = parsed(&mem, &[(HEADER, 16, 0), (STATUS, 1, WRITE), (DATA, 512, 0)]);
    assert_eq!(
        (problem(&direction), direction.status),
        (Malformed::Direction, Some(GuestAddress(STATUS)))
    );
    let outside = parsed(&mem, &[(HEADER, 16, 0), (0x20_0000, 1, WRITE)]);
    assert_eq!(
        (problem(&outside), outside.status),
        (Malformed::OutsideMemory(0x20_0000), None)
    );
    let wrapped = parsed(&mem, &[(HEADER, 16, 0), (u64::MAX - 3, 512, 0), (STATUS, 1, WRITE)]);
    assert_eq!(
        (problem(&wrapped), wrapped.status),
        (Malformed::OutsideMemory(u64::MAX - 3), Some(GuestAddress(STATUS)))
    );
    put_header(&mem, virtio_blk::VIRTIO_BLK_T_IN, 0);
    let side = parsed(&mem, &[(HEADER, 16, 0), (DATA, 512, 0), (STATUS, 1, WRITE)]);
    assert_eq!(problem(&side), Malformed::WrongSide(512));
}

#[test]
fn bad_headers_and_lengths() {
    let mem = memory();
    put_header(&mem, 77, 0);
    assert_eq!(
        problem(&parsed(&mem, &[(HEADER, 16, 0), (STATUS, 1, WRITE)])),
        Malformed::UnknownType(77)
    );
    assert_eq!(
        problem(&parsed(&mem, &[(HEADER, 15, 0), (STATUS, 1, WRITE)])),
        Malformed::Header(15)
    );
    assert_eq!(problem(&parsed(&mem, &[(STATUS, 1, WRITE)])), Malformed::Header(0));
    put_header(&mem, virtio_blk::VIRTIO_BLK_T_OUT, 0);
    let odd = parsed(&mem, &[(HEADER, 16, 0), (DATA, 511, 0), (STATUS, 1, WRITE)]);
    assert_eq!(problem(&odd), Malformed::Length(511, 512));
    put_header(&mem, virtio_blk::VIRTIO_BLK_T_DISCARD, 0);
    let none = parsed(&mem, &[(HEADER, 16, 0), (STATUS, 1, WRITE)]);
    assert_eq!(problem(&none), Malformed::Length(0, 16));
    let many = parsed(&mem, &[(HEADER, 16, 0), (DATA, 65 * 16, 0), (STATUS, 1, WRITE)]);
    assert_eq!(problem(&many), Malformed::Ranges(65));
}

#[test]
fn discard_ranges_and_get_id() {
    let mem = memory();
    put_header(&mem, virtio_blk::VIRTIO_BLK_T_WRITE_ZEROES, 0);
    for (index, (sector, sectors)) in (0u64..).zip([(64u64, 8u32), (128, 16)]) {
        mem.write_obj(sector, GuestAddress(DATA + 16 * index)).expect("sector");
        mem.write_obj(sectors, GuestAddress(DATA + 16 * index + 8))
            .expect("sectors");
        mem.write_obj(1u32, GuestAddress(DATA + 16 * index + 12))
            .expect("flags");
    }
    let request = parsed(&mem, &[(HEADER, 16, 0), (DATA, 32, 0), (STATUS, 1, WRITE)])
        .request
        .expect("request");
    assert_eq!((request.facts.sector, request.facts.len), (64, 24 * 512));
    assert_eq!(request.facts.ranges, [64..72, 128..144]);
    assert_eq!(
        request.ranges[1],
        RangeOnDisk {
            sector: 128,
            sectors: 16,
            flags: 1
        }
    );
    let one = parsed(&mem, &[(HEADER, 16, 0), (DATA, 16, 0), (STATUS, 1, WRITE)])
        .request
        .expect("request");
    let facts = &one.facts;
    assert_eq!(
        (facts.sector, facts.len, facts.ranges.len()),
        (64, 8 * 512, 0),
        "sector and length say it"
    );
    put_header(&mem, virtio_blk::VIRTIO_BLK_T_GET_ID, 0);
    let request = parsed(&mem, &[(HEADER, 16, 0), (DATA, 20, WRITE), (STATUS, 1, WRITE)])
        .request
        .expect("request");
    assert_eq!((request.facts.op, request.facts.len), (Op::GetId, 20));
}

proptest::proptest! {
    /// Whatever a driver writes into its table, the answer is a request or a reason, never a panic.
    #[test]
    fn no_chain_makes_the_parser_panic(
        table in proptest::collection::vec((0u64..0x21_0000, 0u32..0x2000, 0u16..8, 0u16..20), 1..16),
        header in proptest::array::uniform16(0u8..16),
    ) {
        let mem = memory();
        mem.write_slice(&header, GuestAddress(HEADER)).expect("header");
        let table: Vec<Descriptor> =
            table.into_iter().map(|(addr, len, flags, next)| Descriptor::new(addr, len, flags, next)).collect();
        // Half of the tables get a true header first, so that more than the first check is reached.
        let mut with_header = vec![Descriptor::new(HEADER, 16, NEXT, 1)];
        with_header.extend(&table[..table.len().min(15)]);
        for table in [&table, &with_header] {
            let raw: Vec<RawDescriptor> = table.iter().map(|descriptor| RawDescriptor::from(*descriptor)).collect();
            let queue = MockSplitQueue::new(&mem, 16);
            let Ok(()) = queue.add_desc_chains(&raw, 0) else { continue };
            let mut ring: virtio_queue::Queue = queue.create_queue().expect("ring");
            while let Some(chain) = virtio_queue::QueueT::pop_descriptor_chain(&mut ring, &mem) {
                let _ = parse(0, chain, &mem);
            }
        }
    }
}
