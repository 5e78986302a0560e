//! Rules and plans: what is to go wrong, as text and as types.
//!
//! A **rule** is one line, the same in a plan file, on the command line, at run time and from inside the guest:
//!
//! ```text
//! ACTION [OP] [key=value]…
//! fail write payload=tag:7 nth=1
//! hold write nth=1 until=next(write)
//! ```
//!
//! [`Rule`] reads it with `FromStr` and gives it back with `Display`. A **plan** is a seed and a list of rules; its file
//! form is TOML (see [`mod@file`]).

mod action;
pub mod error;
pub mod explain;
pub mod file;
mod parse;
mod print;
mod trigger;
pub mod units;
mod values;
pub mod words;

pub use action::{
    Action, Corruption, FailStatus, Lose, Order, Sectors, ShortStatus, Span, Spread, Torn, Until, Window,
};
pub use error::{PlanError, Problem, RuleError};
pub use trigger::{Align, Event, Facts, Matcher, PREFIX_BYTES, PayloadMatch, Prefix, Trigger, Var, Watch};
pub(crate) use values::is_name;

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

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod tests;
