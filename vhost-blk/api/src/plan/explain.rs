//! A rule in a sentence.

use std::fmt::Write as _;
use std::ops::Range;

use super::action::what;
use super::action::{Action, Until};
use super::rule::Rule;
use super::trigger::{Align, Event, Matcher, PayloadMatch, Trigger, Watch};
use super::units::{ordinal, print_bytes, print_time};
use crate::op::Op;

/// Says what a rule will do.
#[must_use]
pub fn explain(rule: &Rule) -> String {
    let mut sentence = format!(
        "{} {}.",
        which(&rule.trigger, &rule.action),
        what(&rule.action, |until| waits_for(until, &rule.trigger.matcher))
    );
    if let Some(set) = &rule.set {
        let _ = write!(
            sentence,
            " Each time, the state variable {} becomes {}.",
            set.name, set.value
        );
    }
    if let Some(limit) = rule.trigger.limit {
        let _ = write!(sentence, " At most {}.", times(limit));
    }
    sentence
}

/// The subject: which requests.
fn which(trigger: &Trigger, action: &Action) -> String {
    let Trigger {
        matcher,
        nth,
        every,
        probability,
        limit: _,
        first_after,
        covers,
        after,
        before,
        when,
    } = trigger;
    let noun = noun(matcher, action);
    let every = every.filter(|every| *every > 1);
    // `nth` and `every` count what `first-after` leaves.
    let mut text = match (nth, every, first_after) {
        (Some(nth), _, None) => format!("The {} {noun}", ordinal(*nth)),
        (None, Some(every), None) => format!("Every {} {noun}", ordinal(every)),
        (None, None, None) => format!("Every {noun}"),
        (Some(nth), _, Some(op)) => format!("The {} time: the first {noun} after a {op}", ordinal(*nth)),
        (None, Some(every), Some(op)) => format!("Every {} time: the first {noun} after a {op}", ordinal(every)),
        (None, None, Some(op)) => format!("The first {noun} after each {op}"),
    };
    if let Some(range) = covers {
        let of_one = if matcher.op.is_none() { " of one operation" } else { "" };
        let _ = write!(text, " that completes a sequential row{of_one} over {}", sectors(range));
    }
    if let Some(probability) = probability {
        let _ = write!(text, ", with a probability of {probability},");
    }
    if let Some(after) = after {
        let _ = write!(text, " once {}", event(after));
    }
    if let Some(before) = before {
        let _ = write!(text, " until {}", event(before));
    }
    if let Some(when) = when {
        let _ = write!(text, " while the state variable {} is {}", when.name, when.value);
    }
    text
}

/// What a request looks like.
fn noun(matcher: &Matcher, action: &Action) -> String {
    let mut text = matcher
        .op
        .map_or_else(|| action.ops().noun(), |op| op.name().to_owned());
    if let Some(len) = &matcher.len {
        if len.end - len.start == 1 {
            let _ = write!(text, " of {} bytes", print_bytes(len.start));
        } else {
            let _ = write!(
                text,
                " of {} to less than {} bytes",
                print_bytes(len.start),
                print_bytes(len.end)
            );
        }
    }
    if let Some(range) = &matcher.sectors {
        let _ = write!(text, " that touches {}", sectors(range));
    }
    match matcher.align {
        Some(Align::To(bytes)) => {
            let _ = write!(text, " aligned to {} bytes", print_bytes(bytes));
        }
        Some(Align::Off(bytes)) => {
            let _ = write!(text, " not aligned to {} bytes", print_bytes(bytes));
        }
        None => {}
    }
    if let Some(queue) = matcher.queue {
        let _ = write!(text, " from queue {queue}");
    }
    match &matcher.payload {
        Some(PayloadMatch::Tag { tag, page: Some(page) }) => {
            let _ = write!(text, " whose data begins with page {page} of tag {tag}");
        }
        Some(PayloadMatch::Tag { tag, page: None }) => {
            let _ = write!(text, " whose data begins with a page of tag {tag}");
        }
        Some(PayloadMatch::Prefix(bytes)) => {
            let _ = write!(text, " whose data begins with the bytes {}", super::print::hex(bytes));
        }
        None => {}
    }
    text
}

fn sectors(range: &Range<u64>) -> String {
    match range.end - range.start {
        1 => format!("sector {}", range.start),
        _ => format!("sectors {} to {}", range.start, range.end - 1),
    }
}

/// What a request that looks like `held` is held for.
fn waits_for(until: &Until, held: &Matcher) -> String {
    let op = |matcher: &Matcher| matcher.op.or(matcher.payload.as_ref().map(|_| Op::Write));
    let other = |Watch { matcher, nth }: &Watch, done: &str| {
        let noun = noun(matcher, &Action::Hang);
        match (op(matcher), op(held)) {
            _ if *nth > 1 => format!("the {} {noun} since was {done}", ordinal(*nth)),
            (Some(other), Some(held)) if other != held => format!("a {noun} was {done}"),
            _ => format!("another {noun} was {done}"),
        }
    };
    match until {
        Until::Next(watch) => other(watch, "submitted"),
        Until::Done(watch) => other(watch, "completed"),
        Until::Mark(name) => format!("the mark {name} was made"),
        Until::Release => "it is released".to_owned(),
        Until::Time(time) => format!("{} have passed", print_time(*time)),
    }
}

fn event(event: &Event) -> String {
    match event {
        Event::Rule(name) => format!("the rule {name} was applied"),
        Event::Mark(name) => format!("the mark {name} was made"),
    }
}

fn times(count: u64) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        explain(&text.parse().expect(text))
    }

    #[test]
    fn sentences() {
        insta::assert_snapshot!(
            said("fail write nth=3 limit=1"),
            @r#"The third write fails with an I/O error; the disk is not touched. At most once."#
        );
        insta::assert_snapshot!(
            said("hold write until=next(write payload=tag:7.3) payload=tag:7.0 name=first"),
            @r#"Every write whose data begins with page 0 of tag 7 is held until another write whose data begins with page 3 of tag 7 was submitted, for 10s at most."#
        );
        insta::assert_snapshot!(
            said("hold any until=done(flush nth=2) after=rule(first) before=mark(end)"),
            @r#"Every request once the rule first was applied until the mark end was made is held until the second flush since was completed, for 10s at most."#
        );
        insta::assert_snapshot!(
            said("delay any for=20ms..80ms spread=bell p=0.1"),
            @r#"Every request, with a probability of 0.1, completes 20ms to 80ms late, most often about the middle."#
        );
        insta::assert_snapshot!(
            said("corrupt read sectors=2048..2064 flip=1bit when=phase:2 set=phase:3"),
            @r#"Every read that touches sectors 2048 to 2063 while the state variable phase is 2 reports success, but one bit of its data, chosen by the seed, is inverted. Each time, the state variable phase becomes 3."#
        );
        insta::assert_snapshot!(
            said("corrupt write stale=2 covers=0..16"),
            @r#"Every write that completes a sequential row over sectors 0 to 15 reports success, but 2 of its sectors, chosen by the seed, are an older version."#
        );
        insta::assert_snapshot!(
            said("corrupt any misdirect=-8 align=not(4k) queue=1"),
            @r#"Every read or write not aligned to 4k bytes from queue 1 reports success, but its data lies 8 sectors before where it should."#
        );
        insta::assert_snapshot!(
            said("drop any first-after=flush payload=hex:cafe"),
            @r#"The first request that is no read whose data begins with the bytes cafe after each flush reports success, but nothing is done."#
        );
        insta::assert_snapshot!(
            said("reorder write window=epoch order=shuffle every=11"),
            @r#"Every 11th write is collected, up to the next flush, and completed in an order chosen by the seed; a window is let go at the latest 50ms after its first request."#
        );
        insta::assert_snapshot!(
            said("slow read for=1ms..2s over=500 len=4k"),
            @r#"Every read of 4k bytes completes late: by 1ms at first, by 2s from the 501st on."#
        );
    }

    #[test]
    fn sentences_of_the_power_and_the_connection() {
        insta::assert_snapshot!(
            said("cut write nth=7 lose=some torn=4k"),
            @r#"The 7th write cuts the power: it is never answered, about half of the requests that no flush made durable, chosen by the seed, are lost, and the last write is torn at a multiple of 4k bytes."#
        );
        insta::assert_snapshot!(
            said("early any for=500ms"),
            @r#"Every flush is answered at once, and makes durable what came before it only after 500ms."#
        );
        insta::assert_snapshot!(
            said("early flush for=10ms..2s p=0.5"),
            @r#"Every flush, with a probability of 0.5, is answered at once, and makes durable what came before it only after 10ms to 2s."#
        );
        insta::assert_snapshot!(
            said("disconnect read"),
            @r#"Every read is never answered: the device disconnects the front end."#
        );
    }

    #[test]
    fn sentences_of_which_request_it_is() {
        insta::assert_snapshot!(
            said("fail write nth=3 first-after=flush"),
            @"The third time: the first write after a flush fails with an I/O error; the disk is not touched."
        );
        insta::assert_snapshot!(
            said("fail write every=2 first-after=flush"),
            @"Every second time: the first write after a flush fails with an I/O error; the disk is not touched."
        );
        insta::assert_snapshot!(
            said("fail write every=1 sectors=5..6"),
            @"Every write that touches sector 5 fails with an I/O error; the disk is not touched."
        );
        insta::assert_snapshot!(
            said("fail any every=1 first-after=flush covers=5..6"),
            @"The first request after each flush that completes a sequential row of one operation over sector 5 fails with an I/O error; the disk is not touched."
        );
        insta::assert_snapshot!(
            said("hold write until=done(flush)"),
            @"Every write is held until a flush was completed, for 10s at most."
        );
        insta::assert_snapshot!(
            said("hold flush until=done(flush)"),
            @"Every flush is held until another flush was completed, for 10s at most."
        );
        insta::assert_snapshot!(
            said("hold any until=next(write)"),
            @"Every request is held until another write was submitted, for 10s at most."
        );
        insta::assert_snapshot!(
            said("hold read until=next(any payload=tag:7)"),
            @"Every read is held until a request whose data begins with a page of tag 7 was submitted, for 10s at most."
        );
        insta::assert_snapshot!(
            said("corrupt write misdirect=-1"),
            @"Every write reports success, but its data lies 1 sector before where it should."
        );
        insta::assert_snapshot!(
            said("short any bytes=4k then=ok len=4k..1M"),
            @r#"Every read or write of 4k to less than 1M bytes moves only its first 4k bytes and reports success."#
        );
    }
}
