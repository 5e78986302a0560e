//! The vhost-user side: the only file that names the transport.
//!
//! One [`Session`] serves one front end; the [`Device`] outlives them all. Every queue has a thread of its own. The traps of
//! the crates underneath, and what is done about them:
//!
//! - an `Err` from `handle_event` ends a queue's thread for good, so none is ever returned;
//! - a driver whose available index lies would make "drain, enable, look again" spin: such a queue is latched dead until reset;
//! - GET_VRING_BASE wants nothing in flight: the ring's generation is moved on and what is held is dropped, so that the front
//!   end never waits and a late completion never lands in a new ring. (A front end that stops the rings and starts them again
//!   without a reset, as for a snapshot, loses what was held; without inflight tracking there is no way to tell the two apart.)

use std::io;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use thiserror::Error;
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost::vhost_user::{Error as VhostUserError, Listener};
use vhost_user_backend::{Error as DaemonError, VhostUserBackend, VhostUserDaemon, VringMutex, VringT};
use virtio_bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{Error as QueueError, Queue as VirtQueue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace, GuestMemoryAtomic};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier};

use crate::completion::{Completion, Ring};
use crate::config::WRITEBACK_OFFSET;
use crate::device::{Arrival, Device};
use crate::request::{Mem, parse};

type Memory = GuestMemoryAtomic<Mem>;
type Vring = VringMutex<Memory>;

/// Most queues of one device: the crate underneath maps queues to threads with 64-bit masks.
pub const QUEUES_MAX: u16 = 64;

/// Most chains taken from a ring before they are worked on, so that completions do not wait for a whole ring.
const BATCH_MAX: usize = 32;

/// A session that ended other than by the front end going away.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct SessionError(DaemonError);

/// One front end being served.
pub struct Session {
    daemon: VhostUserDaemon<Arc<Connection>>,
    connection: Arc<Connection>,
    number: u64,
}

impl Session {
    /// Accepts the front end that waits at the listener.
    ///
    /// # Errors
    /// It cannot be accepted, or threads and descriptors have run out.
    pub fn accept(device: &Arc<Device>, listener: &UnixListener) -> Result<Session, SessionError> {
        let listener = listener
            .try_clone()
            .map_err(|error| SessionError(DaemonError::StartDaemon(error)))?;
        let mem = Memory::new(Mem::new());
        let connection = Arc::new(Connection::new(Arc::clone(device), &mem));
        let mut daemon =
            VhostUserDaemon::new("vhost-user".to_owned(), Arc::clone(&connection), mem).map_err(SessionError)?;
        daemon.start(&mut Listener::from(listener)).map_err(SessionError)?;
        let number = device.connected();
        Ok(Session {
            daemon,
            connection,
            number,
        })
    }

    /// Something that ends the session from another thread.
    #[must_use]
    pub fn stopper(&self) -> Box<dyn Fn() + Send> {
        let handle = self.daemon.shutdown_handle();
        Box::new(move || {
            if let Some(handle) = &handle {
                handle.shutdown();
            }
        })
    }

    /// Serves until the front end is gone, then lets go what it left behind.
    ///
    /// # Errors
    /// The front end broke the protocol.
    pub fn serve(mut self) -> Result<(), SessionError> {
        let result = self.daemon.wait();
        self.connection.close();
        // Its threads end before the device says that the front end is gone.
        drop(self.daemon);
        self.connection.device.disconnected(self.number);
        match result {
            Ok(())
            | Err(DaemonError::HandleRequest(
                VhostUserError::Disconnected | VhostUserError::PartialMessage | VhostUserError::SocketBroken(_),
            )) => Ok(()),
            Err(error) => Err(SessionError(error)),
        }
    }
}

/// The backend of one connection.
struct Connection {
    device: Arc<Device>,
    queues: Vec<Arc<Queue>>,
}

/// One queue of one connection.
struct Queue {
    index: u16,
    mem: Memory,
    vring: OnceLock<Vring>,
    generation: AtomicU64,
    /// Held while the ring or the memory behind it is touched; a stop waits for it.
    gate: Mutex<Gate>,
}

#[derive(Default)]
struct Gate {
    dead: bool,
    outstanding: u16,
}

impl Connection {
    fn new(device: Arc<Device>, mem: &Memory) -> Connection {
        let queue = |index| {
            let (vring, generation) = (OnceLock::new(), AtomicU64::new(0));
            Arc::new(Queue {
                index,
                mem: mem.clone(),
                vring,
                generation,
                gate: Mutex::default(),
            })
        };
        let queues = (0..device.config().num_queues).map(queue).collect();
        Connection { device, queues }
    }

    fn close(&self) {
        for queue in &self.queues {
            queue.begin_generation();
        }
        self.device.drop_stale();
    }

    /// Takes everything that is available; returns when the ring is empty and will tell of more.
    fn drain(&self, queue: &Arc<Queue>, vring: &Vring) {
        let mut empty_rounds = 0;
        loop {
            let Batch {
                arrivals,
                more,
                problem,
            } = queue.take_batch(vring);
            empty_rounds = if arrivals.is_empty() { empty_rounds + 1 } else { 0 };
            self.device.submit(arrivals);
            if let Some(problem) = problem {
                return self.bury(queue, &problem);
            }
            if !more {
                return;
            }
            // Once is a race with the driver; more than that and the index claims what is not there.
            if empty_rounds > 2 {
                return self.bury(queue, "the available ring cannot be read");
            }
        }
    }

    fn bury(&self, queue: &Queue, problem: &str) {
        queue.lock().dead = true;
        self.device.queue_died(queue.index, problem);
    }
}

/// What one look at a ring brought.
#[derive(Default)]
struct Batch {
    arrivals: Vec<Arrival>,
    more: bool,
    problem: Option<String>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Gate> {
        self.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes everything that is out of this ring stale.
    fn begin_generation(&self) {
        let mut gate = self.lock();
        self.generation.fetch_add(1, Ordering::AcqRel);
        *gate = Gate::default();
    }

    fn take_batch(self: &Arc<Self>, vring: &Vring) -> Batch {
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
        true
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

impl VhostUserBackend for Connection {
    type Bitmap = ();
    type Vring = Vring;

    fn num_queues(&self) -> usize {
        self.queues.len()
    }

    fn max_queue_size(&self) -> usize {
        usize::from(self.device.config().queue_size)
    }

    fn features(&self) -> u64 {
        self.device.config().features() | VhostUserVirtioFeatures::PROTOCOL_FEATURES.bits()
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS
    }

    fn set_event_idx(&self, _enabled: bool) {}

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        self.device
            .config()
            .window(self.device.disk().bytes(), self.device.writeback(), offset, size)
    }

    fn set_config(&self, offset: u32, buf: &[u8]) -> io::Result<()> {
        // The write cache is all that a driver may set; anything else it writes is without effect, as on real devices.
        if let (Ok(WRITEBACK_OFFSET), [on @ (0 | 1)]) = (usize::try_from(offset), buf) {
            self.device.set_writeback(*on == 1);
        }
        Ok(())
    }

    fn update_memory(&self, _mem: Memory) -> io::Result<()> {
        // The queues share the atomic that was just replaced.
        Ok(())
    }

    fn queues_per_thread(&self) -> Vec<u64> {
        (0..self.queues.len()).map(|index| 1 << index).collect()
    }

    fn exit_event(&self, _thread_index: usize) -> Option<(EventConsumer, EventNotifier)> {
        new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC).ok()
    }

    fn stop_vring(&self, queue_index: u32) -> io::Result<()> {
        if let Some(queue) = usize::try_from(queue_index)
            .ok()
            .and_then(|index| self.queues.get(index))
        {
            queue.begin_generation();
            self.device.drop_stale();
        }
        Ok(())
    }

    fn handle_event(&self, _event: u16, _set: EventSet, vrings: &[Vring], thread_id: usize) -> io::Result<()> {
        // One queue a thread: the thread's number is the queue's.
        if let (Some(queue), Some(vring)) = (self.queues.get(thread_id), vrings.first()) {
            let vring = queue.vring.get_or_init(|| vring.clone());
            self.drain(queue, vring);
            self.device.trace().flush();
        }
        Ok(())
    }
}
