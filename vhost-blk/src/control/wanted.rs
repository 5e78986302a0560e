//! The state of a mark that the words of a command mean.

use std::collections::BTreeSet;

use vhost_blk_api::control::{Reply, Tear, UndecidedRequest};
use vhost_blk_api::op::SECTOR_BYTES;
use vhost_blk_api::plan::{Lose, Torn};

use super::words::{choice, refusal};
use crate::power::change::Content;
use crate::power::choice::{Losing, Tearing, Undecided, Wanted};
use crate::power::present::State;

/// What is meant; nothing said is that all is lost.
pub(super) fn wanted(
    lose: Option<&str>,
    order: Option<&str>,
    torn: Option<&str>,
    seed: u64,
) -> Result<Wanted, Box<Reply>> {
    let lose = match lose {
        None => Losing::As(Lose::All),
        Some(text) => match numbers(text) {
            Some(lost) => Losing::These(lost.into_iter().collect::<BTreeSet<usize>>()),
            None => Losing::As(choice(
                "lose",
                text,
                Lose::ALL,
                Lose::name,
                "all, some, none, or numbers of undecided requests, like 0,3",
            )?),
        },
    };
    let order = match order {
        None => None,
        Some(text) => Some(numbers(text).ok_or_else(|| {
            Box::new(refusal(format!(
                "bad value `{}` for `order`: expected numbers of undecided requests that are in flight, like 5,4",
                text.escape_debug()
            )))
        })?),
    };
    let torn = match torn {
        None => None,
        Some(text) => Some(match one(text) {
            Some(at) => at,
            None => Tearing::Somewhere(choice(
                "torn",
                text,
                Torn::ALL,
                Torn::name,
                "512, 4k, or a request's number and how many bytes of it are there, like 3:4096",
            )?),
        }),
    };
    Ok(Wanted {
        lose,
        order,
        torn,
        seed,
    })
}

/// Numbers with commas between them.
fn numbers(text: &str) -> Option<Vec<usize>> {
    text.split(',').map(|number| number.parse().ok()).collect()
}

fn one(text: &str) -> Option<Tearing> {
    let (request, bytes) = text.split_once(':')?;
    Some(Tearing::At {
        request: request.parse().ok()?,
        bytes: bytes.parse().ok()?,
    })
}

/// What is said of a state that is presented.
pub(super) fn said(state: State) -> Reply {
    Reply::Presented {
        undecided: state.undecided,
        torn: state.choice.torn.map(|(request, bytes)| Tear { request, bytes }),
        kept: state.choice.kept,
        moved_bytes: state.moved,
    }
}

/// What is said of an undecided request.
pub(super) fn described(request: &Undecided) -> UndecidedRequest {
    let mut sectors: Vec<(u64, u64)> = Vec::new();
    for (offset, content) in &request.pieces {
        let (first, count) = (offset / SECTOR_BYTES, content.len() / SECTOR_BYTES);
        match sectors.last_mut() {
            // How it lies in the guest's memory says nothing.
            Some((start, len)) if *start + *len == first => *len += count,
            _ => sectors.push((first, count)),
        }
    }
    UndecidedRequest {
        sectors,
        zeros: request
            .pieces
            .iter()
            .all(|(_, content)| matches!(content, Content::Zeros(_))),
        in_flight: request.in_flight,
    }
}
