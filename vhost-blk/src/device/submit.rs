//! What happens to a request as it arrives: it is counted, decided on, traced, and put where the decision says.

use std::time::Instant;

use super::{Arrival, Device, Pending, Ready, Round, State};
use crate::completion::{Completion, Effect};
use crate::decide::Blow;
use crate::history::Keep;
use crate::plan::Facts;
use crate::replay::{Divergence, Script, Scripted};
use crate::request::{Malformed, Request};
use crate::schedule::ReleasedBy;
use crate::trace::{Record, Status, Submit};

impl Device {
    /// Takes what came out of a ring.
    pub fn submit(&self, arrivals: &mut Vec<Arrival>, round: &mut Round) {
        let together = self.disk.is_in_file();
        for Arrival { request, completion } in arrivals.drain(..) {
            // One before it hung up on the front end: what was not looked at is the next connection's.
            if completion.is_stale() {
                completion.abandon();
                continue;
            }
            match request {
                Ok(request) => {
                    let blow = self.submit_one(request, completion, round);
                    if !together || blow.is_some() {
                        self.drive(round);
                    }
                    if let Some((pending, rule, blow)) = blow {
                        self.struck(pending, &rule, blow);
                    }
                }
                Err(problem) => self.refuse(&problem, completion, round),
            }
        }
        self.drive(round);
        round.publish();
    }

    /// Adds to the round what is to complete now; returns what becomes of the device by this request, and the rule that says so.
    fn submit_one(
        &self,
        request: Request,
        completion: Completion,
        round: &mut Round,
    ) -> Option<(Pending, String, Blow)> {
        let at = Instant::now();
        let power = self.power_seen();
        let mut guard = self.lock();
        let state = &mut *guard;
        state.seq += 1;
        let facts = &request.facts;
        // Without power nobody looks at it.
        let Scripted { timing, outcome, blow } = if power.on {
            self.decide(state, facts)
        } else {
            Scripted::default()
        };
        state.stats.submitted += 1;
        *state.stats.requests.entry(facts.op).or_default() += 1;
        let seq = state.seq;
        self.trace.write(|| {
            let rules = timing
                .iter()
                .map(|(rule, _)| rule)
                .chain(outcome.iter().map(|(rule, _)| rule))
                .chain(blow.iter().map(|(rule, _)| rule));
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
                rules: rules.cloned().collect(),
            })
        });
        let facts = facts.clone();
        let pending = Pending {
            seq,
            at,
            request,
            completion,
            outcome,
            cuts: power.cuts,
        };
        if !power.on {
            self.lose(guard, [pending]);
            return None;
        }
        let released = state.schedule.submitted(state.seed, &facts);
        round.ready.extend(released.into_iter().map(Ready::from));
        let mut struck = None;
        match (blow, timing) {
            (Some((rule, blow)), _) => struck = Some((pending, rule, blow)),
            // A ring that was stopped since takes nothing more into the schedule: nobody would take it out again.
            (None, Some((rule, timing))) if !pending.completion.is_stale() => {
                let stopping = pending.completion.is_stopping();
                let released = state.schedule.add(at, state.seed, seq, pending, &rule, timing);
                round.ready.extend(released.into_iter().map(Ready::from));
                if stopping {
                    let this = |waiting: &Pending| waiting.seq == seq;
                    let released = state.schedule.remove(this, ReleasedBy::Stop);
                    round.ready.extend(released.into_iter().map(Ready::from));
                } else {
                    self.timer.notify_one();
                }
            }
            (None, _) => round.ready.push_back(Ready {
                pending,
                timing: None,
                done: None,
            }),
        }
        struck
    }

    /// What is to become of the next request: as the rules say, or as it was in the trace that is replayed.
    fn decide(&self, state: &mut State, facts: &Facts) -> Scripted {
        state.ordinal += 1;
        if let Some(script) = &mut state.script {
            return script.next(facts).unwrap_or_else(|Divergence { expected, found }| {
                self.trace.write(|| Record::Diverged {
                    t_us: self.trace.now_us(),
                    seq: state.seq,
                    expected: expected.to_string(),
                    found: found.to_string(),
                });
                state.stats.diverged_at.get_or_insert(state.seq);
                Scripted::default()
            });
        }
        let decision = state.rules.decide(&state.world, state.seed, state.ordinal, facts);
        state.rules.record(&mut state.world, &decision, facts);
        let name = |index: usize| {
            state
                .rules
                .get(index)
                .map(|armed| armed.name.clone())
                .unwrap_or_default()
        };
        Scripted {
            timing: decision.timing.map(|(index, timing)| (name(index), timing)),
            outcome: decision.outcome.map(|(index, outcome)| (name(index), outcome)),
            blow: decision.blow.map(|(index, blow)| (name(index), blow)),
        }
    }

    /// Makes the decisions of a script from here on, in place of the rules' own.
    pub fn replay(&self, script: Script) {
        // It may cut the power.
        self.disk.keep_history(Keep::Volatile);
        self.lock().script = Some(script);
    }

    /// Gives a chain back that is no request.
    fn refuse(&self, problem: &Malformed, completion: Completion, round: &mut Round) {
        let queue = completion.ring().index();
        self.lock().stats.malformed += 1;
        self.trace.write(|| Record::Malformed {
            t_us: self.trace.now_us(),
            queue,
            problem: problem.to_string(),
        });
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
