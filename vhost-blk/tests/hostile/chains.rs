//! Descriptor chains that are no request, or none that can be done: each is given back, with a status where there is a
//! byte for it.

use vhost_blk_api::trace::{self, Record};
use vm_memory::{Bytes, GuestAddress};

use crate::common::helpers::stats;
use crate::common::queue::NO_STATUS;
use crate::common::{DeviceProcess, Driver, IOERR, QUEUE_SIZE, UNSUPP, Used};
use crate::serves;

const NEXT: u16 = 1;
const WRITABLE: u16 = 2;
const INDIRECT: u16 = 4;
/// The chain's first descriptor, and the slot to which it belongs.
const HEAD: u16 = 48;
const SLOT: u16 = HEAD / 3;
/// The slot in whose data indirect tables lie.
const TABLE_SLOT: u16 = 18;
/// Where no memory is.
const OUTSIDE: u64 = 1 << 40;
const DISK_SECTORS: u64 = (8 << 20) / 512;

/// A descriptor.
#[derive(Debug, Clone, Copy)]
struct Desc {
    addr: u64,
    len: u32,
    flags: u16,
    next: u16,
}

fn out(addr: u64, len: u32) -> Desc {
    Desc {
        addr,
        len,
        flags: 0,
        next: 0,
    }
}

fn into(addr: u64, len: u32) -> Desc {
    Desc {
        flags: WRITABLE,
        ..out(addr, len)
    }
}

/// Each goes on to the next.
fn linked(descs: &[Desc], first: u16) -> Vec<Desc> {
    let last = descs.len() - 1;
    let link = |(index, desc): (usize, &Desc)| Desc {
        flags: desc.flags | if index < last { NEXT } else { 0 },
        next: first + index as u16 + 1,
        ..*desc
    };
    descs.iter().enumerate().map(link).collect()
}

struct Hostile {
    device: DeviceProcess,
    driver: Driver,
    header: u64,
    data: u64,
    status: u64,
    table: u64,
}

const STORAGES: [&str; 2] = ["memory", "file"];

impl Hostile {
    fn start(storage: &str) -> Hostile {
        let device = DeviceProcess::start(&["--storage", storage]);
        let driver = Driver::connect(&device);
        Hostile {
            header: driver.header_at(SLOT).0,
            data: driver.data(SLOT).0,
            status: driver.status_at(SLOT).0,
            table: driver.data(TABLE_SLOT).0,
            device,
            driver,
        }
    }

    /// Sends a chain as it is.
    fn send(&mut self, chain: &[Desc]) -> Used {
        for (index, desc) in (HEAD..).zip(chain) {
            self.driver.put_desc(index, desc.addr, desc.len, desc.flags, desc.next);
        }
        self.driver.publish(HEAD);
        self.driver.kick();
        let used = self.driver.done();
        assert_eq!(used.slot, SLOT);
        used
    }

    /// Sends a chain with this header: its answer is this status, or there is none if it has no byte for it. Then a
    /// good request is served.
    fn answers(&mut self, what: &str, kind: u32, sector: u64, chain: &[Desc], status: Option<u8>) {
        self.driver.put_header(SLOT, kind, sector);
        let used = self.send(chain);
        assert_eq!(used.status, status.unwrap_or(NO_STATUS), "{what}");
        assert_eq!(used.len, u32::from(status.is_some()), "{what}");
        let read = self.driver.read(0, 512);
        let next = self.driver.done();
        assert_eq!((next.slot, next.status), (read, 0), "after {what}");
    }

    fn write_table(&self, descs: &[Desc]) {
        for (index, desc) in (0..).zip(descs) {
            let at = |offset: u64| GuestAddress(self.table + 16 * index + offset);
            self.driver.mem.write_obj(desc.addr, at(0)).expect("table");
            self.driver.mem.write_obj(desc.len, at(8)).expect("table");
            self.driver.mem.write_obj(desc.flags, at(12)).expect("table");
            self.driver.mem.write_obj(desc.next, at(14)).expect("table");
        }
    }

    /// Nothing of it is left, and the next connection is served.
    fn ends(self, malformed: u64) {
        let Hostile { device, driver, .. } = self;
        assert_eq!(stats(&device).malformed, malformed);
        let records = trace::read(&device.path("trace")).expect("trace");
        let told = records
            .iter()
            .filter(|record| matches!(record, Record::Malformed { .. }));
        assert_eq!(told.count() as u64, malformed);
        assert!(!records.iter().any(|record| matches!(record, Record::QueueDead { .. })));
        drop(driver);
        serves(&device);
    }
}

#[test]
fn header_data_and_status_missing_or_in_the_wrong_direction() {
    for storage in STORAGES {
        let mut hostile = Hostile::start(storage);
        let Hostile {
            header, data, status, ..
        } = hostile;
        let (head, tail) = (out(header, 16), into(status, 1));
        let page = out(data, 4096);
        for (what, chain, answer) in [
            ("no header", vec![tail], Some(IOERR)),
            ("half a header", vec![out(header, 8), tail], Some(IOERR)),
            ("a header of no bytes", vec![out(header, 0), tail], Some(IOERR)),
            (
                "a header for the device to write",
                vec![into(header, 16), tail],
                Some(IOERR),
            ),
            ("no status", vec![head, page], None),
            ("only a header", vec![head], None),
            ("a status of no bytes", vec![head, page, into(status, 0)], None),
            (
                "a status for the device to read",
                vec![head, page, out(status, 1)],
                None,
            ),
            ("data after the status", vec![head, tail, page], Some(IOERR)),
            (
                "data to be written in a buffer for the device",
                vec![head, into(data, 4096), tail],
                Some(IOERR),
            ),
            (
                "data that is no whole sector",
                vec![head, out(data, 4097), tail],
                Some(IOERR),
            ),
        ] {
            hostile.answers(what, 1, 0, &linked(&chain, HEAD), answer);
        }
        let chain = linked(&[head, page, tail], HEAD);
        hostile.answers("a read into data of the driver's", 0, 0, &chain, Some(IOERR));
        let chain = linked(&[head, out(data, 512), tail], HEAD);
        hostile.answers("a flush with data", 4, 0, &chain, Some(IOERR));
        hostile.ends(13);
    }
}

#[test]
fn buffers_and_descriptors_that_are_not_there() {
    for storage in STORAGES {
        let mut hostile = Hostile::start(storage);
        let Hostile {
            header, data, status, ..
        } = hostile;
        let (head, tail) = (out(header, 16), into(status, 1));
        for (what, chain, answer) in [
            ("a header outside memory", vec![out(OUTSIDE, 16), tail], Some(IOERR)),
            ("data outside memory", vec![head, out(OUTSIDE, 512), tail], Some(IOERR)),
            (
                "data that ends outside memory",
                vec![head, out((16 << 20) - 512, 1024), tail],
                Some(IOERR),
            ),
            (
                "data at the end of all addresses",
                vec![head, out(u64::MAX - 100, 512), tail],
                Some(IOERR),
            ),
            // More than a chain may have: what comes after it is not looked at.
            ("4 GiB of data", vec![head, out(data, u32::MAX), tail], None),
            (
                "a status outside memory",
                vec![head, out(data, 512), into(OUTSIDE, 1)],
                None,
            ),
        ] {
            hostile.answers(what, 1, 0, &linked(&chain, HEAD), answer);
        }
        let beyond = Desc {
            flags: NEXT,
            next: QUEUE_SIZE + 7,
            ..head
        };
        hostile.answers("a descriptor beyond the table", 1, 0, &[beyond], None);
        let mut circle = linked(&[head, out(data, 512), tail], HEAD);
        circle[2].flags |= NEXT;
        circle[2].next = HEAD;
        // The chain has no end, but what would be its status is known before it comes round.
        let used = hostile.send(&circle);
        assert!(used.len <= 1);
        hostile.ends(8);
    }
}

#[test]
fn indirect_tables_of_odd_lengths_and_places() {
    for storage in STORAGES {
        let mut hostile = Hostile::start(storage);
        let Hostile {
            header,
            data,
            status,
            table,
            ..
        } = hostile;
        let whole = linked(&[out(header, 16), out(data, 512), into(status, 1)], 0);
        hostile.write_table(&whole);
        let indirect = |len| Desc {
            flags: INDIRECT,
            ..out(table, len)
        };
        hostile.answers("a good one", 1, 0, &[indirect(48)], Some(0));
        for len in [0, 1, 15, 17, 47, 49, u32::MAX] {
            hostile.answers(&format!("a table of {len} bytes"), 1, 0, &[indirect(len)], None);
        }
        hostile.answers("a table without its last entry", 1, 0, &[indirect(32)], None);
        let elsewhere = Desc {
            addr: OUTSIDE,
            ..indirect(48)
        };
        hostile.answers("a table outside memory", 1, 0, &[elsewhere], None);
        let mut nested = whole.clone();
        nested[1] = Desc {
            flags: NEXT | INDIRECT,
            ..nested[1]
        };
        hostile.write_table(&nested);
        hostile.answers("a table in a table", 1, 0, &[indirect(48)], None);
        let mut circle = whole;
        circle[1].next = 0;
        hostile.write_table(&circle);
        hostile.answers("a table that goes round", 1, 0, &[indirect(48)], None);
        hostile.ends(11);
    }
}

#[test]
fn requests_that_cannot_be_done() {
    for storage in STORAGES {
        let mut hostile = Hostile::start(storage);
        let Hostile {
            header, data, status, ..
        } = hostile;
        let chain = |middle| linked(&[out(header, 16), middle, into(status, 1)], HEAD);
        for sector in [DISK_SECTORS, DISK_SECTORS - 7, u64::MAX, u64::MAX / 512, u64::MAX - 7] {
            hostile.answers(
                &format!("a write at {sector}"),
                1,
                sector,
                &chain(out(data, 4096)),
                Some(IOERR),
            );
            hostile.answers(
                &format!("a read at {sector}"),
                0,
                sector,
                &chain(into(data, 4096)),
                Some(IOERR),
            );
            for kind in [11, 13] {
                hostile.driver.put_range(SLOT, sector, 8, 0);
                hostile.answers(
                    &format!("type {kind} at {sector}"),
                    kind,
                    0,
                    &chain(out(data, 16)),
                    Some(IOERR),
                );
            }
        }
        for (flags, kind) in [(1, 11), (2, 13), (u32::MAX, 13)] {
            hostile.driver.put_range(SLOT, 0, 8, flags);
            hostile.answers(
                &format!("flags {flags} of type {kind}"),
                kind,
                0,
                &chain(out(data, 16)),
                Some(UNSUPP),
            );
        }
        hostile.driver.put_range(SLOT, 0, u32::MAX, 0);
        hostile.answers("4 Gi sectors of zeros", 13, 0, &chain(out(data, 16)), Some(IOERR));
        let done = stats(&hostile.device).malformed;
        assert_eq!(done, 0, "those were requests; what follows is none");
        for len in [8, 17, 65 * 16] {
            hostile.answers(
                &format!("{len} bytes of ranges"),
                11,
                0,
                &chain(out(data, len)),
                Some(IOERR),
            );
        }
        for kind in [2, 5, 12, 77, u32::MAX] {
            hostile.answers(&format!("type {kind}"), kind, 0, &chain(out(data, 512)), Some(UNSUPP));
        }
        hostile.ends(8);
    }
}
