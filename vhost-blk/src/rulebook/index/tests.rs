//! The index finds what asking every rule finds.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use vhost_blk_api::payload::Tag;
use vhost_blk_api::plan::Prefix;

use super::*;
use crate::rulebook::decide::decide;

/// Rules over a small world, so that requests meet them often.
fn rule() -> impl Strategy<Value = String> {
    let action = select(vec![
        ("fail", ""),
        ("delay", " for=1ms"),
        ("drop", ""),
        ("corrupt", " flip=1bit"),
        ("cut", ""),
        ("short", " bytes=512 then=ok"),
        ("early", " for=1s"),
        ("disconnect", ""),
        ("hold", " until=mark(m)"),
    ]);
    let op = select(vec!["any", "read", "write", "flush", "discard"]);
    let pair = |key: &'static str, max: u64| {
        of((0..max, 1..max)).prop_map(move |range| {
            range.map_or(String::new(), |(start, len)| {
                format!(" {key}={}..{}", start * 512, (start + len) * 512)
            })
        })
    };
    let payload = of(select(vec![
        "payload=tag:1",
        "payload=tag:1.2",
        "payload=tag:2.2",
        "payload=hex:42",
        "payload=hex:4249",
        "payload=hex:00",
    ]));
    let more = of(select(vec![
        "nth=2",
        "every=2",
        "limit=1",
        "p=0.5",
        "first-after=flush",
        "covers=512..1024",
        "after=rule(r0)",
        "before=rule(r1)",
        "set=v:1",
        "when=v:1",
    ]));
    let queue = of(0u16..2);
    (action, op, pair("sectors", 8), pair("len", 8), queue, payload, more).prop_map(
        |((action, rest), op, sectors, len, queue, payload, more)| {
            let queue = queue.map_or(String::new(), |queue| format!(" queue={queue}"));
            let word = |word: Option<&str>| word.map_or(String::new(), |word| format!(" {word}"));
            format!(
                "{action} {op}{rest}{sectors}{len}{queue}{}{}",
                word(payload),
                word(more)
            )
        },
    )
}

fn facts() -> impl Strategy<Value = Facts> {
    let op = select(vec![Op::Read, Op::Write, Op::Flush, Op::Discard, Op::GetId]);
    let start = select(vec![
        Vec::new(),
        vec![0; 8],
        b"BI".to_vec(),
        Tag { tag: 1, page: 2 }.header().to_vec(),
        Tag { tag: 2, page: 1 }.header().to_vec(),
    ]);
    let ranges = vec((0u64..4096, 0u64..600), 2..5);
    (op, 0u64..4096, 0u64..4096, ranges, 0u16..2, start).prop_map(|(op, sector, len, ranges, queue, start)| {
        let facts = Facts {
            op,
            sector,
            len,
            ranges: Vec::new(),
            queue,
            tag: Tag::read(&start),
            prefix: Prefix::of(&start),
        };
        // Every second discard has several ranges.
        if op != Op::Discard || len % 2 == 0 {
            return facts;
        }
        Facts {
            sector: ranges[0].0,
            len: ranges.iter().map(|(_, count)| count * 512).sum(),
            ranges: ranges.iter().map(|(start, count)| *start..start + count).collect(),
            ..facts
        }
    })
}

proptest! {
    #[test]
    fn nothing_is_decided_otherwise_with_the_index(texts in vec(rule(), 0..24), requests in vec(facts(), 1..40)) {
        // What the language refuses is not put in force.
        let parsed = texts.iter().filter_map(|text| text.parse().ok());
        let mut all: Vec<Armed> = parsed.enumerate().map(|(number, rule)| Armed::new(rule, number)).collect();
        let mut rules = Rules::default();
        for armed in &all {
            rules.push(armed.clone());
        }
        let (mut world, mut same) = (World::default(), World::default());
        for (ordinal, facts) in (1..).zip(&requests) {
            let expected = decide(&all, &world, 7, ordinal, facts);
            prop_assert_eq!(&rules.decide(&same, 7, ordinal, facts), &expected);
            Armed::record(&mut all, &mut world, &expected, facts);
            rules.record(&mut same, &expected, facts);
            prop_assert_eq!(&rules[..], &all[..]);
            prop_assert_eq!(&world, &same);
            if ordinal == 20 {
                world.marks.insert("m".to_owned());
                same.marks.insert("m".to_owned());
            }
        }
    }
}

#[test]
fn most_of_these_rules_can_be_read() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let texts: Vec<String> = (0..200)
        .map(|_| rule().new_tree(&mut runner).expect("a rule").current())
        .collect();
    let read = texts
        .iter()
        .filter(|text| text.parse::<vhost_blk_api::plan::Rule>().is_ok())
        .count();
    assert!(read > 80, "{read} of 200, for instance {:?}", texts.first());
}

#[test]
fn a_rule_that_is_taken_off_is_gone() {
    let mut rules = Rules::default();
    for (number, text) in (0..).zip(["fail write", "fail read"]) {
        rules.push(Armed::new(text.parse().expect("a rule"), number));
    }
    assert!(rules.remove("r0"));
    assert!(!rules.remove("r0"));
    assert_eq!(
        rules.iter().map(|armed| armed.name.as_str()).collect::<Vec<_>>(),
        ["r1"]
    );
}
