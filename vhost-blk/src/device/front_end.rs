//! The front end that is connected: what its driver has taken, how to hang up on it, and how to tell it something.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use vhost_blk_api::control::FrontEnd;
use virtio_bindings::virtio_blk::{VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_FLUSH};

use crate::config::Config;

/// Ends the connection to a front end, from any thread.
pub(crate) type HangUp = Box<dyn Fn() + Send>;

/// Tells the front end that is connected that the disk has another size, and waits for its answer.
pub(crate) type Teller = Arc<dyn Fn() -> FrontEnd + Send + Sync>;

/// What a device knows of its front end.
pub struct FrontEndLink {
    writeback: AtomicBool,
    /// The features that the driver has taken.
    taken: AtomicU64,
    hang_up: Mutex<Option<HangUp>>,
    teller: Mutex<Option<Teller>>,
}

impl FrontEndLink {
    /// No front end is connected; the next one finds this offered.
    pub(super) fn new(config: &Config) -> FrontEndLink {
        FrontEndLink {
            writeback: AtomicBool::new(config.offer.flush),
            taken: AtomicU64::new(config.features()),
            hang_up: Mutex::new(None),
            teller: Mutex::new(None),
        }
    }

    /// Whether the driver wants a write cache.
    #[must_use]
    pub(crate) fn writeback(&self) -> bool {
        self.writeback.load(Ordering::Relaxed)
    }

    /// Switches the write cache.
    pub fn set_writeback(&self, on: bool) {
        self.writeback.store(on, Ordering::Relaxed);
    }

    /// Notes which features the driver has taken of those that are offered.
    pub(crate) fn set_taken(&self, features: u64) {
        self.taken.store(features, Ordering::Relaxed);
    }

    /// Whether what is written is durable once it is completed. The configuration says so to a driver that looks there
    /// (`CONFIG_WCE`); one that does not, and does not flush either, must be able to rely on it (virtio 1.2, 5.2.6.2).
    pub(super) fn write_through(&self) -> bool {
        let taken = self.taken.load(Ordering::Relaxed);
        let has = |feature: u32| taken & 1 << feature != 0;
        if has(VIRTIO_BLK_F_CONFIG_WCE) {
            !self.writeback()
        } else {
            !has(VIRTIO_BLK_F_FLUSH)
        }
    }

    /// Says how to hang up on the front end that is connected now; nobody is, with `None`.
    pub fn set_hang_up(&self, hang_up: Option<HangUp>) {
        *self.hang_up.lock().unwrap_or_else(PoisonError::into_inner) = hang_up;
    }

    /// Hangs up on the front end; whether there was one.
    pub fn hang_up(&self) -> bool {
        let hang_up = self.hang_up.lock().unwrap_or_else(PoisonError::into_inner);
        hang_up.as_ref().is_some_and(|hang_up| {
            hang_up();
            true
        })
    }

    /// Says how to tell the front end that is connected now; nobody is, with `None`.
    pub(crate) fn set_teller(&self, teller: Option<Teller>) {
        *self.teller.lock().unwrap_or_else(PoisonError::into_inner) = teller;
    }

    /// Tells the front end that the disk has another size. No lock may be held: it will ask for the size before it
    /// answers.
    pub(super) fn tell_size(&self) -> FrontEnd {
        let teller = self.teller.lock().unwrap_or_else(PoisonError::into_inner).clone();
        teller.map_or(FrontEnd::None, |tell| tell())
    }
}
