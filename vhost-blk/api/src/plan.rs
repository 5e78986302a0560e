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
//! [`Rule`] reads it with `FromStr` and gives it back with `Display`. A **plan** is a seed and a list of rules; its
//! file form is TOML (see [`mod@file`]).

mod action;
mod error;
pub mod explain;
pub mod file;
mod keys;
mod parse;
mod print;
mod reference;
mod rule;
mod trigger;
pub mod units;
mod values;
mod word;
pub mod words;

pub use action::{
    Action, Corruption, FailStatus, Lose, Order, Sectors, ShortStatus, Span, Spread, Torn, Until, Window,
};
pub use error::{PlanError, RuleError, hint};
pub use reference::reference;
pub use rule::{Plan, Rule};
pub use trigger::{Align, Event, Facts, Matcher, PREFIX_BYTES, PayloadMatch, Prefix, Trigger, Var, Watch};
pub use values::is_name;

#[cfg(test)]
mod random_tests;
#[cfg(test)]
mod refusal_tests;
#[cfg(test)]
mod tests;
