//! The words of the rule language, once: the parser knows no others, its messages list these, and the reference page is
//! made of them.

use std::fmt::Write as _;

/// An action's word.
#[derive(Debug)]
pub struct ActionWord {
    /// The word.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// The keys that only it has.
    pub keys: &'static [&'static str],
    /// Rules with it.
    pub examples: &'static [&'static str],
}

/// A key's word.
#[derive(Debug)]
pub struct KeyWord {
    /// The word.
    pub name: &'static str,
    /// What its value looks like.
    pub value: &'static str,
    /// What it means.
    pub about: &'static str,
}

/// The actions, in the order in which messages list them.
pub const ACTIONS: [ActionWord; 12] = [
    ActionWord {
        name: "fail",
        about: "The request completes with an error; the disk is not touched.",
        keys: &["status"],
        examples: &[
            "fail write payload=tag:7 nth=1",
            "fail flush every=3 limit=2",
            "fail discard status=unsupp",
        ],
    },
    ActionWord {
        name: "delay",
        about: "The request completes after a time.",
        keys: &["for", "spread"],
        examples: &["delay any for=20ms", "delay any for=1ms..80ms spread=exponential p=0.1"],
    },
    ActionWord {
        name: "slow",
        about: "Requests take longer and longer, as on a disk that dies: the first the shortest time, the last, and all after it, the longest.",
        keys: &["for", "over"],
        examples: &["slow read for=1ms..2s over=500"],
    },
    ActionWord {
        name: "hold",
        about: "The request completes when something else has happened, but after `max` at the latest. Until a mark that was made already nothing is held: the \
                rule has an implied `before` of that mark.",
        keys: &["until", "max"],
        examples: &[
            "hold write nth=1 until=next(write)",
            "hold write until=done(flush) max=2s",
            "hold read until=mark(mounted)",
        ],
    },
    ActionWord {
        name: "hang",
        about: "The request never completes, unless somebody releases it or clears the rules.",
        keys: &[],
        examples: &["hang read nth=5"],
    },
    ActionWord {
        name: "reorder",
        about: "Requests are collected and complete in another order.",
        keys: &["window", "order", "max"],
        examples: &[
            "reorder write window=8 order=reverse",
            "reorder write window=epoch order=shuffle",
        ],
    },
    ActionWord {
        name: "short",
        about: "Only the first bytes of a read or write are moved.",
        keys: &["bytes", "then"],
        examples: &["short write bytes=4k then=ioerr", "short read bytes=512 then=ok"],
    },
    ActionWord {
        name: "corrupt",
        about: "A read or write moves other data than it should and reports success.",
        keys: &["flip", "zero", "stale", "misdirect"],
        examples: &[
            "corrupt read sectors=2048..2064 flip=1bit",
            "corrupt write zero=1",
            "corrupt read stale=all",
            "corrupt write misdirect=8 limit=1",
        ],
    },
    ActionWord {
        name: "drop",
        about: "Nothing is done and success is reported: a write or discard that never happened, a flush that made nothing durable.",
        keys: &[],
        examples: &["drop flush", "drop write sectors=2048..2056 limit=1"],
    },
    ActionWord {
        name: "early",
        about: "A flush is answered at once, and what it should make durable is so only after a time: a power cut before then loses it.",
        keys: &["for"],
        examples: &["early flush for=500ms", "early flush for=10ms..2s p=0.5"],
    },
    ActionWord {
        name: "cut",
        about: "The power goes as the request arrives: it and all others that are out are never answered, the volatile write cache is lost, and the device answers \
                nothing until the command `power` or `rollback`.",
        keys: &["lose", "torn"],
        examples: &[
            "cut flush nth=3",
            "cut write payload=tag:7 lose=some",
            "cut write nth=100 lose=none torn=512",
        ],
    },
    ActionWord {
        name: "disconnect",
        about: "The device hangs up on the front end as the request arrives, and does not answer it; a front end that connects again is served.",
        keys: &[],
        examples: &["disconnect write nth=10 limit=1"],
    },
];

/// The keys that only some actions have.
pub const ACTION_KEYS: [KeyWord; 16] = [
    KeyWord {
        name: "status",
        value: "ioerr | unsupp",
        about: "the error: EIO (the default) or EOPNOTSUPP in the guest (for a discard Linux then reports success)",
    },
    KeyWord {
        name: "for",
        value: "TIME | A..B",
        about: "how long; a time out of the range is chosen by the seed",
    },
    KeyWord {
        name: "spread",
        value: "uniform | bell | exponential",
        about: "which times of the range are likely: all (the default), those in the middle, or the short ones",
    },
    KeyWord {
        name: "over",
        value: "N",
        about: "how many requests lie between the shortest and the longest time",
    },
    KeyWord {
        name: "until",
        value: "next(TRIGGER) | done(TRIGGER) | mark(NAME) | release | TIME",
        about: "what is waited for: another request submitted or completed, a mark, the command `release`, or a time",
    },
    KeyWord {
        name: "max",
        value: "TIME",
        about: "the longest wait: 10s for hold; for reorder that of a window's first request, 50ms: then the window is let go, full or not",
    },
    KeyWord {
        name: "window",
        value: "N | epoch",
        about: "how many requests are collected, 2 to 1024, or all up to the next flush",
    },
    KeyWord {
        name: "order",
        value: "reverse | shuffle | rotate",
        about: "the order in which they complete",
    },
    KeyWord {
        name: "bytes",
        value: "BYTES",
        about: "how many are moved, at most those of the request",
    },
    KeyWord {
        name: "then",
        value: "ioerr | ok",
        about: "what the guest is told: an error, or success (silent)",
    },
    KeyWord {
        name: "flip",
        value: "Nbit",
        about: "inverts N bits, at places chosen by the seed; all, if the request has fewer",
    },
    KeyWord {
        name: "zero",
        value: "N | all",
        about: "makes a row of N sectors, at a place chosen by the seed, zeros",
    },
    KeyWord {
        name: "stale",
        value: "N | all",
        about: "leaves N sectors as they were: in the golden image for a read, before the write for a write",
    },
    KeyWord {
        name: "misdirect",
        value: "N | -N",
        about: "moves the data N sectors further on, or back; beyond the disk it is lost, or read as zeros",
    },
    KeyWord {
        name: "lose",
        value: "all | some | none",
        about: "what of the volatile write cache is lost: all (the default), about half of the requests, chosen by the seed, or nothing",
    },
    KeyWord {
        name: "torn",
        value: "512 | 4k",
        about: "the last write gets to the disk up to a multiple of this many bytes, chosen by the seed",
    },
];

/// The keys with which a trigger, and what `next(…)` and `done(…)` wait for, say what a request looks like.
pub const MATCHER_KEYS: [KeyWord; 5] = [
    KeyWord {
        name: "sectors",
        value: "A..B",
        about: "touches these sectors of 512 bytes (B not included)",
    },
    KeyWord {
        name: "len",
        value: "BYTES | A..B",
        about: "is this long (B not included)",
    },
    KeyWord {
        name: "align",
        value: "BYTES | not(BYTES)",
        about: "begins and ends at multiples of a power of two, or does not",
    },
    KeyWord {
        name: "queue",
        value: "N",
        about: "came through this virtqueue",
    },
    KeyWord {
        name: "payload",
        value: "tag:T | tag:T.P | hex:BYTES",
        about: "is a write whose data begins with a page tagged T (page P), or with these bytes (at most 32)",
    },
];

/// The keys of every rule beside what a request looks like.
pub const RULE_KEYS: [KeyWord; 11] = [
    KeyWord {
        name: "nth",
        value: "N",
        about: "only the Nth such request; what `first-after`, `covers`, `after`, `before` or `when` rules out does not count",
    },
    KeyWord {
        name: "every",
        value: "N",
        about: "only every Nth, counted likewise",
    },
    KeyWord {
        name: "p",
        value: "P",
        about: "only with the probability P, from 0 to 1, by the seed",
    },
    KeyWord {
        name: "limit",
        value: "N",
        about: "only N times",
    },
    KeyWord {
        name: "first-after",
        value: "OP",
        about: "only the first after each request of this operation",
    },
    KeyWord {
        name: "covers",
        value: "A..B",
        about: "only the one that completes a row of requests of one operation, each beginning where the last ended, over these sectors; with `any` each \
                operation has its own row, a flush is in none, and several ranges of one request count one by one",
    },
    KeyWord {
        name: "after",
        value: "rule(NAME) | mark(NAME)",
        about: "only once that rule was applied, or that mark was made",
    },
    KeyWord {
        name: "before",
        value: "rule(NAME) | mark(NAME)",
        about: "only until then",
    },
    KeyWord {
        name: "when",
        value: "VAR:N",
        about: "only while this state variable has this value (0 until it is set)",
    },
    KeyWord {
        name: "set",
        value: "VAR:N",
        about: "sets a state variable each time the rule is applied",
    },
    KeyWord {
        name: "name",
        value: "NAME",
        about: "the rule's name, for `after`, `release`, hit counts and the trace; r1, r2, … if it has none",
    },
];

/// An action by its word.
#[must_use]
pub fn action(name: &str) -> Option<&'static ActionWord> {
    ACTIONS.iter().find(|action| action.name == name)
}

/// The ways to write a key with its value; nothing if there is no such key.
#[must_use]
pub fn with_value(key: &str) -> Option<String> {
    let key = ACTION_KEYS
        .iter()
        .chain(&MATCHER_KEYS)
        .chain(&RULE_KEYS)
        .find(|known| known.name == key)?;
    let ways: Vec<String> = key
        .value
        .split(" | ")
        .map(|value| format!("`{}={value}`", key.name))
        .collect();
    Some(ways.join(" or "))
}

/// The words of all actions.
pub fn action_names() -> impl Iterator<Item = &'static str> + Clone {
    ACTIONS.iter().map(|action| action.name)
}

/// The keys that a rule with this action can have.
#[must_use]
pub fn keys_of(action: &ActionWord) -> Vec<&'static str> {
    let common = MATCHER_KEYS.iter().chain(&RULE_KEYS).map(|key| key.name);
    action.keys.iter().copied().chain(common).collect()
}

/// The reference page, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# The rule language\n\n\
         This page is made by `vhost-blk reference`; a test keeps it true.\n\n\
         A rule is one line, the same in a plan file, on the command line, at run time and from inside the guest:\n\n    \
         ACTION [OP] [key=value]… [# comment]\n\n\
         OP is `read`, `write`, `flush`, `discard`, `write-zeroes` or `any` (the default). A request takes the first rule that applies and says *when* it \
         completes, and the first that says *how*; so it can be held and then fail. If a rule says that the power goes or the connection ends (`cut`, \
         `disconnect`), the request never completes: only that rule is applied to it, wherever it stands. A rule counts every request that looks like its \
         trigger, also those that another rule took. Every random choice follows from the plan's seed, the rule's name and the request's number. Times are `500us`, `20ms` or `5s`, bytes \
         `512`, `4k`, `2M` or `1G`.\n\n\
         `vhost-blk explain 'RULE'` says in a sentence what a rule does.\n\n## Actions\n",
    );
    for action in &ACTIONS {
        let _ = writeln!(page, "\n### {}\n\n{}\n", action.name, action.about);
        let keys: Vec<&KeyWord> = action
            .keys
            .iter()
            .filter_map(|name| ACTION_KEYS.iter().find(|key| key.name == *name))
            .collect();
        if !keys.is_empty() {
            table(&mut page, keys);
            page.push('\n');
        }
        for example in action.examples {
            let sentence = example
                .parse()
                .map(|rule: super::rule::Rule| super::explain::explain(&rule))
                .unwrap_or_default();
            let _ = writeln!(page, "- `{example}`  \n  {sentence}");
        }
    }
    page.push_str(
        "\n## What a request looks like\n\nAlso in `next(…)` and `done(…)`. A discard or write-zeroes can have several ranges: it touches what one of them \
         touches, is as long as all of them, and aligned if each of them is. A flush lies nowhere and has no length.\n\n",
    );
    table(&mut page, &MATCHER_KEYS);
    page.push_str("\n## Which of them, and when\n\n");
    table(&mut page, &RULE_KEYS);
    page
}

fn table<'a>(page: &mut String, keys: impl IntoIterator<Item = &'a KeyWord>) {
    page.push_str("| key | value | meaning |\n|---|---|---|\n");
    for key in keys {
        let value = key.value.replace('|', "\\|");
        let _ = writeln!(page, "| `{}` | {value} | {} |", key.name, key.about);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Rule;

    #[test]
    fn every_example_is_a_rule_and_every_key_is_known() {
        for action in &ACTIONS {
            for example in action.examples {
                let rule: Rule = example.parse().expect(example);
                assert_eq!(rule.action.name(), action.name);
            }
            for key in action.keys {
                assert!(ACTION_KEYS.iter().any(|known| known.name == *key), "{key}");
            }
        }
        for key in &ACTION_KEYS {
            assert!(
                ACTIONS.iter().any(|action| action.keys.contains(&key.name)),
                "{}",
                key.name
            );
        }
    }
}
