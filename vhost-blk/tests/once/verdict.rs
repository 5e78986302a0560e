//! What the driver knows and what the trace says are the same.

use std::collections::{BTreeMap, BTreeSet};

use vhost_blk_api::op::Op;
use vhost_blk_api::trace::{self, Complete, Record, Status, Submit};

use crate::session::{Fate, Sent, Session};

/// Compares the driver's book with the trace.
pub fn agree(session: &Session) {
    let records = trace::read(&session.device.path("trace")).expect("the trace");
    let mut submits: BTreeMap<u64, &Submit> = BTreeMap::new();
    let mut completes: BTreeMap<u64, &Complete> = BTreeMap::new();
    let mut rules: BTreeSet<&str> = BTreeSet::new();
    for record in &records {
        match record {
            Record::Submit(submit) => {
                assert_eq!(submits.insert(submit.seq, submit), None, "one number, twice");
            }
            Record::Complete(complete) => {
                assert!(submits.contains_key(&complete.seq), "{complete:?} was never submitted");
                assert_eq!(completes.insert(complete.seq, complete), None, "it completed twice");
            }
            Record::RuleAdded { name, .. } => {
                rules.insert(name);
            }
            Record::Malformed { .. } | Record::QueueDead { .. } | Record::Missed { .. } => panic!("{record:?}"),
            _ => {}
        }
    }
    assert_eq!(submits.len(), completes.len(), "every request ends");
    for complete in completes.values() {
        says_why(complete, &rules);
    }
    for sent in session.sent.iter().filter(|sent| sent.op != Op::Flush) {
        let of_it: Vec<&Submit> = submits
            .values()
            .copied()
            .filter(|submit| submit.op != Op::Flush && submit.sector == sent.sector)
            .collect();
        one(sent, &of_it, &completes);
    }
    flushes(session, &submits, &completes);
}

/// What did not go as the disk would have it is a rule's doing, and the rule is named.
fn says_why(complete: &Complete, rules: &BTreeSet<&str>) {
    let timing = complete.timing.as_ref().map(|note| note.rule.as_str());
    let outcome = complete.outcome.as_ref().map(|note| note.rule.as_str());
    for rule in timing.into_iter().chain(outcome) {
        assert!(rules.contains(rule), "there was no such rule: {complete:?}");
    }
    if matches!(complete.status, Status::IoErr | Status::Unsupp) {
        assert!(outcome.is_some(), "an error that no rule made: {complete:?}");
    }
}

fn status(byte: u8) -> Status {
    match byte {
        0 => Status::Ok,
        1 => Status::IoErr,
        2 => Status::Unsupp,
        other => panic!("status {other}"),
    }
}

/// A request of which the trace can tell which one it is, by its sector.
fn one(sent: &Sent, submits: &[&Submit], completes: &BTreeMap<u64, &Complete>) {
    let submit = match (sent.fate, submits) {
        // It was lost before the device had looked at it, or never was to be looked at.
        (Fate::Lost | Fate::Untaken, []) => return,
        (Fate::Done(_) | Fate::Lost | Fate::Unpowered, [submit]) => *submit,
        _ => panic!("{sent:?} was submitted so: {submits:?}"),
    };
    assert_eq!((submit.op, usize::from(submit.queue)), (sent.op, sent.queue));
    let complete = completes[&submit.seq];
    match sent.fate {
        Fate::Done(byte) => assert_eq!(complete.status, status(byte), "{sent:?} {complete:?}"),
        Fate::Unpowered => assert_eq!(complete.status, Status::Dropped, "{sent:?} {complete:?}"),
        _ => {}
    }
}

/// Flushes lie nowhere: they are counted.
fn flushes(session: &Session, submits: &BTreeMap<u64, &Submit>, completes: &BTreeMap<u64, &Complete>) {
    let count = |of: &dyn Fn(Fate) -> bool| {
        let flushes = session.sent.iter().filter(|sent| sent.op == Op::Flush);
        flushes.filter(|sent| of(sent.fate)).count()
    };
    let traced = |of: &dyn Fn(Status) -> bool| {
        let flushes = submits.values().filter(|submit| submit.op == Op::Flush);
        flushes.filter(|submit| of(completes[&submit.seq].status)).count()
    };
    let lost = count(&|fate| fate == Fate::Lost);
    let unpowered = count(&|fate| fate == Fate::Unpowered);
    for byte in 0..=2 {
        let (seen, told) = (
            count(&|fate| fate == Fate::Done(byte)),
            traced(&|found| found == status(byte)),
        );
        // What was done as the connection went was not seen any more.
        assert!(
            (seen..=seen + lost).contains(&told),
            "{seen} flushes came back with {byte}, {told} by the trace"
        );
    }
    let done = count(&|fate| matches!(fate, Fate::Done(_))) + unpowered;
    assert!((done..=done + lost).contains(&traced(&|_| true)), "flushes");
}
