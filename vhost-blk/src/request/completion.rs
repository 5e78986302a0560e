//! The only way back into a used ring.
//!
//! A [`Completion`] is a linear token: it is made when a chain leaves the available ring, and its head goes back
//! exactly once. It remembers its ring's generation; when the ring was stopped in the meantime the token does nothing,
//! for the memory it points into may be another driver's by now.

use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;
use vhost_blk_api::trace::Status;
use vm_memory::{Bytes, GuestAddress};

use super::chain::Mem;

/// A used ring, as far as completions need it. The transport implements it.
pub trait Ring: Send + Sync {
    /// Number of the queue.
    fn index(&self) -> u16;

    /// The generation that is current now.
    fn generation(&self) -> u64;

    /// Whether it is about to be stopped, and waits for its requests to be completed.
    fn is_stopping(&self) -> bool;

    /// If the ring is still of this generation: runs `effect` and puts `head` into the used ring with the length that
    /// it returns, for the driver to see at the next [`publish`](Self::publish). The ring cannot be stopped while
    /// `effect` runs.
    fn complete(&self, generation: u64, head: u16, effect: &mut dyn FnMut() -> u32) -> bool;

    /// Begins work for requests of this generation before they are completed; not if the ring was stopped since. The
    /// generation's end waits until that work has [left](Self::leave): what is done then touches the guest's memory no
    /// more. Takes no lock that others wait under.
    fn enter(&self, generation: u64) -> bool;

    /// Ends such work.
    fn leave(&self);

    /// Notes that a request of this generation is never going to be completed: a stop does not wait for it.
    fn lose(&self, generation: u64);

    /// Shows the driver what was put into the used ring, and tells it if it wants to know.
    fn publish(&self);
}

/// Result of doing a request, as the driver and the trace are told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effect {
    /// What the guest is told.
    pub(crate) status: Status,
    /// Bytes moved between guest memory and disk.
    pub(crate) bytes: u64,
    /// Bytes written to guest memory, without the status.
    pub written: u32,
}

/// The right and the duty to complete one request.
pub struct Completion {
    ring: Arc<dyn Ring>,
    mem: Arc<Mem>,
    generation: u64,
    head: u16,
    status: Option<GuestAddress>,
    spent: bool,
}

impl Completion {
    /// Takes on a chain whose head left the ring in this generation.
    #[must_use]
    pub fn new(ring: Arc<dyn Ring>, mem: Arc<Mem>, generation: u64, head: u16, status: Option<GuestAddress>) -> Self {
        Completion {
            ring,
            mem,
            generation,
            head,
            status,
            spent: false,
        }
    }

    /// The ring that the request came from.
    #[must_use]
    pub(crate) fn ring(&self) -> &Arc<dyn Ring> {
        &self.ring
    }

    /// The generation that the request belongs to.
    #[must_use]
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The guest's memory as it was when the chain was read.
    pub(crate) fn mem(&self) -> &Mem {
        &self.mem
    }

    /// Whether the ring was stopped since.
    #[must_use]
    pub(crate) fn is_stale(&self) -> bool {
        self.ring.generation() != self.generation
    }

    /// Whether the ring is about to be stopped: the request must not be made to wait.
    #[must_use]
    pub(crate) fn is_stopping(&self) -> bool {
        self.ring.is_stopping()
    }

    /// Does the request's work and gives it back to the driver. `None`: the ring was stopped, nothing was done.
    pub(crate) fn complete(mut self, work: impl FnOnce(&Mem) -> Effect) -> Option<Effect> {
        self.spend(work)
    }

    /// Lets the request go without a word to the driver; right only when its ring is stopped, or was told that it is
    /// [lost](Ring::lose).
    pub(crate) fn abandon(mut self) {
        self.spent = true;
    }

    fn spend(&mut self, work: impl FnOnce(&Mem) -> Effect) -> Option<Effect> {
        self.spent = true;
        let (mem, status) = (&self.mem, self.status);
        let mut work = Some(work);
        let mut done = None;
        self.ring.complete(self.generation, self.head, &mut || {
            let Some(work) = work.take() else { return 0 };
            let effect = work(mem);
            done = Some(effect);
            let Some(addr) = status else { return 0 };
            // The address was checked when the chain was read; a memory that shrank since has no reader left.
            let _ = mem.write_obj(status_byte(effect.status), addr);
            effect.written.saturating_add(1)
        });
        done
    }
}

/// Rings for whose requests work is done before they are completed; it ends when this is dropped.
#[derive(Default)]
pub(crate) struct AtWork(SmallVec<[(Arc<dyn Ring>, u64); 2]>);

impl AtWork {
    /// Begins it for a request; not if its ring was stopped since.
    pub(crate) fn enter(&mut self, completion: &Completion) -> bool {
        let Completion { ring, generation, .. } = completion;
        let known = |(other, entered): &(Arc<dyn Ring>, u64)| Arc::ptr_eq(other, ring) && entered == generation;
        let entered = self.0.iter().any(known);
        if !entered && ring.enter(*generation) {
            self.0.push((Arc::clone(ring), *generation));
            return true;
        }
        entered
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        for (ring, _) in &self.0 {
            ring.leave();
        }
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Completion { generation, head, .. } = self;
        write!(
            f,
            "Completion(queue {}, generation {generation}, head {head})",
            self.ring.index()
        )
    }
}

impl Drop for Completion {
    /// A token that was forgotten fails its request: an error is found by a test, a lost request hangs it.
    fn drop(&mut self) {
        if !self.spent {
            self.spend(|_| Effect {
                status: Status::IoErr,
                bytes: 0,
                written: 0,
            });
            self.ring.publish();
        }
    }
}

/// The status byte of the protocol. A dropped request never gets here; if it did, it must not read as success.
fn status_byte(status: Status) -> u8 {
    use virtio_bindings::virtio_blk::{VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_UNSUPP};
    let byte = match status {
        Status::Ok => VIRTIO_BLK_S_OK,
        Status::IoErr | Status::Dropped => VIRTIO_BLK_S_IOERR,
        Status::Unsupp => VIRTIO_BLK_S_UNSUPP,
    };
    u8::try_from(byte).unwrap_or(1)
}
