//! What the device offers a driver: features and the configuration space of virtio-blk.

use vhost_blk_api::op::SECTOR_BYTES;
use virtio_bindings::virtio_blk::{
    VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_MQ,
    VIRTIO_BLK_F_RO, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_SIZE_MAX, VIRTIO_BLK_F_TOPOLOGY, VIRTIO_BLK_F_WRITE_ZEROES,
};
use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};

/// Offset of the byte that switches the write cache, the only one that a driver may set.
pub(crate) const WRITEBACK_OFFSET: usize = 32;

/// Length of the configuration space up to the last field that is offered.
const SPACE_BYTES: usize = 60;

/// Most ranges of one discard or write-zeroes request; the configuration space says so to the driver.
pub(crate) const RANGES_MAX: u32 = 64;

/// Bytes of the serial number that get-id returns.
pub const SERIAL_BYTES: usize = 20;

/// Most sectors of one discard or write-zeroes range: 1 GiB.
pub(crate) const RANGE_SECTORS_MAX: u32 = 1 << 21;

/// What can be chosen about the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Virtqueues that the driver may use, from 1 up.
    pub num_queues: u16,
    /// Largest queue size; a power of two.
    pub queue_size: u16,
    /// Most data buffers of one request.
    pub seg_max: u32,
    /// Largest data buffer in bytes; `None` offers no limit.
    pub size_max: Option<u32>,
    /// Logical block size in bytes; a power of two from 512.
    pub block_size: u32,
    /// Whether writing is refused.
    pub read_only: bool,
    /// What get-id returns, padded with zeros.
    pub serial: [u8; SERIAL_BYTES],
    /// Optional parts of the protocol.
    pub offer: Offer,
}

/// Optional parts of the protocol, on unless switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a set of switches, one a feature")]
pub struct Offer {
    /// A volatile write cache with flushes.
    pub flush: bool,
    /// `VIRTIO_BLK_F_DISCARD`: requests that free ranges.
    pub discard: bool,
    /// `VIRTIO_BLK_F_WRITE_ZEROES`: zeros without data.
    pub write_zeroes: bool,
    /// `VIRTIO_RING_F_INDIRECT_DESC`: a descriptor may be a table of descriptors.
    pub indirect: bool,
    /// `VIRTIO_RING_F_EVENT_IDX`: either side says from which index on it wants to be told.
    pub event_idx: bool,
}

impl Default for Config {
    fn default() -> Self {
        let offer = Offer {
            flush: true,
            discard: true,
            write_zeroes: true,
            indirect: true,
            event_idx: true,
        };
        Config {
            num_queues: 1,
            queue_size: 256,
            seg_max: 126,
            size_max: None,
            block_size: 512,
            read_only: false,
            serial: serial("bioscope"),
            offer,
        }
    }
}

/// A serial number of at most 20 bytes; what is longer is cut.
#[must_use]
pub fn serial(text: &str) -> [u8; SERIAL_BYTES] {
    let mut serial = [0; SERIAL_BYTES];
    let len = text.len().min(SERIAL_BYTES);
    serial[..len].copy_from_slice(&text.as_bytes()[..len]);
    serial
}

impl Config {
    /// The virtio feature bits offered (the transport adds its own).
    #[must_use]
    pub(crate) fn features(&self) -> u64 {
        let optional = [
            (VIRTIO_BLK_F_SIZE_MAX, self.size_max.is_some()),
            (VIRTIO_BLK_F_RO, self.read_only),
            (VIRTIO_BLK_F_FLUSH, self.offer.flush),
            (VIRTIO_BLK_F_CONFIG_WCE, self.offer.flush),
            (VIRTIO_BLK_F_DISCARD, self.offer.discard && !self.read_only),
            (VIRTIO_BLK_F_WRITE_ZEROES, self.offer.write_zeroes && !self.read_only),
            (VIRTIO_RING_F_INDIRECT_DESC, self.offer.indirect),
            (VIRTIO_RING_F_EVENT_IDX, self.offer.event_idx),
        ];
        let always = [
            VIRTIO_F_VERSION_1,
            VIRTIO_BLK_F_SEG_MAX,
            VIRTIO_BLK_F_BLK_SIZE,
            VIRTIO_BLK_F_TOPOLOGY,
            VIRTIO_BLK_F_MQ,
        ];
        let chosen = optional.into_iter().filter(|(_, on)| *on).map(|(bit, _)| bit);
        always.into_iter().chain(chosen).fold(0, |bits, bit| bits | 1 << bit)
    }

    /// The configuration space of a disk of this size.
    #[must_use]
    pub(crate) fn space(&self, disk_bytes: u64, writeback: bool) -> Vec<u8> {
        let mut space = vec![0; SPACE_BYTES];
        let mut put = |offset: usize, bytes: &[u8]| space[offset..offset + bytes.len()].copy_from_slice(bytes);
        let sectors_per_block = self.block_size / SECTOR_BYTES as u32;
        // Blocks of a page are what the overlay works in: the best unit for a driver that can choose.
        let physical_exp = (4096 / self.block_size.min(4096)).trailing_zeros() as u8;
        put(0, &(disk_bytes / SECTOR_BYTES).to_le_bytes());
        put(8, &self.size_max.unwrap_or(0).to_le_bytes());
        put(12, &self.seg_max.to_le_bytes());
        put(20, &self.block_size.to_le_bytes());
        put(24, &[physical_exp]);
        put(26, &1u16.to_le_bytes());
        put(WRITEBACK_OFFSET, &[u8::from(writeback)]);
        put(34, &self.num_queues.to_le_bytes());
        put(36, &RANGE_SECTORS_MAX.to_le_bytes());
        put(40, &RANGES_MAX.to_le_bytes());
        put(44, &sectors_per_block.to_le_bytes());
        put(48, &RANGE_SECTORS_MAX.to_le_bytes());
        put(52, &RANGES_MAX.to_le_bytes());
        put(56, &[1]);
        space
    }

    /// The part of the configuration space asked for, exactly as long as asked; what is beyond reads as zeros.
    #[must_use]
    pub(crate) fn window(&self, disk_bytes: u64, writeback: bool, offset: u32, size: u32) -> Vec<u8> {
        let space = self.space(disk_bytes, writeback);
        let from = (offset as usize).min(space.len());
        let to = (from + size as usize).min(space.len());
        let mut window = space[from..to].to_vec();
        window.resize(size as usize, 0);
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_has_the_length_asked_for() {
        let config = Config::default();
        for (offset, size) in [(0, 60), (0, 100), (32, 1), (59, 4), (60, 8), (u32::MAX, 4)] {
            assert_eq!(config.window(1 << 20, true, offset, size).len(), size as usize);
        }
        assert_eq!(config.window(1 << 20, true, 0, 8), 2048u64.to_le_bytes());
        assert_eq!(config.window(1 << 20, true, 32, 1), [1]);
        assert_eq!(
            config.window(1 << 20, true, 24, 1),
            [3],
            "512-byte blocks, 4 KiB physical"
        );
    }

    #[test]
    fn a_read_only_disk_offers_no_discard() {
        let config = Config {
            read_only: true,
            ..Config::default()
        };
        assert_ne!(config.features() & 1 << VIRTIO_BLK_F_RO, 0);
        assert_eq!(config.features() & 1 << VIRTIO_BLK_F_DISCARD, 0);
    }
}
