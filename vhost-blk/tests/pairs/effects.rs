//! Sends the request that a rule means, and looks at what the rule does to it.

use vhost_blk::rulebook::decide::permutation;
use vhost_blk_api::control::{Command, Reply};
use vhost_blk_api::op::Op;
use vhost_blk_api::plan::{Lose, Order};
use vhost_blk_api::trace::{Record, ReleasedBy};

use crate::common::SOON;
use crate::forms::{Effect, How, Until};
use crate::rig::{Ask, BEFORE_READ, PAGE, Rig};

/// What a trial knows of its rule.
#[derive(Debug, Clone, Copy)]
pub struct Case<'a> {
    pub effect: Effect,
    /// The rule's name.
    pub name: &'a str,
    pub seed: u64,
    /// Whether the request is meant again when it comes again.
    pub repeats: bool,
    /// Whether it is meant whatever its operation.
    pub any: bool,
}

impl Case<'_> {
    /// How many requests it takes to see the effect.
    pub fn requests(self) -> u64 {
        let several = matches!(self.effect, Effect::Reorders(_) | Effect::ReordersEpoch);
        if several && self.repeats { 3 } else { 1 }
    }

    /// Sends what the rule means, and looks; returns how many requests it was applied to.
    pub fn hit(self, rig: &mut Rig, ask: &Ask) -> u64 {
        let mut asks = vec![ask.clone()];
        for more in 1..self.requests() {
            let mut ask = ask.clone();
            if let Some(last) = ask.data.last_mut() {
                *last = more as u8;
            }
            asks.push(ask);
        }
        let slots: Vec<u16> = asks.iter().map(|ask| rig.send(ask)).collect();
        rig.arrived();
        let rule = rig.rule();
        assert_eq!(
            (rule.name.as_str(), rule.hits),
            (self.name, self.requests()),
            "{rule:?}"
        );
        match self.effect {
            Effect::Fails(status) => {
                let (found, used) = rig.take(ask.queue);
                assert_eq!((&found, used.status, used.len), (ask, status, 1));
                untouched(rig, ask, used.slot);
            }
            Effect::Seen(look) => look(rig, ask),
            Effect::Waits(until) => self.waits(rig, ask, until),
            Effect::Reorders(order) => self.reorders(rig, &asks, order),
            Effect::ReordersEpoch => self.reorders_epoch(rig, &asks),
            Effect::Short(bytes, status) => short(rig, ask, bytes, status),
            Effect::Corrupts(how) => corrupts(rig, ask, how),
            Effect::Cuts(lose, torn) => self.cuts(rig, ask, lose, torn),
            Effect::HangsUp => {
                assert_eq!(rig.driver().next_used_or_end(SOON), None, "it hangs up");
                assert!(!rig.has_news(), "and does not answer");
                untouched(rig, ask, slots[0]);
                rig.reconnect();
            }
        }
        let ends_epoch = matches!(self.effect, Effect::ReordersEpoch) && self.any;
        self.requests() + u64::from(ends_epoch)
    }

    fn held(rig: &mut Rig, count: u64) {
        assert_eq!(rig.stats().held, count);
        assert!(!rig.has_news(), "it waits");
    }

    fn waits(self, rig: &mut Rig, ask: &Ask, until: Until) {
        let by = match until {
            Until::Time(_, by) | Until::Discard(by) => by,
            Until::Release => ReleasedBy::Release,
            Until::Mark(_) => ReleasedBy::Mark,
        };
        if !matches!(until, Until::Time(..)) {
            Case::held(rig, 1);
        }
        let discard = Ask::page(Op::Discard, 14);
        match until {
            Until::Time(..) => {}
            Until::Release => {
                let released = rig.tell(&Command::Release { rule: None });
                assert_eq!(released, Reply::Released { requests: 1 });
            }
            Until::Mark(name) => {
                rig.tell(&Command::Mark { name: name.to_owned() });
            }
            Until::Discard(_) => {
                rig.send(&discard);
            }
        }
        match until {
            Until::Discard(ReleasedBy::Done) => {
                rig.ends_as_usual(&discard);
                rig.ends_as_usual(ask);
            }
            Until::Discard(_) => {
                rig.ends_as_usual(ask);
                rig.ends_as_usual(&discard);
            }
            _ => rig.ends_as_usual(ask),
        }
        let line = rig.last_line(self.name).complete.expect("it is completed");
        let timing = line.timing.expect("a rule said when");
        assert_eq!((timing.rule.as_str(), timing.released_by), (self.name, Some(by)));
        if let Until::Time(at_least_us, _) = until {
            assert!(line.latency_us >= at_least_us, "{} us", line.latency_us);
        }
    }

    fn reorders(self, rig: &mut Rig, asks: &[Ask], order: Order) {
        // A window that never fills is let go in the end.
        let by = if asks.len() == 3 {
            ReleasedBy::Window
        } else {
            ReleasedBy::Max
        };
        for index in permutation(order, asks.len(), self.seed, self.name, 0) {
            rig.ends_as_usual(&asks[index]);
        }
        let timing = rig.last_line(self.name).complete.and_then(|line| line.timing);
        assert_eq!(timing.and_then(|timing| timing.released_by), Some(by));
    }

    fn reorders_epoch(self, rig: &mut Rig, asks: &[Ask]) {
        // A flush ends the epoch of those before it, also one that the rule means.
        let flushes = asks[0].op == Op::Flush;
        if flushes {
            for ask in &asks[..asks.len() - 1] {
                rig.ends_as_usual(ask);
            }
            Case::held(rig, 1);
            return;
        }
        Case::held(rig, asks.len() as u64);
        let mut flush = Ask::page(Op::Flush, 0);
        flush.queue = asks[0].queue;
        rig.send(&flush);
        for ask in asks.iter().rev() {
            rig.ends_as_usual(ask);
        }
        if !self.any {
            rig.ends_as_usual(&flush);
        }
        let records = rig.records();
        let epoch = |record: &Record| match record {
            Record::Complete(complete) => complete
                .timing
                .as_ref()
                .is_some_and(|timing| timing.rule == self.name && timing.released_by == Some(ReleasedBy::Epoch)),
            _ => false,
        };
        assert!(records.iter().any(epoch));
    }

    fn cuts(self, rig: &mut Rig, ask: &Ask, lose: Lose, torn: Option<u32>) {
        // It arrives, then the power goes.
        rig.until(|stats| stats.dark);
        assert!(!rig.has_news(), "nobody is answered");
        let records = rig.records();
        let cut = records.iter().rev().find_map(|record| match record {
            Record::Cut {
                rule,
                volatile,
                lost,
                torn_bytes,
                ..
            } => Some((rule.clone(), *volatile, *lost, *torn_bytes)),
            _ => None,
        });
        let (rule, volatile, lost, torn_bytes) = cut.expect("a cut");
        assert_eq!(rule.as_deref(), Some(self.name));
        rig.power();
        // What met the cut is on its way; only a flush is of no use to anybody who did not hear of it.
        if ask.op != Op::Flush {
            rig.model.apply(ask);
        }
        let found = rig.look();
        match (lose, torn) {
            (Lose::All, _) => {
                assert_eq!(lost, volatile);
                assert!(found == rig.model.durable, "all that was volatile is lost");
            }
            (Lose::Some, _) => {
                let pages = |bytes: &[u8]| bytes.chunks(PAGE as usize).map(<[u8]>::to_vec).collect::<Vec<_>>();
                let (found, now, durable) = (pages(&found), pages(&rig.model.now), pages(&rig.model.durable));
                let (mut differ, mut old) = (0, 0);
                for ((found, now), durable) in found.iter().zip(&now).zip(&durable) {
                    assert!(found == now || found == durable, "half a request");
                    differ += usize::from(now != durable);
                    old += usize::from(now != durable && found == durable);
                }
                if differ == volatile {
                    assert_eq!(old, lost);
                }
            }
            (Lose::None, unit) => {
                assert_eq!(lost, 0);
                let (unit, torn) = (u64::from(unit.expect("a unit")), torn_bytes.expect("a write was torn"));
                assert!(torn.is_multiple_of(unit) && torn <= u64::from(PAGE));
                let mut expected = rig.model.now.clone();
                // Torn is the last request that changes the disk.
                let last = match ask.op {
                    Op::Read | Op::Flush => None,
                    _ => Some(ask.range()),
                };
                if let Some(range) = last {
                    let tail = range.start + torn as usize..range.end;
                    expected[tail.clone()].copy_from_slice(&rig.model.durable[tail]);
                    assert!(found == expected, "torn at {torn}");
                }
            }
        }
        rig.model.now.clone_from(&found);
        rig.model.durable = found;
    }
}

/// A read moved nothing into its buffer.
fn untouched(rig: &mut Rig, ask: &Ask, slot: u16) {
    if ask.op == Op::Read {
        assert!(rig.buffer(ask, slot).iter().all(|byte| *byte == BEFORE_READ));
    }
}

fn short(rig: &mut Rig, ask: &Ask, bytes: u32, status: u8) {
    let (found, used) = rig.take(ask.queue);
    let written = if ask.op == Op::Read { bytes + 1 } else { 1 };
    assert_eq!((&found, used.status, used.len), (ask, status, written));
    let range = ask.range();
    let moved = range.start..range.start + bytes as usize;
    if ask.op == Op::Read {
        let buffer = rig.buffer(ask, used.slot);
        let (head, tail) = buffer.split_at(bytes as usize);
        assert!(head == &rig.model.now[moved] && tail.iter().all(|byte| *byte == BEFORE_READ));
    } else {
        rig.model.now[moved].copy_from_slice(&ask.data[..bytes as usize]);
    }
}

fn corrupts(rig: &mut Rig, ask: &Ask, how: How) {
    let (found, used) = rig.take(ask.queue);
    let read = ask.op == Op::Read;
    let written = if read { ask.len + 1 } else { 1 };
    assert_eq!((&found, used.status, used.len), (ask, 0, written));
    let range = ask.range();
    let before = rig.model.now[range.clone()].to_vec();
    let disk = rig.look();
    if let How::Misdirect(sectors) = how {
        let start = (range.start as i64 + sectors * 512) as usize;
        let other = start..start + range.len();
        if read {
            assert!(rig.buffer(ask, used.slot) == rig.model.now[other]);
        } else {
            rig.model.now[other].copy_from_slice(&ask.data);
        }
        return;
    }
    let (wanted, got, golden) = if read {
        (
            before,
            rig.buffer(ask, used.slot),
            vec![crate::rig::GOLDEN; range.len()],
        )
    } else {
        (ask.data.clone(), disk[range.clone()].to_vec(), before)
    };
    let sectors_of = |other: &[u8]| {
        let pairs = got.chunks(512).zip(wanted.chunks(512)).zip(other.chunks(512));
        let mut wrong = 0;
        for ((got, wanted), other) in pairs {
            assert!(
                got == wanted || got == other,
                "neither what it should be nor what it may be"
            );
            wrong += usize::from(got != wanted);
        }
        wrong
    };
    match how {
        How::Flip(bits) => {
            let flipped: u32 = got
                .iter()
                .zip(&wanted)
                .map(|(got, wanted)| (got ^ wanted).count_ones())
                .sum();
            assert_eq!(flipped, bits);
        }
        How::Zero(sectors) => assert_eq!(sectors_of(&vec![0; range.len()]), sectors),
        How::Stale(sectors) => assert_eq!(sectors_of(&golden), sectors),
        How::Misdirect(_) => {}
    }
    if !read {
        rig.model.now[range].copy_from_slice(&got);
    }
}
