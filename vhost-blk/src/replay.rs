//! The decisions of an earlier run, request by request.
//!
//! A trace says which rules were applied to each request, and has the rules' texts and seeds; together they give the same decision again, down to the bit
//! that was flipped. A guest that does the same meets the same, whatever the rules would make of it; at the first request that is another one, the
//! script ends, and the trace of this run says where.

use std::collections::VecDeque;
use std::fmt;

use crate::decide::{Armed, Blow, Chosen, Outcome, Timing, chosen};
use crate::op::Op;
use crate::payload::Tag;
use crate::plan::Facts;
use crate::rng::Rng;
use crate::trace::{Record, Submit};

/// What a request looked like, as far as a trace knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    op: Op,
    sector: u64,
    len: u64,
    tag: Option<Tag>,
}

/// What was decided for a request; rules by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scripted {
    /// When it completes.
    pub timing: Option<(String, Timing)>,
    /// How it completes.
    pub outcome: Option<(String, Outcome)>,
    /// What becomes of the device.
    pub blow: Option<(String, Blow)>,
}

/// Requests that are still to come, with their decisions.
#[derive(Debug, Clone, Default)]
pub struct Script {
    requests: VecDeque<(Look, Scripted)>,
}

/// A trace that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// A rule in it cannot be read by this version.
    #[error("rule {name} of the trace cannot be read: {problem}")]
    Rule {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// A request names a rule that the trace does not have.
    #[error("request {seq} of the trace was met by rule {name}, which the trace does not have")]
    NoRule {
        /// The request.
        seq: u64,
        /// The rule.
        name: String,
    },
    /// Lines are missing, and with them requests.
    #[error(
        "{lines} lines of the trace are missing, for its file took no more: what came after them cannot be replayed"
    )]
    Missed {
        /// How many.
        lines: u64,
    },
}

/// A guest that does something else than in the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Divergence {
    /// What came in the trace; `None` at its end.
    pub expected: Look,
    /// What comes now.
    pub found: Look,
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Look { op, sector, len, tag } = self;
        write!(f, "{op} of {len} bytes at sector {sector}")?;
        match tag {
            Some(tag) => write!(f, " with tag {tag}"),
            None => Ok(()),
        }
    }
}

impl From<&Submit> for Look {
    fn from(submit: &Submit) -> Look {
        Look {
            op: submit.op,
            sector: submit.sector,
            len: submit.len,
            tag: submit.tag,
        }
    }
}

impl From<&Facts> for Look {
    fn from(facts: &Facts) -> Look {
        Look {
            op: facts.op,
            sector: facts.sector,
            len: facts.len,
            tag: facts.tag,
        }
    }
}

impl Script {
    /// The script of a trace.
    ///
    /// # Errors
    /// A rule of it is missing or cannot be read, or lines are missing.
    pub fn of(records: &[Record]) -> Result<Script, ScriptError> {
        let mut script = Script::default();
        let (mut seed, mut ordinal) = (0, 0);
        let mut rules: Vec<Armed> = Vec::new();
        for record in records {
            match record {
                Record::Start { seed: of_plan, .. } => seed = *of_plan,
                Record::PlanSet { seed: of_plan, .. } => {
                    (seed, ordinal) = (*of_plan, 0);
                    rules.clear();
                }
                Record::Cleared { .. } => rules.clear(),
                Record::RuleRemoved { name, .. } => rules.retain(|armed| armed.name != *name),
                Record::RuleAdded { name, text, .. } => {
                    let rule = text.parse().map_err(|error| ScriptError::Rule {
                        name: name.clone(),
                        problem: format!("{error}"),
                    })?;
                    let mut armed = Armed::new(rule, 0);
                    armed.name.clone_from(name);
                    rules.push(armed);
                }
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
                    script.requests.push_back((Look::from(submit), scripted));
                }
                Record::Missed { lines, .. } => return Err(ScriptError::Missed { lines: *lines }),
                _ => {}
            }
        }
        Ok(script)
    }

    /// What was decided for the next request; at the end of the script, nothing.
    ///
    /// # Errors
    /// It is another one than in the trace; the script is over then.
    pub fn next(&mut self, facts: &Facts) -> Result<Scripted, Divergence> {
        let Some((expected, scripted)) = self.requests.pop_front() else {
            return Ok(Scripted::default());
        };
        let found = Look::from(facts);
        if expected == found {
            return Ok(scripted);
        }
        self.requests.clear();
        Err(Divergence { expected, found })
    }
}

impl Scripted {
    fn add(&mut self, armed: &mut Armed, seed: u64, ordinal: u64) {
        let mut rng = Rng::for_choice(seed, &armed.name, ordinal);
        if let Some(probability) = armed.rule.trigger.probability {
            // It was so; but what is chosen after it depends on its having been asked.
            let _ = rng.chance(probability);
        }
        let name = armed.name.clone();
        match chosen(&armed.rule.action, armed.hits, &mut rng) {
            Chosen::Timing(timing) => self.timing = Some((name, timing)),
            Chosen::Outcome(outcome) => self.outcome = Some((name, outcome)),
            Chosen::Blow(blow) => self.blow = Some((name, blow)),
        }
        armed.hits += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, proptest};
    use proptest::sample::select;

    use super::*;
    use crate::decide::{World, decide};
    use crate::plan::Prefix;

    fn facts(op: Op, sector: u64) -> Facts {
        Facts {
            op,
            sector,
            len: 4096,
            queue: 0,
            tag: None,
            prefix: Prefix::default(),
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
            let mut records = vec![Record::Start { version: 1, disk_bytes: 0, seed }];
            if second {
                records[0] = Record::Start { version: 1, disk_bytes: 0, seed: 0 };
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
                    blow: decision.blow.map(|(index, blow)| (name(index), blow)),
                };
                let names = [
                    scripted.timing.as_ref().map(|(name, _)| name),
                    scripted.outcome.as_ref().map(|(name, _)| name),
                    scripted.blow.as_ref().map(|(name, _)| name),
                ];
                records.push(submit(ordinal, &facts, names.into_iter().flatten().cloned().collect()));
                wanted.push((facts, scripted));
            }
            let mut script = Script::of(&records).unwrap();
            if second {
                prop_assert_eq!(script.next(&facts(Op::Read, 0)), Ok(Scripted::default()));
            }
            for (facts, scripted) in wanted {
                prop_assert_eq!(script.next(&facts), Ok(scripted));
            }
            prop_assert_eq!(script.next(&facts(Op::Read, 0)), Ok(Scripted::default()), "at its end");
        }
    }

    #[test]
    fn another_request_ends_the_script() {
        let records = [
            submit(1, &facts(Op::Read, 8), Vec::new()),
            submit(2, &facts(Op::Read, 16), Vec::new()),
        ];
        let mut script = Script::of(&records).unwrap();
        let divergence = script.next(&facts(Op::Write, 8)).unwrap_err();
        insta::assert_snapshot!(
            format!("{} instead of {}", divergence.found, divergence.expected),
            @"write of 4096 bytes at sector 8 instead of read of 4096 bytes at sector 8"
        );
        assert_eq!(script.next(&facts(Op::Read, 16)), Ok(Scripted::default()));
    }

    #[test]
    fn a_rule_that_is_missing_is_named() {
        let records = [submit(7, &facts(Op::Read, 8), vec!["r1".into()])];
        let error = Script::of(&records).unwrap_err();
        insta::assert_snapshot!(error, @"request 7 of the trace was met by rule r1, which the trace does not have");
    }
}
