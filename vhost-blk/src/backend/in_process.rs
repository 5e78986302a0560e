//! A connection without sockets and threads, for the fuzz target of a whole ring session: what the crate underneath
//! calls, called by hand.

use std::fs::File;
use std::io;
use std::sync::Arc;

use vhost_user_backend::{VhostUserBackend, VringT};
use virtio_queue::Error as QueueError;
use vmm_sys_util::epoll::EventSet;

use super::Connection;
use super::inflight::Area;
use super::relay::Watcher;
use super::vring::{Memory, Vring};
use crate::device::Device;
use crate::device::front_end::HangUp;
use crate::request::chain::Mem;

/// A front end's connection, in its own thread.
pub struct InProcess {
    connection: Arc<Connection>,
    mem: Memory,
    vrings: Vec<Vring>,
    number: u64,
}

impl InProcess {
    /// Connects a front end with this memory.
    ///
    /// # Errors
    /// The device's largest queue size is none that a queue can have.
    pub fn connect(device: &Arc<Device>, mem: Mem) -> Result<InProcess, QueueError> {
        // Nobody says here what is taken: all is.
        device.front_end().set_taken(device.config().features());
        let mem = Memory::new(mem);
        let connection = Arc::new(Connection::new(Arc::clone(device), &mem));
        let (queues, size_max) = connection.limits();
        let vrings = (0..queues).map(|_| Vring::new(mem.clone(), size_max));
        Ok(InProcess {
            vrings: vrings.collect::<Result<_, _>>()?,
            connection,
            mem,
            number: device.connected(),
        })
    }

    /// The front end changes the guest's memory.
    pub fn set_memory(&self, mem: Mem) {
        if let Ok(lock) = self.mem.lock() {
            lock.replace(mem);
        }
    }

    /// A file for a record of requests in flight, and its size in bytes.
    ///
    /// # Errors
    /// The system gives no memory.
    pub fn record(queues: u16, size: u16) -> io::Result<(File, u64)> {
        Area::create(queues, size)
    }

    /// The front end gives the device its record.
    ///
    /// # Errors
    /// It cannot be mapped, or is too small.
    pub fn keep_record(&self, file: File, bytes: u64, queues: u16, size: u16) -> io::Result<()> {
        let area = Area::map(file, 0, bytes, queues, size)?;
        self.connection.inflight(area)
    }

    /// Starts a ring: descriptor table, available ring and used ring, and the next entry of the available ring.
    ///
    /// # Errors
    /// The ring is none that can be, or does not lie in memory.
    pub fn start(&self, queue: usize, size: u16, rings: [u64; 3], base: u16) -> Result<(), QueueError> {
        let Some(vring) = self.vrings.get(queue) else {
            return Ok(());
        };
        let [desc, avail, used] = rings;
        vring.set_queue_size(size);
        vring.set_queue_info(desc, avail, used)?;
        vring.set_queue_next_used(vring.queue_used_idx()?);
        vring.set_queue_next_avail(base);
        vring.set_queue_ready(true);
        vring.set_enabled(true);
        Ok(())
    }

    /// The driver has put something into a ring.
    pub fn kick(&self, queue: usize) {
        if let Some(vring) = self.vrings.get(queue) {
            // It never returns an error, which would end the queue's thread.
            let _ = self
                .connection
                .handle_event(0, EventSet::IN, std::slice::from_ref(vring), queue);
        }
    }

    /// The front end stops a ring; returns the next entry of the available ring.
    pub fn stop(&self, queue: usize) -> u16 {
        let Some(vring) = self.vrings.get(queue) else {
            return 0;
        };
        vring.set_queue_ready(false);
        let _ = self.connection.stop_vring(u32::try_from(queue).unwrap_or(u32::MAX));
        vring.queue_next_avail()
    }

    /// Something that disconnects the front end.
    #[must_use]
    pub fn hang_up(&self) -> HangUp {
        let connection = Arc::clone(&self.connection);
        Box::new(move || connection.close())
    }

    /// The front end is gone.
    pub fn end(self) {
        self.connection.close();
        self.connection.device.disconnected(self.number);
    }
}
