//! For every action: rules with it in all its shapes, what they do not go with, and what they do.

use vhost_blk_api::op::Op;
use vhost_blk_api::plan::{Lose, Order};
use vhost_blk_api::trace::ReleasedBy;

use crate::common::{IOERR, UNSUPP};
use crate::rig::{Ask, Rig};

/// An action with its keys.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The action's word.
    pub action: &'static str,
    /// Its keys.
    pub keys: &'static str,
    /// The operations with which it is paired with every key of a trigger.
    pub mains: &'static [Op],
    /// The operations that it does not go with: the language refuses such a rule.
    pub refuses: &'static [Op],
    pub effect: Effect,
}

/// What is to be seen.
#[derive(Debug, Clone, Copy)]
pub enum Effect {
    /// An error with this status, and nothing done.
    Fails(u8),
    /// It completes late, and as ever.
    Waits(Until),
    /// It completes among others, in another order.
    Reorders(Order),
    /// Up to a flush.
    ReordersEpoch,
    /// Only the first bytes, and this status.
    Short(u32, u8),
    /// Other data than there should be.
    Corrupts(How),
    /// What this finds out: it takes the completion of the request, which was sent and has met the rule, and looks at
    /// it, at the disk, and at what else the action should change.
    Seen(fn(&mut Rig, &Ask)),
    /// No answer to anybody, and what was not durable is lost.
    Cuts(Lose, Option<u32>),
    /// No answer, and the device hangs up.
    HangsUp,
}

/// What a request waits for.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    /// So many microseconds, and what the trace calls it.
    Time(u64, ReleasedBy),
    Release,
    Mark(&'static str),
    /// A discard aside, submitted or completed.
    Discard(ReleasedBy),
}

#[derive(Debug, Clone, Copy)]
pub enum How {
    Flip(u32),
    /// So many sectors are zeros.
    Zero(usize),
    /// So many are old.
    Stale(usize),
    Misdirect(i64),
}

const NONE: &[Op] = &[];
const WRITE: &[Op] = &[Op::Write];
const DATA: &[Op] = &[Op::Read, Op::Write];
const NO_DATA: &[Op] = &[Op::Flush, Op::Discard, Op::WriteZeroes];

const fn form(action: &'static str, keys: &'static str, effect: Effect) -> Form {
    Form {
        action,
        keys,
        mains: WRITE,
        refuses: NONE,
        effect,
    }
}

const fn data(action: &'static str, keys: &'static str, effect: Effect) -> Form {
    Form {
        mains: DATA,
        refuses: NO_DATA,
        ..form(action, keys, effect)
    }
}

const fn waits(action: &'static str, keys: &'static str, until: Until) -> Form {
    form(action, keys, Effect::Waits(until))
}

/// Success, and nothing done.
fn nothing_was_done(rig: &mut Rig, ask: &Ask) {
    let (found, used) = rig.take(ask.queue);
    assert_eq!((&found, used.status, used.len), (ask, 0, 1));
}

/// All shapes of all actions.
pub const FORMS: &[Form] = &[
    form("fail", "", Effect::Fails(IOERR)),
    form("fail", "status=unsupp", Effect::Fails(UNSUPP)),
    waits("delay", "for=2ms", Until::Time(2000, ReleasedBy::Time)),
    waits("delay", "for=1ms..3ms spread=bell", Until::Time(1000, ReleasedBy::Time)),
    waits(
        "delay",
        "for=1ms..3ms spread=exponential",
        Until::Time(1000, ReleasedBy::Time),
    ),
    waits("slow", "for=1ms..2ms over=10", Until::Time(1000, ReleasedBy::Time)),
    waits("hold", "until=release max=60s", Until::Release),
    waits("hold", "until=mark(go) max=60s", Until::Mark("go")),
    waits("hold", "until=next(discard) max=60s", Until::Discard(ReleasedBy::Next)),
    waits(
        "hold",
        "until=done(discard sectors=112..120) max=60s",
        Until::Discard(ReleasedBy::Done),
    ),
    waits("hold", "until=2ms", Until::Time(2000, ReleasedBy::Time)),
    waits("hold", "until=release max=2ms", Until::Time(2000, ReleasedBy::Max)),
    waits("hang", "", Until::Release),
    form("reorder", "window=3 order=reverse", Effect::Reorders(Order::Reverse)),
    form("reorder", "window=3 order=shuffle", Effect::Reorders(Order::Shuffle)),
    form("reorder", "window=3 order=rotate", Effect::Reorders(Order::Rotate)),
    waits(
        "reorder",
        "window=8 order=reverse max=1ms",
        Until::Time(1000, ReleasedBy::Max),
    ),
    form("reorder", "window=epoch order=reverse", Effect::ReordersEpoch),
    data("short", "bytes=1k then=ioerr", Effect::Short(1024, IOERR)),
    data("short", "bytes=1k then=ok", Effect::Short(1024, 0)),
    data("corrupt", "flip=3bit", Effect::Corrupts(How::Flip(3))),
    data("corrupt", "zero=2", Effect::Corrupts(How::Zero(2))),
    data("corrupt", "zero=all", Effect::Corrupts(How::Zero(8))),
    data("corrupt", "stale=1", Effect::Corrupts(How::Stale(1))),
    data("corrupt", "stale=all", Effect::Corrupts(How::Stale(8))),
    data("corrupt", "misdirect=8", Effect::Corrupts(How::Misdirect(8))),
    data("corrupt", "misdirect=-8", Effect::Corrupts(How::Misdirect(-8))),
    Form {
        refuses: &[Op::Read],
        ..form("drop", "", Effect::Seen(nothing_was_done))
    },
    Form {
        mains: &[Op::Flush],
        refuses: &[Op::Read, Op::Write, Op::Discard, Op::WriteZeroes],
        ..form("early", "for=3600s", Effect::Seen(nothing_was_done))
    },
    form("cut", "", Effect::Cuts(Lose::All, None)),
    form("cut", "lose=some", Effect::Cuts(Lose::Some, None)),
    form("cut", "lose=none torn=512", Effect::Cuts(Lose::None, Some(512))),
    form("disconnect", "", Effect::HangsUp),
];
