//! Any rule reads back as it was printed, and no text makes the parser panic.

use std::ops::Range;
use std::time::Duration;

use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::op::Op;

fn time() -> impl Strategy<Value = Duration> {
    (0u64..=3_600_000_000).prop_map(Duration::from_micros)
}

fn span() -> impl Strategy<Value = Span> {
    (time(), time()).prop_map(|(a, b)| Span {
        min: a.min(b),
        max: a.max(b),
    })
}

fn range() -> impl Strategy<Value = Range<u64>> {
    (0u64..1 << 50, 1u64..1 << 50).prop_map(|(start, len)| start..start + len)
}

fn name() -> impl Strategy<Value = String> {
    "[a-z_][a-z0-9_-]{0,20}"
}

fn payload() -> impl Strategy<Value = PayloadMatch> {
    prop_oneof![
        (any::<u64>(), any::<Option<u64>>()).prop_map(|(tag, page)| PayloadMatch::Tag { tag, page }),
        proptest::collection::vec(any::<u8>(), 1..=PREFIX_BYTES).prop_map(PayloadMatch::Prefix),
    ]
}

fn align() -> impl Strategy<Value = Align> {
    prop_oneof![
        (9u32..63).prop_map(|bits| Align::To(1 << bits)),
        (9u32..63).prop_map(|bits| Align::Off(1 << bits)),
    ]
}

prop_compose! {
    fn matcher()(
        op in of(select(&Op::MATCHABLE[..])),
        sectors in of(range()),
        len in of(range()),
        align in of(align()),
        queue in any::<Option<u16>>(),
        payload in of(payload()),
    ) -> Matcher {
        let matcher = Matcher {
            op,
            sectors,
            len,
            align,
            queue,
            payload: payload.filter(|_| op.is_none_or(|op| op == Op::Write)),
        };
        if op == Some(Op::Flush) { of_flush(&matcher) } else { matcher }
    }
}

/// What can be said of a flush.
fn of_flush(matcher: &Matcher) -> Matcher {
    Matcher {
        op: matcher.op,
        queue: matcher.queue,
        ..Matcher::default()
    }
}

fn sectors() -> impl Strategy<Value = Sectors> {
    prop_oneof![Just(Sectors::All), (1u32..).prop_map(Sectors::Some)]
}

fn corruption() -> impl Strategy<Value = Corruption> {
    prop_oneof![
        (1u32..=4096).prop_map(Corruption::Flip),
        sectors().prop_map(Corruption::Zero),
        sectors().prop_map(Corruption::Stale),
        (1i64..).prop_map(Corruption::Misdirect),
        (1i64..).prop_map(|by| Corruption::Misdirect(-by)),
    ]
}

fn examples() -> impl Strategy<Value = Rule> {
    let examples: Vec<&str> = words::ACTIONS
        .iter()
        .flat_map(|action| action.examples)
        .copied()
        .collect();
    select(examples).prop_map(|text| text.parse().expect(text))
}

fn action() -> impl Strategy<Value = Action> {
    let watch = || (matcher(), 1u64..9).prop_map(|(matcher, nth)| Watch { matcher, nth });
    let waited = prop_oneof![
        watch().prop_map(Until::Next),
        watch().prop_map(Until::Done),
        name().prop_map(Until::Mark),
        Just(Until::Release)
    ];
    let window = prop_oneof![(2usize..=Window::MAX).prop_map(Window::Count), Just(Window::Epoch)];
    prop_oneof![
        select(&FailStatus::ALL[..]).prop_map(Action::Fail),
        (span(), select(&Spread::ALL[..])).prop_map(|(span, spread)| Action::Delay { span, spread }),
        (span(), 1u64..).prop_map(|(span, over)| Action::Slow { span, over }),
        (waited, time()).prop_map(|(until, max)| Action::Hold { until, max }),
        time().prop_map(|t| Action::Hold {
            until: Until::Time(t),
            max: Action::HOLD_MAX_DEFAULT
        }),
        Just(Action::Hang),
        (window, select(&Order::ALL[..]), time()).prop_map(|(window, order, max)| Action::Reorder {
            window,
            order,
            max
        }),
        (any::<u64>(), select(&ShortStatus::ALL[..])).prop_map(|(bytes, then)| Action::Short { bytes, then }),
        corruption().prop_map(Action::Corrupt),
        Just(Action::Drop),
        span().prop_map(Action::Early),
        Just(Action::Disconnect),
        (select(&Lose::ALL[..]), of(select(&Torn::ALL[..]))).prop_map(|(lose, torn)| Action::Cut { lose, torn }),
        // Also an action that nobody has written a line for here.
        examples().prop_map(|rule| rule.action),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![name().prop_map(Event::Rule), name().prop_map(Event::Mark)]
}

fn var() -> impl Strategy<Value = Var> {
    (name(), any::<u64>()).prop_map(|(name, value)| Var { name, value })
}

prop_compose! {
    fn when()(
        first_after in of(select(&Op::MATCHABLE[..])),
        covers in of(range()),
        after in of(event()),
        before in of(event()),
        when in of(var()),
    ) -> Trigger {
        Trigger { first_after, covers, after, before, when, ..Trigger::default() }
    }
}

prop_compose! {
    fn rule()(
        name in of(name()),
        action in action(),
        mut matcher in matcher(),
        nth in of(1u64..),
        every in of(1u64..),
        probability in of(0.0f64..=1.0),
        limit in of(1u64..),
        when in when(),
        set in of(var()),
    ) -> Rule {
        if matcher.op.is_some_and(|op| !action.goes_with(op)) {
            matcher.op = None;
        }
        let flushes = matcher.op == Some(Op::Flush) || matches!(action, Action::Early(_));
        if flushes {
            matcher = of_flush(&matcher);
        }
        let every = every.filter(|_| nth.is_none());
        let covers = when.covers.clone().filter(|_| !flushes);
        // What no request can meet is refused.
        let own = name.clone().map(Event::Rule);
        let awaited = match &action {
            Action::Hold { until: Until::Mark(mark), .. } => Some(Event::Mark(mark.clone())),
            _ => None,
        };
        let never = [own, awaited, when.before.clone()];
        let after = when.after.clone().filter(|after| never.iter().flatten().all(|event| event != after));
        Rule { name, action, trigger: Trigger { matcher, nth, every, probability, limit, covers, after, ..when }, set }
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
    fn every_rule_has_a_sentence(rule in rule()) {
        let sentence = explain::explain(&rule);
        prop_assert!(sentence.ends_with('.') && !sentence.contains("  "), "{}", sentence);
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
