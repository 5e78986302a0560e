//! The device between rings and disk: composed of the power gate, the rule book, the schedule, the disk, the trace and
//! the link to the front end.
//!
//! A request arrives (`device/submit.rs`), is decided on by the [rule book](crate::rulebook), waits in the schedule
//! (`request/schedule.rs`) if rules say so, and is done and given back (`device/complete.rs`; `device/together.rs`:
//! many at once, for a disk in files). The commands of the control socket are here too: rules (`device/rules.rs`), the
//! power (`device/cut.rs`), states of a mark (`device/present.rs`), the disk's size
//! (`device/resize.rs`), rollback, export and counters (`device/upkeep.rs`).
//!
//! One lock guards rules, schedule and counters; it is never held while a request's work is done or a ring is touched,
//! so that a ring's lock may be held while this one is taken, never the other way round. Requests complete on whatever
//! thread lets them go: a queue's, the timer's, or one of the control socket's. The gate (`power/gate.rs`) has the
//! locks and their order.

mod complete;
pub(crate) mod cut;
pub(crate) mod front_end;
mod present;
pub(crate) mod resize;
mod rules;
pub mod state;
mod submit;
mod together;
pub(crate) mod upkeep;

use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use vhost_blk_api::plan::Plan;
use vhost_blk_api::trace::{Record, VERSION};

use self::front_end::FrontEndLink;
use self::state::{Pending, State};
use crate::config::Config;
use crate::disk::Disk;
use crate::power::gate::{Gate, OrderedGuard};
use crate::power::in_flight::Flight;
use crate::power::log::Keep;
use crate::request::access::Target;
use crate::sandbox::Sandbox;
use crate::trace;

/// A fault-injecting disk, apart from any transport.
pub struct Device {
    config: Config,
    disk: Disk,
    trace: trace::Writer,
    started: Instant,
    /// What keeps the process from what it does not need.
    sandbox: OnceLock<Sandbox>,
    front_end: FrontEndLink,
    was_resized: AtomicBool,
    gate: Gate<State>,
}

impl Device {
    /// A device with the plan's rules in force from its first request on.
    #[must_use]
    pub fn new(config: Config, disk: Disk, trace: trace::Writer, started: Instant, plan: &Plan) -> Device {
        trace.write(|| Record::Start {
            version: VERSION,
            disk_bytes: disk.bytes(),
            seed: plan.seed,
        });
        let device = Device {
            front_end: FrontEndLink::new(&config),
            config,
            disk,
            trace,
            started,
            sandbox: OnceLock::new(),
            was_resized: AtomicBool::new(false),
            gate: Gate::new(State::default()),
        };
        let mut state = device.lock();
        state.book.install(plan, &device.trace);
        device.keep_what_rules_want(&state);
        drop(state);
        device.trace.flush();
        device
    }

    /// What the device offers.
    #[must_use]
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// What requests are done on; its bytes are read and written past the rules.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    pub(crate) fn trace(&self) -> &trace::Writer {
        &self.trace
    }

    /// The channel to the front end, whether one is connected or not.
    #[must_use]
    pub fn front_end(&self) -> &FrontEndLink {
        &self.front_end
    }

    /// What requests are done against.
    fn target(&self, pending: &Pending) -> Target<'_> {
        Target {
            flushes: pending.flushes,
            flight: pending.flight.as_ref().map(Flight::number),
            ..self.bare_target()
        }
    }

    /// What a request is done against of which the history knows nothing yet.
    fn bare_target(&self) -> Target<'_> {
        Target {
            disk: &self.disk,
            read_only: self.config.read_only,
            write_through: self.front_end.write_through(),
            flushes: 0,
            flight: None,
            serial: &self.config.serial,
        }
    }

    #[track_caller]
    fn lock(&self) -> OrderedGuard<'_, State> {
        self.gate.state()
    }

    /// Starts to keep what is not durable, if a rule needs it. Must be called before the state lock is released under
    /// which that rule was added.
    fn keep_what_rules_want(&self, state: &State) {
        if state.book.wants_history() && !self.disk.history.is_kept() {
            self.disk.history.keep(Keep::Volatile);
        }
    }
}
