//! The words of the rule language, once: the parser knows no others, its messages list these, and the reference page
//! (`reference.rs`) is made of them. An action and the keys that only it has stand in `action.rs`.

pub use super::action::{ACTION_KEYS, ACTIONS};
pub use super::word::{ActionWord, KeyWord};

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
        about: "only the one that completes a row of requests of one operation, each beginning where the last ended, \
                over these sectors; with `any` each operation has its own row, a flush is in none, and several ranges \
                of one request count one by one",
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
pub(crate) fn action(name: &str) -> Option<&'static ActionWord> {
    ACTIONS.iter().find(|action| action.name == name)
}

/// The ways to write a key with its value; nothing if there is no such key.
#[must_use]
pub(crate) fn with_value(key: &str) -> Option<String> {
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
pub(crate) fn keys_of(action: &ActionWord) -> Vec<&'static str> {
    let common = MATCHER_KEYS.iter().chain(&RULE_KEYS).map(|key| key.name);
    action.keys.iter().copied().chain(common).collect()
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
