use std::time::Duration;

use vhost_blk_api::op::Op;
use vhost_blk_api::plan::{Action, Prefix, Rule};

use super::*;

const MS: Duration = Duration::from_millis(1);

/// The timing of a rule's text, as `decide` would give it.
fn timing(rule: &str) -> Timing {
    let rule: Rule = rule.parse().expect(rule);
    match rule.action {
        Action::Delay { span, .. } => Timing::Delay {
            time: span.min,
            action: "delay",
        },
        Action::Hang => Timing::Hang,
        Action::Hold { until, max } => Timing::Hold { until, max },
        Action::Reorder { window, order, max } => Timing::Reorder { window, order, max },
        other => panic!("{other:?} is no timing"),
    }
}

fn facts(op: Op) -> Facts {
    Facts {
        op,
        sector: 0,
        len: 512,
        ranges: Vec::new(),
        queue: 0,
        tag: None,
        prefix: Prefix::default(),
    }
}

fn seqs<T>(released: &[Released<T>]) -> Vec<(u64, ReleasedBy)> {
    released.iter().map(|released| (released.seq, released.by)).collect()
}

#[test]
fn delays_end_in_the_order_of_their_times() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.add(now, 0, 1, (), "r1", timing("delay any for=20ms"));
    schedule.add(now, 0, 2, (), "r1", timing("delay any for=10ms"));
    assert_eq!(schedule.next_end(), Some(now + 10 * MS));
    assert!(schedule.due(now + 9 * MS, 0).is_empty());
    assert_eq!(
        seqs(&schedule.due(now + 30 * MS, 0)),
        [(2, ReleasedBy::Time), (1, ReleasedBy::Time)]
    );
    assert_eq!(schedule.next_end(), None);
}

#[test]
fn hold_waits_for_the_right_request() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.add(now, 0, 1, (), "r1", timing("hold any until=next(write nth=2)"));
    assert!(schedule.submitted(0, &facts(Op::Read)).is_empty());
    assert!(schedule.submitted(0, &facts(Op::Write)).is_empty());
    assert!(
        schedule.completed(&facts(Op::Write)).is_empty(),
        "a completion is not a submission"
    );
    assert_eq!(seqs(&schedule.submitted(0, &facts(Op::Write))), [(1, ReleasedBy::Next)]);
    schedule.add(now, 0, 2, (), "r1", timing("hold any until=done(flush)"));
    assert!(schedule.submitted(0, &facts(Op::Flush)).is_empty());
    assert_eq!(seqs(&schedule.completed(&facts(Op::Flush))), [(2, ReleasedBy::Done)]);
}

#[test]
fn hold_ends_at_its_maximum() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.add(now, 0, 1, (), "r1", timing("hold any until=release max=5ms"));
    schedule.add(now, 0, 2, (), "r2", timing("hold any until=3ms"));
    assert_eq!(
        seqs(&schedule.due(now + 5 * MS, 0)),
        [(2, ReleasedBy::Time), (1, ReleasedBy::Max)]
    );
}

#[test]
fn windows_complete_full_or_in_the_end() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let reverse = || timing("reorder any window=3 order=reverse max=50ms");
    assert!(schedule.add(now, 0, 1, (), "r1", reverse()).is_empty());
    assert!(schedule.add(now, 0, 2, (), "r1", reverse()).is_empty());
    let full = schedule.add(now, 0, 3, (), "r1", reverse());
    assert_eq!(
        seqs(&full),
        [
            (3, ReleasedBy::Window),
            (2, ReleasedBy::Window),
            (1, ReleasedBy::Window)
        ]
    );
    schedule.add(now, 0, 4, (), "r1", reverse());
    schedule.add(now + 40 * MS, 0, 5, (), "r1", reverse());
    assert!(schedule.due(now + 49 * MS, 0).is_empty());
    assert_eq!(
        schedule.next_end(),
        Some(now + 50 * MS),
        "what follows does not have the first wait longer"
    );
    assert_eq!(
        seqs(&schedule.due(now + 50 * MS, 0)),
        [(5, ReleasedBy::Max), (4, ReleasedBy::Max)]
    );
    // The next window has its own time.
    schedule.add(now + 60 * MS, 0, 6, (), "r1", reverse());
    assert!(schedule.due(now + 109 * MS, 0).is_empty());
    assert_eq!(seqs(&schedule.due(now + 110 * MS, 0)), [(6, ReleasedBy::Max)]);
    // As has one whose first member was taken out of it, and that is empty.
    schedule.add(now + 120 * MS, 0, 7, (), "r1", reverse());
    assert_eq!(schedule.release(Some("r1")).len(), 1);
    schedule.add(now + 160 * MS, 0, 8, (), "r1", reverse());
    assert_eq!(schedule.next_end(), Some(now + 210 * MS));
    assert_eq!(schedule.clear().len(), 1);
    assert!(schedule.is_empty());
}

#[test]
fn release_means_holds_unless_a_rule_is_named() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.add(now, 0, 1, (), "r1", timing("hold any until=release"));
    schedule.add(now, 0, 2, (), "r2", timing("delay any for=1s"));
    schedule.add(now, 0, 3, (), "r3", timing("reorder any window=2 order=reverse"));
    assert_eq!(schedule.holding("r3"), 1);
    assert_eq!(seqs(&schedule.release(None)), [(1, ReleasedBy::Release)]);
    assert_eq!(seqs(&schedule.release(Some("r3"))), [(3, ReleasedBy::Release)]);
    assert_eq!(
        schedule.next_end(),
        Some(now + 1000 * MS),
        "an emptied window has no end"
    );
    assert_eq!(seqs(&schedule.clear()), [(2, ReleasedBy::Clear)]);
}

#[test]
fn removed_requests_leave_their_window() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let window = || timing("reorder any window=2 order=reverse");
    schedule.add(now, 0, 1, 'a', "r1", window());
    assert_eq!(
        seqs(&schedule.remove(|item| *item == 'a', ReleasedBy::Stop)),
        [(1, ReleasedBy::Stop)]
    );
    assert!(
        schedule.add(now, 0, 2, 'b', "r1", window()).is_empty(),
        "the window starts anew"
    );
    assert_eq!(schedule.add(now, 0, 3, 'c', "r1", window()).len(), 2);
}

#[test]
fn what_hangs_is_let_go_by_hand_alone() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    schedule.add(now, 0, 1, (), "r1", timing("hang write"));
    assert_eq!(schedule.next_end(), None);
    assert!(schedule.due(now + 10_000_000 * MS, 0).is_empty());
    let released = schedule.release(None);
    assert_eq!(
        (seqs(&released), released[0].action),
        (vec![(1, ReleasedBy::Release)], "hang")
    );
}

#[test]
fn a_mark_lets_go_what_waits_for_it() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    for (seq, rule) in [(1, "hold any until=mark(a)"), (2, "hold any until=mark(b)")] {
        schedule.add(now, 0, seq, (), "r1", timing(rule));
    }
    assert!(schedule.marked("c").is_empty());
    assert_eq!(seqs(&schedule.marked("b")), [(2, ReleasedBy::Mark)]);
    assert_eq!(seqs(&schedule.due(now + 10_000 * MS, 0)), [(1, ReleasedBy::Max)]);
}

#[test]
fn a_flush_ends_an_epoch() {
    let (mut schedule, now) = (Schedule::default(), Instant::now());
    let rule = "reorder write window=epoch order=reverse max=1s";
    for seq in 1..=3 {
        assert!(schedule.submitted(0, &facts(Op::Write)).is_empty());
        assert!(schedule.add(now, 0, seq, (), "r1", timing(rule)).is_empty());
    }
    let released = schedule.submitted(0, &facts(Op::Flush));
    assert_eq!(
        seqs(&released),
        [(3, ReleasedBy::Epoch), (2, ReleasedBy::Epoch), (1, ReleasedBy::Epoch)]
    );
    // A window of a number is none of a flush's business.
    schedule.add(now, 0, 4, (), "r2", timing("reorder write window=8 order=reverse"));
    assert!(schedule.submitted(0, &facts(Op::Flush)).is_empty());
    // Bounded by the largest queue, flush or not.
    for seq in 10..10 + 1023 {
        assert!(schedule.add(now, 0, seq, (), "r1", timing(rule)).is_empty());
    }
    assert_eq!(schedule.add(now, 0, 2000, (), "r1", timing(rule)).len(), 1024);
}
