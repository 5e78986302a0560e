//! What actions are made of: times, orders, statuses, and what a power cut takes.

use std::time::Duration;

use crate::plan::trigger::Watch;
use crate::plan::units::print_time;
use crate::rng::Rng;

/// What of the volatile write cache is lost in a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lose {
    /// Everything that no flush made durable.
    All,
    /// About half of the requests, chosen by the seed.
    Some,
    /// Nothing: all of the cache gets to the disk.
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
    /// The unit in bytes: the tear is at a multiple of it.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Torn::Sector => 512,
            Torn::Page => 4096,
        }
    }
}

/// Status that a request fails with; the guest's block layer makes an errno of it.
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

/// Which sectors of a request are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sectors {
    /// The whole request.
    All,
    /// A row of this many (512 bytes each), at a place that the seed chooses.
    Some(u32),
}

/// A time, or a range of times to choose from; `min == max` for one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Never later than `max`.
    pub min: Duration,
    /// No request waits longer.
    pub max: Duration,
}

/// Which times out of a range are likely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spread {
    /// All times alike.
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
    /// This time has passed since the request was submitted.
    Time(Duration),
}

impl Span {
    /// One of its times. Whole numbers only, so that it is the same on every machine.
    #[must_use]
    pub fn draw(self, spread: Spread, rng: &mut Rng) -> Duration {
        let range_us = u64::try_from((self.max - self.min).as_micros()).unwrap_or(u64::MAX);
        let bound = range_us.saturating_add(1);
        let extra_us = match spread {
            Spread::Uniform => rng.below(bound),
            // The mean of four.
            Spread::Bell => (0..4).map(|_| rng.below(bound) / 4).sum(),
            Spread::Exponential => {
                let eighth = u64::from(rng.next_u64().leading_zeros().min(7));
                let step = range_us / 8;
                eighth * step + rng.below(step.saturating_add(1))
            }
        };
        self.min + Duration::from_micros(extra_us)
    }
}

/// How many requests a reorder rule collects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// This many, from 2 up.
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

/// What a power cut does, as the predicate of a sentence.
pub(super) fn cut(lose: Lose, torn: Option<Torn>) -> String {
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

/// A time or a range of times, in words.
pub(super) fn time(span: Span) -> String {
    if span.min == span.max {
        print_time(span.min)
    } else {
        format!("{} to {}", print_time(span.min), print_time(span.max))
    }
}
