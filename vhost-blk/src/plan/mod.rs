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

pub mod error;
pub mod file;
mod parse;
mod print;
pub mod units;
mod values;

use std::ops::Range;
use std::time::Duration;

pub use error::{PlanError, Problem, RuleError};

use crate::op::Op;
use crate::payload::Tag;

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
}

/// What a rule does. An action either says *when* a request completes or *how*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Completes with an error; the disk is not touched.
    Fail(FailStatus),
    /// Completes after a time out of this range.
    Delay(Span),
    /// Completes when something else has happened.
    Hold {
        /// What is waited for.
        until: Until,
        /// Completes after this time anyway, so that no guest waits for ever.
        max: Duration,
    },
    /// Collects requests and completes them in another order.
    Reorder {
        /// How many are collected.
        window: usize,
        /// The order in which they complete.
        order: Order,
        /// A window that is not full completes after this long without a new request.
        max: Duration,
    },
    /// Moves only the first bytes of a read or write.
    Short {
        /// How many bytes are moved; no more than the request has.
        bytes: u64,
        /// What the guest is told.
        then: ShortStatus,
    },
}

/// Status of a failed request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailStatus {
    /// `VIRTIO_BLK_S_IOERR`: EIO in the guest.
    IoErr,
    /// `VIRTIO_BLK_S_UNSUPP`: EOPNOTSUPP in the guest.
    Unsupp,
}

/// Status after a short transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ShortStatus {
    /// A torn write or a read with a stale tail, told as an error.
    IoErr,
    /// The same, told as success: silent.
    Ok,
}

/// A time, or a range of times to choose from; `min == max` for one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
}

/// What a held request waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// Another matching request was submitted.
    Next(Watch),
    /// Another matching request was completed.
    Done(Watch),
    /// Somebody says `release`.
    Release,
    /// This time has passed.
    Time(Duration),
}

/// Which other request a held one waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// What it looks like.
    pub matcher: Matcher,
    /// The how manieth such request, counted from the hold on (1-based).
    pub nth: u64,
}

/// Orders of a reordered window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Last submitted first.
    Reverse,
    /// By the plan's seed.
    Shuffle,
    /// The first becomes the last.
    Rotate,
}

/// Which requests a rule applies to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trigger {
    /// What the request looks like.
    pub matcher: Matcher,
    /// Only the Nth that looks so (1-based).
    pub nth: Option<u64>,
    /// Only every Nth that looks so.
    pub every: Option<u64>,
    /// Only with this probability, by the plan's seed.
    pub probability: Option<f64>,
    /// Only this often.
    pub limit: Option<u64>,
}

/// The part of a trigger that one request alone decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matcher {
    /// Operation; `None` is any.
    pub op: Option<Op>,
    /// Sectors of 512 bytes; the request must overlap them.
    pub sectors: Option<Range<u64>>,
    /// Length in bytes.
    pub len: Option<Range<u64>>,
    /// What a write's data begins with.
    pub payload: Option<PayloadMatch>,
}

/// What a write's data begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadMatch {
    /// The tag.
    pub tag: u64,
    /// The page; `None` is any.
    pub page: Option<u64>,
}

/// What rules can know of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Operation.
    pub op: Op,
    /// First sector of 512 bytes.
    pub sector: u64,
    /// Length in bytes.
    pub len: u64,
    /// What a write's data begins with.
    pub tag: Option<Tag>,
}

impl Action {
    /// Names of all actions, in the order in which messages list them.
    pub const NAMES: [&'static str; 5] = ["fail", "delay", "hold", "reorder", "short"];

    /// How long a request is held at most when the rule does not say.
    pub const HOLD_MAX_DEFAULT: Duration = Duration::from_secs(10);

    /// How long a reorder window stays open without a new request when the rule does not say.
    pub const REORDER_MAX_DEFAULT: Duration = Duration::from_millis(50);

    /// The action's word in the rule language.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Action::Fail(_) => "fail",
            Action::Delay(_) => "delay",
            Action::Hold { .. } => "hold",
            Action::Reorder { .. } => "reorder",
            Action::Short { .. } => "short",
        }
    }

    /// Whether the action says when a request completes (otherwise: how).
    #[must_use]
    pub fn is_timing(&self) -> bool {
        matches!(self, Action::Delay(_) | Action::Hold { .. } | Action::Reorder { .. })
    }
}

impl Matcher {
    /// Whether a request looks like this.
    #[must_use]
    pub fn matches(&self, facts: &Facts) -> bool {
        if facts.op == Op::GetId || self.op.is_some_and(|op| op != facts.op) {
            return false;
        }
        if let Some(sectors) = &self.sectors {
            let end = facts.sector.saturating_add(facts.len.div_ceil(512).max(1));
            // A flush has no sectors; a rule that names some does not mean it.
            if facts.op == Op::Flush || facts.sector >= sectors.end || end <= sectors.start {
                return false;
            }
        }
        if self.len.as_ref().is_some_and(|len| !len.contains(&facts.len)) {
            return false;
        }
        match (self.payload, facts.tag) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(want), Some(tag)) => want.tag == tag.tag && want.page.is_none_or(|page| page == tag.page),
        }
    }
}

#[cfg(test)]
mod tests;
