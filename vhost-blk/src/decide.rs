//! What happens to a request: a pure function of the rules, what they have seen so far, the seed and the request.
//!
//! Nothing here does I/O, looks at a clock or knows a ring. [`decide`] reads; [`Armed::record`] writes down what was
//! decided; so the same requests in the same order meet the same faults.
//!
//! A request takes the first matching action that says *when* it completes (`delay`, `hold`, `reorder`) and the first
//! that says *how* (`fail`, `short`), so that a request can be held and then fail. A rule counts every request that looks
//! like its trigger, whether or not an earlier rule got it: `nth=3` is the third such request, not the third left over.

use std::time::Duration;

use crate::plan::{Action, Facts, FailStatus, Order, Rule, ShortStatus, Until};
use crate::rng::Rng;

/// A rule in force: named, and with what it has counted.
#[derive(Debug, Clone, PartialEq)]
pub struct Armed {
    /// The rule's name, its own or given.
    pub name: String,
    /// The rule.
    pub rule: Rule,
    /// Requests that looked like its trigger.
    pub seen: u64,
    /// Requests to which it was applied.
    pub hits: u64,
}

/// When a request completes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Timing {
    /// After this time.
    Delay(Duration),
    /// When something else has happened, or after `max`.
    Hold {
        /// What is waited for.
        until: Until,
        /// The longest wait.
        max: Duration,
    },
    /// When its window is full, or idle for `max`.
    Reorder {
        /// Requests in the window.
        window: usize,
        /// Their order.
        order: Order,
        /// The longest idle time.
        max: Duration,
    },
}

/// How a request completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With an error, without touching the disk.
    Fail(FailStatus),
    /// With only its first bytes moved.
    Short {
        /// How many.
        bytes: u64,
        /// What the guest is told.
        then: ShortStatus,
    },
}

/// What was decided for one request. Rules are meant by index.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Decision {
    /// Rules whose trigger the request looks like.
    pub seen: Vec<usize>,
    /// When it completes, and the rule that says so; `None` is at once.
    pub timing: Option<(usize, Timing)>,
    /// How it completes, and the rule that says so; `None` is as the disk says.
    pub outcome: Option<(usize, Outcome)>,
}

/// Decides for the request with this ordinal (its number since the plan came into force).
#[must_use]
pub fn decide(rules: &[Armed], seed: u64, ordinal: u64, facts: &Facts) -> Decision {
    let mut decision = Decision::default();
    for (index, armed) in rules.iter().enumerate() {
        let trigger = &armed.rule.trigger;
        if !trigger.matcher.matches(facts) {
            continue;
        }
        decision.seen.push(index);
        let count = armed.seen + 1;
        let taken = if armed.rule.action.is_timing() {
            decision.timing.is_some()
        } else {
            decision.outcome.is_some()
        };
        if taken
            || trigger.nth.is_some_and(|nth| nth != count)
            || trigger.every.is_some_and(|every| count % every != 0)
            || trigger.limit.is_some_and(|limit| armed.hits >= limit)
        {
            continue;
        }
        let mut rng = Rng::for_choice(seed, &armed.name, ordinal);
        if trigger.probability.is_some_and(|probability| !rng.chance(probability)) {
            continue;
        }
        match &armed.rule.action {
            Action::Fail(status) => decision.outcome = Some((index, Outcome::Fail(*status))),
            Action::Short { bytes, then } if facts.op.moves_data() => {
                decision.outcome = Some((
                    index,
                    Outcome::Short {
                        bytes: *bytes,
                        then: *then,
                    },
                ));
            }
            // `short any` leaves alone what moves no data.
            Action::Short { .. } => {}
            Action::Delay(span) => {
                let range_us = u64::try_from((span.max - span.min).as_micros()).unwrap_or(u64::MAX);
                let extra_us = rng.below(range_us.saturating_add(1));
                decision.timing = Some((index, Timing::Delay(span.min + Duration::from_micros(extra_us))));
            }
            Action::Hold { until, max } => {
                decision.timing = Some((
                    index,
                    Timing::Hold {
                        until: until.clone(),
                        max: *max,
                    },
                ));
            }
            Action::Reorder { window, order, max } => {
                decision.timing = Some((
                    index,
                    Timing::Reorder {
                        window: *window,
                        order: *order,
                        max: *max,
                    },
                ));
            }
        }
    }
    decision
}

/// The order in which a window of `len` requests completes: a list of their indices.
#[must_use]
pub fn permutation(order: Order, len: usize, seed: u64, rule: &str, window_number: u64) -> Vec<usize> {
    let mut indices: Vec<usize> = (0..len).collect();
    match order {
        Order::Reverse => indices.reverse(),
        Order::Rotate => indices.rotate_left(1.min(len)),
        Order::Shuffle => {
            let mut rng = Rng::for_choice(seed, rule, window_number);
            for last in (1..len).rev() {
                let bound = u64::try_from(last).unwrap_or(0) + 1;
                indices.swap(last, usize::try_from(rng.below(bound)).unwrap_or(last));
            }
        }
    }
    indices
}

impl Armed {
    /// A rule that has seen nothing yet; without a name of its own it gets `rN`.
    #[must_use]
    pub fn new(rule: Rule, number: usize) -> Armed {
        let name = rule.name.clone().unwrap_or_else(|| format!("r{number}"));
        Armed {
            name,
            rule,
            seen: 0,
            hits: 0,
        }
    }

    /// Writes a decision down in the rules' counters.
    pub fn record(rules: &mut [Armed], decision: &Decision) {
        for index in &decision.seen {
            if let Some(armed) = rules.get_mut(*index) {
                armed.seen += 1;
            }
        }
        let timing = decision.timing.as_ref().map(|(index, _)| *index);
        let outcome = decision.outcome.as_ref().map(|(index, _)| *index);
        for index in [timing, outcome].into_iter().flatten() {
            if let Some(armed) = rules.get_mut(index) {
                armed.hits += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::op::Op;
    use crate::payload::Tag;

    fn armed(texts: &[&str]) -> Vec<Armed> {
        texts
            .iter()
            .enumerate()
            .map(|(i, text)| Armed::new(text.parse().expect(text), i + 1))
            .collect()
    }

    fn write(sector: u64, len: u64, tag: Option<(u64, u64)>) -> Facts {
        Facts {
            op: Op::Write,
            sector,
            len,
            tag: tag.map(Tag::from),
        }
    }

    /// Ordinals (from 1) of the requests out of `count` equal writes that the rules let fail.
    fn failing(rules: &mut [Armed], seed: u64, count: u64) -> Vec<u64> {
        let mut failing = Vec::new();
        for ordinal in 1..=count {
            let decision = decide(rules, seed, ordinal, &write(0, 4096, None));
            Armed::record(rules, &decision);
            if decision.outcome.is_some() {
                failing.push(ordinal);
            }
        }
        failing
    }

    #[test]
    fn nth_every_and_limit() {
        assert_eq!(failing(&mut armed(&["fail write nth=3"]), 0, 9), [3]);
        assert_eq!(failing(&mut armed(&["fail write every=3"]), 0, 9), [3, 6, 9]);
        assert_eq!(failing(&mut armed(&["fail write every=2 limit=2"]), 0, 9), [2, 4]);
        assert_eq!(failing(&mut armed(&["fail write limit=2"]), 0, 9), [1, 2]);
        assert_eq!(failing(&mut armed(&["fail read"]), 0, 9), [0u64; 0]);
    }

    #[test]
    fn a_rule_counts_what_an_earlier_one_took() {
        let mut rules = armed(&["fail write nth=1", "fail write nth=2"]);
        assert_eq!(failing(&mut rules, 0, 5), [1, 2]);
        assert_eq!((rules[1].seen, rules[1].hits), (5, 1));
    }

    #[test]
    fn timing_and_outcome_compose_and_the_first_wins() {
        let rules = armed(&[
            "hold write until=release",
            "delay write for=1ms",
            "fail write",
            "short write bytes=1 then=ok",
        ]);
        let decision = decide(&rules, 0, 1, &write(0, 512, None));
        assert_eq!(decision.timing.map(|(index, _)| index), Some(0));
        assert_eq!(decision.outcome, Some((2, Outcome::Fail(FailStatus::IoErr))));
        assert_eq!(decision.seen, [0, 1, 2, 3]);
    }

    #[test]
    fn payload_names_the_page() {
        let rules = armed(&["fail write payload=tag:7.2"]);
        let hit = |facts: &Facts| decide(&rules, 0, 1, facts).outcome.is_some();
        assert!(hit(&write(0, 4096, Some((7, 2)))));
        assert!(!hit(&write(0, 4096, Some((7, 3)))));
        assert!(!hit(&write(0, 4096, Some((8, 2)))));
        assert!(!hit(&write(0, 4096, None)));
    }

    #[test]
    fn short_leaves_flushes_alone() {
        let rules = armed(&["short any bytes=1 then=ok"]);
        let flush = Facts {
            op: Op::Flush,
            sector: 0,
            len: 0,
            tag: None,
        };
        assert_eq!(decide(&rules, 0, 1, &flush).outcome, None);
    }

    #[test]
    fn shuffles_stay_as_they_are() {
        assert_eq!(permutation(Order::Reverse, 4, 0, "r1", 0), [3, 2, 1, 0]);
        assert_eq!(permutation(Order::Rotate, 4, 0, "r1", 0), [1, 2, 3, 0]);
        assert_eq!(permutation(Order::Rotate, 0, 0, "r1", 0), [0usize; 0]);
        let first = permutation(Order::Shuffle, 8, 7, "r1", 0);
        assert_eq!(first, permutation(Order::Shuffle, 8, 7, "r1", 0));
        assert_ne!(
            first,
            permutation(Order::Shuffle, 8, 7, "r1", 1),
            "each window has its own"
        );
    }

    proptest! {
        #[test]
        fn same_requests_meet_same_faults(seed: u64, p in 0.0f64..=1.0) {
            let text = format!("fail write p={p}");
            let once = failing(&mut armed(&[&text]), seed, 50);
            prop_assert_eq!(&once, &failing(&mut armed(&[&text]), seed, 50));
            // A rule before it that never applies changes nothing, for choices hang on the name.
            let mut named = armed(&["fail write nth=1000 name=other", &format!("{text} name=r1")]);
            prop_assert_eq!(once, failing(&mut named, seed, 50));
        }

        #[test]
        fn delays_stay_in_their_range(seed: u64, ordinal: u64) {
            let decision = decide(&armed(&["delay any for=20ms..80ms"]), seed, ordinal, &write(0, 512, None));
            let Some((_, Timing::Delay(time))) = decision.timing else { panic!("no delay") };
            prop_assert!((20..=80).contains(&time.as_millis()));
        }

        #[test]
        fn permutations_keep_every_request(len in 0usize..40, seed: u64, window: u64) {
            for order in Order::ALL {
                let mut indices = permutation(order, len, seed, "r1", window);
                indices.sort_unstable();
                prop_assert!(indices.into_iter().eq(0..len));
            }
        }
    }
}
