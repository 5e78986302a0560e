//! The words of the rule language, once: the parser knows no others, its messages list these, and the reference page
//! (`reference.rs`) is made of them. An action stands in `action.rs`, keys in `keys.rs`.

pub use super::action::ACTIONS;
pub use super::keys::{MATCHER_KEYS, RULE_KEYS};
pub use super::word::{ActionWord, KeyWord};

/// An action by its word.
#[must_use]
pub(crate) fn action(name: &str) -> Option<&'static ActionWord> {
    ACTIONS.iter().find(|action| action.name == name)
}

/// The words of all actions.
pub fn action_names() -> impl Iterator<Item = &'static str> + Clone {
    ACTIONS.iter().map(|action| action.name)
}

/// The keys of all actions, each once.
pub fn action_keys() -> impl Iterator<Item = &'static KeyWord> {
    let keys = ACTIONS.iter().flat_map(|action| action.keys).copied();
    let mut seen: Vec<&str> = Vec::new();
    keys.filter(move |key| {
        let new = !seen.contains(&key.name);
        seen.push(key.name);
        new
    })
}

/// The keys that a rule with this action can have.
#[must_use]
pub(crate) fn keys_of(action: &ActionWord) -> Vec<&'static KeyWord> {
    let common = MATCHER_KEYS.iter().chain(&RULE_KEYS);
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
        }
    }

    #[test]
    fn a_key_is_one_key() {
        for action in &ACTIONS {
            for key in action.keys {
                let same = action_keys().find(|known| known.name == key.name).expect(key.name);
                assert_eq!((same.value, same.about), (key.value, key.about), "{}", key.name);
                let common = MATCHER_KEYS.iter().chain(&RULE_KEYS);
                assert!(common.into_iter().all(|common| common.name != key.name), "{}", key.name);
            }
        }
    }
}
