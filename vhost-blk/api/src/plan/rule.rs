//! A rule and a plan of rules.

use super::action::Action;
use super::trigger::{Matcher, Trigger, Var};

/// A seed and the rules in the order in which they are asked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Seed of every random choice.
    pub seed: u64,
    /// The rules; the first that matches wins.
    pub rules: Vec<Rule>,
}

/// One rule: a trigger, an action, and a name to speak of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Name given with `name=`; the device names a rule without one `r1`, `r2`, … by the order in which it was added.
    pub name: Option<String>,
    /// What is done to the request.
    pub action: Action,
    /// Which requests it is done to.
    pub trigger: Trigger,
    /// The state variable that it sets each time it is applied.
    pub set: Option<Var>,
}

impl Rule {
    /// The same action for all requests of the same operation, without a name.
    #[must_use]
    pub fn bare(&self) -> Rule {
        Rule {
            name: None,
            action: self.action.clone(),
            trigger: Trigger {
                matcher: Matcher {
                    op: self.trigger.matcher.op,
                    ..Matcher::default()
                },
                ..Trigger::default()
            },
            set: None,
        }
    }
}
