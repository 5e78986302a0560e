//! Any descriptor chain over any guest memory: it is a request or malformed, and doing it touches nothing that it
//! should not.

#![no_main]

use std::io::Write;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use vhost_blk::disk::Disk;
use vhost_blk::config::SERIAL_BYTES;
use vhost_blk::request::access::Target;
use vhost_blk::request::execute::execute;
use vhost_blk::request::chain::{Mem, parse};
use virtio_queue::desc::RawDescriptor;
use virtio_queue::desc::split::Descriptor;
use virtio_queue::mock::MockSplitQueue;
use vm_memory::{Bytes, GuestAddress};

const MEMORY_BYTES: usize = 1 << 16;
const RING_ENTRIES: u16 = 16;
/// Descriptors and rings lie below; what the fuzzer puts into memory lies above.
const DATA: u64 = 0x4000;

/// A disk of 64 KiB, made once: what one input writes the next may read, but nothing depends on it.
fn disk() -> &'static Disk {
    static DISK: OnceLock<Disk> = OnceLock::new();
    DISK.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("bioscope-fuzz-{}", std::process::id()));
        let mut image = std::fs::File::create(&path).expect("an image");
        image.write_all(&[7; 1 << 16]).expect("an image");
        let disk = Disk::open(&path, 512).expect("a disk");
        // It stays mapped.
        std::fs::remove_file(&path).expect("removed");
        disk
    })
}

fuzz_target!(|input: &[u8]| {
    let Some((count, rest)) = input.split_first() else {
        return;
    };
    let count = usize::from(count % RING_ENTRIES as u8);
    let Some((descriptors, data)) = rest.split_at_checked(count * 9) else {
        return;
    };
    let mem = Mem::from_ranges(&[(GuestAddress(0), MEMORY_BYTES)]).expect("memory");
    let data = &data[..data.len().min(MEMORY_BYTES - DATA as usize)];
    mem.write_slice(data, GuestAddress(DATA)).expect("data");
    // Mostly within memory: the low half of the bits, offset to where the data is.
    let raw: Vec<RawDescriptor> = descriptors
        .chunks_exact(9)
        .map(|bytes| {
            let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
            let addr = DATA + u64::from(half(0)) + (u64::from(bytes[8] & 1) << 40);
            let len = u32::from(half(2)) << if bytes[8] & 2 == 0 { 0 } else { 16 };
            Descriptor::new(addr, len, half(4), half(6) % (RING_ENTRIES * 2)).into()
        })
        .collect();
    let queue = MockSplitQueue::new(&mem, RING_ENTRIES);
    let Ok(chain) = queue
        .build_multiple_desc_chains(&raw)
        .or_else(|_| queue.build_desc_chain(&raw))
    else {
        return;
    };
    let parsed = parse(0, chain, &mem);
    if let Ok(request) = &parsed.request {
        let target = Target {
            flushes: 0,
            flight: None,
            disk: disk(),
            read_only: false,
            write_through: false,
            serial: &[0; SERIAL_BYTES],
        };
        let effect = execute(request, target, &mem, None);
        assert!(u64::from(effect.written) <= request.facts.len.max(20));
    }
});
