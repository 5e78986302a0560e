//! What of a disk's cache and of the requests in flight a power cut leaves: which states are legal, and which is meant.
//!
//! Requests that no flush has made durable are *undecided*: each may be there or not. Those that were completed were so
//! in an order, and where two of them overlap the later one lies on top; those in flight come after them, in any order.
//! One of all may be torn: only its first bytes are there, up to a border of the disk's blocks.

use std::collections::BTreeSet;

use thiserror::Error;
use vhost_blk_api::op::SECTOR_BYTES;
use vhost_blk_api::plan::{Lose, Torn};
use vhost_blk_api::rng::Rng;

use super::change::Content;
use super::cover::Cover;

/// A request of which a power cut leaves all, nothing or the first bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undecided {
    /// What it put where, in its order; no piece lies upon another.
    pub(crate) pieces: Vec<(u64, Content)>,
    /// Whether it had not been completed.
    pub(crate) in_flight: bool,
}

/// What is to be left of undecided requests, as somebody says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Which of them are lost.
    pub(crate) lose: Losing,
    /// The order of those in flight that are there, by their numbers; nothing for that in which they came.
    pub(crate) order: Option<Vec<usize>>,
    /// Which one is torn.
    pub(crate) torn: Option<Tearing>,
    /// Seed of what is to be chosen.
    pub(crate) seed: u64,
}

/// Which undecided requests are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Losing {
    /// All, none, or some that the seed chooses.
    As(Lose),
    /// These, by their numbers.
    These(BTreeSet<usize>),
}

/// Which undecided request is torn, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tearing {
    /// The seed chooses, at a border of this unit.
    Somewhere(Torn),
    /// This one, of which so many bytes are there.
    At {
        /// Its number.
        request: usize,
        /// Fewer than it has.
        bytes: u64,
    },
}

/// What is left of undecided requests: a legal state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The numbers of those that are there, in the order in which they are put upon each other.
    pub(crate) kept: Vec<usize>,
    /// The one of them of which only so many bytes are there.
    pub(crate) torn: Option<(usize, u64)>,
}

/// A state that no power cut can leave.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Illegal {
    #[error("there is no undecided request {number}: {}", if *count == 0 {
        "there is none at all, all was durable".to_owned() } else { format!("they are 0 to {}", count - 1) })]
    Number { number: usize, count: usize },
    #[error("request {0} was completed before the mark: only those in flight can come in another order")]
    Completed(usize),
    #[error("request {0} is lost and stands in the order of those that are there: take it out of one of them")]
    Lost(usize),
    #[error("request {0} is in flight, is there and does not stand in the order: name each of them once")]
    Missing(usize),
    #[error("request {0} stands in the order twice")]
    Twice(usize),
    #[error("request {request} can be torn {}, not after {bytes}", if *end <= SECTOR_BYTES {
        "nowhere, it is one sector".to_owned() } else { 
        format!("after each of its sectors but the last (512 to {} bytes)", end - SECTOR_BYTES) })]
    Tear { request: usize, bytes: u64, end: u64 },
    #[error("no undecided request is longer than {unit} bytes, so none can be torn there")]
    NothingToTear { unit: u64 },
}

impl Undecided {
    /// Bytes of the disk that it changes.
    pub(crate) fn bytes(&self) -> u64 {
        self.pieces.iter().map(|(_, content)| content.len()).sum()
    }

    /// After how many of its bytes it can be torn: where the disk has a border of this unit, or a range of it ends.
    pub(crate) fn tears(&self, unit: u64) -> Vec<u64> {
        let all = self.bytes();
        let mut tears = Vec::new();
        let mut done = 0;
        let mut pieces = self.pieces.iter().peekable();
        while let Some((offset, content)) = pieces.next() {
            let end = offset + content.len();
            let borders = (offset / unit + 1..=end / unit).map(|border| border * unit);
            tears.extend(borders.map(|border| done + border - offset));
            done += content.len();
            // How a write lies in the guest's memory makes no border on the disk.
            if end % unit != 0 && pieces.peek().is_some_and(|(next, _)| *next != end) {
                tears.push(done);
            }
        }
        tears.retain(|tear| *tear < all);
        tears
    }

    /// Puts its first bytes.
    fn put(&self, bytes: u64, cover: &mut Cover) {
        let mut left = bytes;
        for (offset, content) in &self.pieces {
            let len = left.min(content.len());
            cover.put(*offset, content.part(0..len));
            left -= len;
        }
    }
}

impl Choice {
    /// The legal state that is meant.
    ///
    /// # Errors
    /// No power cut can leave it.
    pub(crate) fn of(undecided: &[Undecided], wanted: &Wanted) -> Result<Choice, Illegal> {
        let mut rng = Rng::for_choice(wanted.seed, "cut", 0);
        let there: Vec<bool> = match &wanted.lose {
            Losing::As(lose) => {
                let survives = |_: &Undecided| match lose {
                    Lose::All => false,
                    Lose::None => true,
                    Lose::Some => rng.chance(0.5),
                };
                undecided.iter().map(survives).collect()
            }
            Losing::These(lost) => {
                if let Some(number) = lost.iter().find(|number| **number >= undecided.len()) {
                    return Err(Illegal::number(*number, undecided));
                }
                (0..undecided.len()).map(|number| !lost.contains(&number)).collect()
            }
        };
        let torn = tear(undecided, wanted.torn, &mut rng)?;
        // Of the torn one something is there.
        let is_there =
            |number: usize| there.get(number).copied().unwrap_or(false) || torn.is_some_and(|(torn, _)| torn == number);
        let is_in_flight = |number: usize| undecided.get(number).is_some_and(|request| request.in_flight);
        let all = (0..undecided.len()).filter(|number| is_there(*number));
        let (mut flying, mut kept): (Vec<usize>, Vec<usize>) = all.partition(|number| is_in_flight(*number));
        if let Some(order) = &wanted.order {
            let mut seen = BTreeSet::new();
            for &number in order {
                match number {
                    _ if number >= undecided.len() => return Err(Illegal::number(number, undecided)),
                    _ if !is_in_flight(number) => return Err(Illegal::Completed(number)),
                    _ if !is_there(number) => return Err(Illegal::Lost(number)),
                    _ if !seen.insert(number) => return Err(Illegal::Twice(number)),
                    _ => {}
                }
            }
            if let Some(missing) = flying.iter().find(|number| !seen.contains(number)) {
                return Err(Illegal::Missing(*missing));
            }
            flying.clone_from(order);
        } else if wanted.lose == Losing::As(Lose::Some) {
            for last in (1..flying.len()).rev() {
                flying.swap(last, rng.below(last as u64 + 1) as usize);
            }
        }
        kept.append(&mut flying);
        Ok(Choice { kept, torn })
    }

    /// What lies over what was durable.
    pub(crate) fn cover(&self, undecided: &[Undecided]) -> Cover {
        let mut cover = Cover::default();
        for &number in &self.kept {
            let Some(request) = undecided.get(number) else { continue };
            let bytes = match self.torn {
                Some((torn, bytes)) if torn == number => bytes,
                _ => u64::MAX,
            };
            request.put(bytes, &mut cover);
        }
        cover
    }
}

/// The request that is torn, and how many bytes of it are there.
fn tear(undecided: &[Undecided], torn: Option<Tearing>, rng: &mut Rng) -> Result<Option<(usize, u64)>, Illegal> {
    match torn {
        None => Ok(None),
        Some(Tearing::Somewhere(unit)) => {
            let unit = unit.bytes();
            let all = undecided.iter().enumerate();
            let places = all.flat_map(|(number, request)| {
                let tears = request.tears(unit).into_iter();
                tears.map(move |at| (number, at))
            });
            let places: Vec<(usize, u64)> = places.collect();
            match rng.below(places.len() as u64) {
                _ if places.is_empty() => Err(Illegal::NothingToTear { unit }),
                index => Ok(places.get(index as usize).copied()),
            }
        }
        Some(Tearing::At { request, bytes }) => {
            let of = undecided
                .get(request)
                .ok_or_else(|| Illegal::number(request, undecided))?;
            if of.tears(SECTOR_BYTES).contains(&bytes) {
                return Ok(Some((request, bytes)));
            }
            let end = of.bytes();
            Err(Illegal::Tear { request, bytes, end })
        }
    }
}

impl Illegal {
    fn number(number: usize, undecided: &[Undecided]) -> Illegal {
        Illegal::Number {
            number,
            count: undecided.len(),
        }
    }
}
