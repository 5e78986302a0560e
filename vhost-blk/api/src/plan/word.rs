//! A word of a rule, and where in the rule it stands.

use super::error::Problem;

/// The operations that a rule can name.
pub(super) const OP_NAMES: [&str; 6] = ["read", "write", "flush", "discard", "write-zeroes", "any"];

/// A [`RuleError`](super::error::RuleError) before the whole text is put in.
pub(super) struct Misfit {
    pub(super) column: usize,
    pub(super) width: usize,
    pub(super) problem: Problem,
}

/// A piece of the rule with its column (in characters, from 1).
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) column: usize,
}

impl Word<'_> {
    pub(super) fn misfit(self, problem: Problem) -> Misfit {
        Misfit {
            column: self.column,
            width: self.text.chars().count(),
            problem,
        }
    }
}

/// Entry of an action in the list of all words: the parser, the reference and error messages read it.
#[derive(Debug)]
pub struct ActionWord {
    /// The first word of a rule: `hold`.
    pub name: &'static str,
    /// What it does, in one sentence.
    pub(crate) about: &'static str,
    /// The keys that it has besides those of every rule.
    pub keys: &'static [&'static KeyWord],
    /// Rules with it, as a person might write them.
    pub examples: &'static [&'static str],
}

/// Entry of a key in the list of all words.
#[derive(Debug)]
pub struct KeyWord {
    /// What stands before the `=`: `nth`.
    pub name: &'static str,
    /// What its value looks like.
    pub(crate) value: &'static str,
    /// What it means.
    pub(crate) about: &'static str,
}

impl KeyWord {
    /// The ways to write it with its value.
    pub(super) fn ways(&self) -> String {
        let ways = self.value.split(" | ");
        let ways: Vec<String> = ways.map(|value| format!("`{}={value}`", self.name)).collect();
        ways.join(" or ")
    }
}
