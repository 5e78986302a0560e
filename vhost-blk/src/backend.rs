//! The vhost-user side: this module and those below it are the only ones that name the transport.
//!
//! One `Session` serves one front end; the [`Device`] outlives them all. Every queue has a thread of its own. The traps
//! of the crates underneath, and what is done about them:
//!
//! - an `Err` from `handle_event` ends a queue's thread for good, so none is ever returned;
//! - a kick that the front end took back while it stopped the ring ends the queue's thread just the same:
//!   `backend/vring.rs`;
//! - a driver whose available index lies would make "drain, enable, look again" spin: such a queue is latched dead
//!   until reset;
//! - GET_VRING_BASE wants nothing in flight. It comes when the virtual machine is paused, and the driver will wait for
//!   its requests after that; it comes just the same for a reset, after which the driver has forgotten them. Nothing
//!   tells the two apart before it is answered, so what is held is completed with what its rules decided, as if
//!   released. That is right for both: until the answer the rings and the buffers are the driver's, and a reset may
//!   find a request done or not. (To answer with the index of the oldest request that waits, so that it is fetched
//!   again, would do those after it twice, and count all of them twice for the rules.) Then the ring's generation moves
//!   on, so that nothing ever lands in a new ring;
//! - a front end may reset its device by RESET_OWNER alone, at which the crate stops nothing. The driver has forgotten
//!   its requests then, and nobody waits for an answer before its memory is used anew: what is out is dropped, and the
//!   rings are stopped (`backend/relay.rs`). One that gives a ring another place or another base while requests are out
//!   has them completed first, where the ring was;
//! - a front end that goes away without a word gets nothing more: what is held for it is dropped. If it has kept a
//!   record of requests in flight (`backend/inflight.rs`), those are taken once more when it comes again, in the order
//!   in which they came;
//! - a front end that cuts off the file of its memory ends its connection, and not the device:
//!   `backend/lost_memory.rs`;
//! - the crate refuses the messages for that record, so a relay stands before it (`backend/relay.rs`);
//! - a session that it cannot start for want of descriptors leaves it with the threads that it has started: none is
//!   begun without a reserve, and what is left over is told to end;
//! - and it has none to tell a front end that the disk's size has changed: the relay sends that, too
//!   (`backend/channel.rs`).

mod channel;
mod generation;
#[doc(hidden)]
pub mod in_process;
mod inflight;
pub(crate) mod lost_memory;
mod message;
mod poll;
mod queue;
mod refetch;
mod relay;
mod used;
mod vring;

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex, PoisonError};

use inflight::Area;
use lost_memory::{Watched, WatchedMemory};
use queue::{Queue, Worker};
use relay::{Relay, Watcher};
use rustix::event::{EventfdFlags, eventfd};
use thiserror::Error;
use vhost::vhost_user::message::{VhostUserProtocolFeatures, VhostUserVirtioFeatures};
use vhost::vhost_user::{Error as VhostUserError, Listener};
use vhost_user_backend::{Error as DaemonError, VhostUserBackend, VhostUserDaemon};
use vm_memory::GuestAddressSpace;
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier};
use vring::{Memory, Vring};

use crate::config::WRITEBACK_OFFSET;
use crate::device::Device;
use crate::device::front_end::Teller;
use crate::request::chain::Mem;
use crate::request::completion::Ring;

/// Most queues of one device: the crate underneath maps queues to threads with 64-bit masks.
pub const QUEUES_MAX: u16 = 64;

/// Finds out what sessions have to know and a sandbox would keep from them.
pub(crate) fn prepare() {
    poll::max_here();
}

/// Descriptors that a session takes, but for its queues: those of its connections, and some for what the front end
/// sends.
const DESCRIPTORS: usize = 16;
/// Descriptors that a queue takes: five of the crate underneath, three of the front end.
const DESCRIPTORS_A_QUEUE: usize = 8;

/// Makes sure that so many descriptors are to be had, for the crate underneath keeps threads and descriptors of a
/// session for which there are not enough.
fn reserve(count: usize) -> Result<(), SessionError> {
    let opened: Result<Vec<OwnedFd>, _> = (0..count).map(|_| eventfd(0, EventfdFlags::CLOEXEC)).collect();
    opened.map(drop).map_err(|source| SessionError::Descriptors {
        count,
        source: source.into(),
    })
}

/// A session that ended other than by the front end going away.
#[derive(Debug, Error)]
pub(crate) enum SessionError {
    /// The front end cannot be accepted, and waits at the listener still.
    #[error("cannot accept a front end: {0}")]
    Accept(io::Error),
    /// There are no descriptors for it.
    #[error(
        "it takes {count} descriptors, and there are not so many: {source}: close control clients, or raise the limit (`ulimit -n`)"
    )]
    Descriptors {
        /// How many it takes.
        count: usize,
        /// Why there are fewer.
        source: io::Error,
    },
    /// The crate underneath says so.
    #[error("{0}")]
    Daemon(DaemonError),
    /// The connection.
    #[error("{0}")]
    Relay(io::Error),
}

/// One front end being served.
pub(crate) struct Session {
    daemon: VhostUserDaemon<Arc<Connection>>,
    connection: Arc<Connection>,
    relay: Relay,
    number: u64,
}

impl Session {
    /// Accepts the front end that waits at the listener.
    ///
    /// # Errors
    /// It cannot be accepted, or threads and descriptors have run out.
    pub(crate) fn accept(device: &Arc<Device>, listener: &UnixListener) -> Result<Session, SessionError> {
        let (front, _) = listener.accept().map_err(SessionError::Accept)?;
        let queues = usize::from(device.config().num_queues);
        reserve(DESCRIPTORS + queues * DESCRIPTORS_A_QUEUE)?;
        // What the driver before took is not this one's; it says itself, on a new connection of the same driver, too.
        device.front_end().set_taken(0);
        let mem = Memory::new(Mem::new());
        let connection = Arc::new(Connection::new(Arc::clone(device), &mem));
        let begun = Session::begin(front, &connection, mem);
        if begun.is_err() {
            connection.close_exit_events();
        }
        let (daemon, relay) = begun?;
        let number = device.connected();
        Ok(Session {
            daemon,
            connection,
            relay,
            number,
        })
    }

    /// Starts the threads of a session, or none.
    fn begin(
        front: UnixStream,
        connection: &Arc<Connection>,
        mem: Memory,
    ) -> Result<(VhostUserDaemon<Arc<Connection>>, Relay), SessionError> {
        let mut daemon =
            VhostUserDaemon::new("vhost-user".to_owned(), Arc::clone(connection), mem).map_err(SessionError::Daemon)?;
        let (relay, inner) =
            Relay::start(front, Arc::clone(connection) as Arc<dyn Watcher>).map_err(SessionError::Relay)?;
        if let Err(error) = daemon.start(&mut Listener::from(inner)) {
            let _ = relay.end();
            return Err(SessionError::Daemon(error));
        }
        Ok((daemon, relay))
    }

    /// Something that ends the session from another thread.
    #[must_use]
    pub(crate) fn stopper(&self) -> Box<dyn Fn() + Send> {
        let front = self.relay.front();
        let connection = Arc::clone(&self.connection);
        Box::new(move || {
            // What the front end finds in its rings when it learns of this is what it will find there later.
            connection.close();
            // It may be gone already.
            let _ = front.shutdown(Shutdown::Both);
        })
    }

    /// Something that tells the front end that the disk has another size, from another thread.
    #[must_use]
    pub(crate) fn teller(&self) -> Teller {
        Arc::new(self.relay.teller())
    }

    /// Serves until the front end is gone, then lets go what it left behind.
    ///
    /// # Errors
    /// The front end broke the protocol.
    pub(crate) fn serve(mut self) -> Result<(), SessionError> {
        let result = self.daemon.wait();
        self.connection.close();
        let relayed = self.relay.end();
        // Its threads end before the device says that the front end is gone.
        drop(self.daemon);
        self.connection.close_exit_events();
        self.connection.device.disconnected(self.number);
        match result {
            Ok(())
            | Err(DaemonError::HandleRequest(
                VhostUserError::Disconnected | VhostUserError::PartialMessage | VhostUserError::SocketBroken(_),
            )) => relayed.map_err(SessionError::Relay),
            Err(error) => Err(SessionError::Daemon(error)),
        }
    }
}

/// The backend of one connection.
struct Connection {
    /// The memory that the front end gave. First, so that nothing is watched any more when it is unmapped.
    memory: Mutex<WatchedMemory>,
    /// Its records of requests in flight, likewise.
    records: Mutex<Vec<Watched>>,
    device: Arc<Device>,
    queues: Vec<Arc<Queue>>,
    /// The descriptors by which the queues' threads were told to end: the crate underneath forgets to close them.
    exit_events: Mutex<Vec<RawFd>>,
    /// Pages of memory that were lost before it came.
    lost_before: u64,
}

impl Connection {
    fn new(device: Arc<Device>, mem: &Memory) -> Connection {
        let queue = |index| Arc::new(Queue::new(index, mem.clone()));
        let queues = (0..device.config().num_queues).map(queue).collect();
        Connection {
            device,
            queues,
            exit_events: Mutex::default(),
            memory: Mutex::default(),
            records: Mutex::default(),
            lost_before: lost_memory::count(),
        }
    }

    /// Completes all that is out of a ring that gives nothing more. See the head of this file.
    fn stop(&self, queue: &Queue) {
        queue.begin_stop();
        self.device.complete_stopping();
        queue.until_idle();
        // Whoever completed the last request may not have come to show it to the driver, and cannot once the ring is
        // stopped.
        queue.publish();
        queue.stopped();
        self.device.drop_stale();
    }

    fn close(&self) {
        for queue in &self.queues {
            queue.close();
        }
        self.device.drop_stale();
    }

    /// Closes what the crate underneath leaves open (0.24 takes the descriptors of the events and never closes them).
    /// Its threads have ended, but for those that it has started and forgotten, as it does when it cannot start all of
    /// them: the event ends these.
    fn close_exit_events(&self) {
        let mut events = self.exit_events.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events.drain(..) {
            // SAFETY: it was given to the crate, which made a bare number of it and closes it nowhere. Who waits for it
            // still has another descriptor of the same event.
            let event = unsafe { OwnedFd::from_raw_fd(event) };
            // The only way to fail is a counter that is full, and then it is readable already.
            let _ = rustix::io::write(&event, &1u64.to_ne_bytes());
        }
    }

    /// Takes everything that is available; returns when the ring is empty and will tell of more.
    fn drain(&self, queue: &Arc<Queue>, vring: &Vring) {
        let mut worker = queue.worker();
        let Worker { arrivals, round, poll } = &mut *worker;
        poll.woken();
        let mut fruitless = 0;
        loop {
            let problem = queue.take(vring, arrivals);
            fruitless = if arrivals.is_empty() { fruitless + 1 } else { 0 };
            self.device.submit(arrivals, round);
            if lost_memory::count() != self.lost_before {
                self.bury(queue, "the guest's memory was cut off");
                self.device.front_end().hang_up();
                return;
            }
            if let Some(problem) = problem {
                return self.bury(queue, &problem);
            }
            // Once is a race with the driver; more than that and the index claims what is not there.
            if fruitless > 2 {
                return self.bury(queue, "the available ring cannot be read");
            }
            if queue.look(vring).is_some_and(|look| poll.wait(look)) {
                continue;
            }
            self.device.trace().flush();
            match queue.rest(vring) {
                Ok(true) => {}
                Ok(false) => return,
                Err(problem) => return self.bury(queue, &problem),
            }
        }
    }

    fn bury(&self, queue: &Queue, problem: &str) {
        // The driver may kick a dead queue as often as it likes.
        if queue.bury() {
            // It flushes the trace, too.
            self.device.queue_died(queue.index(), problem);
        }
    }
}

impl Watcher for Connection {
    fn inflight(&self, area: Area) -> io::Result<()> {
        let watched = Watched::mapping(area.mapping())?;
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(watched);
        let area = Arc::new(area);
        for queue in &self.queues {
            queue.keep_inflight(&area);
        }
        Ok(())
    }

    fn gone(&self) {
        self.close();
    }

    fn reset(&self) {
        for queue in &self.queues {
            queue.abandon();
        }
        self.device.drop_stale();
    }

    fn moves(&self, ring: u32) {
        let queue = usize::try_from(ring).ok().and_then(|index| self.queues.get(index));
        if let Some(queue) = queue.filter(|queue| queue.has_out()) {
            self.stop(queue);
        }
    }

    fn limits(&self) -> (u16, u16) {
        let config = self.device.config();
        (config.num_queues, config.queue_size)
    }

    fn was_resized(&self) -> bool {
        self.device.was_resized()
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

    fn acked_features(&self, features: u64) {
        self.device.front_end().set_taken(features);
    }

    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::CONFIGURE_MEM_SLOTS
            // Answered by the relay.
            | VhostUserProtocolFeatures::INFLIGHT_SHMFD
            | VhostUserProtocolFeatures::BACKEND_REQ
    }

    fn set_event_idx(&self, _enabled: bool) {}

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        self.device.config().window(
            self.device.disk().bytes(),
            self.device.front_end().writeback(),
            offset,
            size,
        )
    }

    fn set_config(&self, offset: u32, buf: &[u8]) -> io::Result<()> {
        // The write cache is all that a driver may set; anything else it writes is without effect, as on real devices.
        if let (Ok(WRITEBACK_OFFSET), [on @ (0 | 1)]) = (usize::try_from(offset), buf) {
            self.device.front_end().set_writeback(*on == 1);
        }
        Ok(())
    }

    fn update_memory(&self, mem: Memory) -> io::Result<()> {
        // The queues share the atomic that was just replaced. What requests were made with before is watched on.
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        memory.update(&mem.memory().into_inner())
    }

    fn queues_per_thread(&self) -> Vec<u64> {
        (0..self.queues.len()).map(|index| 1 << index).collect()
    }

    fn exit_event(&self, _thread_index: usize) -> Option<(EventConsumer, EventNotifier)> {
        let (consumer, notifier) = new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC).ok()?;
        let mut events = self.exit_events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(consumer.as_raw_fd());
        Some((consumer, notifier))
    }

    fn stop_vring(&self, queue_index: u32) -> io::Result<()> {
        if let Some(queue) = usize::try_from(queue_index)
            .ok()
            .and_then(|index| self.queues.get(index))
        {
            self.stop(queue);
        }
        Ok(())
    }

    fn handle_event(&self, _event: u16, _set: EventSet, vrings: &[Vring], thread_id: usize) -> io::Result<()> {
        // One queue a thread: the thread's number is the queue's.
        if let (Some(queue), Some(vring)) = (self.queues.get(thread_id), vrings.first()) {
            let vring = queue.vring(vring);
            self.drain(queue, vring);
        }
        Ok(())
    }
}
