//! What a rule does to a request.

use std::time::Duration;

use super::trigger::Watch;
use crate::op::Op;

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
    pub const HOLD_MAX_DEFAULT: Duration = Duration::from_secs(10);

    /// How long a reorder window stays open after its first request when the rule does not say.
    pub const REORDER_MAX_DEFAULT: Duration = Duration::from_millis(50);

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
    pub const MAX: usize = 1024;

    /// How many requests fill it.
    #[must_use]
    pub fn size(self) -> usize {
        match self {
            Window::Count(count) => count,
            Window::Epoch => Window::MAX,
        }
    }
}
