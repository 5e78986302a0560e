//! The rule language: what it takes, what it gives back, and what each error says.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn message(text: &str) -> String {
    text.parse::<Rule>().expect_err(text).render()
}

#[test]
fn every_example_reads_back() {
    for text in [
        "fail write",
        "fail write payload=tag:7 nth=1",
        "fail any status=unsupp p=0.25 limit=3",
        "delay any for=20ms..80ms p=0.1",
        "reorder write window=8 order=shuffle",
        "reorder write window=2 order=reverse max=1s",
        "short write bytes=4k then=ioerr",
        "short read bytes=512 then=ok len=4k..1M",
        "fail flush every=3 limit=2",
        "hold write until=next(write) nth=1",
        "hold write until=next(write payload=tag:7.3) max=5s payload=tag:7.0 limit=1 name=first-bio",
        "hold any until=done(flush nth=2)",
        "hold read until=release sectors=2048..2056",
        "hold discard until=500ms",
        "fail write-zeroes",
    ] {
        let rule: Rule = text.parse().expect(text);
        assert_eq!(rule.to_string(), text);
    }
}

#[test]
fn short_forms_and_comments() {
    let rule: Rule = "  fail\tnth=2   # the second of anything".parse().expect("rule");
    assert_eq!(rule.to_string(), "fail any nth=2");
    assert_eq!(
        "fail write len=4096".parse::<Rule>().expect("rule").to_string(),
        "fail write len=4k"
    );
    let rule: Rule = "hold until=release max=10s".parse().expect("rule");
    assert_eq!(rule.to_string(), "hold any until=release", "a default need not be said");
}

#[test]
fn errors_point_at_the_place() {
    insta::assert_snapshot!(message(""), @r#"
    column 1: empty rule: expected an action: fail, delay, hold, reorder, short
     |
     |
     | ^
    "#);
    insta::assert_snapshot!(message("fial write"), @r#"
    column 1: unknown action `fial`: expected one of fail, delay, hold, reorder, short; did you mean `fail`?
     |
     | fial write
     | ^^^^
    "#);
    insta::assert_snapshot!(message("fail wriet nth=1"), @r#"
    column 6: unknown operation `wriet`: expected one of read, write, flush, discard, write-zeroes, any, or key=value; did you mean `write`?
     |
     | fail wriet nth=1
     |      ^^^^^
    "#);
    insta::assert_snapshot!(message("fail write 3"), @r#"
    column 12: `3` is not key=value
     |
     | fail write 3
     |            ^
    "#);
    insta::assert_snapshot!(message("fail nth=1 write"), @r#"
    column 12: `write` is not key=value; an operation stands right after the action
     |
     | fail nth=1 write
     |            ^^^^^
    "#);
    insta::assert_snapshot!(message("fail write nht=1"), @r#"
    column 12: unknown key `nht` for fail: known keys: status, sectors, len, payload, nth, every, p, limit, name; did you mean `nth`?
     |
     | fail write nht=1
     |            ^^^
    "#);
    insta::assert_snapshot!(message("fail write until=release"), @r#"
    column 12: unknown key `until` for fail: known keys: status, sectors, len, payload, nth, every, p, limit, name
     |
     | fail write until=release
     |            ^^^^^
    "#);
    insta::assert_snapshot!(message("fail write nth=1 limit=2 nth=2"), @r#"
    column 26: `nth` is given twice: the first is at column 12
     |
     | fail write nth=1 limit=2 nth=2
     |                          ^^^
    "#);
    insta::assert_snapshot!(message("delay write"), @r#"
    column 1: delay needs `for`: for example `delay write for=20ms..80ms`
     |
     | delay write
     | ^^^^^
    "#);
    insta::assert_snapshot!(message("fail write nth=0"), @r#"
    column 16: bad value `0` for `nth`: expected a number from 1
     |
     | fail write nth=0
     |                ^
    "#);
    insta::assert_snapshot!(message("fail write nth="), @r#"
    column 12: bad value `` for `nth`: expected a number from 1
     |
     | fail write nth=
     |            ^^^^
    "#);
    insta::assert_snapshot!(message("fail write status=ioer"), @r#"
    column 19: bad value `ioer` for `status`: expected ioerr or unsupp; did you mean `ioerr`?
     |
     | fail write status=ioer
     |                   ^^^^
    "#);
    insta::assert_snapshot!(message("delay write for=80ms..20ms"), @r#"
    column 17: bad value `80ms..20ms` for `for`: expected a time like 20ms, or a range like 20ms..80ms
     |
     | delay write for=80ms..20ms
     |                 ^^^^^^^^^^
    "#);
    insta::assert_snapshot!(message("fail write p=1.5"), @r#"
    column 14: bad value `1.5` for `p`: expected a probability from 0 to 1, like 0.1
     |
     | fail write p=1.5
     |              ^^^
    "#);
    insta::assert_snapshot!(message("fail write sectors=8"), @r#"
    column 20: bad value `8` for `sectors`: expected sectors of 512 bytes, A..B with A < B
     |
     | fail write sectors=8
     |                    ^
    "#);
    insta::assert_snapshot!(message("fail write len=8k..4k"), @r#"
    column 16: bad value `8k..4k` for `len`: expected bytes like 4k, or A..B with A < B (B not included)
     |
     | fail write len=8k..4k
     |                ^^^^^^
    "#);
    insta::assert_snapshot!(message("fail write payload=7"), @r#"
    column 20: bad value `7` for `payload`: expected tag:F or tag:F.P with numbers F (tag) and P (page)
     |
     | fail write payload=7
     |                    ^
    "#);
    insta::assert_snapshot!(message("reorder write window=1 order=shuffle"), @r#"
    column 22: bad value `1` for `window`: expected a number from 2 to 1024
     |
     | reorder write window=1 order=shuffle
     |                      ^
    "#);
    insta::assert_snapshot!(message("short write bytes=lots then=ok"), @r#"
    column 19: bad value `lots` for `bytes`: expected a number of bytes, like 512, 4k or 2M
     |
     | short write bytes=lots then=ok
     |                   ^^^^
    "#);
    insta::assert_snapshot!(message("fail write nth=1 every=2"), @r#"
    column 18: `every` and `nth` exclude each other: keep one of them
     |
     | fail write nth=1 every=2
     |                  ^^^^^^^
    "#);
    insta::assert_snapshot!(message("hold write until=5ms max=1s"), @r#"
    column 22: `max` and `until=TIME` exclude each other: keep one of them
     |
     | hold write until=5ms max=1s
     |                      ^^^^^^
    "#);
    insta::assert_snapshot!(message("hold write until=relase"), @r#"
    column 18: bad value `relase` for `until`: expected next(TRIGGER), done(TRIGGER), release or a time like 500ms; did you mean `release`?
     |
     | hold write until=relase
     |                  ^^^^^^
    "#);
    insta::assert_snapshot!(message("hold write until=next(wirte nth=1)"), @r#"
    column 23: unknown operation `wirte`: expected one of read, write, flush, discard, write-zeroes, any, or key=value; did you mean `write`?
     |
     | hold write until=next(wirte nth=1)
     |                       ^^^^^
    "#);
    insta::assert_snapshot!(message("hold write until=next(write p=0.1)"), @r#"
    column 29: unknown key `p` for a trigger to wait for: known keys: sectors, len, payload, nth
     |
     | hold write until=next(write p=0.1)
     |                             ^
    "#);
    insta::assert_snapshot!(message("hold write until=next(write"), @r#"
    column 22: `(` has no counterpart: parentheses stand as in until=next(write payload=tag:7)
     |
     | hold write until=next(write
     |                      ^
    "#);
    insta::assert_snapshot!(message("hold write until=release)"), @r#"
    column 25: `)` has no counterpart: parentheses stand as in until=next(write payload=tag:7)
     |
     | hold write until=release)
     |                         ^
    "#);
    insta::assert_snapshot!(message("short flush bytes=1 then=ok"), @r#"
    column 7: short does not go with `flush`: it needs read, write or any
     |
     | short flush bytes=1 then=ok
     |       ^^^^^
    "#);
    insta::assert_snapshot!(message("fail read payload=tag:1"), @r#"
    column 11: payload does not go with `read`: it needs write or any
     |
     | fail read payload=tag:1
     |           ^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(message("fail flush sectors=0..8"), @r#"
    column 12: sectors does not go with `flush`: it needs read, write, discard, write-zeroes or any
     |
     | fail flush sectors=0..8
     |            ^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(message("fail write name=7up"), @r#"
    column 17: bad value `7up` for `name`: expected a name of letters, digits, `_` and `-`
     |
     | fail write name=7up
     |                 ^^^
    "#);
}

#[test]
fn plan_files_point_at_line_and_column() {
    let show = |text| file::parse(text, "faults.toml").expect_err("a bad plan").to_string();
    insta::assert_snapshot!(show("seed = 7\nrules = [\n  \"fail write\",\n  \"fail wriet nth=1\",\n]\n"), @r#"
    faults.toml:4:9: unknown operation `wriet`: expected one of read, write, flush, discard, write-zeroes, any, or key=value; did you mean `write`?
      |
    4 |   "fail wriet nth=1",
      |         ^^^^^
    "#);
    insta::assert_snapshot!(show("sed = 7\n"), @r#"
    faults.toml:1:1: unknown field `sed`, expected `seed` or `rules`; did you mean `seed`?
      |
    1 | sed = 7
      | ^^^
    "#);
    insta::assert_snapshot!(show("seed = -1\n"), @r#"
    faults.toml:1:8: invalid value: integer `-1`, expected u64
      |
    1 | seed = -1
      |        ^^
    "#);
    insta::assert_snapshot!(show("rules = [\"fail write\"\n"), @r#"
    faults.toml:1:22: unclosed array, expected `]`
      |
    1 | rules = ["fail write"
      |                      ^
    "#);
    insta::assert_snapshot!(show("rules = [\"fail \\u0077riet\"]\n"), @r#"
    faults.toml:1:10: unknown operation `wriet`: expected one of read, write, flush, discard, write-zeroes, any, or key=value; did you mean `write`?
      |
    1 | rules = ["fail \u0077riet"]
      |          ^^^^^^^^^^^^^^^^^
    "#);
    insta::assert_snapshot!(show("rules = [\"fail write name=a\", 'fail read name=a']\n"), @r#"
    faults.toml:1:42: rule name `a` is taken: give another with name=…
      |
    1 | rules = ["fail write name=a", 'fail read name=a']
      |                                          ^^^^^^
    "#);
    let plan = Plan::default();
    insta::assert_snapshot!(file::parse_option("fail wirte", &plan).expect_err("bad").to_string(), @r#"
    --rule:1:6: unknown operation `wirte`: expected one of read, write, flush, discard, write-zeroes, any, or key=value; did you mean `write`?
      |
    1 | fail wirte
      |      ^^^^^
    "#);
}

#[test]
fn plan_file_is_read() {
    let plan = file::parse("seed = 7\nrules = [\"fail write nth=1\", 'delay any for=1ms']", "p").expect("plan");
    assert_eq!(plan.seed, 7);
    assert_eq!(plan.rules[1].to_string(), "delay any for=1ms");
}

#[test]
fn matcher_knows_edges() {
    let facts = |op, sector, len| Facts {
        op,
        sector,
        len,
        tag: None,
    };
    let rule: Rule = "fail sectors=8..16".parse().expect("rule");
    let matcher = &rule.trigger.matcher;
    assert!(matcher.matches(&facts(Op::Write, 0, 8 * 512 + 512)));
    assert!(
        !matcher.matches(&facts(Op::Write, 0, 8 * 512)),
        "ends where the range begins"
    );
    assert!(matcher.matches(&facts(Op::Read, 15, 512)));
    assert!(!matcher.matches(&facts(Op::Read, 16, 512)));
    assert!(!matcher.matches(&facts(Op::Flush, 0, 0)), "a flush has no sectors");
    assert!(!matcher.matches(&facts(Op::Read, u64::MAX, u64::MAX)));
    let any: Rule = "fail".parse().expect("rule");
    assert!(
        !any.trigger.matcher.matches(&facts(Op::GetId, 0, 20)),
        "get-id is nobody's business"
    );
}

fn time() -> impl Strategy<Value = Duration> {
    (0u64..=3_600_000_000).prop_map(Duration::from_micros)
}

fn range() -> impl Strategy<Value = Range<u64>> {
    (0u64..1 << 50, 1u64..1 << 50).prop_map(|(start, len)| start..start + len)
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let op = proptest::option::of(proptest::sample::select(&Op::MATCHABLE[..]));
    let payload = proptest::option::of((any::<u64>(), any::<Option<u64>>()));
    (
        op,
        proptest::option::of(range()),
        proptest::option::of(range()),
        payload,
    )
        .prop_map(|(op, sectors, len, payload)| {
            let payload = payload.filter(|_| op.is_none_or(|op| op == Op::Write));
            Matcher {
                op,
                sectors: sectors.filter(|_| op != Some(Op::Flush)),
                len,
                payload: payload.map(|(tag, page)| PayloadMatch { tag, page }),
            }
        })
}

fn action() -> impl Strategy<Value = Action> {
    let watch = || (matcher(), 1u64..9).prop_map(|(matcher, nth)| Watch { matcher, nth });
    let waited = prop_oneof![
        watch().prop_map(Until::Next),
        watch().prop_map(Until::Done),
        Just(Until::Release)
    ];
    prop_oneof![
        proptest::sample::select(&FailStatus::ALL[..]).prop_map(Action::Fail),
        (time(), time()).prop_map(|(a, b)| Action::Delay(Span {
            min: a.min(b),
            max: a.max(b)
        })),
        (waited, time()).prop_map(|(until, max)| Action::Hold { until, max }),
        time().prop_map(|t| Action::Hold {
            until: Until::Time(t),
            max: Action::HOLD_MAX_DEFAULT
        }),
        (2usize..=1024, proptest::sample::select(&Order::ALL[..]), time())
            .prop_map(|(window, order, max)| Action::Reorder { window, order, max }),
        (any::<u64>(), proptest::sample::select(&ShortStatus::ALL[..]))
            .prop_map(|(bytes, then)| Action::Short { bytes, then }),
    ]
}

prop_compose! {
    fn rule()(
        name in proptest::option::of("[a-z_][a-z0-9_-]{0,20}"),
        action in action(),
        mut matcher in matcher(),
        nth in proptest::option::of(1u64..),
        every in proptest::option::of(1u64..),
        probability in proptest::option::of(0.0f64..=1.0),
        limit in proptest::option::of(1u64..),
    ) -> Rule {
        if matches!(action, Action::Short { .. }) && matcher.op.is_some_and(|op| !op.moves_data()) {
            matcher.op = None;
        }
        let every = every.filter(|_| nth.is_none());
        Rule { name, action, trigger: Trigger { matcher, nth, every, probability, limit } }
    }
}

proptest! {
    #[test]
    fn display_and_from_str_are_inverse(rule in rule()) {
        let text = rule.to_string();
        let back: Rule = text.parse().map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(back, rule);
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in ".{0,80}") {
        let _ = text.parse::<Rule>().map_err(|error| error.render());
    }

    #[test]
    fn no_nearly_right_text_makes_the_parser_panic(rule in rule(), cut in 0usize..200, insert in "[ =().#:é]{0,3}") {
        let mut text: Vec<char> = rule.to_string().chars().collect();
        let cut = cut.min(text.len());
        text.splice(cut.saturating_sub(2)..cut, insert.chars());
        let text: String = text.into_iter().collect();
        let _ = text.parse::<Rule>().map_err(|error| error.render());
    }
}
