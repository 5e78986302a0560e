//! Chains by their heads, once more. The crate underneath reads a chain only as the next one of an available ring, and
//! the entries of those that were in flight may be overwritten there; so they are put into a small ring of our own,
//! beside the guest's memory.

use std::sync::Arc;

use virtio_queue::{DescriptorChain, Queue as VirtQueue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion, GuestRegionMmap, MmapRegion};

use crate::request::chain::Mem;

/// Bytes for an available ring of the largest size there is.
const RING_BYTES: usize = 1 << 17;
/// Largest ring (virtio 1.2, 2.7).
const SIZE_MAX: u16 = 1 << 15;

/// Chains, and what they are read from.
type Chains = (Arc<Mem>, Vec<DescriptorChain<Arc<Mem>>>);

/// The chains of these heads in a ring's descriptor table, in this order. What they are read from is the guest's memory
/// and a little more; requests can be done with it as with the guest's.
///
/// # Errors
/// No memory, or no room beside the guest's.
pub(super) fn chains(queue: &VirtQueue, mem: &Mem, heads: &[u16]) -> Result<Chains, String> {
    let begin = mem
        .iter()
        .map(|region| region.last_addr().0)
        .max()
        .and_then(|last| last.checked_add(1)?.checked_next_multiple_of(4096))
        .map(GuestAddress)
        .ok_or("no room beside the guest's memory")?;
    let ring = MmapRegion::new(RING_BYTES).map_err(|error| error.to_string())?;
    let ring = GuestRegionMmap::new(ring, begin).ok_or("no room beside the guest's memory")?;
    let both = mem.insert_region(Arc::new(ring)).map_err(|error| error.to_string())?;
    let problem = |error: vm_memory::GuestMemoryError| error.to_string();
    let count = u16::try_from(heads.len()).map_err(|error| error.to_string())?;
    both.write_obj(count.to_le(), GuestAddress(begin.0 + 2))
        .map_err(problem)?;
    for (place, head) in (0..).zip(heads) {
        both.write_obj(head.to_le(), GuestAddress(begin.0 + 4 + 2 * place))
            .map_err(problem)?;
    }
    let both = Arc::new(both);
    let mut fetching = VirtQueue::new(SIZE_MAX).map_err(|error| error.to_string())?;
    let problem = |error: virtio_queue::Error| error.to_string();
    fetching.try_set_size(queue.size()).map_err(problem)?;
    fetching
        .try_set_desc_table_address(GuestAddress(queue.desc_table()))
        .map_err(problem)?;
    fetching.try_set_avail_ring_address(begin).map_err(problem)?;
    fetching.set_ready(true);
    let chains = fetching.iter(Arc::clone(&both)).map_err(problem)?.collect();
    Ok((both, chains))
}
