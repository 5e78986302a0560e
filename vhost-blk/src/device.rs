//! The device between rings and disk: submits requests to the rules, keeps those that must wait, completes the rest.
//!
//! One lock guards rules, schedule and counters; it is never held while a request's work is done or a ring is touched, so
//! that a ring's lock may be held while this one is taken, never the other way round. Requests complete on
//! whatever thread lets them go: a queue's, the timer's, or one of the control socket's.

mod submit;
mod together;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::time::Instant;

use smallvec::SmallVec;
use vhost_blk_api::control::Stats;
use vhost_blk_api::plan::Plan;
use vhost_blk_api::trace::{Complete, OutcomeNote, Record, Status, TimingNote, VERSION};
use virtio_bindings::virtio_blk::{VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_FLUSH};

use crate::arming::Unfired;
use crate::completion::{Completion, Effect, Ring};
use crate::config::Config;
use crate::decide::{Outcome, World};
use crate::disk::Disk;
use crate::execute::{Target, execute};
use crate::replay::Script;
use crate::request::{Malformed, Request};
use crate::resize::Teller;
use crate::rules::Rules;
use crate::sandbox::Sandbox;
use crate::schedule::{Released, Schedule};
use crate::still::Exports;
use crate::trace;

/// A fault-injecting disk, apart from any transport.
pub struct Device {
    config: Config,
    disk: Disk,
    trace: trace::Writer,
    pub(crate) started: Instant,
    /// What keeps the process from what it does not need.
    pub(crate) sandbox: OnceLock<Sandbox>,
    writeback: AtomicBool,
    /// The features that the driver of the front end that is connected has taken.
    taken: AtomicU64,
    /// Work on the disk is done while this is shared, so that after a cut no late work follows. Taken before the lock of `state`.
    pub(crate) power: RwLock<Power>,
    /// Exports that have the power's lock alone or wait for that (`still.rs`). Taken before that one.
    pub(crate) exports: Mutex<Exports>,
    /// One of them has begun or ended, or somebody waits for that in vain.
    pub(crate) exported: Condvar,
    /// Hangs up on the front end that is connected.
    hang_up: Mutex<Option<HangUp>>,
    /// Tells it that the disk has another size.
    pub(crate) teller: Mutex<Option<Teller>>,
    pub(crate) was_resized: AtomicBool,
    state: Mutex<State>,
    /// The timer must look again: something was scheduled, or the device stops.
    timer: Condvar,
    /// A request was completed.
    pub(crate) settled: Condvar,
}

/// What the device's lock guards.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) seed: u64,
    pub(crate) rules: Rules,
    pub(crate) rules_made: usize,
    pub(crate) unfired: Unfired,
    pub(crate) world: World,
    /// Decisions of an earlier run, in place of the rules' own.
    pub(crate) script: Option<Script>,
    pub(crate) ordinal: u64,
    pub(crate) schedule: Schedule<Pending>,
    /// Requests that are never answered, unless their ring is stopped.
    pub(crate) lost: Vec<Pending>,
    pub(crate) stats: Stats,
    /// How many wait for all requests to be completed.
    pub(crate) settling: u32,
    seq: u64,
    stopping: bool,
}

/// Ends the connection to a front end, from any thread.
pub type HangUp = Box<dyn Fn() + Send>;

/// A chain that came out of a ring.
pub struct Arrival {
    /// The request, or what is wrong.
    pub request: Result<Request, Malformed>,
    /// The duty to give it back.
    pub completion: Completion,
}

/// A request between submission and completion.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) seq: u64,
    pub(crate) at: Instant,
    pub(crate) request: Request,
    pub(crate) completion: Completion,
    pub(crate) outcome: Option<(String, Outcome)>,
    /// Power cuts before it came.
    pub(crate) cuts: u64,
}

/// The device's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Power {
    /// Whether it is on.
    pub(crate) on: bool,
    /// Cuts so far: a request that came before the last one is never answered.
    pub(crate) cuts: u64,
}

/// A request that is to complete now.
pub(crate) struct Ready {
    pub(crate) pending: Pending,
    pub(crate) timing: Option<TimingNote>,
    /// Its work, if that is done already.
    pub(crate) done: Option<Effect>,
}

/// What a thread needs to complete requests; kept from one batch to the next, so that a request costs no allocation.
#[derive(Default)]
pub struct Round {
    /// Requests that are to complete now, in this order.
    ready: VecDeque<Ready>,
    /// Rings that have something new for their driver.
    rings: SmallVec<[Arc<dyn Ring>; 2]>,
    /// What their drivers do not see yet.
    unpublished: u32,
    unpublished_bytes: u64,
}

impl Device {
    /// A device with a plan in force.
    #[must_use]
    pub fn new(config: Config, disk: Disk, trace: trace::Writer, started: Instant, plan: &Plan) -> Device {
        trace.write(|| Record::Start {
            version: VERSION,
            disk_bytes: disk.bytes(),
            seed: plan.seed,
        });
        let device = Device {
            writeback: AtomicBool::new(config.offer.flush),
            taken: AtomicU64::new(config.features()),
            config,
            disk,
            trace,
            started,
            sandbox: OnceLock::new(),
            power: RwLock::new(Power { on: true, cuts: 0 }),
            exports: Mutex::default(),
            exported: Condvar::new(),
            hang_up: Mutex::new(None),
            teller: Mutex::new(None),
            was_resized: AtomicBool::new(false),
            state: Mutex::new(State::default()),
            timer: Condvar::new(),
            settled: Condvar::new(),
        };
        device.install(&mut device.lock(), plan);
        device.trace.flush();
        device
    }

    /// What the device offers.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The disk.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// The trace.
    #[must_use]
    pub fn trace(&self) -> &trace::Writer {
        &self.trace
    }

    /// Whether the driver wants a write cache.
    #[must_use]
    pub fn writeback(&self) -> bool {
        self.writeback.load(Ordering::Relaxed)
    }

    /// Switches the write cache.
    pub fn set_writeback(&self, on: bool) {
        self.writeback.store(on, Ordering::Relaxed);
    }

    /// Notes which features the driver has taken of those that are offered.
    pub fn set_taken(&self, features: u64) {
        self.taken.store(features, Ordering::Relaxed);
    }

    /// Whether what is written is durable once it is completed. The configuration says so to a driver that looks there (`CONFIG_WCE`); one that does
    /// not, and does not flush either, must be able to rely on it (virtio 1.2, 5.2.6.2).
    fn write_through(&self) -> bool {
        let taken = self.taken.load(Ordering::Relaxed);
        let has = |feature: u32| taken & 1 << feature != 0;
        if has(VIRTIO_BLK_F_CONFIG_WCE) {
            !self.writeback()
        } else {
            !has(VIRTIO_BLK_F_FLUSH)
        }
    }

    /// The power; it stays as it is while the answer is kept.
    pub(crate) fn power(&self) -> RwLockReadGuard<'_, Power> {
        self.power.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What requests are done against.
    pub(crate) fn target(&self) -> Target<'_> {
        Target {
            disk: &self.disk,
            read_only: self.config.read_only,
            write_through: self.write_through(),
            serial: &self.config.serial,
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

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes a round's requests, and those that their completion lets go.
    fn drive(&self, round: &mut Round) {
        self.do_together(round);
        while let Some(Ready { pending, timing, done }) = round.ready.pop_front() {
            let Some(power) = self.power_unless(|| pending.completion.is_stale()) else {
                // An export has outlasted its ring.
                let mut state = self.lock();
                self.forget(&mut state, vec![pending]);
                continue;
            };
            if *power
                != (Power {
                    on: true,
                    cuts: pending.cuts,
                })
            {
                self.lose(self.lock(), [pending]);
                if power.on {
                    // It was in this thread's hands as the power went, and is there still as it has come back.
                    self.forget_lost();
                }
                continue;
            }
            let Pending {
                seq,
                at,
                request,
                completion,
                outcome,
                ..
            } = pending;
            let target = self.target();
            round.add(completion.ring());
            let how = outcome.as_ref().map(|(_, outcome)| *outcome);
            let effect = completion.complete(|mem| done.unwrap_or_else(|| execute(&request, target, mem, how)));
            drop(power);
            let mut state = self.lock();
            if effect.is_some() {
                let released = state.schedule.completed(&request.facts);
                round.ready.extend(released.into_iter().map(Ready::from));
            }
            self.finish(&mut state, seq, at, effect, timing, outcome);
            drop(state);
            round.completed(effect.map_or(0, |effect| effect.bytes));
        }
    }

    /// Counts and traces a request's end.
    pub(crate) fn finish(
        &self,
        state: &mut State,
        seq: u64,
        at: Instant,
        effect: Option<Effect>,
        timing: Option<TimingNote>,
        outcome: Option<(String, Outcome)>,
    ) {
        let Effect { status, bytes, .. } = effect.unwrap_or(Effect {
            status: Status::Dropped,
            bytes: 0,
            written: 0,
        });
        state.stats.completed += 1;
        state.stats.bytes += bytes;
        state.stats.errors += u64::from(matches!(status, Status::IoErr | Status::Unsupp));
        state.stats.dropped += u64::from(status == Status::Dropped);
        self.trace.write(|| {
            let now = Instant::now();
            Record::Complete(Complete {
                seq,
                t_us: self.trace.t_us(now),
                status,
                bytes,
                latency_us: u64::try_from(now.saturating_duration_since(at).as_micros()).unwrap_or(u64::MAX),
                timing,
                outcome: outcome.map(|(rule, outcome)| OutcomeNote {
                    rule,
                    action: outcome.action().to_owned(),
                    bytes: match outcome {
                        Outcome::Short { bytes, .. } => Some(bytes),
                        _ => None,
                    },
                }),
            })
        });
        // Nobody is woken while nobody waits: it would cost a system call a request.
        if state.settling > 0 && state.stats.completed == state.stats.submitted {
            self.settled.notify_all();
        }
    }

    /// Completes what was released, from outside a queue.
    pub(crate) fn complete_released(&self, released: Vec<Released<Pending>>) -> usize {
        let count = released.len();
        let mut round = Round::default();
        round.ready.extend(released.into_iter().map(Ready::from));
        self.drive(&mut round);
        round.publish();
        self.trace.flush();
        count
    }

    /// Keeps requests that are never answered, until their ring is stopped. It takes the lock with it, for the rings' own
    /// locks come before.
    pub(crate) fn lose(&self, mut state: MutexGuard<'_, State>, requests: impl IntoIterator<Item = Pending>) {
        let first = state.lost.len();
        // Of a ring that was stopped since nobody would take them out again.
        let (gone, lost): (Vec<_>, Vec<_>) = requests.into_iter().partition(|pending| pending.completion.is_stale());
        self.forget(&mut state, gone);
        state.lost.extend(lost);
        let of = |pending: &Pending| (Arc::clone(pending.completion.ring()), pending.completion.generation());
        let lost: Vec<_> = state.lost.iter().skip(first).map(of).collect();
        drop(state);
        for (ring, generation) in lost {
            ring.lose(generation);
        }
    }

    /// Lets requests go without a word to anyone.
    pub(crate) fn forget(&self, state: &mut State, requests: Vec<Pending>) {
        for pending in requests {
            pending.completion.abandon();
            self.finish(state, pending.seq, pending.at, None, None, pending.outcome);
        }
    }

    /// Lets go what is never answered; returns how many requests that are.
    pub(crate) fn forget_lost(&self) -> usize {
        let mut state = self.lock();
        let lost = std::mem::take(&mut state.lost);
        let count = lost.len();
        self.forget(&mut state, lost);
        count
    }

    /// Completes requests when their time has come; returns when the device stops.
    pub fn run_timer(&self) {
        let mut state = self.lock();
        while !state.stopping {
            let seed = state.seed;
            let due = state.schedule.due(Instant::now(), seed);
            if !due.is_empty() {
                drop(state);
                self.complete_released(due);
                state = self.lock();
                continue;
            }
            let wait = state
                .schedule
                .next_end()
                .map(|end| end.saturating_duration_since(Instant::now()));
            state = match wait {
                Some(wait) => self
                    .timer
                    .wait_timeout(state, wait)
                    .map_or_else(|e| e.into_inner().0, |(s, _)| s),
                None => self.timer.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// Ends [`run_timer`](Self::run_timer) and hands the trace to the kernel; says so if lines of it are missing.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.timer.notify_all();
        let lost = self.trace.end();
        if lost > 0 {
            crate::say!("{lost} lines of the trace are lost: its file took no more");
        }
    }
}

impl From<Released<Pending>> for Ready {
    fn from(released: Released<Pending>) -> Ready {
        let Released {
            item, rule, action, by, ..
        } = released;
        Ready {
            pending: item,
            timing: Some(TimingNote {
                rule,
                action: action.to_owned(),
                released_by: Some(by),
            }),
            done: None,
        }
    }
}

/// After so many requests that were completed, or so many bytes, their driver is to see them: it can go on with them
/// while the next are done.
const PUBLISH_REQUESTS: u32 = 8;
const PUBLISH_BYTES: u64 = 64 << 10;

impl Round {
    fn add(&mut self, ring: &Arc<dyn Ring>) {
        if !self.rings.iter().any(|known| Arc::ptr_eq(known, ring)) {
            self.rings.push(Arc::clone(ring));
        }
    }

    fn completed(&mut self, bytes: u64) {
        self.unpublished += 1;
        self.unpublished_bytes += bytes;
        if self.unpublished >= PUBLISH_REQUESTS || self.unpublished_bytes >= PUBLISH_BYTES {
            self.publish();
        }
    }

    fn publish(&mut self) {
        (self.unpublished, self.unpublished_bytes) = (0, 0);
        for ring in self.rings.drain(..) {
            ring.publish();
        }
    }
}
