//! Rules as text: the canonical form, which the parser reads back as the same rule.

use std::fmt;
use std::ops::Range;

use super::action::action_words;
use super::action::{Corruption, FailStatus, Lose, Order, Sectors, ShortStatus, Span, Spread, Torn, Until, Window};
use super::rule::Rule;
use super::trigger::{Align, Event, Matcher, PayloadMatch, Trigger, Var, Watch};
use super::units::{print_bytes, print_time};

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action.name(), op_name(&self.trigger.matcher))?;
        action_words(&self.action, f)?;
        write!(f, "{}", self.trigger)?;
        if let Some(set) = &self.set {
            write!(f, " set={set}")?;
        }
        match &self.name {
            Some(name) => write!(f, " name={name}"),
            None => Ok(()),
        }
    }
}

/// The trigger without its operation, each word with a blank before it.
impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        matcher_words(&self.matcher, f)?;
        if let Some(nth) = self.nth {
            write!(f, " nth={nth}")?;
        }
        if let Some(every) = self.every {
            write!(f, " every={every}")?;
        }
        if let Some(probability) = self.probability {
            write!(f, " p={probability}")?;
        }
        if let Some(limit) = self.limit {
            write!(f, " limit={limit}")?;
        }
        if let Some(op) = self.first_after {
            write!(f, " first-after={}", op.name())?;
        }
        if let Some(Range { start, end }) = &self.covers {
            write!(f, " covers={start}..{end}")?;
        }
        for (key, event) in [("after", &self.after), ("before", &self.before)] {
            if let Some(event) = event {
                write!(f, " {key}={event}")?;
            }
        }
        match &self.when {
            Some(when) => write!(f, " when={when}"),
            None => Ok(()),
        }
    }
}

fn op_name(matcher: &Matcher) -> &'static str {
    matcher.op.map_or("any", crate::op::Op::name)
}

fn matcher_words(matcher: &Matcher, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if let Some(Range { start, end }) = &matcher.sectors {
        write!(f, " sectors={start}..{end}")?;
    }
    if let Some(len) = &matcher.len {
        if len.end - len.start == 1 {
            write!(f, " len={}", print_bytes(len.start))?;
        } else {
            write!(f, " len={}..{}", print_bytes(len.start), print_bytes(len.end))?;
        }
    }
    match matcher.align {
        Some(Align::To(bytes)) => write!(f, " align={}", print_bytes(bytes))?,
        Some(Align::Off(bytes)) => write!(f, " align=not({})", print_bytes(bytes))?,
        None => {}
    }
    if let Some(queue) = matcher.queue {
        write!(f, " queue={queue}")?;
    }
    match &matcher.payload {
        Some(PayloadMatch::Tag { tag, page: Some(page) }) => write!(f, " payload=tag:{tag}.{page}"),
        Some(PayloadMatch::Tag { tag, page: None }) => write!(f, " payload=tag:{tag}"),
        Some(PayloadMatch::Prefix(bytes)) => write!(f, " payload=hex:{}", hex(bytes)),
        None => Ok(()),
    }
}

/// Bytes as pairs of hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for Corruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Corruption::Flip(bits) => write!(f, "flip={bits}bit"),
            Corruption::Zero(sectors) => write!(f, "zero={sectors}"),
            Corruption::Stale(sectors) => write!(f, "stale={sectors}"),
            Corruption::Misdirect(by) => write!(f, "misdirect={by}"),
        }
    }
}

impl fmt::Display for Sectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sectors::All => f.write_str("all"),
            Sectors::Some(count) => write!(f, "{count}"),
        }
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Window::Count(count) => write!(f, "{count}"),
            Window::Epoch => f.write_str("epoch"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Rule(name) => write!(f, "rule({name})"),
            Event::Mark(name) => write!(f, "mark({name})"),
        }
    }
}

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.value)
    }
}

impl Spread {
    /// All, in the order in which messages list them.
    pub(crate) const ALL: [Spread; 3] = [Spread::Uniform, Spread::Bell, Spread::Exponential];

    /// The word in the rule language.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Spread::Uniform => "uniform",
            Spread::Bell => "bell",
            Spread::Exponential => "exponential",
        }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&print_time(self.min))?;
        if self.max == self.min {
            Ok(())
        } else {
            write!(f, "..{}", print_time(self.max))
        }
    }
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Until::Next(watch) => write!(f, "next({watch})"),
            Until::Done(watch) => write!(f, "done({watch})"),
            Until::Mark(name) => write!(f, "mark({name})"),
            Until::Release => f.write_str("release"),
            Until::Time(time) => f.write_str(&print_time(*time)),
        }
    }
}

impl fmt::Display for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(op_name(&self.matcher))?;
        matcher_words(&self.matcher, f)?;
        if self.nth == 1 {
            Ok(())
        } else {
            write!(f, " nth={}", self.nth)
        }
    }
}

impl Order {
    /// All orders, in the order in which messages list them.
    pub const ALL: [Order; 3] = [Order::Reverse, Order::Shuffle, Order::Rotate];

    /// The order's word in the rule language.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Order::Reverse => "reverse",
            Order::Shuffle => "shuffle",
            Order::Rotate => "rotate",
        }
    }
}

impl ShortStatus {
    /// Both, in the order in which messages list them.
    pub(crate) const ALL: [ShortStatus; 2] = [ShortStatus::IoErr, ShortStatus::Ok];

    /// The status's word in the rule language.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            ShortStatus::IoErr => "ioerr",
            ShortStatus::Ok => "ok",
        }
    }
}

impl FailStatus {
    /// Both, in the order in which messages list them.
    pub(crate) const ALL: [FailStatus; 2] = [FailStatus::IoErr, FailStatus::Unsupp];

    /// The status's word in the rule language.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            FailStatus::IoErr => "ioerr",
            FailStatus::Unsupp => "unsupp",
        }
    }
}

impl Lose {
    /// All, in the order in which messages list them.
    pub const ALL: [Lose; 3] = [Lose::All, Lose::Some, Lose::None];

    /// The word in the rule language.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Lose::All => "all",
            Lose::Some => "some",
            Lose::None => "none",
        }
    }
}

impl Torn {
    /// Both, in the order in which messages list them.
    pub const ALL: [Torn; 2] = [Torn::Sector, Torn::Page];

    /// The word in the rule language.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Torn::Sector => "512",
            Torn::Page => "4k",
        }
    }
}
