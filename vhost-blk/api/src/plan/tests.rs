//! The rule language: what it takes, what it gives back, and what each error says.

use std::ops::Range;

use super::*;
use crate::op::Op;

/// What the parser says to a bad rule; `[actions]` is the list of all actions.
pub(super) fn message(text: &str) -> String {
    let actions: Vec<&str> = words::action_names().collect();
    let message = text.parse::<Rule>().expect_err(text).render();
    message.replace(&actions.join(", "), "[actions]")
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
        "delay any for=1ms..80ms spread=exponential",
        "slow read for=1ms..2s over=500",
        "hang read nth=5",
        "hold read until=mark(mounted)",
        "reorder write window=epoch order=shuffle",
        "corrupt read flip=1bit sectors=2048..2064",
        "corrupt write zero=all",
        "corrupt any stale=3",
        "corrupt write misdirect=-8",
        "drop flush",
        "drop any limit=1",
        "fail write align=not(4k) queue=1 payload=hex:cafe",
        "fail write first-after=flush covers=8..16 after=rule(a) before=mark(b) when=phase:2 set=phase:3 name=c",
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
fn errors_point_at_the_word() {
    insta::assert_snapshot!(message(""), @r#"
    column 1: empty rule: expected an action: [actions]
     |
     |
     | ^
    "#);
    insta::assert_snapshot!(message("fial write"), @r#"
    column 1: unknown action `fial`: expected one of [actions]; did you mean `fail`?
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
    column 12: unknown key `nht` for fail: known keys: status, sectors, len, align, queue, payload, nth, every, p, limit, first-after, covers, after, before, when, set, name; did you mean `nth`?
     |
     | fail write nht=1
     |            ^^^
    "#);
    insta::assert_snapshot!(message("fail write until=release"), @r#"
    column 12: unknown key `until` for fail: known keys: status, sectors, len, align, queue, payload, nth, every, p, limit, first-after, covers, after, before, when, set, name
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
}

#[test]
fn errors_point_at_the_value() {
    insta::assert_snapshot!(message("fail write status=ioer"), @r#"
    column 19: bad value `ioer` for `status`: expected ioerr or unsupp; did you mean `ioerr`?
     |
     | fail write status=ioer
     |                   ^^^^
    "#);
    insta::assert_snapshot!(message("delay write for=80ms..20ms"), @r#"
    column 17: bad value `80ms..20ms` for `for`: expected a range with the shorter time first, like 20ms..80ms
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
    insta::assert_snapshot!(message("corrupt write"), @r#"
    column 1: corrupt needs `flip`, `zero`, `stale` or `misdirect`: for example `corrupt read flip=1bit`
     |
     | corrupt write
     | ^^^^^^^
    "#);
    insta::assert_snapshot!(message("corrupt write flip=1bit zero=2"), @r#"
    column 25: `zero` and `flip` exclude each other: keep one of them
     |
     | corrupt write flip=1bit zero=2
     |                         ^^^^^^
    "#);
    insta::assert_snapshot!(message("corrupt flush flip=1bit"), @r#"
    column 9: corrupt does not go with `flush`: it needs read, write or any
     |
     | corrupt flush flip=1bit
     |         ^^^^^
    "#);
    insta::assert_snapshot!(message("drop read"), @r#"
    column 6: drop does not go with `read`: it needs write, flush, discard, write-zeroes or any
     |
     | drop read
     |      ^^^^
    "#);
    insta::assert_snapshot!(message("fail write align=5k"), @r#"
    column 18: bad value `5k` for `align`: expected a power of two from 512, like 4k, or not(4k)
     |
     | fail write align=5k
     |                  ^^
    "#);
    insta::assert_snapshot!(message("fail write after=x"), @r#"
    column 18: bad value `x` for `after`: expected rule(NAME) or mark(NAME)
     |
     | fail write after=x
     |                  ^
    "#);
}

#[test]
fn errors_point_at_what_does_not_go_together() {
    insta::assert_snapshot!(message("fail write when=phase"), @r#"
    column 17: bad value `phase` for `when`: expected a variable and a number, like phase:2
     |
     | fail write when=phase
     |                 ^^^^^
    "#);
    insta::assert_snapshot!(message("fail write first-after=flsh"), @r#"
    column 24: bad value `flsh` for `first-after`: expected read, write, flush, discard or write-zeroes; did you mean `flush`?
     |
     | fail write first-after=flsh
     |                        ^^^^
    "#);
    insta::assert_snapshot!(message("corrupt write misdirect=0"), @r#"
    column 25: bad value `0` for `misdirect`: expected a number of sectors other than 0, like 8 or -8
     |
     | corrupt write misdirect=0
     |                         ^
    "#);
    insta::assert_snapshot!(message("slow read for=1ms"), @r#"
    column 1: slow needs `over`: for example `slow read for=1ms..2s over=500`
     |
     | slow read for=1ms
     | ^^^^
    "#);
    insta::assert_snapshot!(message("fail write payload=hex:abc"), @r#"
    column 20: bad value `hex:abc` for `payload`: expected tag:F or tag:F.P with numbers F (tag) and P (page), or hex: and up to 32 bytes
     |
     | fail write payload=hex:abc
     |                    ^^^^^^^
    "#);
    insta::assert_snapshot!(message("fail write payload=7"), @r#"
    column 20: bad value `7` for `payload`: expected tag:F or tag:F.P with numbers F (tag) and P (page), or hex: and up to 32 bytes
     |
     | fail write payload=7
     |                    ^
    "#);
    insta::assert_snapshot!(message("reorder write window=1 order=shuffle"), @r#"
    column 22: bad value `1` for `window`: expected a number from 2 to 1024, or epoch
     |
     | reorder write window=1 order=shuffle
     |                      ^
    "#);
    insta::assert_snapshot!(message("short write bytes=lots then=ok"), @r#"
    column 19: bad value `lots` for `bytes`: expected a number of bytes, like 512, 4k, 2M or 1G
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
    column 18: bad value `relase` for `until`: expected next(TRIGGER), done(TRIGGER), mark(NAME), release or a time of at most 3600s like 500ms; did you mean `release`?
     |
     | hold write until=relase
     |                  ^^^^^^
    "#);
}

#[test]
fn errors_point_at_the_place_in_a_longer_value() {
    insta::assert_snapshot!(message("hold write until=next(wirte nth=1)"), @r#"
    column 23: unknown operation `wirte`: expected one of read, write, flush, discard, write-zeroes, any, or key=value; did you mean `write`?
     |
     | hold write until=next(wirte nth=1)
     |                       ^^^^^
    "#);
    insta::assert_snapshot!(message("hold write until=next(write p=0.1)"), @r#"
    column 29: unknown key `p` for a trigger to wait for: known keys: sectors, len, align, queue, payload, nth
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

/// Facts of a request with nothing of note beside its place.
fn facts(op: Op, sector: u64, len: u64) -> Facts {
    Facts {
        op,
        sector,
        len,
        ranges: Vec::new(),
        queue: 3,
        tag: None,
        prefix: Prefix::of(&[0xca, 0xfe, 0x01]),
    }
}

#[test]
fn matcher_knows_edges() {
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
    for (text, wanted) in [
        ("fail align=4k", true),
        ("fail align=8k", false),
        ("fail align=not(8k)", true),
        ("fail queue=3", true),
        ("fail queue=2", false),
        ("fail payload=hex:cafe", true),
        ("fail payload=hex:cafe0102", false),
    ] {
        let rule: Rule = text.parse().expect(text);
        assert_eq!(
            rule.trigger.matcher.matches(&facts(Op::Write, 8, 4096)),
            wanted,
            "{text}"
        );
    }
    let short: Rule = "fail any len=0..4k".parse().expect("rule");
    assert!(
        !short.trigger.matcher.matches(&facts(Op::Flush, 0, 0)),
        "a flush has no length"
    );
    assert!(short.trigger.matcher.matches(&facts(Op::Write, 0, 512)));
    let any: Rule = "fail".parse().expect("rule");
    assert!(
        !any.trigger.matcher.matches(&facts(Op::GetId, 0, 20)),
        "get-id is nobody's business"
    );
}

#[test]
fn matcher_knows_requests_of_several_ranges() {
    let several = |ranges: &[Range<u64>]| Facts {
        len: ranges.iter().map(|range| (range.end - range.start) * 512).sum(),
        ranges: ranges.to_vec(),
        ..facts(Op::Discard, ranges[0].start, 0)
    };
    // Sectors: any range; a length: all together; an alignment: each.
    let discard = several(&[0..8, 1000..1008]);
    for (text, wanted) in [
        ("fail sectors=1007..1008", true),
        ("fail sectors=7..8", true),
        ("fail sectors=8..1000", false),
        ("fail len=8k", true),
        ("fail len=4k", false),
        ("fail align=4k", true),
    ] {
        let rule: Rule = text.parse().expect(text);
        assert_eq!(rule.trigger.matcher.matches(&discard), wanted, "{text}");
    }
    for (text, wanted) in [
        ("fail align=4k", false),
        ("fail align=not(4k)", true),
        ("fail align=512", true),
    ] {
        let rule: Rule = text.parse().expect(text);
        let off = several(&[0..8, 1001..1009]);
        assert_eq!(rule.trigger.matcher.matches(&off), wanted, "{text}");
    }
    let empty: Rule = "fail sectors=1000..1001".parse().expect("rule");
    assert!(
        empty.trigger.matcher.matches(&several(&[0..8, 1000..1000])),
        "it lies where it begins"
    );
}
