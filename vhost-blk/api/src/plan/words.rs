//! The words of the rule language, once: the parser knows no others, its messages list these, and the reference page
//! (`reference.rs`) is made of them. An action stands in `action.rs`, keys in `keys.rs`.

pub use super::action::ACTIONS;
pub use super::keys::{ACTION_KEYS, MATCHER_KEYS, RULE_KEYS};
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
