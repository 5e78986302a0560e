//! Free memory that the machine really has.
//!
//! A virtual machine may have told its host that memory is free (virtio-balloon's free page reporting), and the host
//! may have taken it; who gets such memory next pays for its way back, some 300 µs for 128 KiB where this was seen, ten
//! times what all the rest of a first write takes. Whom it meets is chance, and never one who writes over memory that
//! he has. So before each measurement as much as it takes is used and given back, and all find what the host has.

use rustix::mm::{Advice, madvise};
use vm_memory::MmapRegion;

/// Uses so much memory, and gives it back.
///
/// # Errors
/// There is not that much.
pub fn warm(bytes: usize) -> std::io::Result<()> {
    let region: MmapRegion = MmapRegion::new(bytes).map_err(std::io::Error::other)?;
    for advice in [Advice::LinuxHugepage, Advice::LinuxPopulateWrite] {
        // SAFETY: it is the region's memory, which nobody else knows, and nothing is taken from it.
        let advised = unsafe { madvise(region.as_ptr().cast(), bytes, advice) };
        match advised {
            // A kernel without huge pages, or before 5.14; nothing is measured wrong then, but maybe with the host's
            // share.
            Ok(()) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
