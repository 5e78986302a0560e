//! What happens to a request as it arrives: it is counted, decided on, traced, and put where the decision says.

use std::time::Instant;

use vhost_blk_api::trace::{Record, ReleasedBy, Status, Submit};

use super::Device;
use super::state::{Arrival, Pending, Ready, Round, State};
use crate::power::in_flight::Flight;
use crate::request::chain::{Malformed, Request};
use crate::request::completion::{Completion, Effect};
use crate::request::execute::{RequestOutcome, what_it_changes};
use crate::rulebook::decide::{DeviceOutcome, Timing};
use crate::rulebook::replay::{Look, Scripted};

impl Device {
    /// Takes what came out of a ring.
    pub fn submit(&self, arrivals: &mut Vec<Arrival>, round: &mut Round) {
        let together = self.disk.is_in_file();
        // Of what came with it the driver knew nothing when it submitted a flush.
        let completed = self.disk.history.completed();
        for Arrival { request, completion } in arrivals.drain(..) {
            // One before it hung up on the front end: what was not looked at is the next connection's.
            if completion.is_stale() {
                completion.abandon();
                continue;
            }
            match request {
                Ok(request) => {
                    let device = self.submit_one(request, completion, completed, round);
                    if !together || device.is_some() {
                        self.drive(round);
                    }
                    if let Some((pending, rule, device)) = device {
                        self.struck(pending, &rule, device);
                    }
                }
                Err(problem) => self.refuse(&problem, completion, round),
            }
        }
        self.drive(round);
        round.publish();
    }

    /// Adds to the round what is to complete now; returns what becomes of the device by this request, and the rule that
    /// says so.
    fn submit_one(
        &self,
        request: Request,
        completion: Completion,
        completed: u64,
        round: &mut Round,
    ) -> Option<(Pending, String, DeviceOutcome)> {
        let at = Instant::now();
        let power = self.gate.power_seen();
        // Bytes are copied, for which nobody must wait who has the device's lock.
        let flight = if power.on {
            self.flight(&request, &completion)
        } else {
            None
        };
        let mut guard = self.lock();
        let state = &mut *guard;
        state.seq += 1;
        let facts = &request.facts;
        // Without power nobody looks at it.
        let scripted = if power.on {
            match state.book.script() {
                Some(_) => self.decide_again(state, &request, round),
                None => state.book.decide(facts),
            }
        } else {
            Scripted::default()
        };
        state.stats.submitted += 1;
        *state.stats.requests.entry(facts.op).or_default() += 1;
        let seq = state.seq;
        self.trace_submission(seq, at, &request, &completion, &scripted);
        let Scripted {
            timing,
            outcome,
            device,
        } = scripted;
        let facts = facts.clone();
        let pending = Pending {
            seq,
            at,
            request,
            completion,
            outcome: outcome.and_then(|(rule, picked)| Some((rule, RequestOutcome::of(picked)?))),
            flushes: completed,
            flight,
            cuts: power.cuts,
        };
        if !power.on {
            self.lose(guard, [pending]);
            return None;
        }
        let released = state.schedule.submitted(state.book.seed(), &facts);
        round.ready.extend(released.into_iter().map(Ready::from));
        let mut struck = None;
        match (device, timing) {
            (Some((rule, device)), _) => struck = Some((pending, rule, device)),
            // A ring that was stopped since takes nothing more into the schedule: nobody would take it out again.
            (None, Some((rule, timing))) if !pending.completion.is_stale() => {
                self.make_wait(state, pending, &rule, timing, round);
            }
            (None, _) => round.ready.push_back(Ready {
                pending,
                timing: None,
                done: None,
            }),
        }
        struck
    }

    /// Notes what a request would change, where the history wants to know.
    fn flight(&self, request: &Request, completion: &Completion) -> Option<Flight> {
        if !self.disk.history.wants_arrivals() {
            return None;
        }
        let pieces = what_it_changes(request, self.bare_target(), completion.mem())?;
        Some(self.disk.history.arrived(pieces))
    }

    /// Puts a request into the schedule; to the round goes what that lets go.
    fn make_wait(&self, state: &mut State, pending: Pending, rule: &str, timing: Timing, round: &mut Round) {
        let (seq, at) = (pending.seq, pending.at);
        let stopping = pending.completion.is_stopping();
        let released = state.schedule.add(at, state.book.seed(), seq, pending, rule, timing);
        round.ready.extend(released.into_iter().map(Ready::from));
        if stopping {
            let this = |waiting: &Pending| waiting.seq == seq;
            let released = state.schedule.remove(this, ReleasedBy::Stop);
            round.ready.extend(released.into_iter().map(Ready::from));
        } else {
            self.gate.wake_timer();
        }
    }

    fn trace_submission(&self, seq: u64, at: Instant, request: &Request, completion: &Completion, scripted: &Scripted) {
        let facts = &request.facts;
        self.trace.write(|| {
            Record::Submit(Submit {
                seq,
                t_us: self.trace.t_us(at),
                queue: completion.ring().index(),
                generation: completion.generation(),
                op: facts.op,
                sector: facts.sector,
                len: facts.len,
                tag: facts.tag,
                segs: request.buffers.len(),
                ranges: request.ranges.clone(),
                rules: scripted.rules().cloned().collect(),
            })
        });
    }

    /// What is to become of the next request, as it was in the trace that is replayed. What was done to the rules
    /// before it is done first, and what that lets go is to complete before it.
    fn decide_again(&self, state: &mut State, request: &Request, round: &mut Round) -> Scripted {
        round.ready.extend(self.catch_up(state).into_iter().map(Ready::from));
        let found = Look::of(&request.facts, &request.ranges);
        match state.book.decide_again(state.seq, found) {
            Ok(scripted) => scripted,
            Err(divergence) => {
                self.trace.write(|| Record::Diverged {
                    t_us: self.trace.now_us(),
                    seq: divergence.seq,
                    expected: divergence.expected.to_string(),
                    found: divergence.found.to_string(),
                });
                state.stats.diverged_at.get_or_insert(divergence.seq);
                Scripted::default()
            }
        }
    }

    /// Gives a chain back that is no request; without power it is never answered, as any other.
    fn refuse(&self, problem: &Malformed, completion: Completion, round: &mut Round) {
        let queue = completion.ring().index();
        let power = self.gate.power();
        self.lock().stats.malformed += 1;
        self.trace.write(|| Record::Malformed {
            t_us: self.trace.now_us(),
            queue,
            problem: problem.to_string(),
        });
        if !power.on {
            // It was counted as no request, so nobody has to let it go when the power comes back.
            completion.ring().lose(completion.generation());
            completion.abandon();
            return;
        }
        round.add(completion.ring());
        let unsupported = matches!(problem, Malformed::UnknownType(_));
        let status = if unsupported { Status::Unsupp } else { Status::IoErr };
        completion.complete(|_| Effect {
            status,
            bytes: 0,
            written: 0,
        });
    }
}
