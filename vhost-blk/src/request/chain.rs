//! Descriptor chains become requests.
//!
//! A chain is read by bytes, not by descriptors: the driver may cut header, data and status as it likes. Nothing in a
//! chain is trusted. What is no request is [`Malformed`], and still knows its head and, where there is one, its status
//! byte, for the driver is to get both back.

use std::ops::Deref;

use thiserror::Error;
use vhost_blk_api::op::{Op, SECTOR_BYTES};
use vhost_blk_api::payload::Tag;
use vhost_blk_api::plan::{Facts, PREFIX_BYTES, Prefix};
use vhost_blk_api::trace::RangeOnDisk;
use virtio_bindings::virtio_blk;
use virtio_queue::DescriptorChain;
use vm_memory::{Bytes, GuestAddress, GuestMemory, GuestMemoryMmap, Permissions};

use super::buffers::{Buffer, Buffers};
use crate::config::RANGES_MAX;

/// The guest's memory as one front end shared it; a new table of regions is a new value.
pub type Mem = GuestMemoryMmap<()>;

const REQUEST_HEADER_BYTES: u64 = 16;
const RANGE_BYTES: u64 = 16;

/// A well-formed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What rules can know of it.
    pub facts: Facts,
    /// Data buffers: the guest's data for a write, room for the disk's for a read or get-id.
    pub(crate) buffers: Buffers,
    /// Ranges of a discard or write-zeroes request.
    pub(crate) ranges: Vec<RangeOnDisk>,
}

/// A chain out of a ring.
#[derive(Debug)]
pub struct Parsed {
    /// The chain's head, to be given back.
    pub head: u16,
    /// Where the status byte goes; `None` when the chain has none.
    pub status: Option<GuestAddress>,
    /// What the chain asks for, or why it is no request.
    pub request: Result<Request, Malformed>,
}

/// Why a chain is no request.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Malformed {
    /// The chain ends before its last descriptor: a bad index, a loop, or a table outside memory.
    #[error("the descriptor chain is cut off")]
    CutOff,
    /// A descriptor for the driver's data stands after one for the device's.
    #[error("a readable descriptor follows a writable one")]
    Direction,
    /// No byte that the device may write, so nothing can be answered.
    #[error("no status byte")]
    NoStatus,
    /// A buffer is not in the guest's memory.
    #[error("a buffer at {0:#x} lies outside the guest's memory")]
    OutsideMemory(u64),
    /// Less than a header.
    #[error("the header is cut short: {0} of 16 bytes")]
    Header(u64),
    /// The data is not whole sectors, or not whole ranges.
    #[error("{0} bytes of data are not a multiple of {1}")]
    Length(u64, u64),
    /// Data where none belongs, or on the wrong side.
    #[error("{0} bytes of data in the wrong direction")]
    WrongSide(u64),
    /// More ranges than allowed.
    #[error("{0} ranges: at most {RANGES_MAX}")]
    Ranges(u64),
    /// A request type that this device does not have; answered with `VIRTIO_BLK_S_UNSUPP`.
    #[error("unknown request type {0}")]
    UnknownType(u32),
}

/// Reads a chain that came through this virtqueue.
#[must_use]
pub fn parse<M: Deref<Target = Mem>>(queue: u16, chain: DescriptorChain<M>, mem: &Mem) -> Parsed {
    let head = chain.head_index();
    let mut buffers = Chain::default();
    let walked = buffers.walk(chain, mem);
    let status = buffers.take_status();
    let status_ok = status.filter(|addr| mem.check_range(*addr, 1, Permissions::Write));
    let request = match (walked, status, status_ok) {
        (Err(error), ..) => Err(error),
        (Ok(()), None, _) => Err(Malformed::NoStatus),
        (Ok(()), Some(addr), None) => Err(Malformed::OutsideMemory(addr.0)),
        (Ok(()), Some(_), Some(_)) => buffers.into_request(queue, mem),
    };
    Parsed {
        head,
        status: status_ok,
        request,
    }
}

/// The buffers of a chain by direction.
#[derive(Default)]
struct Chain {
    readable: Buffers,
    writable: Buffers,
}

impl Chain {
    /// Collects what the chain has, also of a bad one: its status byte may be there.
    fn walk<M: Deref<Target = Mem>>(&mut self, mut chain: DescriptorChain<M>, mem: &Mem) -> Result<(), Malformed> {
        let mut result = Ok(());
        let mut more = true;
        // The iterator takes a bad descriptor for the end of the chain: only the last one's flag tells them apart.
        for descriptor in chain.by_ref() {
            more = descriptor.has_next();
            let buffer = Buffer {
                addr: descriptor.addr(),
                len: descriptor.len(),
            };
            if buffer.len == 0 {
                continue;
            }
            let access = if descriptor.is_write_only() {
                Permissions::Write
            } else {
                Permissions::Read
            };
            if !mem.check_range(buffer.addr, buffer.len as usize, access) {
                result = result.and(Err(Malformed::OutsideMemory(buffer.addr.0)));
            }
            if descriptor.is_write_only() {
                self.writable.push(buffer);
            } else {
                if !self.writable.is_empty() {
                    result = result.and(Err(Malformed::Direction));
                }
                self.readable.push(buffer);
            }
        }
        if more { Err(Malformed::CutOff) } else { result }
    }

    /// Takes the last writable byte off.
    fn take_status(&mut self) -> Option<GuestAddress> {
        let last = self.writable.last_mut()?;
        let status = last.addr.0.checked_add(u64::from(last.len) - 1);
        last.len -= 1;
        if last.len == 0 {
            self.writable.pop();
        }
        status.map(GuestAddress)
    }

    fn into_request(mut self, queue: u16, mem: &Mem) -> Result<Request, Malformed> {
        let mut header = [0; REQUEST_HEADER_BYTES as usize];
        self.take_header(mem, &mut header)?;
        let [t0, t1, t2, t3, _, _, _, _, sector @ ..] = header;
        let kind = u32::from_le_bytes([t0, t1, t2, t3]);
        let sector = u64::from_le_bytes(sector);
        let op = match kind {
            virtio_blk::VIRTIO_BLK_T_IN => Op::Read,
            virtio_blk::VIRTIO_BLK_T_OUT => Op::Write,
            virtio_blk::VIRTIO_BLK_T_FLUSH => Op::Flush,
            virtio_blk::VIRTIO_BLK_T_GET_ID => Op::GetId,
            virtio_blk::VIRTIO_BLK_T_DISCARD => Op::Discard,
            virtio_blk::VIRTIO_BLK_T_WRITE_ZEROES => Op::WriteZeroes,
            other => return Err(Malformed::UnknownType(other)),
        };
        let (input, output) = (total(&self.readable), total(&self.writable));
        let mut request = Request {
            facts: Facts {
                op,
                sector,
                len: 0,
                ranges: Vec::new(),
                queue,
                tag: None,
                prefix: Prefix::default(),
            },
            buffers: Buffers::new(),
            ranges: Vec::new(),
        };
        let wrong_side = match op {
            Op::Read | Op::GetId => input,
            Op::Write | Op::Discard | Op::WriteZeroes => output,
            Op::Flush => input + output,
        };
        if wrong_side != 0 {
            return Err(Malformed::WrongSide(wrong_side));
        }
        match op {
            Op::Read | Op::Write => {
                let len = input + output;
                if len % SECTOR_BYTES != 0 {
                    return Err(Malformed::Length(len, SECTOR_BYTES));
                }
                request.facts.len = len;
                request.buffers = if op == Op::Read { self.writable } else { self.readable };
                if op == Op::Write {
                    request.facts.prefix = read_prefix(&request.buffers, mem);
                    request.facts.tag = Tag::read(request.facts.prefix.bytes());
                }
            }
            Op::GetId => {
                request.facts.len = output;
                request.buffers = self.writable;
            }
            // The spec leaves the sector of a flush unused.
            Op::Flush => request.facts.sector = 0,
            Op::Discard | Op::WriteZeroes => {
                request.ranges = read_ranges(&self.readable, input, mem)?;
                let sectors: u64 = request.ranges.iter().map(|range| u64::from(range.sectors)).sum();
                request.facts.sector = request.ranges.first().map_or(0, |range| range.sector);
                request.facts.len = sectors * SECTOR_BYTES;
                if let [_, _, ..] = request.ranges.as_slice() {
                    let places = request.ranges.iter().map(RangeOnDisk::sectors);
                    request.facts.ranges = places.collect();
                }
            }
        }
        Ok(request)
    }

    /// Reads the request's header and takes its bytes off the readable buffers.
    fn take_header(&mut self, mem: &Mem, header: &mut [u8]) -> Result<(), Malformed> {
        let found = gather(&self.readable, mem, header)?;
        if found < header.len() {
            return Err(Malformed::Header(found as u64));
        }
        let mut left = REQUEST_HEADER_BYTES as u32;
        let mut taken = 0;
        for buffer in self.readable.iter_mut() {
            let cut = left.min(buffer.len);
            left -= cut;
            buffer.len -= cut;
            buffer.addr.0 += u64::from(cut);
            if buffer.len > 0 {
                break;
            }
            taken += 1;
        }
        self.readable.skip(taken);
        Ok(())
    }
}

fn total(buffers: &[Buffer]) -> u64 {
    buffers.iter().map(|buffer| u64::from(buffer.len)).sum()
}

/// Copies the first bytes of a row of buffers; returns how many there were.
fn gather(buffers: &[Buffer], mem: &Mem, into: &mut [u8]) -> Result<usize, Malformed> {
    let mut done = 0;
    for buffer in buffers {
        let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) else {
            break;
        };
        let len = rest.len().min(buffer.len as usize);
        mem.read_slice(&mut rest[..len], buffer.addr)
            .map_err(|_| Malformed::OutsideMemory(buffer.addr.0))?;
        done += len;
    }
    Ok(done)
}

fn read_prefix(buffers: &[Buffer], mem: &Mem) -> Prefix {
    let mut bytes = [0; PREFIX_BYTES];
    let found = gather(buffers, mem, &mut bytes).unwrap_or(0);
    Prefix::of(bytes.get(..found).unwrap_or_default())
}

fn read_ranges(buffers: &[Buffer], bytes: u64, mem: &Mem) -> Result<Vec<RangeOnDisk>, Malformed> {
    if bytes == 0 || !bytes.is_multiple_of(RANGE_BYTES) {
        return Err(Malformed::Length(bytes, RANGE_BYTES));
    }
    let count = bytes / RANGE_BYTES;
    if count > u64::from(RANGES_MAX) {
        return Err(Malformed::Ranges(count));
    }
    let mut raw = vec![0; (count * RANGE_BYTES) as usize];
    gather(buffers, mem, &mut raw)?;
    let (ranges, _) = raw.as_chunks::<{ RANGE_BYTES as usize }>();
    Ok(ranges
        .iter()
        .map(
            |[s0, s1, s2, s3, s4, s5, s6, s7, n0, n1, n2, n3, flags @ ..]| RangeOnDisk {
                sector: u64::from_le_bytes([*s0, *s1, *s2, *s3, *s4, *s5, *s6, *s7]),
                sectors: u32::from_le_bytes([*n0, *n1, *n2, *n3]),
                flags: u32::from_le_bytes(*flags),
            },
        )
        .collect())
}

#[cfg(test)]
mod tests;
