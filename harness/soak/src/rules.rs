//! Random rules: every action of the rule language, and every word of a trigger, by a seed.
//!
//! Each rule is bounded, so that a round ends and most of the disk stays good: what damages does so to few requests,
//! what waits does so for milliseconds, or until the soak lets it go.

use vhost_blk_api::plan::{Rule, words};
use vhost_blk_api::rng::Rng;

use super::workload::{DISK_BYTES, Workload, pick};

/// Most rules of a round.
const RULES_MAX: u64 = 6;
/// The mark that a soak makes when the guest begins to read back.
pub(crate) const READING: &str = "reading";

/// The rules of a round.
#[must_use]
pub(crate) fn of(seed: u64, workload: &Workload) -> Vec<String> {
    let mut rng = Rng::for_choice(seed, "rules", 0);
    let count = 1 + rng.below(RULES_MAX);
    let mut rules = Vec::new();
    for _ in 0..count {
        let action = pick(&mut rng, &words::ACTIONS.each_ref()).name;
        let mut rule = action_of(&mut rng, action);
        for word in trigger(&mut rng, workload, &rules, &rule) {
            rule.push(' ');
            rule.push_str(&word);
        }
        rules.push(rule);
    }
    rules
}

/// An operation that moves data or changes it, or any.
fn any_op(rng: &mut Rng) -> &'static str {
    pick(
        rng,
        &[
            "read",
            "write",
            "write",
            "flush",
            "discard",
            "write-zeroes",
            "any",
            "any",
        ],
    )
}

/// The action with its operation and keys. Those of a word that this does not know are an example's.
fn action_of(rng: &mut Rng, action: &str) -> String {
    match action {
        "fail" => format!("fail {} status={}", any_op(rng), pick(rng, &["ioerr", "unsupp"])),
        "delay" => {
            let spread = pick(rng, &["uniform", "bell", "exponential"]);
            let (op, a, b) = (any_op(rng), rng.below(4000), rng.below(16_000));
            format!("delay {op} for={a}us..{}us spread={spread}", a + b + 1)
        }
        "slow" => format!(
            "slow {} for=100us..{}ms over={}",
            any_op(rng),
            1 + rng.below(8),
            20 + rng.below(200)
        ),
        "hold" => {
            let op = any_op(rng);
            let until = match rng.below(6) {
                0 => format!("next({})", any_op(rng)),
                1 => format!("done({})", any_op(rng)),
                2 => format!("mark({READING})"),
                3 => "release".to_owned(),
                4 => "next(write len=4k)".to_owned(),
                _ => return format!("hold {op} until={}ms", 1 + rng.below(40)),
            };
            format!("hold {op} until={until} max={}", pick(rng, &["50ms", "300ms", "2s"]))
        }
        "hang" => format!("hang {}", any_op(rng)),
        "reorder" => {
            let window = pick(rng, &["2", "3", "5", "8", "16", "epoch"]);
            let order = pick(rng, &["reverse", "shuffle", "rotate"]);
            format!(
                "reorder {} window={window} order={order} max={}ms",
                any_op(rng),
                1 + rng.below(20)
            )
        }
        "short" => {
            let bytes = pick(rng, &["0", "1", "100", "512", "1000", "2k", "4k", "20000", "64k"]);
            let (op, then) = (pick(rng, &["read", "write"]), pick(rng, &["ioerr", "ok"]));
            format!("short {op} bytes={bytes} then={then}")
        }
        "corrupt" => {
            let how = match rng.below(4) {
                0 => format!("flip={}bit", 1 + rng.below(4)),
                1 => format!("zero={}", pick(rng, &["1", "3", "8", "all"])),
                2 => format!("stale={}", pick(rng, &["1", "2", "8", "all"])),
                _ => {
                    let most = pick(rng, &[4, 64, 4096]);
                    let by = 1 + rng.below(most);
                    format!("misdirect={}{by}", pick(rng, &["", "-"]))
                }
            };
            format!("corrupt {} {how}", pick(rng, &["read", "write"]))
        }
        "drop" => format!("drop {}", pick(rng, &["write", "flush", "discard", "write-zeroes"])),
        "early" => format!("early flush for={}ms", 1 + rng.below(2000)),
        "cut" => {
            let torn = pick(rng, &["", " torn=512", " torn=4k"]);
            format!("cut {} lose={}{torn}", any_op(rng), pick(rng, &["all", "some", "none"]))
        }
        "disconnect" => format!("disconnect {}", any_op(rng)),
        other => example(rng, other),
    }
}

/// An example of an action, for all requests of its operation.
fn example(rng: &mut Rng, action: &str) -> String {
    let Some(word) = words::ACTIONS.iter().find(|word| word.name == action) else {
        return action.to_owned();
    };
    let example = pick(rng, word.examples);
    let rule = example.parse().map(|rule: Rule| rule.bare().to_string());
    rule.unwrap_or_else(|_| example.to_owned())
}

/// How often a rule is applied at most.
fn limit(rng: &mut Rng, rule: &str) -> u64 {
    let most = match rule.split(' ').next().unwrap_or_default() {
        "cut" | "disconnect" => 2,
        "hang" => 4,
        "hold" => 20,
        "fail" | "short" | "corrupt" | "drop" => 40,
        _ => 400,
    };
    1 + rng.below(most)
}

/// The words of a trigger; the limit is always among them. `before` are the rules that come before it.
fn trigger(rng: &mut Rng, workload: &Workload, before: &[String], rule: &str) -> Vec<String> {
    let op = rule.split(' ').nth(1).unwrap_or_default();
    let mut words = vec![format!("limit={}", limit(rng, rule))];
    // So that not only the first requests of a round are met.
    match rng.below(6) {
        0 => words.push(format!("nth={}", 1 + rng.below(40))),
        1 => words.push(format!("every={}", 1 + rng.below(30))),
        _ => words.push(format!("p={}", pick(rng, &["0.02", "0.1", "0.3", "0.5", "1"]))),
    }
    if op != "flush" {
        words.extend(shape(rng));
    }
    if rng.below(12) == 0 {
        words.push(format!("queue={}", rng.below(2)));
    }
    if op == "write" && rng.below(6) == 0 {
        let patterns: Vec<_> = workload.slots.iter().filter(|slot| !slot.is_zeros()).collect();
        let [a, b, c, d] = pick(rng, &patterns).prefix;
        words.push(format!("payload=hex:{a:02x}{b:02x}{c:02x}{d:02x}"));
    }
    if rng.below(12) == 0 {
        words.push(format!(
            "first-after={}",
            pick(rng, &["write", "read", "flush", "discard"])
        ));
    }
    // What is held until the mark comes before it.
    let until_mark = format!("until=mark({READING})");
    let after_mark = format!("after=mark({READING})");
    let event = event(rng, before, op);
    words.extend(event.filter(|word| *word != after_mark || !rule.contains(&until_mark)));
    if rng.below(4) == 0 {
        words.push(format!("set=phase:{}", rng.below(2)));
    }
    words.push(format!("name=rule{}", before.len() + 1));
    words
}

/// At most one word of where a request lies and how long it is: with two of them hardly a request is left.
fn shape(rng: &mut Rng) -> Option<String> {
    let sectors = DISK_BYTES / 512;
    let start = rng.below(sectors);
    match rng.below(12) {
        0 | 1 => Some(format!("sectors={start}..{}", start + 1 + rng.below(sectors / 4))),
        2 => Some(pick(rng, &["len=512", "len=4k", "len=4k..32k", "len=64k..1M"]).to_owned()),
        3 => Some(
            pick(
                rng,
                &["align=512", "align=4k", "align=not(4k)", "align=64k", "align=not(64k)"],
            )
            .to_owned(),
        ),
        4 => Some(format!("covers={start}..{}", start + 1 + rng.below(64))),
        _ => None,
    }
}

/// At most one word of what has to have happened. Nothing but reads comes after the mark.
fn event(rng: &mut Rng, before: &[String], op: &str) -> Option<String> {
    let reads = matches!(op, "read" | "any");
    let sets = |value: &str| before.iter().any(|rule| rule.contains(value));
    match rng.below(12) {
        0..4 if reads => Some(format!("after=mark({READING})")),
        4 => Some(format!("before=mark({READING})")),
        5 if !before.is_empty() => Some(format!("after=rule(rule{})", 1 + rng.below(before.len() as u64))),
        6 if !before.is_empty() => Some(format!("before=rule(rule{})", 1 + rng.below(before.len() as u64))),
        7 => Some("when=phase:0".to_owned()),
        8 | 9 if sets("set=phase:1") => Some("when=phase:1".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_parse_and_no_word_of_the_language_is_left_out() {
        let mut seen = BTreeSet::new();
        let mut bad = BTreeSet::new();
        for seed in 0..4000 {
            for text in of(seed, &Workload::of(seed)) {
                let rule: Rule = match text.parse() {
                    Ok(rule) => rule,
                    Err(error) => {
                        bad.insert(format!("{text}: {error}"));
                        continue;
                    }
                };
                seen.insert(rule.action.name().to_owned());
                seen.extend(
                    text.split(' ')
                        .filter_map(|word| Some(word.split_once('=')?.0.to_owned())),
                );
                assert!(rule.trigger.limit.is_some(), "{text}");
            }
        }
        assert!(bad.is_empty(), "{bad:#?}");
        for action in &words::ACTIONS {
            assert!(seen.contains(action.name), "no rule with {}", action.name);
        }
        let keys = words::action_keys()
            .chain(&words::MATCHER_KEYS)
            .chain(&words::RULE_KEYS);
        for key in keys {
            assert!(seen.contains(key.name), "no rule with {}=", key.name);
        }
    }

    #[test]
    fn an_action_that_nobody_drew_keys_for_has_those_of_an_example() {
        let mut rng = Rng::for_choice(1, "examples", 0);
        for action in &words::ACTIONS {
            for _ in 0..8 {
                let text = example(&mut rng, action.name);
                let rule: Rule = text.parse().expect(&text);
                assert_eq!(rule.action.name(), action.name);
                assert!(rule.trigger.nth.is_none() && rule.trigger.limit.is_none(), "{text}");
            }
        }
    }

    #[test]
    fn they_follow_from_the_seed_alone() {
        let of = |seed| of(seed, &Workload::of(seed));
        assert_eq!(of(5), of(5));
        assert_ne!(of(5), of(6));
    }
}
