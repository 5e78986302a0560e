//! One queue of a connection: takes chains out of its ring, puts completions back, stops.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use vhost_user_backend::VringT;
use virtio_queue::{DescriptorChain, Error as QueueError, Queue as VirtQueue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use super::generation::Generation;
use super::inflight::{Area, Tracker};
use super::poll::Poll;
use super::vring::{Memory, Vring};
use super::{refetch, used};
use crate::device::state::{Arrival, Round};
use crate::power::gate::{OrderedGuard, OrderedMutex, Rank};
use crate::request::chain::{Mem, parse};
use crate::request::completion::{Completion, Ring};

/// Most chains taken from a ring before they are worked on, so that completions do not wait for a whole ring.
const BATCH_MAX: usize = 32;

/// How long a stop waits for requests that are being done right now. They copy memory and wait for nothing but an
/// export (`power/gate.rs`), so this only exists for the front end never to freeze; what is not done by then is
/// dropped.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// One queue of one connection.
pub(super) struct Queue {
    index: u16,
    mem: Memory,
    vring: OnceLock<Vring>,
    generation: Generation,
    /// Nothing waits for a ring that is about to be stopped.
    stopping: AtomicBool,
    /// No request is out of the ring any more.
    idle: Condvar,
    /// Held while the ring or the memory behind it is touched; a stop waits for it.
    gate: OrderedMutex<Gate>,
    /// What the front end keeps for requests in flight.
    inflight: Mutex<Option<Arc<Area>>>,
    /// What its thread needs, kept from one batch to the next.
    worker: Mutex<Worker>,
}

/// What a queue's thread needs for its work.
pub(super) struct Worker {
    /// Chains that were taken.
    pub(crate) arrivals: Vec<Arrival>,
    /// For completing them.
    pub(crate) round: Round,
    /// How long to look for more.
    pub(crate) poll: Poll,
}

#[derive(Default)]
struct Gate {
    dead: bool,
    /// Why it is dead, until the queue's thread has said so.
    untold: Option<&'static str>,
    /// Whether it was said that it is dead.
    told: bool,
    /// The front end is gone.
    closed: bool,
    outstanding: u16,
    /// How many of those that are out are never going to be completed.
    lost: u16,
    /// Entries of the used ring that the driver does not see yet.
    unpublished: u16,
    /// Whether something was taken, or tried to, since the ring was started.
    begun: bool,
    /// Where what is in flight is written down, if the front end keeps that.
    tracker: Option<Tracker>,
}

impl Gate {
    /// Whoever completes a request finds that nothing more can be answered.
    fn die(&mut self, problem: &'static str) {
        self.dead = true;
        self.untold.get_or_insert(problem);
    }

    fn is_idle(&self) -> bool {
        self.outstanding <= self.lost
    }
}

impl Queue {
    pub(crate) fn new(index: u16, mem: Memory) -> Queue {
        Queue {
            index,
            mem,
            vring: OnceLock::new(),
            generation: Generation::default(),
            stopping: AtomicBool::new(false),
            idle: Condvar::new(),
            gate: OrderedMutex::new(Rank::Ring, Gate::default()),
            inflight: Mutex::default(),
            worker: Mutex::new(Worker {
                arrivals: Vec::with_capacity(BATCH_MAX),
                round: Round::default(),
                poll: Poll::new(),
            }),
        }
    }

    /// What its thread needs; nobody else asks for it.
    pub(crate) fn worker(&self) -> MutexGuard<'_, Worker> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ring, which stays the same for as long as the connection.
    pub(crate) fn vring(&self, vring: &Vring) -> &Vring {
        self.vring.get_or_init(|| vring.clone())
    }

    /// Looks at the ring no more until it is stopped; whether that is news: neither said before nor of a front end that
    /// is gone.
    pub(crate) fn bury(&self) -> bool {
        let mut gate = self.lock();
        gate.dead = true;
        !std::mem::replace(&mut gate.told, true) && !gate.closed
    }

    /// From here on nothing that came out of this ring is made to wait.
    pub(crate) fn begin_stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    fn lock(&self) -> OrderedGuard<'_, Gate> {
        self.gate.lock()
    }

    /// Writes down what is in flight there, from the next start of the ring on.
    pub(crate) fn keep_inflight(&self, area: &Arc<Area>) {
        *self.inflight.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(area));
    }

    /// The ring was stopped in order: what came out of it and is out still will never be answered.
    pub(crate) fn stopped(&self) {
        let gate = self.lock();
        if let Some(tracker) = &gate.tracker {
            tracker.stopped();
        }
        self.begin_generation(gate, false);
    }

    /// The driver has forgotten what is out of this ring, and the ring: nothing of it is answered, and nothing more
    /// taken before it is stopped.
    pub(crate) fn abandon(&self) {
        let gate = self.lock();
        if let Some(tracker) = &gate.tracker {
            tracker.stopped();
        }
        self.begin_generation(gate, true);
    }

    /// Whether something is out of this ring that the driver waits for.
    pub(crate) fn has_out(&self) -> bool {
        self.lock().outstanding > 0
    }

    /// Makes everything that is out of this ring stale, and waits until nothing is done for it any more.
    fn begin_generation(&self, mut gate: OrderedGuard<'_, Gate>, dead: bool) {
        self.generation.end();
        self.stopping.store(false, Ordering::Release);
        *gate = Gate {
            dead,
            closed: gate.closed,
            ..Gate::default()
        };
        drop(gate);
        // A stop waits for nothing any more.
        self.idle.notify_all();
        self.generation.until_left();
    }

    /// Takes nothing more, ever: a front end that is gone must not find requests done that it has given to another
    /// device.
    ///
    /// What is done is shown if the front end keeps a record of what is in flight, for it will look there. Without one
    /// it has looked at its used index, or is about to, and hands in again what it did not find: it must not find more
    /// later.
    pub(crate) fn close(&self) {
        let mut gate = self.lock();
        if gate.closed {
            // Somebody else may be at it still.
            drop(gate);
            return self.generation.until_left();
        }
        gate.closed = true;
        if gate.tracker.is_some() {
            self.show(&mut gate);
        }
        self.begin_generation(gate, false);
    }

    /// Waits until all that came out of this ring is completed, but for what never will be.
    pub(crate) fn until_idle(&self) {
        let out = |gate: &mut Gate| !gate.is_idle();
        drop(self.lock().wait_while(&self.idle, STOP_WITHIN, out));
    }

    /// Takes a batch of what is available; says what the driver did if that ends this queue.
    pub(crate) fn take(self: &Arc<Self>, vring: &Vring, arrivals: &mut Vec<Arrival>) -> Option<String> {
        let mut gate = self.lock();
        if let Some(problem) = gate.untold.take() {
            return Some(problem.to_owned());
        }
        let mut state = vring.get_mut();
        if gate.dead || gate.closed || !state.is_enabled() {
            return None;
        }
        if !gate.begun && state.get_queue().ready() {
            gate.begun = true;
            if let Err(problem) = self.take_again(state.get_queue_mut(), &mut gate, arrivals) {
                return Some(problem);
            }
        }
        // It only costs a kick too many if that fails.
        let _ = state.disable_notification();
        match self.take_chains(state.get_queue_mut(), &mut gate, arrivals) {
            Ok(()) => None,
            // Stopped, or not started yet: nothing to do, and no fault of the driver.
            Err(Untaken::NotReady) => None,
            Err(Untaken::Broken(problem)) => Some(problem),
        }
    }

    /// Something that says whether the driver has added more, and takes no lock; nothing if the ring is not to be
    /// looked at.
    pub(crate) fn look(&self, vring: &Vring) -> Option<impl Fn() -> bool + use<>> {
        let gate = self.lock();
        let state = vring.get_ref();
        let queue = state.get_queue();
        if gate.dead || gate.closed || !state.is_enabled() || !queue.ready() {
            return None;
        }
        let mem = self.mem.memory().into_inner();
        let (index_at, next) = (GuestAddress(queue.avail_ring().saturating_add(2)), queue.next_avail());
        Some(move || {
            mem.load::<u16>(index_at, Ordering::Acquire)
                .is_ok_and(|index| u16::from_le(index) != next)
        })
    }

    /// Asks the driver to tell of more; whether there is more already.
    ///
    /// # Errors
    /// What ends this queue.
    pub(crate) fn rest(&self, vring: &Vring) -> Result<bool, String> {
        let gate = self.lock();
        let mut state = vring.get_mut();
        if gate.dead || gate.closed || !state.is_enabled() || !state.get_queue().ready() {
            return Ok(false);
        }
        state.enable_notification().map_err(|error| error.to_string())
    }

    /// Takes what was in flight when an earlier connection ended, and goes on after it.
    fn take_again(
        self: &Arc<Self>,
        queue: &mut VirtQueue,
        gate: &mut Gate,
        arrivals: &mut Vec<Arrival>,
    ) -> Result<(), String> {
        let area = self.inflight.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(area) = area else { return Ok(()) };
        let used = queue.next_used();
        let Some((tracker, heads)) = Tracker::begin(&area, self.index, queue.size(), used, queue.next_avail()) else {
            return Err(format!(
                "a ring of {} entries, for which there is no record of requests in flight",
                queue.size()
            ));
        };
        gate.tracker = Some(tracker);
        let Some(heads) = heads else { return Ok(()) };
        let count = u16::try_from(heads.len()).unwrap_or(u16::MAX);
        queue.set_next_avail(used.wrapping_add(count));
        if heads.is_empty() {
            return Ok(());
        }
        let (mem, chains) = refetch::chains(queue, &self.mem.memory(), &heads)?;
        for chain in chains {
            arrivals.push(self.arrival(chain, &mem, gate));
        }
        Ok(())
    }

    /// What came out of the ring with a chain.
    fn arrival(self: &Arc<Self>, chain: DescriptorChain<Arc<Mem>>, mem: &Arc<Mem>, gate: &mut Gate) -> Arrival {
        let parsed = parse(self.index, chain, mem);
        gate.outstanding += 1;
        let ring = Arc::clone(self) as Arc<dyn Ring>;
        let completion = Completion::new(ring, Arc::clone(mem), self.generation(), parsed.head, parsed.status);
        Arrival {
            request: parsed.request,
            completion,
        }
    }

    /// Shows the driver what was put into the used ring.
    fn show(&self, gate: &mut Gate) {
        let unpublished = std::mem::take(&mut gate.unpublished);
        let Some(vring) = self.vring.get().filter(|_| unpublished > 0) else {
            return;
        };
        let mut state = vring.get_mut();
        match used::publish(state.get_queue_mut(), &self.mem.memory(), unpublished) {
            Ok(wanted) => {
                if let Some(tracker) = &mut gate.tracker {
                    tracker.shown(unpublished, state.get_queue().next_used());
                }
                if wanted {
                    // The eventfd is the front end's; when it is gone so is who would listen.
                    let _ = state.signal_used_queue();
                }
            }
            Err(_) => gate.die("the used ring cannot be written"),
        }
    }

    /// Wakes a stop that waits for this; while there is none, nobody is woken, which would cost a system call a
    /// request.
    fn tell_if_idle(&self, gate: &Gate) {
        if self.is_stopping() && gate.is_idle() {
            self.idle.notify_all();
        }
    }

    fn take_chains(
        self: &Arc<Self>,
        queue: &mut VirtQueue,
        gate: &mut Gate,
        arrivals: &mut Vec<Arrival>,
    ) -> Result<(), Untaken> {
        let mem = self.mem.memory().into_inner();
        let size = queue.size();
        let chains = match queue.iter(Arc::clone(&mem)) {
            Ok(chains) => chains,
            Err(QueueError::QueueNotReady) => return Err(Untaken::NotReady),
            Err(error) => return Err(Untaken::Broken(error.to_string())),
        };
        for chain in chains.take(BATCH_MAX) {
            if gate.outstanding >= size {
                return Err(Untaken::Broken(format!("more requests than the ring's {size} entries")));
            }
            let head = chain.head_index();
            if head >= size {
                return Err(Untaken::Broken(format!("head {head} in a ring of {size} entries")));
            }
            if let Some(tracker) = &mut gate.tracker {
                tracker.taken(head);
            }
            arrivals.push(self.arrival(chain, &mem, gate));
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
        self.generation.current()
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
        let put = used::put(
            vring.get_ref().get_queue(),
            &self.mem.memory(),
            gate.unpublished,
            head,
            written,
        );
        match put {
            Ok(()) => {
                gate.unpublished += 1;
                if let Some(tracker) = &mut gate.tracker {
                    tracker.put(head);
                }
            }
            // The used ring left the guest's memory: nobody can be told anything any more.
            Err(_) => gate.die("the used ring cannot be written"),
        }
        self.tell_if_idle(&gate);
        true
    }

    fn enter(&self, generation: u64) -> bool {
        self.generation.enter(generation)
    }

    fn leave(&self) {
        self.generation.leave();
    }

    fn lose(&self, generation: u64) {
        let mut gate = self.lock();
        if self.generation() == generation {
            gate.lost = gate.lost.saturating_add(1);
            self.tell_if_idle(&gate);
        }
    }

    fn publish(&self) {
        self.show(&mut self.lock());
    }
}
