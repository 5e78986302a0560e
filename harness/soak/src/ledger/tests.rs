use vhost_blk_api::trace::OutcomeNote;

use super::*;

/// First sector of the first slot that is to hold a pattern.
struct Bed {
    ledger: Ledger,
    /// A sector in a slot that holds patterns.
    at: u64,
    /// A sector in one that holds zeros.
    zeros: u64,
    seq: u64,
}

impl Bed {
    fn new(rules: &[&str]) -> Bed {
        let workload = Workload::of(1);
        let first = |zeros: bool| {
            let slot = workload.slots.iter().find(|slot| slot.is_zeros() == zeros);
            slot.expect("a slot").range.offset / SECTOR_BYTES
        };
        let mut ledger = Ledger::default();
        ledger.begin_round(&workload);
        ledger.take(&Record::PlanSet { t_us: 0, seed: 1 });
        for rule in rules {
            let parsed: Rule = rule.parse().expect("a rule");
            ledger.take(&Record::RuleAdded {
                t_us: 0,
                name: parsed.name.expect("a name"),
                text: (*rule).to_owned(),
            });
        }
        Bed {
            ledger,
            at: first(false),
            zeros: first(true),
            seq: 0,
        }
    }

    fn submit(&mut self, op: Op, sectors: Range<u64>) -> u64 {
        self.seq += 1;
        let ranged = matches!(op, Op::Discard | Op::WriteZeroes);
        let range = vhost_blk_api::trace::RangeOnDisk {
            sector: sectors.start,
            sectors: u32::try_from(sectors.end - sectors.start).expect("few"),
            flags: 0,
        };
        self.ledger.take(&Record::Submit(Submit {
            seq: self.seq,
            t_us: 0,
            queue: 0,
            generation: 1,
            op,
            sector: sectors.start,
            len: (sectors.end - sectors.start) * SECTOR_BYTES,
            tag: None,
            segs: 1,
            ranges: if ranged { vec![range] } else { Vec::new() },
            rules: Vec::new(),
        }));
        self.seq
    }

    fn complete(&mut self, seq: u64, status: Status, outcome: Option<(&str, &str, Option<u64>)>) {
        self.ledger.take(&Record::Complete(Complete {
            seq,
            t_us: 0,
            status,
            bytes: 0,
            latency_us: 0,
            timing: None,
            outcome: outcome.map(|(rule, action, bytes)| OutcomeNote {
                rule: rule.to_owned(),
                action: action.to_owned(),
                bytes,
            }),
        }));
    }

    /// A request in which no rule has a say.
    fn plain(&mut self, op: Op, sectors: Range<u64>) {
        let seq = self.submit(op, sectors);
        self.complete(seq, Status::Ok, None);
    }

    /// A write that a rule damages, which reports success.
    fn write_by(&mut self, sectors: Range<u64>, rule: &str, action: &str) {
        let seq = self.submit(Op::Write, sectors);
        self.complete(seq, Status::Ok, Some((rule, action, None)));
    }

    /// The power goes, and with it so many of two or three requests.
    fn cut(&mut self, lost: usize, torn_bytes: Option<u64>, seq: Option<u64>) {
        self.ledger.take(&Record::Cut {
            t_us: 0,
            rule: Some("c".to_owned()),
            seq,
            volatile: lost.max(2),
            lost,
            torn_bytes,
        });
    }

    /// The actions that explain these sectors, one after the other; `-` where nothing does.
    fn actions(&self, sectors: Range<u64>) -> String {
        let actions = sectors.map(|sector| {
            let injection = self.ledger.explain(sector);
            injection.map_or("-", |injection| injection.action.as_str()).to_owned()
        });
        actions.collect::<Vec<_>>().join(" ")
    }

    fn sure(&self) -> Vec<u64> {
        self.ledger
            .standing()
            .into_iter()
            .flat_map(|(_, sure, _)| sure)
            .collect()
    }
}

#[test]
fn what_no_rule_touched_has_no_explanation() {
    let mut bed = Bed::new(&[]);
    let at = bed.at;
    bed.plain(Op::Write, at..at + 8);
    bed.plain(Op::Flush, 0..0);
    assert_eq!(bed.actions(at..at + 2), "- -");
    assert!(bed.ledger.problems().is_empty());
}

#[test]
fn an_injury_lasts_until_a_later_write_of_the_whole_sector() {
    let mut bed = Bed::new(&["drop write name=d"]);
    let at = bed.at;
    // It is under way already when the other is dropped: nobody knows which came last.
    let early = bed.submit(Op::Write, at..at + 1);
    bed.write_by(at..at + 3, "d", "drop");
    bed.complete(early, Status::Ok, None);
    bed.plain(Op::Write, at + 1..at + 2);
    assert_eq!(bed.actions(at..at + 4), "drop - drop -");
    assert_eq!(bed.sure(), [at, at + 2]);
    // Only data makes a pattern whole; zeros are what the other kind of slot is to hold.
    bed.plain(Op::Discard, at..at + 1);
    assert_eq!(bed.actions(at..at + 1), "drop");
    let zeros = bed.zeros;
    let seq = bed.submit(Op::Discard, zeros..zeros + 2);
    bed.complete(seq, Status::Ok, Some(("d", "drop", None)));
    bed.plain(Op::WriteZeroes, zeros..zeros + 1);
    assert_eq!(bed.actions(zeros..zeros + 2), "- drop");
}

#[test]
fn an_action_that_it_does_not_know_may_have_done_anything() {
    let mut bed = Bed::new(&["fail write name=x"]);
    let at = bed.at;
    bed.write_by(at..at + 2, "x", "twist");
    assert_eq!(bed.actions(at..at + 3), "twist twist -");
    assert!(bed.sure().is_empty(), "nor is it known to have done something");
    bed.plain(Op::Write, at..at + 1);
    assert_eq!(bed.actions(at..at + 2), "- twist");
}

#[test]
fn a_short_write_injures_what_was_not_moved() {
    let mut bed = Bed::new(&["short write bytes=1000 then=ioerr name=s"]);
    let at = bed.at;
    let seq = bed.submit(Op::Write, at..at + 4);
    bed.complete(seq, Status::IoErr, Some(("s", "short", Some(1000))));
    assert_eq!(bed.actions(at..at + 4), "- short short short");
    // Of the second sector a part is new, and the rest may be what it was.
    assert_eq!(bed.sure(), [at + 2, at + 3]);
    assert!(bed.ledger.failed(&[Op::Write], &(at + 3..at + 9)));
    assert!(!bed.ledger.failed(&[Op::Write], &(at + 4..at + 9)));
    assert!(!bed.ledger.failed(&[Op::Read], &(at..at + 4)));
}

#[test]
fn misdirected_data_injures_both_places() {
    let mut bed = Bed::new(&[
        "corrupt write misdirect=3 name=m",
        "corrupt write misdirect=-9999999 name=far",
    ]);
    let at = bed.at;
    bed.plain(Op::Write, at..at + 8);
    bed.write_by(at..at + 2, "m", "corrupt");
    assert_eq!(bed.actions(at..at + 6), "corrupt corrupt - corrupt corrupt -");
    bed.write_by(at + 7..at + 8, "far", "corrupt");
    assert_eq!(bed.actions(at + 5..at + 9), "- - corrupt -");
    assert_eq!(bed.sure(), [at, at + 1, at + 3, at + 4, at + 7]);
}

#[test]
fn a_cut_explains_what_no_flush_made_durable() {
    let mut bed = Bed::new(&["cut any lose=all name=c", "drop flush name=d"]);
    let at = bed.at;
    bed.plain(Op::Write, at..at + 1);
    // This one is completed only after the flush was submitted.
    let late = bed.submit(Op::Write, at + 1..at + 2);
    let flush = bed.submit(Op::Flush, 0..0);
    bed.complete(late, Status::Ok, None);
    bed.complete(flush, Status::Ok, None);
    bed.plain(Op::Write, at + 2..at + 3);
    let dropped = bed.submit(Op::Flush, 0..0);
    bed.complete(dropped, Status::Ok, Some(("d", "drop", None)));
    let last = bed.submit(Op::Write, at + 3..at + 4);
    bed.cut(3, None, Some(last));
    bed.complete(last, Status::Dropped, None);
    assert_eq!(bed.actions(at..at + 5), "- cut cut dropped -");
    // Whether the second got to the disk before the flush nobody knows.
    assert_eq!(bed.sure(), [at + 2]);
    // What was out comes once more.
    bed.plain(Op::Write, at + 3..at + 4);
    assert_eq!(bed.actions(at + 3..at + 4), "-");
    // A second cut finds nothing volatile but that.
    bed.cut(1, None, None);
    assert_eq!(bed.actions(at..at + 5), "- cut cut cut -");
}

#[test]
fn what_was_answered_as_the_power_went_is_explained() {
    let mut bed = Bed::new(&["cut any lose=all name=c"]);
    let at = bed.at;
    let write = bed.submit(Op::Write, at..at + 1);
    let read = bed.submit(Op::Read, at..at + 1);
    bed.cut(1, None, Some(read));
    bed.complete(write, Status::Ok, None);
    bed.complete(read, Status::Dropped, None);
    assert_eq!(bed.actions(at..at + 1), "cut");
    assert!(bed.sure().is_empty());
}

#[test]
fn an_early_flush_leaves_it_open_what_is_durable() {
    let mut bed = Bed::new(&["cut any lose=all name=c", "early flush for=1ms name=e"]);
    let at = bed.at;
    bed.plain(Op::Write, at..at + 1);
    let flush = bed.submit(Op::Flush, 0..0);
    bed.complete(flush, Status::Ok, Some(("e", "early", None)));
    bed.plain(Op::Write, at + 1..at + 2);
    bed.cut(1, None, None);
    assert_eq!(bed.actions(at..at + 2), "cut cut");
    // Loss of a part leaves it open, too.
    assert!(bed.sure().is_empty());
    bed.plain(Op::Write, at..at + 1);
    bed.cut(2, None, None);
    assert_eq!(bed.sure(), [at]);
}

#[test]
fn a_cut_that_loses_nothing_explains_nothing() {
    let mut bed = Bed::new(&["cut any lose=none name=c"]);
    let at = bed.at;
    bed.plain(Op::Write, at..at + 1);
    let read = bed.submit(Op::Read, at..at + 1);
    bed.cut(0, None, Some(read));
    bed.complete(read, Status::Dropped, None);
    assert_eq!(bed.actions(at..at + 1), "-");
    bed.plain(Op::Write, at + 1..at + 2);
    bed.cut(0, Some(0), None);
    assert_eq!(bed.actions(at..at + 2), "- cut");
}

#[test]
fn damaged_reads_explain_only_their_own_phase() {
    let mut bed = Bed::new(&["corrupt read flip=1bit name=f"]);
    let at = bed.at;
    bed.plain(Op::Write, at..at + 8);
    bed.ledger.begin_phase();
    let seq = bed.submit(Op::Read, at..at + 8);
    bed.complete(seq, Status::Ok, Some(("f", "corrupt", None)));
    assert_eq!(bed.actions(at + 7..at + 9), "corrupt -");
    assert!(bed.ledger.reads().all(|injection| injection.somewhere));
    bed.ledger.begin_phase();
    assert_eq!(bed.actions(at..at + 1), "-");
}

#[test]
fn what_no_device_should_do_is_a_problem() {
    let mut bed = Bed::new(&[]);
    let at = bed.at;
    let seq = bed.submit(Op::Write, at..at + 1);
    bed.complete(seq, Status::IoErr, None);
    bed.complete(seq, Status::Ok, None);
    let open = bed.submit(Op::Read, at..at + 1);
    assert_eq!(
        bed.ledger.problems(),
        [
            format!("request 1 (write at sector {at}, 512 bytes) failed, and no rule made it"),
            "request 1 was completed, and was not outstanding".to_owned(),
        ]
    );
    assert_eq!(bed.ledger.outstanding(), [open]);
}
