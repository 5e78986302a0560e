//! What a rule does to a request: each action's words, type, parser, printer and explanation.

mod corruption;
mod ops;
mod parts;

use std::fmt;
use std::time::Duration;

use super::error::Problem;
use super::keys;
use super::units::{ordinal, print_bytes, print_time};
use super::values::{Arg, Args};
use super::word::{ActionWord, Misfit};
use crate::op::Op;
use corruption::{corruption, parse_corruption};
use ops::Ops;
use parts::{cut, time};

pub use corruption::Corruption;
pub use parts::{FailStatus, Lose, Order, Sectors, ShortStatus, Span, Spread, Torn, Until, Window};

/// The actions, in the order in which messages list them.
pub const ACTIONS: [ActionWord; 12] = [
    ActionWord {
        name: "fail",
        about: "The request completes with an error; the disk is not touched.",
        keys: &[&keys::STATUS],
        examples: &[
            "fail write payload=tag:7 nth=1",
            "fail flush every=3 limit=2",
            "fail discard status=unsupp",
        ],
    },
    ActionWord {
        name: "delay",
        about: "The request completes after a time.",
        keys: &[&keys::FOR, &keys::SPREAD],
        examples: &["delay any for=20ms", "delay any for=1ms..80ms spread=exponential p=0.1"],
    },
    ActionWord {
        name: "slow",
        about: "Requests take longer and longer, as on a dying disk: the first takes the shortest time, the \
                last, and all after it, the longest.",
        keys: &[&keys::FOR, &keys::OVER],
        examples: &["slow read for=1ms..2s over=500"],
    },
    ActionWord {
        name: "hold",
        about: "The request completes when something else has happened, but after `max` at the latest. Once the \
                mark in `until` was made, nothing is held any more: the rule has an implied `before` of that mark.",
        keys: &[&keys::UNTIL, &keys::MAX],
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
        keys: &[&keys::WINDOW, &keys::ORDER, &keys::MAX],
        examples: &[
            "reorder write window=8 order=reverse",
            "reorder write window=epoch order=shuffle",
        ],
    },
    ActionWord {
        name: "short",
        about: "Only the first bytes of a read or write are moved.",
        keys: &[&keys::BYTES, &keys::THEN],
        examples: &["short write bytes=4k then=ioerr", "short read bytes=512 then=ok"],
    },
    ActionWord {
        name: "corrupt",
        about: "A read or write moves other data than it should and reports success.",
        keys: &[&keys::FLIP, &keys::ZERO, &keys::STALE, &keys::MISDIRECT],
        examples: &[
            "corrupt read sectors=2048..2064 flip=1bit",
            "corrupt write zero=1",
            "corrupt read stale=all",
            "corrupt write misdirect=8 limit=1",
        ],
    },
    ActionWord {
        name: "drop",
        about: "Nothing is done and success is reported: a write or discard that never happened, a flush that made \
                nothing durable.",
        keys: &[],
        examples: &["drop flush", "drop write sectors=2048..2056 limit=1"],
    },
    ActionWord {
        name: "early",
        about: "A flush is answered at once, but what it should make durable becomes durable only after a time: a \
                power cut before then loses it.",
        keys: &[&keys::FOR],
        examples: &["early flush for=500ms", "early flush for=10ms..2s p=0.5"],
    },
    ActionWord {
        name: "cut",
        about: "The power goes as the request arrives: it and all other outstanding requests are never answered, the \
                volatile write cache is lost, and the device answers nothing until the command `power` or `rollback`.",
        keys: &[&keys::LOSE, &keys::TORN],
        examples: &[
            "cut flush nth=3",
            "cut write payload=tag:7 lose=some",
            "cut write nth=100 lose=none torn=512",
        ],
    },
    ActionWord {
        name: "disconnect",
        about: "The device disconnects the front end as the request arrives, and does not answer it; a front end that \
                connects again is served.",
        keys: &[],
        examples: &["disconnect write nth=10 limit=1"],
    },
];

/// What a rule does. An action says *when* a request completes, or *how*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Completes with an error; the disk is not touched.
    Fail(FailStatus),
    /// Completes after a time out of a range.
    Delay {
        /// The shortest and the longest time.
        span: Span,
        /// Which times in it are likely.
        spread: Spread,
    },
    /// Completes later and later, as on a disk that dies.
    Slow {
        /// The first is delayed by the shortest, the last by the longest time.
        span: Span,
        /// How many requests lie between the two; later ones take the longest time.
        over: u64,
    },
    /// Completes when something else has happened.
    Hold {
        /// A request, a mark, a command or a time.
        until: Until,
        /// Completes after this time anyway, so that no guest waits for ever.
        max: Duration,
    },
    /// Never completes by itself.
    Hang,
    /// Collects requests and completes them in another order.
    Reorder {
        /// How many are collected.
        window: Window,
        /// The order in which they complete.
        order: Order,
        /// A window that is not full completes this long after its first request.
        max: Duration,
    },
    /// Moves only the first bytes of a read or write.
    Short {
        /// How many bytes are moved; no more than the request has.
        bytes: u64,
        /// What the guest is told.
        then: ShortStatus,
    },
    /// Moves other data than it should, and says that all is well.
    Corrupt(Corruption),
    /// Does nothing, and says that all is well.
    Drop,
    /// Answers a flush at once; what it should make durable is so only after a time.
    Early(Span),
    /// The power goes as the request arrives: it and all others that are out are never answered, and what was not
    /// durable is lost.
    Cut {
        /// What becomes of the volatile write cache.
        lose: Lose,
        /// Whether the last write is torn.
        torn: Option<Torn>,
    },
    /// The device disconnects the front end as the request arrives.
    Disconnect,
}

impl Action {
    /// How long a request is held at most when the rule does not say.
    pub(crate) const HOLD_MAX_DEFAULT: Duration = Duration::from_secs(10);

    /// How long a reorder window stays open after its first request when the rule does not say.
    pub(crate) const REORDER_MAX_DEFAULT: Duration = Duration::from_millis(50);

    /// The action's word in the rule language.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Action::Fail(_) => "fail",
            Action::Delay { .. } => "delay",
            Action::Slow { .. } => "slow",
            Action::Hold { .. } => "hold",
            Action::Hang => "hang",
            Action::Reorder { .. } => "reorder",
            Action::Short { .. } => "short",
            Action::Corrupt(_) => "corrupt",
            Action::Drop => "drop",
            Action::Early(_) => "early",
            Action::Cut { .. } => "cut",
            Action::Disconnect => "disconnect",
        }
    }

    /// Whether the action says when a request completes (otherwise: how, or what becomes of the device).
    #[must_use]
    pub fn is_timing(&self) -> bool {
        match self {
            Action::Delay { .. }
            | Action::Slow { .. }
            | Action::Hold { .. }
            | Action::Hang
            | Action::Reorder { .. } => true,
            Action::Fail(_)
            | Action::Short { .. }
            | Action::Corrupt(_)
            | Action::Drop
            | Action::Early(_)
            | Action::Cut { .. }
            | Action::Disconnect => false,
        }
    }

    /// The operations that it can be done to.
    pub(crate) fn ops(&self) -> Ops {
        match self {
            Action::Short { .. } | Action::Corrupt(_) => Ops::of(&[Op::Read, Op::Write]),
            Action::Drop => Ops::of(&[Op::Write, Op::Flush, Op::Discard, Op::WriteZeroes]),
            Action::Early(_) => Ops::of(&[Op::Flush]),
            _ => Ops::ALL,
        }
    }

    /// Whether it can be done to a request of this operation.
    #[must_use]
    pub fn goes_with(&self, op: Op) -> bool {
        self.ops().contains(op)
    }
}

/// Reads an action and takes its keys out; `parse_until` reads what it is held for.
pub(crate) fn parse_action<'a>(
    args: &mut Args<'a>,
    parse_until: impl Fn(Arg<'a>) -> Result<Until, Misfit>,
) -> Result<Action, Misfit> {
    Ok(match args.action.text {
        "fail" => Action::Fail(match args.take("status") {
            Some(arg) => arg.choice(FailStatus::ALL, FailStatus::name, "ioerr or unsupp")?,
            None => FailStatus::IoErr,
        }),
        "delay" => Action::Delay {
            span: args.need("for", "delay write for=20ms..80ms")?.span()?,
            spread: match args.take("spread") {
                Some(arg) => arg.choice(Spread::ALL, Spread::name, "uniform, bell or exponential")?,
                None => Spread::Uniform,
            },
        },
        "slow" => Action::Slow {
            span: args.need("for", "slow read for=1ms..2s over=500")?.span()?,
            over: args.need("over", "slow read for=1ms..2s over=500")?.count()?,
        },
        "hang" => Action::Hang,
        "drop" => Action::Drop,
        "early" => Action::Early(args.need("for", "early flush for=500ms")?.span()?),
        "disconnect" => Action::Disconnect,
        "cut" => Action::Cut {
            lose: match args.take("lose") {
                Some(arg) => arg.choice(Lose::ALL, Lose::name, "all, some or none")?,
                None => Lose::All,
            },
            torn: args
                .take("torn")
                .map(|arg| arg.choice(Torn::ALL, Torn::name, "512 or 4k"))
                .transpose()?,
        },
        "corrupt" => Action::Corrupt(parse_corruption(args)?),
        "hold" => parse_hold(args, parse_until)?,
        "reorder" => Action::Reorder {
            window: args.need("window", "reorder write window=8 order=shuffle")?.window()?,
            order: args.need("order", "reorder write window=8 order=shuffle")?.choice(
                Order::ALL,
                Order::name,
                "reverse, shuffle or rotate",
            )?,
            max: args.take("max").map_or(Ok(Action::REORDER_MAX_DEFAULT), Arg::time)?,
        },
        "short" => Action::Short {
            bytes: args.need("bytes", "short write bytes=4096 then=ioerr")?.bytes()?,
            then: args.need("then", "short write bytes=4096 then=ioerr")?.choice(
                ShortStatus::ALL,
                ShortStatus::name,
                "ioerr or ok",
            )?,
        },
        // A word of the table that has no line here.
        found => {
            return Err(args.action.misfit(Problem::UnknownAction {
                found: found.to_owned(),
                expected: String::new(),
                hint: String::new(),
            }));
        }
    })
}

fn parse_hold<'a>(
    args: &mut Args<'a>,
    parse_until: impl Fn(Arg<'a>) -> Result<Until, Misfit>,
) -> Result<Action, Misfit> {
    let until = args.need("until", "hold write nth=1 until=next(write)")?;
    let max = args.take("max");
    let until = parse_until(until)?;
    if let (Until::Time(_), Some(max)) = (&until, &max) {
        return Err(max.word.misfit(Problem::Exclude {
            key: "max",
            other: "until=TIME",
        }));
    }
    Ok(Action::Hold {
        until,
        max: max.map_or(Ok(Action::HOLD_MAX_DEFAULT), Arg::time)?,
    })
}

/// The words of the action itself, without what the parser fills in.
pub(crate) fn action_words(action: &Action, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match action {
        Action::Fail(FailStatus::IoErr) => Ok(()),
        Action::Fail(FailStatus::Unsupp) => f.write_str(" status=unsupp"),
        Action::Delay {
            span,
            spread: Spread::Uniform,
        } => write!(f, " for={span}"),
        Action::Delay { span, spread } => write!(f, " for={span} spread={}", spread.name()),
        Action::Slow { span, over } => write!(f, " for={span} over={over}"),
        Action::Hang | Action::Drop | Action::Disconnect => Ok(()),
        Action::Early(span) => write!(f, " for={span}"),
        Action::Cut { lose, torn } => {
            if *lose != Lose::All {
                write!(f, " lose={}", lose.name())?;
            }
            match torn {
                Some(torn) => write!(f, " torn={}", torn.name()),
                None => Ok(()),
            }
        }
        Action::Corrupt(how) => write!(f, " {how}"),
        Action::Hold { until, max } => {
            write!(f, " until={until}")?;
            if *max == Action::HOLD_MAX_DEFAULT {
                Ok(())
            } else {
                write!(f, " max={}", print_time(*max))
            }
        }
        Action::Reorder { window, order, max } => {
            write!(f, " window={window} order={}", order.name())?;
            if *max == Action::REORDER_MAX_DEFAULT {
                Ok(())
            } else {
                write!(f, " max={}", print_time(*max))
            }
        }
        Action::Short { bytes, then } => write!(f, " bytes={} then={}", print_bytes(*bytes), then.name()),
    }
}

/// The predicate of its sentence: what happens to a request. `waits_for` says what it is held for.
pub(crate) fn what(action: &Action, waits_for: impl Fn(&Until) -> String) -> String {
    match action {
        Action::Fail(FailStatus::IoErr) => "fails with an I/O error; the disk is not touched".to_owned(),
        Action::Fail(FailStatus::Unsupp) => "fails as not supported; the disk is not touched".to_owned(),
        Action::Delay { span, spread } => {
            let likely = match spread {
                _ if span.min == span.max => "",
                Spread::Uniform => "",
                Spread::Bell => ", most often about the middle",
                Spread::Exponential => ", mostly short",
            };
            format!("completes {} late{likely}", time(*span))
        }
        Action::Slow { span, over } => format!(
            "completes late: by {} at first, by {} from the {} on",
            print_time(span.min),
            print_time(span.max),
            ordinal(over.saturating_add(1))
        ),
        Action::Hold {
            until: Until::Time(time),
            ..
        } => format!("is held for {}", print_time(*time)),
        Action::Hold { until, max } => format!("is held until {}, for {} at most", waits_for(until), print_time(*max)),
        Action::Hang => "never completes, unless it is released or the rules are cleared".to_owned(),
        Action::Reorder { window, order, max } => {
            let order = match order {
                Order::Reverse => "the last first",
                Order::Shuffle => "in an order chosen by the seed",
                Order::Rotate => "the first as the last",
            };
            let collected = match window {
                Window::Count(count) => format!("{count} at a time"),
                Window::Epoch => "up to the next flush".to_owned(),
            };
            format!(
                "is collected, {collected}, and completed {order}; a window is let go at the latest {} after its first request",
                print_time(*max)
            )
        }
        Action::Short { bytes, then } => {
            let told = match then {
                ShortStatus::IoErr => "fails with an I/O error",
                ShortStatus::Ok => "reports success",
            };
            format!("moves only its first {} bytes and {told}", print_bytes(*bytes))
        }
        Action::Corrupt(how) => format!("reports success, but {}", corruption(*how)),
        Action::Drop => "reports success, but nothing is done".to_owned(),
        Action::Early(span) => format!(
            "is answered at once, and makes durable what came before it only after {}",
            time(*span)
        ),
        Action::Cut { lose, torn } => cut(*lose, *torn),
        Action::Disconnect => "is never answered: the device disconnects the front end".to_owned(),
    }
}
