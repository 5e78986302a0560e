//! Completes requests: does their work, gives them back, counts and traces them. Some are never given back.

use std::sync::Arc;
use std::time::Instant;

use vhost_blk_api::trace::{Complete, OutcomeNote, Record, Status, TimingNote};

use super::Device;
use super::state::{Pending, Ready, Round, State};
use crate::power::gate::{OrderedGuard, Power};
use crate::request::completion::Effect;
use crate::request::execute::RequestOutcome;
use crate::request::execute::execute;
use crate::request::schedule::Released;

impl Device {
    /// Completes a round's requests, and those that their completion lets go.
    pub(super) fn drive(&self, round: &mut Round) {
        self.do_together(round);
        while let Some(Ready { pending, timing, done }) = round.ready.pop_front() {
            let Some(power) = self.gate.power_unless(|| pending.completion.is_stale()) else {
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
            let target = self.target(&pending);
            let Pending {
                seq,
                at,
                request,
                completion,
                outcome,
                flight,
                ..
            } = pending;
            round.add(completion.ring());
            let how = outcome.as_ref().map(|(_, outcome)| *outcome);
            let effect = completion.complete(|mem| done.unwrap_or_else(|| execute(&request, target, mem, how)));
            drop((power, flight));
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
    pub(super) fn finish(
        &self,
        state: &mut State,
        seq: u64,
        at: Instant,
        effect: Option<Effect>,
        timing: Option<TimingNote>,
        outcome: Option<(String, RequestOutcome)>,
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
                        RequestOutcome::Short { bytes, .. } => Some(bytes),
                        _ => None,
                    },
                }),
            })
        });
        // Nobody is woken while nobody waits: it would cost a system call a request.
        if state.settling > 0 && state.stats.completed == state.stats.submitted {
            self.gate.wake_settled();
        }
    }

    /// Completes what was released, from outside a queue.
    pub(super) fn complete_released(&self, released: Vec<Released<Pending>>) -> usize {
        let count = released.len();
        let mut round = Round::default();
        round.ready.extend(released.into_iter().map(Ready::from));
        self.drive(&mut round);
        round.publish();
        self.trace.flush();
        count
    }

    /// Keeps requests that are never answered, until their ring is stopped. It takes the lock with it, for the rings'
    /// own locks come before.
    pub(super) fn lose(&self, mut state: OrderedGuard<'_, State>, requests: impl IntoIterator<Item = Pending>) {
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
    pub(super) fn forget(&self, state: &mut State, requests: Vec<Pending>) {
        for pending in requests {
            pending.completion.abandon();
            self.finish(state, pending.seq, pending.at, None, None, pending.outcome);
        }
    }

    /// Lets go what is never answered; returns how many requests that are.
    pub(super) fn forget_lost(&self) -> usize {
        let mut state = self.lock();
        let lost = std::mem::take(&mut state.lost);
        let count = lost.len();
        self.forget(&mut state, lost);
        count
    }

    /// Completes requests when their time has come; returns when the device stops.
    pub(crate) fn run_timer(&self) {
        let mut state = self.lock();
        while !state.stopping {
            let seed = state.book.seed();
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
            state = self.gate.wait_timer(state, wait);
        }
    }

    /// Ends [`run_timer`](Self::run_timer) and hands the trace to the kernel; says so if lines of it are missing.
    pub(crate) fn stop(&self) {
        self.lock().stopping = true;
        self.gate.wake_timer();
        let lost = self.trace.end();
        if lost > 0 {
            crate::say!("{lost} lines of the trace are lost: its file took no more");
        }
    }
}
