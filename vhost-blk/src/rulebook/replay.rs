//! The decisions of an earlier run, request by request.
//!
//! A trace says which rules were applied to each request, and has the rules' texts and seeds; together they give the
//! same decision again, down to the bit that was flipped. What was done to the rules between two requests is done again
//! between them, so that reorder windows begin where they began and their orders have the same seed. Requests that came
//! while the power was off were decided on by nobody, and are left out. A guest that does the same meets the same,
//! whatever the rules would make of it; at the first request that is another one, the script ends, and the trace of
//! this run says where.

mod look;

use std::collections::VecDeque;

use vhost_blk_api::plan::units::print_bytes;
use vhost_blk_api::rng::Rng;
use vhost_blk_api::trace::Record;

use super::decide::{Armed, Chosen, DeviceOutcome, PickedAction, Timing, chosen};

pub(crate) use look::Look;

/// What was decided for a request; rules by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Scripted {
    /// When it completes.
    pub(crate) timing: Option<(String, Timing)>,
    /// How it completes.
    pub(crate) outcome: Option<(String, PickedAction)>,
    /// What becomes of the device.
    pub(crate) device: Option<(String, DeviceOutcome)>,
}

/// What was done to the rules between two requests.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// All were replaced, with a new seed; the new ones follow.
    Plan { seed: u64 },
    /// All were taken off.
    Clear,
    /// One was taken off.
    Remove { name: String },
    /// One came into force.
    Rule(Box<Armed>),
}

/// Requests that are still to come, with their decisions, and what was done to the rules between them.
#[derive(Debug, Clone, Default)]
pub struct Script {
    seed: u64,
    disk_bytes: u64,
    steps: VecDeque<Step>,
    /// Requests that have not come as they did in the trace.
    left: u64,
    /// All requests.
    requests: u64,
    divergence: Option<Divergence>,
}

#[derive(Debug, Clone)]
enum Step {
    Change(Change),
    /// A request with its number in the trace; for most nothing was decided.
    Request(u64, Look, Option<Box<Scripted>>),
}

/// A trace that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// It is empty, or its beginning is missing.
    #[error(
        "it does not begin with the line `start`, which has the seed: expected the whole file of a device's --trace"
    )]
    NoStart,
    /// It is of a disk of another size.
    #[error(
        "it is of a disk of {} bytes, and the image has {}: expected the image that it was made with",
        print_bytes(*.traced),
        print_bytes(*.image)
    )]
    Disk {
        /// The trace's size.
        traced: u64,
        /// The image's size.
        image: u64,
    },
    /// A rule in it cannot be read by this version.
    #[error("rule {name} of the trace cannot be read: {problem}")]
    Rule {
        /// As the trace has it.
        name: String,
        /// What the parser says of it.
        problem: String,
    },
    /// A request names a rule that the trace does not have.
    #[error("request {seq} of the trace was met by rule {name}, which the trace does not have")]
    NoRule {
        /// Number of the request in the trace.
        seq: u64,
        /// The name that no line before it gives to a rule.
        name: String,
    },
    /// Lines are missing, and with them requests.
    #[error(
        "{lines} lines of the trace are missing, for its file took no more: what came after them cannot be replayed"
    )]
    Missed {
        /// As the trace's first `missed` line has it.
        lines: u64,
    },
}

/// A guest that does something else than in the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Divergence {
    /// The number of the request that came.
    pub(crate) seq: u64,
    /// What came in the trace.
    pub(crate) expected: Look,
    /// What comes now.
    pub(crate) found: Look,
}

impl Script {
    /// The script of a trace.
    ///
    /// # Errors
    /// Its beginning is missing, a rule of it is missing or cannot be read, or lines are missing.
    pub fn of(records: &[Record]) -> Result<Script, ScriptError> {
        let Some(Record::Start { seed, disk_bytes, .. }) = records.first() else {
            return Err(ScriptError::NoStart);
        };
        let mut script = Script {
            seed: *seed,
            disk_bytes: *disk_bytes,
            ..Script::default()
        };
        let (mut seed, mut ordinal, mut powered) = (*seed, 0, true);
        let mut rules: Vec<Armed> = Vec::new();
        for record in records {
            match record {
                Record::PlanSet { seed: of_plan, .. } => {
                    (seed, ordinal) = (*of_plan, 0);
                    rules.clear();
                    script.steps.push_back(Step::Change(Change::Plan { seed }));
                }
                Record::Cleared { .. } => {
                    rules.clear();
                    script.steps.push_back(Step::Change(Change::Clear));
                }
                Record::RuleRemoved { name, .. } => {
                    rules.retain(|armed| armed.name != *name);
                    script
                        .steps
                        .push_back(Step::Change(Change::Remove { name: name.clone() }));
                }
                Record::RuleAdded { name, text, .. } => {
                    let rule = text.parse().map_err(|error| ScriptError::Rule {
                        name: name.clone(),
                        problem: format!("{error}"),
                    })?;
                    let mut armed = Armed::new(rule, 0);
                    armed.name.clone_from(name);
                    rules.push(armed.clone());
                    script.steps.push_back(Step::Change(Change::Rule(Box::new(armed))));
                }
                Record::Cut { .. } => powered = false,
                Record::Power { .. } => powered = true,
                // Without power nobody looked at it: it was neither decided on nor counted.
                Record::Submit(_) if !powered => {}
                Record::Submit(submit) => {
                    ordinal += 1;
                    let mut scripted = Scripted::default();
                    for name in &submit.rules {
                        let armed = rules.iter_mut().find(|armed| armed.name == *name);
                        let armed = armed.ok_or_else(|| ScriptError::NoRule {
                            seq: submit.seq,
                            name: name.clone(),
                        })?;
                        scripted.add(armed, seed, ordinal);
                    }
                    let scripted = (!submit.rules.is_empty()).then(|| Box::new(scripted));
                    let step = Step::Request(submit.seq, Look::from(submit), scripted);
                    script.steps.push_back(step);
                    script.requests += 1;
                }
                Record::Missed { lines, .. } => return Err(ScriptError::Missed { lines: *lines }),
                _ => {}
            }
        }
        script.left = script.requests;
        Ok(script)
    }

    /// The seed that the run began with.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Looks whether a disk has the size of the trace's.
    ///
    /// # Errors
    /// It has another one.
    pub fn fits(&self, disk_bytes: u64) -> Result<(), ScriptError> {
        if self.disk_bytes == disk_bytes {
            return Ok(());
        }
        Err(ScriptError::Disk {
            traced: self.disk_bytes,
            image: disk_bytes,
        })
    }

    /// What was done to the rules before the next request; to be asked until there is no more of it.
    pub(crate) fn change(&mut self) -> Option<Change> {
        match self.steps.pop_front()? {
            Step::Change(change) => Some(change),
            request @ Step::Request(..) => {
                self.steps.push_front(request);
                None
            }
        }
    }

    /// What was decided for the next request, which has the number `seq` now; at the end of the script, nothing.
    /// Changes before it that were not asked for are passed over.
    ///
    /// # Errors
    /// It is another one than in the trace; the script is over then.
    pub(crate) fn next(&mut self, seq: u64, found: Look) -> Result<Scripted, Box<Divergence>> {
        while self.change().is_some() {}
        let Some(Step::Request(_, expected, scripted)) = self.steps.pop_front() else {
            return Ok(Scripted::default());
        };
        if expected == found {
            self.left -= 1;
            return Ok(scripted.map_or_else(Scripted::default, |scripted| *scripted));
        }
        self.steps.clear();
        let divergence = Divergence { seq, expected, found };
        self.divergence = Some(divergence.clone());
        Err(Box::new(divergence))
    }

    /// Requests of the trace that have not come.
    #[must_use]
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// What is to be said in the end of a guest that did something else than in the trace, or less; nothing of one that
    /// did the same.
    #[must_use]
    pub(crate) fn ending(&self) -> Option<String> {
        if let Some(Divergence { seq, expected, found }) = &self.divergence {
            return Some(format!(
                "the guest diverged from the replayed trace at request {seq}: {found} instead of {expected}; nothing was injected after it"
            ));
        }
        let next = self.steps.iter().find_map(|step| match step {
            Step::Request(seq, look, _) => Some((seq, look)),
            Step::Change(_) => None,
        });
        let (seq, look) = next?;
        let Script { left, requests, .. } = self;
        Some(format!(
            "the guest stopped before request {seq} of the replayed trace, {look}: {left} of its {requests} requests did not come"
        ))
    }
}

impl Scripted {
    /// Names of the rules that are applied.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &String> {
        let timing = self.timing.iter().map(|(rule, _)| rule);
        let outcome = self.outcome.iter().map(|(rule, _)| rule);
        timing.chain(outcome).chain(self.device.iter().map(|(rule, _)| rule))
    }

    fn add(&mut self, armed: &mut Armed, seed: u64, ordinal: u64) {
        let mut rng = Rng::for_choice(seed, &armed.name, ordinal);
        if let Some(probability) = armed.rule.trigger.probability {
            // It was so; but what is chosen after it depends on its having been asked.
            let _ = rng.chance(probability);
        }
        let name = armed.name.clone();
        match chosen(&armed.rule.action, armed.hits, rng) {
            Chosen::Timing(timing) => self.timing = Some((name, timing)),
            Chosen::Outcome(picked) => self.outcome = Some((name, picked)),
            Chosen::Device(device) => self.device = Some((name, device)),
        }
        armed.hits += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, proptest};
    use proptest::sample::select;
    use vhost_blk_api::op::Op;
    use vhost_blk_api::plan::{Facts, Prefix};
    use vhost_blk_api::trace::Submit;

    use super::*;
    use crate::rulebook::decide::{World, decide};

    fn facts(op: Op, sector: u64) -> Facts {
        Facts {
            op,
            sector,
            len: 4096,
            ranges: Vec::new(),
            queue: 0,
            tag: None,
            prefix: Prefix::default(),
        }
    }

    fn look(facts: &Facts) -> Look {
        Look::of(facts, &[])
    }

    fn start(seed: u64) -> Record {
        Record::Start {
            version: 1,
            disk_bytes: 1 << 20,
            seed,
        }
    }

    fn submit(seq: u64, facts: &Facts, rules: Vec<String>) -> Record {
        Record::Submit(Submit {
            seq,
            t_us: 0,
            queue: 0,
            generation: 0,
            op: facts.op,
            sector: facts.sector,
            len: facts.len,
            tag: facts.tag,
            segs: 1,
            ranges: Vec::new(),
            rules,
        })
    }

    const RULES: [&str; 6] = [
        "delay any for=1ms..80ms p=0.5",
        "slow read for=1ms..9ms over=7 every=2",
        "corrupt any flip=3bit p=0.3",
        "fail write nth=3",
        "reorder write window=2 order=shuffle limit=2",
        "cut flush lose=some",
    ];

    fn ops() -> impl Strategy<Value = Vec<(Op, u64)>> {
        proptest::collection::vec((select(&[Op::Read, Op::Write, Op::Flush][..]), 0u64..8), 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_trace_gives_the_decisions_again(ops in ops(), seed: u64, second in any::<bool>()) {
            let mut rules: Vec<Armed> =
                (1..).zip(RULES).map(|(number, text)| Armed::new(text.parse().unwrap(), number)).collect();
            let mut world = World::default();
            let mut records = vec![start(seed)];
            if second {
                records[0] = start(0);
                records.push(submit(1, &facts(Op::Read, 0), Vec::new()));
                records.push(Record::PlanSet { t_us: 0, seed });
            }
            for armed in &rules {
                records.push(Record::RuleAdded { t_us: 0, name: armed.name.clone(), text: armed.rule.to_string() });
            }
            let mut wanted = Vec::new();
            for (ordinal, (op, sector)) in (1..).zip(&ops) {
                let facts = facts(*op, *sector);
                let decision = decide(&rules, &world, seed, ordinal, &facts);
                Armed::record(&mut rules, &mut world, &decision, &facts);
                let name = |index: usize| rules[index].name.clone();
                let scripted = Scripted {
                    timing: decision.timing.map(|(index, timing)| (name(index), timing)),
                    outcome: decision.outcome.map(|(index, outcome)| (name(index), outcome)),
                    device: decision.device.map(|(index, device)| (name(index), device)),
                };
                let names = [
                    scripted.timing.as_ref().map(|(name, _)| name),
                    scripted.outcome.as_ref().map(|(name, _)| name),
                    scripted.device.as_ref().map(|(name, _)| name),
                ];
                records.push(submit(ordinal, &facts, names.into_iter().flatten().cloned().collect()));
                wanted.push((facts, scripted));
            }
            let mut script = Script::of(&records).unwrap();
            if second {
                prop_assert_eq!(script.next(1, look(&facts(Op::Read, 0))), Ok(Scripted::default()));
            }
            for (facts, scripted) in wanted {
                prop_assert_eq!(script.next(1, look(&facts)), Ok(scripted));
            }
            prop_assert_eq!(script.ending(), None);
            prop_assert_eq!(script.next(1, look(&facts(Op::Read, 0))), Ok(Scripted::default()), "at its end");
        }
    }

    #[test]
    fn another_request_ends_the_script() {
        let records = [
            start(0),
            submit(1, &facts(Op::Read, 8), Vec::new()),
            submit(2, &facts(Op::Read, 16), Vec::new()),
        ];
        let mut script = Script::of(&records).unwrap();
        let divergence = script.next(5, look(&facts(Op::Write, 8))).unwrap_err();
        insta::assert_snapshot!(
            format!("{} instead of {}", divergence.found, divergence.expected),
            @"write of 4096 bytes at sector 8 instead of read of 4096 bytes at sector 8"
        );
        assert_eq!(script.left(), 2);
        assert_eq!(script.next(6, look(&facts(Op::Read, 16))), Ok(Scripted::default()));
    }

    #[test]
    fn a_rule_that_is_missing_is_named() {
        let records = [start(0), submit(7, &facts(Op::Read, 8), vec!["r1".into()])];
        let error = Script::of(&records).unwrap_err();
        insta::assert_snapshot!(error, @"request 7 of the trace was met by rule r1, which the trace does not have");
    }
}
