//! What a rule does to a request.

pub(super) mod text;

use std::time::Duration;

use super::trigger::Watch;
use super::word::{ActionWord, KeyWord};
use crate::op::Op;

/// The actions, in the order in which messages list them.
pub const ACTIONS: [ActionWord; 12] = [
    ActionWord {
        name: "fail",
        about: "The request completes with an error; the disk is not touched.",
        keys: &["status"],
        examples: &[
            "fail write payload=tag:7 nth=1",
            "fail flush every=3 limit=2",
            "fail discard status=unsupp",
        ],
    },
    ActionWord {
        name: "delay",
        about: "The request completes after a time.",
        keys: &["for", "spread"],
        examples: &["delay any for=20ms", "delay any for=1ms..80ms spread=exponential p=0.1"],
    },
    ActionWord {
        name: "slow",
        about: "Requests take longer and longer, as on a dying disk: the first takes the shortest time, the \
                last, and all after it, the longest.",
        keys: &["for", "over"],
        examples: &["slow read for=1ms..2s over=500"],
    },
    ActionWord {
        name: "hold",
        about: "The request completes when something else has happened, but after `max` at the latest. Once the \
                mark in `until` was made, nothing is held any more: the rule has an implied `before` of that mark.",
        keys: &["until", "max"],
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
        keys: &["window", "order", "max"],
        examples: &[
            "reorder write window=8 order=reverse",
            "reorder write window=epoch order=shuffle",
        ],
    },
    ActionWord {
        name: "short",
        about: "Only the first bytes of a read or write are moved.",
        keys: &["bytes", "then"],
        examples: &["short write bytes=4k then=ioerr", "short read bytes=512 then=ok"],
    },
    ActionWord {
        name: "corrupt",
        about: "A read or write moves other data than it should and reports success.",
        keys: &["flip", "zero", "stale", "misdirect"],
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
        keys: &["for"],
        examples: &["early flush for=500ms", "early flush for=10ms..2s p=0.5"],
    },
    ActionWord {
        name: "cut",
        about: "The power goes as the request arrives: it and all other outstanding requests are never answered, the \
                volatile write cache is lost, and the device answers nothing until the command `power` or `rollback`.",
        keys: &["lose", "torn"],
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

/// The keys that only some actions have.
pub const ACTION_KEYS: [KeyWord; 16] = [
    KeyWord {
        name: "status",
        value: "ioerr | unsupp",
        about: "the error: EIO (the default) or EOPNOTSUPP in the guest (for a discard Linux then reports success)",
    },
    KeyWord {
        name: "for",
        value: "TIME | A..B",
        about: "how long; a time out of the range is chosen by the seed",
    },
    KeyWord {
        name: "spread",
        value: "uniform | bell | exponential",
        about: "which times of the range are likely: all (the default), those in the middle, or the short ones",
    },
    KeyWord {
        name: "over",
        value: "N",
        about: "how many requests lie between the shortest and the longest time",
    },
    KeyWord {
        name: "until",
        value: "next(TRIGGER) | done(TRIGGER) | mark(NAME) | release | TIME",
        about: "what is waited for: another request submitted or completed, a mark, the command `release`, or a time",
    },
    KeyWord {
        name: "max",
        value: "TIME",
        about: "the longest wait: 10s for hold; for reorder that of a window's first request, 50ms: then the window is let go, full or not",
    },
    KeyWord {
        name: "window",
        value: "N | epoch",
        about: "how many requests are collected, 2 to 1024, or all up to the next flush",
    },
    KeyWord {
        name: "order",
        value: "reverse | shuffle | rotate",
        about: "the order in which they complete",
    },
    KeyWord {
        name: "bytes",
        value: "BYTES",
        about: "how many are moved, at most those of the request",
    },
    KeyWord {
        name: "then",
        value: "ioerr | ok",
        about: "what the guest is told: an error, or success (silent)",
    },
    KeyWord {
        name: "flip",
        value: "Nbit",
        about: "inverts N bits, at places chosen by the seed; all, if the request has fewer",
    },
    KeyWord {
        name: "zero",
        value: "N | all",
        about: "makes a row of N sectors, at a place chosen by the seed, zeros",
    },
    KeyWord {
        name: "stale",
        value: "N | all",
        about: "leaves N sectors as they were: in the golden image for a read, before the write for a write",
    },
    KeyWord {
        name: "misdirect",
        value: "N | -N",
        about: "moves the data N sectors further on, or back; beyond the disk it is lost, or read as zeros",
    },
    KeyWord {
        name: "lose",
        value: "all | some | none",
        about: "what of the volatile write cache is lost: all (the default), about half of the requests, chosen by the seed, or nothing",
    },
    KeyWord {
        name: "torn",
        value: "512 | 4k",
        about: "the last write gets to the disk up to a multiple of this many bytes, chosen by the seed",
    },
];

/// What a rule does. An action says *when* a request completes, or *how*.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Completes with an error; the disk is not touched.
    Fail(FailStatus),
    /// Completes after a time out of a range.
    Delay {
        /// The range.
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
        /// What is waited for.
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
    /// The device hangs up on the front end as the request arrives.
    Disconnect,
}

/// What of the volatile write cache is lost in a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lose {
    /// Everything that no flush made durable.
    All,
    /// About half of the requests, chosen by the seed.
    Some,
    /// Nothing.
    None,
}

/// A last write of which only the first part gets to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Torn {
    /// At a multiple of 512 bytes.
    Sector,
    /// At a multiple of 4 KiB.
    Page,
}

impl Torn {
    /// The unit in bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Torn::Sector => 512,
            Torn::Page => 4096,
        }
    }
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

/// How the data of a corrupted request differs from what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Corruption {
    /// This many bits, at places that the seed chooses, are inverted.
    Flip(u32),
    /// These sectors are zeros.
    Zero(Sectors),
    /// These sectors are an older version: of the golden image when read, not written when written.
    Stale(Sectors),
    /// The data goes to, or comes from, this many sectors further on (or back). Beyond the disk there is nothing: such
    /// a write is lost, and zeros are read.
    Misdirect(i64),
}

/// Which sectors of a request are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sectors {
    /// All of them.
    All,
    /// A row of this many (512 bytes each), at a place that the seed chooses.
    Some(u32),
}

/// A time, or a range of times to choose from; `min == max` for one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
}

/// Which times out of a range are likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spread {
    /// All alike.
    Uniform,
    /// Those in the middle.
    Bell,
    /// Short ones: each eighth of the range half as likely as the one before.
    Exponential,
}

/// What a held request waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Until {
    /// Another matching request was submitted.
    Next(Watch),
    /// Another matching request was completed.
    Done(Watch),
    /// Somebody made this mark.
    Mark(String),
    /// Somebody says `release`.
    Release,
    /// This time has passed.
    Time(Duration),
}

/// How many requests a reorder rule collects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// This many.
    Count(usize),
    /// All up to the next flush, but no more than a driver's largest queue.
    Epoch,
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

    /// Whether it can be done to a request of this operation.
    #[must_use]
    pub fn goes_with(&self, op: Op) -> bool {
        match self {
            Action::Short { .. } | Action::Corrupt(_) => op.moves_data(),
            Action::Drop => op != Op::Read,
            Action::Early(_) => op == Op::Flush,
            _ => true,
        }
    }
}

impl Window {
    /// Most requests that are ever collected: a driver's largest queue.
    pub(crate) const MAX: usize = 1024;

    /// How many requests fill it.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Window::Count(count) => count,
            Window::Epoch => Window::MAX,
        }
    }
}
