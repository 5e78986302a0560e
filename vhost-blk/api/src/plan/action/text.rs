//! Actions as text: their keys, and how an action is read, printed and explained.

use std::fmt;

use super::{Action, Corruption, FailStatus, Lose, Order, Sectors, ShortStatus, Span, Spread, Torn, Until, Window};
use crate::plan::error::Problem;
use crate::plan::units::{ordinal, print_bytes, print_time};
use crate::plan::values::{Arg, Args};
use crate::plan::word::Misfit;

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
        "hold" => {
            let until = args.need("until", "hold write nth=1 until=next(write)")?;
            let max = args.take("max");
            let until = parse_until(until)?;
            if let (Until::Time(_), Some(max)) = (&until, &max) {
                return Err(max.word.misfit(Problem::Exclude {
                    key: "max",
                    other: "until=TIME",
                }));
            }
            Action::Hold {
                until,
                max: max.map_or(Ok(Action::HOLD_MAX_DEFAULT), Arg::time)?,
            }
        }
        "reorder" => Action::Reorder {
            window: args.need("window", "reorder write window=8 order=shuffle")?.window()?,
            order: args.need("order", "reorder write window=8 order=shuffle")?.choice(
                Order::ALL,
                Order::name,
                "reverse, shuffle or rotate",
            )?,
            max: args.take("max").map_or(Ok(Action::REORDER_MAX_DEFAULT), Arg::time)?,
        },
        _ => Action::Short {
            bytes: args.need("bytes", "short write bytes=4096 then=ioerr")?.bytes()?,
            then: args.need("then", "short write bytes=4096 then=ioerr")?.choice(
                ShortStatus::ALL,
                ShortStatus::name,
                "ioerr or ok",
            )?,
        },
    })
}

/// Just one of the keys that say how data is corrupted.
fn parse_corruption(args: &mut Args<'_>) -> Result<Corruption, Misfit> {
    const KEYS: [&str; 4] = ["flip", "zero", "stale", "misdirect"];
    let mut how: Option<(&'static str, Corruption)> = None;
    for key in KEYS {
        let Some(arg) = args.take(key) else { continue };
        if let Some((other, _)) = how {
            return Err(arg.word.misfit(Problem::Exclude { key, other }));
        }
        let corruption = match key {
            "flip" => Corruption::Flip(arg.bits()?),
            "zero" => Corruption::Zero(arg.row()?),
            "stale" => Corruption::Stale(arg.row()?),
            _ => Corruption::Misdirect(arg.offset()?),
        };
        how = Some((key, corruption));
    }
    let missing = || {
        args.action.misfit(Problem::Missing {
            action: args.action.text.to_owned(),
            key: "flip`, `zero`, `stale` or `misdirect",
            example: "corrupt read flip=1bit",
        })
    };
    how.map(|(_, corruption)| corruption).ok_or_else(missing)
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
        Action::Disconnect => "is never answered: the device hangs up on the front end".to_owned(),
    }
}

fn cut(lose: Lose, torn: Option<Torn>) -> String {
    let lost = match lose {
        Lose::All => "what no flush made durable is lost",
        Lose::Some => "about half of the requests that no flush made durable, chosen by the seed, are lost",
        Lose::None => "nothing that was written is lost",
    };
    let torn = match torn {
        Some(torn) => format!(", and the last write is torn at a multiple of {} bytes", torn.name()),
        None => String::new(),
    };
    format!("cuts the power: it is never answered, {lost}{torn}")
}

fn corruption(how: Corruption) -> String {
    match how {
        Corruption::Flip(1) => "one bit of its data, chosen by the seed, is inverted".to_owned(),
        Corruption::Flip(bits) => format!("{bits} bits of its data, chosen by the seed, are inverted"),
        Corruption::Zero(sectors) => format!("{} zeros", of_it(sectors)),
        Corruption::Stale(sectors) => format!("{} an older version", of_it(sectors)),
        Corruption::Misdirect(by) => {
            let side = if by < 0 { "before" } else { "after" };
            let unit = if by.unsigned_abs() == 1 { "sector" } else { "sectors" };
            format!("its data lies {} {unit} {side} where it should", by.unsigned_abs())
        }
    }
}

fn of_it(sectors: Sectors) -> String {
    match sectors {
        Sectors::All => "all of its sectors are".to_owned(),
        Sectors::Some(1) => "one of its sectors, chosen by the seed, is".to_owned(),
        Sectors::Some(count) => format!("{count} of its sectors, chosen by the seed, are"),
    }
}

fn time(span: Span) -> String {
    if span.min == span.max {
        print_time(span.min)
    } else {
        format!("{} to {}", print_time(span.min), print_time(span.max))
    }
}
