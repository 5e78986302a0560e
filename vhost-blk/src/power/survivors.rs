//! What a power cut by a rule, a command or an export leaves of the cache. What is in flight has done nothing then; all
//! states that are legal come from [`choice`](super::choice).

use vhost_blk_api::control::Cut;
use vhost_blk_api::plan::{Lose, Torn};
use vhost_blk_api::rng::Rng;

use super::change::{Change, Medium, Resize};
use super::in_flight::Pieces;
use super::log::Entry;

/// How the power is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PowerCut {
    /// What of the volatile cache is lost.
    pub(crate) lose: Lose,
    /// Whether the last write is torn.
    pub(crate) torn: Option<Torn>,
    /// Seed of what is to be chosen.
    pub(crate) seed: u64,
}

/// What of a request, or of the disk's size, is still there after a power cut.
pub(super) enum Survivor {
    /// What is put where.
    Changes(Pieces),
    /// Where the disk ends.
    End(u64),
}

impl PowerCut {
    /// What its choices are made with.
    pub(crate) fn rng(seed: u64) -> Rng {
        Rng::for_choice(seed, "cut", 0)
    }
}

impl Survivor {
    /// Puts it there again.
    pub(super) fn put(&self, medium: &mut impl Medium) {
        match self {
            Survivor::Changes(pieces) => pieces.iter().for_each(|(at, content)| medium.put(*at, content)),
            Survivor::End(bytes) => medium.set_bytes(*bytes),
        }
    }
}

/// What of entries that were not durable a power cut leaves, in their order.
pub(super) fn survivors<'log>(
    volatile: impl Iterator<Item = &'log Entry> + Clone,
    lose: Lose,
    torn: Option<Torn>,
    rng: &mut Rng,
) -> (Cut, Vec<Survivor>) {
    let requests = volatile.clone().filter(|entry| matches!(entry, Entry::Changes(_)));
    let mut cut = Cut {
        volatile: requests.count(),
        ..Cut::default()
    };
    let (mut number, mut left) = (0, Vec::new());
    for entry in volatile {
        let changes = match entry {
            Entry::Changes(changes) => changes,
            Entry::Resize(Resize { to, .. }) => {
                left.push(Survivor::End(*to));
                continue;
            }
            Entry::Flush { .. } | Entry::Mark { .. } => continue,
        };
        number += 1;
        let survives = match lose {
            Lose::All => false,
            Lose::None => true,
            Lose::Some => rng.chance(0.5),
        };
        let survivor = match torn.filter(|_| number == cut.volatile) {
            Some(torn) => {
                let (changes, bytes) = tear(changes, torn, rng);
                cut.torn_bytes = Some(bytes);
                changes
            }
            None if survives => changes
                .iter()
                .map(|change| (change.offset, change.after.clone()))
                .collect(),
            None => Vec::new(),
        };
        if survivor.is_empty() {
            cut.lost += 1;
        } else {
            left.push(Survivor::Changes(survivor));
        }
    }
    (cut, left)
}

/// The first units of a request's changes, a number of them that the seed chooses.
fn tear(changes: &[Change], torn: Torn, rng: &mut Rng) -> (Pieces, u64) {
    let all: u64 = changes.iter().map(|change| change.after.len()).sum();
    let unit = torn.bytes();
    let mut left = rng.below(all.div_ceil(unit)) * unit;
    let kept = left.min(all);
    let mut survivors = Vec::new();
    for change in changes {
        let len = left.min(change.after.len());
        if len > 0 {
            survivors.push((change.offset, change.after.part(0..len)));
        }
        left -= len;
    }
    (survivors, kept)
}
