//! One queue of a connection: takes chains out of its ring, puts completions back, stops.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use vhost_user_backend::VringT;
use virtio_bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{Error as QueueError, Queue as VirtQueue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use super::Memory;
use super::vring::Vring;
use crate::completion::{Completion, Ring};
use crate::device::Arrival;
use crate::request::parse;

/// Most chains taken from a ring before they are worked on, so that completions do not wait for a whole ring.
const BATCH_MAX: usize = 32;

/// How long a stop waits for requests that are being done right now. They copy memory and wait for nothing but an export, so
/// this only exists for the front end never to freeze; what is not done by then is dropped.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// One queue of one connection.
pub(super) struct Queue {
    index: u16,
    mem: Memory,
    vring: OnceLock<Vring>,
    generation: AtomicU64,
    /// Nothing waits for a ring that is about to be stopped.
    stopping: AtomicBool,
    /// No request is out of the ring any more.
    idle: Condvar,
    /// Held while the ring or the memory behind it is touched; a stop waits for it.
    gate: Mutex<Gate>,
}

#[derive(Default)]
struct Gate {
    dead: bool,
    outstanding: u16,
    /// How many of those that are out are never going to be completed.
    lost: u16,
}

impl Gate {
    fn is_idle(&self) -> bool {
        self.outstanding <= self.lost
    }
}

/// What one look at a ring brought.
#[derive(Default)]
pub(super) struct Batch {
    /// Chains that were taken.
    pub arrivals: Vec<Arrival>,
    /// Whether the driver added more meanwhile.
    pub more: bool,
    /// What the driver did that ends this queue.
    pub problem: Option<String>,
}

impl Queue {
    pub fn new(index: u16, mem: Memory) -> Queue {
        Queue {
            index,
            mem,
            vring: OnceLock::new(),
            generation: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            idle: Condvar::new(),
            gate: Mutex::default(),
        }
    }

    /// The ring, which stays the same for as long as the connection.
    pub fn vring(&self, vring: &Vring) -> &Vring {
        self.vring.get_or_init(|| vring.clone())
    }

    /// Looks at the ring no more until it is stopped.
    pub fn bury(&self) {
        self.lock().dead = true;
    }

    /// From here on nothing that came out of this ring is made to wait.
    pub fn begin_stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes everything that is out of this ring stale.
    pub fn begin_generation(&self) {
        let mut gate = self.lock();
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.stopping.store(false, Ordering::Release);
        *gate = Gate::default();
    }

    /// Waits until all that came out of this ring is completed, but for what never will be.
    pub fn until_idle(&self) {
        let out = |gate: &mut Gate| !gate.is_idle();
        drop(self.idle.wait_timeout_while(self.lock(), STOP_WITHIN, out));
    }

    pub fn take_batch(self: &Arc<Self>, vring: &Vring) -> Batch {
        let mut batch = Batch::default();
        // Taken after the batch was made, and so let go before it: an arrival that is dropped needs the gate.
        let mut gate = self.lock();
        if gate.dead {
            return batch;
        }
        let mut state = vring.get_mut();
        let _ = state.disable_notification();
        match self.take_chains(state.get_queue_mut(), &mut gate, &mut batch.arrivals) {
            Ok(()) => {}
            // Stopped, or not started yet: nothing to do, and no fault of the driver.
            Err(Untaken::NotReady) => return batch,
            Err(Untaken::Broken(problem)) => {
                batch.problem = Some(problem);
                return batch;
            }
        }
        match state.enable_notification() {
            Ok(more) => batch.more = more,
            Err(error) => batch.problem = Some(error.to_string()),
        }
        batch
    }

    fn take_chains(
        self: &Arc<Self>,
        queue: &mut VirtQueue,
        gate: &mut Gate,
        arrivals: &mut Vec<Arrival>,
    ) -> Result<(), Untaken> {
        let mem = self.mem.memory().into_inner();
        let (size, generation) = (queue.size(), self.generation());
        let chains = match queue.iter(Arc::clone(&mem)) {
            Ok(chains) => chains,
            Err(QueueError::QueueNotReady) => return Err(Untaken::NotReady),
            Err(error) => return Err(Untaken::Broken(error.to_string())),
        };
        for chain in chains.take(BATCH_MAX) {
            if gate.outstanding >= size {
                return Err(Untaken::Broken(format!("more requests than the ring's {size} entries")));
            }
            let parsed = parse(self.index, chain, &mem);
            if parsed.head >= size {
                return Err(Untaken::Broken(format!(
                    "head {} in a ring of {size} entries",
                    parsed.head
                )));
            }
            gate.outstanding += 1;
            let ring = Arc::clone(self) as Arc<dyn Ring>;
            let completion = Completion::new(ring, Arc::clone(&mem), generation, parsed.head, parsed.status);
            arrivals.push(Arrival {
                request: parsed.request,
                completion,
            });
        }
        Ok(())
    }
}

/// Why no (more) chains were taken.
enum Untaken {
    NotReady,
    Broken(String),
}

impl Ring for Queue {
    fn index(&self) -> u16 {
        self.index
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn complete(&self, generation: u64, head: u16, effect: &mut dyn FnMut() -> u32) -> bool {
        let mut gate = self.lock();
        let Some(vring) = self.vring.get().filter(|_| self.generation() == generation) else {
            return false;
        };
        let written = effect();
        gate.outstanding = gate.outstanding.saturating_sub(1);
        if vring.add_used(head, written).is_err() {
            // The used ring left the guest's memory: nobody can be told anything any more.
            gate.dead = true;
        }
        if gate.is_idle() {
            self.idle.notify_all();
        }
        true
    }

    fn lose(&self, generation: u64) {
        let mut gate = self.lock();
        if self.generation() == generation {
            gate.lost = gate.lost.saturating_add(1);
            if gate.is_idle() {
                self.idle.notify_all();
            }
        }
    }

    fn notify(&self) {
        let Some(vring) = self.vring.get() else { return };
        let mut state = vring.get_mut();
        // The crate underneath looks at the event index only; without it the driver's flag counts.
        let wanted = if state.get_queue().event_idx_enabled() {
            state.needs_notification().unwrap_or(true)
        } else {
            let flags = self
                .mem
                .memory()
                .load::<u16>(GuestAddress(state.get_queue().avail_ring()), Ordering::Acquire);
            flags.map_or(true, |flags| {
                u32::from(u16::from_le(flags)) & VRING_AVAIL_F_NO_INTERRUPT == 0
            })
        };
        if wanted {
            // The eventfd is the front end's; when it is gone so is who would listen.
            let _ = state.signal_used_queue();
        }
    }
}
