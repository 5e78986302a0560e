//! Kernels that report more than anybody reads.

use guest_wire::{Event, EventSeal, LogDigest, LogPiece, LogRecord};

use crate::bundle::EvidenceBundle;
use crate::parts::Timed;

use super::{Sketch, exec, failed_write, line, test};

#[test]
fn reports_that_nobody_looks_at_are_no_pass() {
    let abort = "BTRFS error (device vda state A): Transaction aborted (error -5)";
    let many = |count: u32, end: &str| {
        let cell = (0..count).fold(exec().device(failed_write()), |cell, n| {
            cell.says(5.1 + f64::from(n) / 1e6, abort)
        });
        line(&cell.says(5.2, end).bundle())
    };
    let pass = many(1_500, "a word");
    assert!(pass.starts_with("pass: "), "{pass}");
    let broken = many(2_003, "a word");
    assert_eq!(
        broken,
        "broken: evidence: the kernel's log has 3 more reports of a kind than are looked at"
    );
    let failed = many(2_003, "BUG: Bad page state in process a  pfn:1");
    assert!(failed.starts_with("fail crash"), "{failed}");
}

#[test]
fn a_kernel_that_reports_more_than_its_log_holds_fails() {
    let warning = "WARNING: CPU: 0 PID: 7 at fs/btrfs/x.c:1 btrfs_get_extent+0x1/0x2 [btrfs]";
    let failed = line(&without_records(&test().says(3.1, warning), true));
    assert!(failed.starts_with("fail warning [btrfs_get_extent]: "), "{failed}");
    let not_whole = "broken: evidence: the guest's reading of its kernel's log is not whole";
    let quiet = line(&without_records(&test().says(3.1, "a word"), true));
    assert!(quiet.starts_with(not_whole), "{quiet}");
    // Records that went astray without a word of the kernel are the rig's loss, whatever else there is.
    let lost = line(&without_records(&test().says(3.1, warning), false));
    assert!(lost.starts_with(not_whole), "{lost}");
}

#[test]
fn a_flood_that_nobody_witnesses_is_no_pass() {
    let with = |sketch: &Sketch, digests: &[&str]| {
        let mut bundle = without_records(sketch, false);
        let logs = bundle.events.iter_mut().filter_map(|timed| match &mut timed.event {
            Event::Log(piece) => Some(piece),
            _ => None,
        });
        let [first, end] = &mut logs.collect::<Vec<_>>()[..] else {
            panic!("two pieces")
        };
        first.first = 698;
        first.last = 698;
        first.records[0].seq = 698;
        (end.first, end.last) = (700, 700);
        let flood = Event::Log(LogPiece {
            first: 699,
            last: 699,
            records: Vec::new(),
            digests: digests.iter().map(|text| LogDigest::of(4, text)).collect(),
            overran: false,
        });
        let at = bundle
            .events
            .iter()
            .rposition(|timed| matches!(timed.event, Event::Log(_)));
        let at = at.expect("the end");
        let flood = Timed {
            event: flood,
            ..bundle.events[at].clone()
        };
        bundle.events.insert(at, flood);
        reseal(&mut bundle);
        line(&bundle)
    };
    let talks = test().says(3.1, "a word");
    assert_eq!(with(&talks, &["a word"]), line(&test().bundle()));
    let lost = with(&test(), &["a word"]);
    assert!(
        lost.starts_with("broken: evidence: the console lacks a message"),
        "{lost}"
    );
    // As a guest of old had it: only the numbers.
    let numbers = with(&talks, &[]);
    assert!(
        numbers.starts_with("broken: evidence: the guest's reading"),
        "{numbers}"
    );
    let warning = "WARNING: CPU: 0 PID: 7 at fs/btrfs/x.c:1 btrfs_get_extent+0x1/0x2 [btrfs]";
    let failed = with(&test().says(3.1, warning), &[]);
    assert!(failed.starts_with("fail warning [btrfs_get_extent]: "), "{failed}");
}

#[test]
fn what_a_program_writes_to_the_log_is_no_report() {
    let warning = "WARNING: CPU: 0 PID: 7 at fs/btrfs/x.c:1 btrfs_get_extent+0x1/0x2 [btrfs]";
    let died = "Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100";
    for (facility, text, says) in [
        (0, warning, "fail warning [btrfs_get_extent]: "),
        (1, warning, "pass: "),
        (0, died, "broken: guest: pid 1 of the guest died"),
        (1, died, "pass: "),
    ] {
        let mut bundle = exec().says(3.1, text).bundle();
        let log = bundle.events.iter_mut().find_map(|timed| match &mut timed.event {
            Event::Log(piece) => Some(piece),
            _ => None,
        });
        let log = log.expect("a piece of the log");
        log.records[1].seq = 3;
        log.last = 3;
        let record = LogRecord {
            seq: 2,
            level: 4,
            facility,
            time_us: 3_100_000,
            text: text.to_owned(),
        };
        log.records.insert(1, record);
        reseal(&mut bundle);
        let verdict = line(&bundle);
        assert!(verdict.starts_with(says), "{facility}, {text}: {verdict}");
    }
}

/// A cell whose guest did not read a part of its log; whether its kernel said so.
fn without_records(sketch: &Sketch, overran: bool) -> EvidenceBundle {
    let mut bundle = sketch.bundle();
    let at = bundle
        .events
        .iter()
        .position(|timed| matches!(timed.event, Event::Log(_)));
    let at = at.expect("a piece of the log");
    let mut rest = bundle.events[at].clone();
    if let (Event::Log(piece), Event::Log(rest)) = (&mut bundle.events[at].event, &mut rest.event) {
        rest.records = piece.records.split_off(1);
        rest.records[0].seq = 700;
        (rest.first, rest.last, rest.overran) = (700, 700, overran);
        piece.last = piece.first;
    }
    bundle.events.insert(at + 1, rest);
    reseal(&mut bundle);
    bundle
}

fn reseal(bundle: &mut EvidenceBundle) {
    let mut seal = EventSeal::default();
    for timed in &mut bundle.events {
        if let Event::End { .. } = timed.event {
            timed.event = seal.end();
        }
        seal.add(timed.uptime_ms, &timed.event);
    }
}
