//! Decisions: counting, choosing, and what rules can know of what came before.

use proptest::prelude::*;
use vhost_blk_api::payload::Tag;
use vhost_blk_api::plan::{FailStatus, Prefix, words};
use vhost_blk_api::rng::Rng;

use super::*;
use crate::request::execute::RequestOutcome;

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
        ranges: Vec::new(),
        queue: 0,
        tag: tag.map(Tag::from),
        prefix: Prefix::default(),
    }
}

/// Ordinals (from 1) of the requests out of `count` equal writes that the rules let fail.
fn failing(rules: &mut [Armed], seed: u64, count: u64) -> Vec<u64> {
    let mut world = World::default();
    let mut failing = Vec::new();
    for ordinal in 1..=count {
        let decision = decide(rules, &world, seed, ordinal, &write(0, 4096, None));
        Armed::record(rules, &mut world, &decision, &write(0, 4096, None));
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
    let decision = decide(&rules, &World::default(), 0, 1, &write(0, 512, None));
    assert_eq!(decision.timing.map(|(index, _)| index), Some(0));
    let outcome = decision.outcome.map(|(index, picked)| (index, picked.action));
    assert_eq!(outcome, Some((2, Action::Fail(FailStatus::IoErr))));
    assert_eq!(decision.seen.as_slice(), [0, 1, 2, 3]);
}

#[test]
fn a_request_that_is_never_answered_meets_nothing_else() {
    for ends_all in ["cut write nth=1", "disconnect write nth=1"] {
        let mut rules = armed(&[
            "fail write limit=1 set=failed:1",
            "delay write for=1ms",
            ends_all,
            "corrupt write flip=1bit",
        ]);
        let mut world = World::default();
        let mut send = |ordinal| {
            let decision = decide(&rules, &world, 0, ordinal, &write(0, 512, None));
            Armed::record(&mut rules, &mut world, &decision, &write(0, 512, None));
            let counts: Vec<(u64, u64)> = rules.iter().map(|armed| (armed.seen, armed.hits)).collect();
            (decision, counts, world.clone())
        };
        let (decision, counts, world) = send(1);
        assert_eq!((decision.timing, decision.outcome), (None, None));
        assert_eq!(decision.device.map(|(index, _)| index), Some(2));
        assert_eq!(counts, [(1, 0), (1, 0), (1, 1), (1, 0)], "all have seen it");
        assert!(world.vars.is_empty() && world.applied.iter().eq(["r3"]));
        // The limit of `fail` is not used up.
        let (_, counts, world) = send(2);
        assert_eq!(counts, [(2, 1), (2, 1), (2, 1), (2, 0)]);
        assert_eq!(world.var("failed"), 1);
    }
}

#[test]
fn nothing_is_held_until_a_mark_that_was_made() {
    let mut rules = armed(&["hold write until=mark(m)", "delay write for=1ms"]);
    let mut world = World::default();
    let mut by = Vec::new();
    for ordinal in 1..=2 {
        let decision = decide(&rules, &world, 0, ordinal, &write(0, 512, None));
        Armed::record(&mut rules, &mut world, &decision, &write(0, 512, None));
        by.extend(decision.timing.map(|(index, _)| index));
        world.marks.insert("m".to_owned());
    }
    assert_eq!(by, [0, 1]);
    assert_eq!((rules[0].seen, rules[0].hits), (1, 1));
}

#[test]
fn payload_names_the_page() {
    let rules = armed(&["fail write payload=tag:7.2"]);
    let hit = |facts: &Facts| decide(&rules, &World::default(), 0, 1, facts).outcome.is_some();
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
        ranges: Vec::new(),
        queue: 0,
        tag: None,
        prefix: Prefix::default(),
    };
    assert_eq!(decide(&rules, &World::default(), 0, 1, &flush).outcome, None);
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
        let rules = armed(&["delay any for=20ms..80ms"]);
        let decision = decide(&rules, &World::default(), seed, ordinal, &write(0, 512, None));
        let Some((_, Timing::Delay { time, .. })) = decision.timing else { panic!("no delay") };
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

/// Lets the rules see a row of requests; says for each (from 1) which rules were applied to it.
fn applied(texts: &[&str], world: &mut World, requests: &[Facts]) -> Vec<Vec<String>> {
    let mut rules = armed(texts);
    let mut row = Vec::new();
    for (ordinal, facts) in (1..).zip(requests) {
        let decision = decide(&rules, world, 7, ordinal, facts);
        Armed::record(&mut rules, world, &decision, facts);
        let timing = decision.timing.map(|(index, _)| index);
        let outcome = decision.outcome.map(|(index, _)| index);
        row.push(
            timing
                .into_iter()
                .chain(outcome)
                .map(|index| rules[index].name.clone())
                .collect(),
        );
    }
    row
}

fn request(op: Op, sector: u64, sectors: u64) -> Facts {
    Facts {
        op,
        ..write(sector, sectors * 512, None)
    }
}

/// The requests (from 1) to which the one rule was applied.
fn hits(text: &str, requests: &[Facts]) -> Vec<usize> {
    let row = applied(&[text], &mut World::default(), requests);
    (1..)
        .zip(row)
        .filter(|(_, names)| !names.is_empty())
        .map(|(number, _)| number)
        .collect()
}

#[test]
fn first_after_a_flush() {
    let [w, r, f] = [Op::Write, Op::Read, Op::Flush].map(|op| request(op, 0, 8));
    let row = [
        w.clone(),
        f.clone(),
        r.clone(),
        w.clone(),
        w.clone(),
        f.clone(),
        f.clone(),
        w.clone(),
    ];
    assert_eq!(hits("fail write first-after=flush", &row), [4, 8]);
    assert_eq!(
        hits("fail any first-after=flush", &row),
        [3, 7, 8],
        "a flush can be the first after another"
    );
    assert_eq!(hits("fail write first-after=flush nth=2", &row), [8]);
}

#[test]
fn a_row_that_covers_sectors() {
    let w = |sector, sectors| request(Op::Write, sector, sectors);
    // 0..8 8..16 16..24: the second completes 4..12, and only it.
    assert_eq!(hits("fail write covers=4..12", &[w(0, 8), w(8, 8), w(16, 8)]), [2]);
    // One request alone; again, since a new row begins.
    assert_eq!(hits("fail write covers=4..12", &[w(0, 16), w(0, 16)]), [1, 2]);
    // A gap, or another place in between, ends the row; a read in between is none of the writes' business.
    assert_eq!(
        hits("fail write covers=4..12", &[w(0, 8), w(100, 8), w(8, 8)]),
        [0usize; 0]
    );
    assert_eq!(
        hits(
            "fail write covers=4..12",
            &[w(0, 8), request(Op::Read, 100, 8), w(8, 8)]
        ),
        [3]
    );
}

#[test]
fn each_operation_has_its_own_row() {
    let w = |sector, sectors| request(Op::Write, sector, sectors);
    let any = "fail any covers=0..16";
    let [r, f] = [request(Op::Read, 0, 8), request(Op::Flush, 0, 0)];
    assert_eq!(hits(any, &[w(0, 8), f, w(8, 8)]), [3], "a flush lies nowhere");
    assert_eq!(
        hits(any, &[w(0, 8), r.clone(), w(8, 8), request(Op::Read, 8, 8)]),
        [3, 4]
    );
    assert_eq!(hits(any, &[r, w(8, 8)]), [0usize; 0], "a read and a write are no row");
}

#[test]
fn ranges_of_a_discard_are_a_row_one_by_one() {
    let d = |ranges: &[Range<u64>]| Facts {
        ranges: ranges.to_vec(),
        ..request(
            Op::Discard,
            ranges[0].start,
            ranges.iter().map(|range| range.end - range.start).sum(),
        )
    };
    let rule = "fail discard covers=0..16";
    assert_eq!(hits(rule, &[d(&[0..8, 8..16])]), [1]);
    assert_eq!(
        hits(rule, &[d(&[0..8, 100..108])]),
        [0usize; 0],
        "16 sectors, but not these"
    );
    assert_eq!(hits(rule, &[d(&[100..108, 0..8]), d(&[8..16, 50..58])]), [2]);
    assert_eq!(
        hits(rule, &[d(&[0..8, 100..108]), request(Op::Discard, 8, 8)]),
        [0usize; 0]
    );
    assert_eq!(
        hits(rule, &[d(&[0..16, 16..24]), request(Op::Discard, 24, 8)]),
        [1],
        "it was covered already"
    );
}

#[test]
fn after_and_before_other_rules_and_marks() {
    let w = request(Op::Write, 0, 8);
    let row = vec![w; 6];
    let names = applied(
        &[
            "short write bytes=1 then=ok nth=3 name=a",
            "delay write for=1ms after=rule(a) before=mark(m) limit=1",
        ],
        &mut World::default(),
        &row,
    );
    assert_eq!(names, [&[][..], &[], &["a".to_owned()], &["r2".to_owned()], &[], &[]]);
    let mut world = World::default();
    world.marks.insert("m".to_owned());
    assert_eq!(applied(&["fail write after=mark(m)"], &mut world, &row[..1]), [["r1"]]);
    assert_eq!(
        applied(&["fail write before=mark(m)"], &mut world, &row[..1]),
        [[""; 0]]
    );
}

#[test]
fn state_variables_make_a_machine() {
    // Fails a write after every second read.
    let rules = [
        "delay read for=1ms when=reads:0 set=reads:1 name=one",
        "delay read for=1ms when=reads:1 set=reads:2 name=two",
        "fail write when=reads:2 set=reads:0 name=fault",
    ];
    let [r, w] = [Op::Read, Op::Write].map(|op| request(op, 0, 8));
    let row = [&w, &r, &w, &r, &w, &w, &r].map(Clone::clone);
    let mut world = World::default();
    let names: Vec<String> = applied(&rules, &mut world, &row).concat();
    assert_eq!(names, ["one", "two", "fault", "one"]);
    assert_eq!(world.var("reads"), 1);
}

#[test]
fn a_dying_disk_gets_slower() {
    let mut rules = armed(&["slow read for=1ms..11ms over=5"]);
    let mut world = World::default();
    let r = request(Op::Read, 0, 8);
    let mut times = Vec::new();
    for ordinal in 1..=7 {
        let decision = decide(&rules, &world, 0, ordinal, &r);
        Armed::record(&mut rules, &mut world, &decision, &r);
        let Some((_, Timing::Delay { time, action: "slow" })) = decision.timing else {
            panic!("not slow")
        };
        times.push(time.as_millis());
    }
    assert_eq!(times, [1, 3, 5, 7, 9, 11, 11]);
}

#[test]
fn spreads_favour_what_they_say() {
    let r = request(Op::Read, 0, 8);
    let count = |spread: &str, range: Range<u128>| {
        let rules = armed(&[&format!("delay read for=0ms..80ms spread={spread}")]);
        let time = |ordinal| match decide(&rules, &World::default(), 3, ordinal, &r).timing {
            Some((_, Timing::Delay { time, .. })) => time.as_millis(),
            other => panic!("{other:?}"),
        };
        (1..=1000).map(time).filter(|time| range.contains(time)).count()
    };
    assert!((400..600).contains(&count("uniform", 0..40)));
    assert!(count("bell", 20..60) > 800);
    assert!((430..570).contains(&count("exponential", 0..10)));
    assert!(count("exponential", 0..80) + count("exponential", 80..81) == 1000);
}

#[test]
fn any_leaves_alone_what_an_action_cannot_do() {
    let [r, w, f] = [Op::Read, Op::Write, Op::Flush].map(|op| request(op, 0, 8));
    assert_eq!(hits("drop any", &[r.clone(), w.clone(), f.clone()]), [2, 3]);
    assert_eq!(hits("corrupt any flip=1bit", &[f, r, w]), [2, 3]);
}

#[test]
fn any_does_not_count_what_an_action_cannot_do() {
    let [r, w, f, d] = [Op::Read, Op::Write, Op::Flush, Op::Discard].map(|op| request(op, 0, 8));
    let row = |row: &[&Facts]| row.iter().map(|facts| (*facts).clone()).collect::<Vec<_>>();
    assert_eq!(hits("drop any nth=1", &row(&[&r, &w, &f])), [2]);
    assert_eq!(hits("short any bytes=1 then=ok every=2", &row(&[&f, &w, &d, &r])), [4]);
    assert_eq!(hits("early any for=1s nth=2", &row(&[&f, &w, &f])), [3]);
    // What it cannot do is not the first since the flush either.
    let first = "corrupt any flip=1bit first-after=flush";
    assert_eq!(hits(first, &row(&[&f, &d, &w, &w])), [3]);
    let mut rules = armed(&["drop any"]);
    let world = &mut World::default();
    for (ordinal, facts) in (1..).zip(&row(&[&r, &r, &w])) {
        let decision = decide(&rules, world, 0, ordinal, facts);
        Armed::record(&mut rules, world, &decision, facts);
    }
    assert_eq!((rules[0].seen, rules[0].hits), (1, 1));
}

#[test]
fn every_action_is_of_one_kind() {
    for action in &words::ACTIONS {
        for example in action.examples {
            let rule: Rule = example.parse().expect(example);
            let chosen = chosen(&rule.action, 0, Rng::for_choice(0, "r1", 1));
            let timing = matches!(chosen, Chosen::Timing(_));
            assert_eq!(timing, rule.action.is_timing(), "{example}");
            if let Chosen::Outcome(picked) = chosen {
                let outcome = RequestOutcome::of(picked).expect(example);
                assert_eq!(outcome.action(), action.name);
            }
        }
    }
}
