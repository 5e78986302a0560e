//! The host's own eyes on a guest while a job runs: what time it took from the guest's CPUs (`meter`), and where these
//! are while nothing is heard of the agent.

mod meter;

use std::time::{Duration, Instant};

use evidence::hang::{self, CpuLook, Look, Stall};
use evidence::steal::StealPoint;
use guest_wire::Phase;
use machine::Machine;
use vhost_blk_api::control::Stats;

pub(crate) use meter::{JobSpan, StealMeter};
use meter::{LOOK_EVERY, Shown};

/// CPU time that a guest may use without a word of its agent before its CPUs are looked at, in milliseconds.
const SILENT_MS: u64 = 3_000;

/// What has been seen of a guest since its job was sent.
pub(crate) struct Watch<'a> {
    meter: &'a StealMeter,
    begun: StealPoint,
    looked: Instant,
    shown: Shown,
    /// CPU time of the guest at the agent's last word.
    heard_at_ms: u64,
    looks: Vec<Look>,
}

impl<'a> Watch<'a> {
    pub(crate) fn begin(meter: &'a StealMeter) -> Watch<'a> {
        let shown = meter.look();
        Watch {
            meter,
            begun: shown.point,
            looked: Instant::now(),
            shown,
            heard_at_ms: shown.point.run_ms,
            looks: Vec::new(),
        }
    }

    /// When the job was sent, as the meter showed it.
    pub(crate) fn begun(&self) -> StealPoint {
        self.begun
    }

    /// When the next look is due.
    pub(crate) fn next_look(&self) -> Instant {
        self.looked + LOOK_EVERY
    }

    /// Time that the host has taken from the guest so far.
    pub(crate) fn stolen(&self) -> Duration {
        Duration::from_millis(self.shown.point.stolen_ms.saturating_sub(self.begun.stolen_ms))
    }

    /// Time that the host takes from now on, as often as that is asked for.
    pub(crate) fn stolen_meanwhile(&self) -> impl Fn() -> Duration + use<'a> {
        self.meter.stolen_meanwhile()
    }

    /// How often so much was taken at once that a row ends there.
    pub(crate) fn pauses(&self) -> u64 {
        self.shown.pauses
    }

    /// The agent said something.
    pub(crate) fn heard(&mut self) {
        self.heard_at_ms = self.shown.point.run_ms;
        self.looks.clear();
    }

    /// Looks whether the guest gets its time.
    pub(crate) fn look(&mut self) {
        self.shown = self.meter.look();
        self.looked = Instant::now();
    }

    /// Whether the guest has used so much CPU time without a word that its CPUs are worth a look.
    pub(crate) fn is_silent(&self) -> bool {
        !self.shown.is_stopped && self.shown.point.run_ms.saturating_sub(self.heard_at_ms) >= SILENT_MS
    }

    /// Looks at the CPUs of a silent guest, and judges what has been seen of them since the agent's last word.
    pub(crate) fn look_at_cpus(&mut self, machine: &mut Machine, stats: &Stats, phase: Phase) -> Option<Stall> {
        let cpus = machine.look_at_cpus().into_iter().map(|view| CpuLook {
            is_kernel: view.is_kernel,
            is_halted: view.is_halted,
            frames: view.frames,
        });
        self.looks.push(Look {
            vcpu_ms: self.shown.point.run_ms,
            outstanding: stats.outstanding,
            submitted: stats.submitted,
            pauses: self.shown.pauses,
            cpus: cpus.collect(),
        });
        hang::starved(&self.looks, phase)
    }
}
