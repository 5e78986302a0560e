//! What the state lock guards, and what a thread holds while it completes requests.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;
use vhost_blk_api::control::Stats;
use vhost_blk_api::trace::TimingNote;

use crate::power::in_flight::Flight;
use crate::request::chain::{Malformed, Request};
use crate::request::completion::{Completion, Effect, Ring};
use crate::request::execute::RequestOutcome;
use crate::request::schedule::{Released, Schedule};
use crate::rulebook::RuleBook;

/// What the state lock guards.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(super) book: RuleBook,
    pub(super) schedule: Schedule<Pending>,
    /// Requests that are never answered, unless their ring is stopped.
    pub(super) lost: Vec<Pending>,
    pub(super) stats: Stats,
    /// How many wait for all requests to be completed.
    pub(super) settling: u32,
    /// Requests so far.
    pub(super) seq: u64,
    pub(super) stopping: bool,
}

/// A chain that came out of a ring.
pub struct Arrival {
    /// What the chain asks for, or why it is no request.
    pub request: Result<Request, Malformed>,
    /// The duty to give it back.
    pub completion: Completion,
}

/// A request between submission and completion.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(super) seq: u64,
    pub(super) at: Instant,
    pub(super) request: Request,
    pub(super) completion: Completion,
    pub(super) outcome: Option<(String, RequestOutcome)>,
    /// What it makes durable, if it is a flush: how many of the history's entries there were as it came.
    pub(super) flushes: u64,
    /// As one of those in flight, if the history wants to know of them.
    pub(super) flight: Option<Flight>,
    /// Power cuts before it came.
    pub(super) cuts: u64,
}

/// A request that is to complete now.
pub(crate) struct Ready {
    pub(super) pending: Pending,
    pub(super) timing: Option<TimingNote>,
    /// Its work, if that is done already.
    pub(super) done: Option<Effect>,
}

/// What a thread needs to complete requests; kept from one batch to the next, so that a request costs no allocation.
#[derive(Default)]
pub struct Round {
    /// Requests that are to complete now, in this order.
    pub(super) ready: VecDeque<Ready>,
    /// Rings that have something new for their driver.
    rings: SmallVec<[Arc<dyn Ring>; 2]>,
    /// What their drivers do not see yet.
    unpublished: u32,
    unpublished_bytes: u64,
}

impl From<Released<Pending>> for Ready {
    fn from(released: Released<Pending>) -> Ready {
        let Released {
            item, rule, action, by, ..
        } = released;
        Ready {
            pending: item,
            timing: Some(TimingNote {
                rule,
                action: action.to_owned(),
                released_by: Some(by),
            }),
            done: None,
        }
    }
}

/// After so many requests that were completed, or so many bytes, their driver is to see them: it can go on with them
/// while the next are done.
const PUBLISH_REQUESTS: u32 = 8;
const PUBLISH_BYTES: u64 = 64 << 10;

impl Round {
    pub(super) fn add(&mut self, ring: &Arc<dyn Ring>) {
        if !self.rings.iter().any(|known| Arc::ptr_eq(known, ring)) {
            self.rings.push(Arc::clone(ring));
        }
    }

    pub(super) fn completed(&mut self, bytes: u64) {
        self.unpublished += 1;
        self.unpublished_bytes += bytes;
        if self.unpublished >= PUBLISH_REQUESTS || self.unpublished_bytes >= PUBLISH_BYTES {
            self.publish();
        }
    }

    pub(super) fn publish(&mut self) {
        (self.unpublished, self.unpublished_bytes) = (0, 0);
        for ring in self.rings.drain(..) {
            ring.publish();
        }
    }
}
