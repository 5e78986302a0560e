#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use guest_wire::{Counters, Event, EventSeal, Fs, LogDigest, LogPiece, LogRecord, Phase};

use super::*;
use crate::context::{CellContext, KernelIdentity};
use crate::hang::{Stall, StallKind};
use crate::parts::{LostPart, ProgramKind, Timed};
use crate::testing::sample;

fn record(seq: u64, level: u8, text: &str) -> LogRecord {
    LogRecord {
        seq,
        level,
        facility: 0,
        time_us: 1_000_000 + seq,
        text: text.to_owned(),
    }
}

fn piece(records: &[LogRecord]) -> Event {
    Event::Log(LogPiece {
        first: records[0].seq,
        last: records[records.len() - 1].seq,
        records: records.to_vec(),
        digests: Vec::new(),
        overran: false,
    })
}

fn evidence(events: Vec<Event>, console: &str) -> EvidenceBundle {
    let context = CellContext::new(KernelIdentity::default(), Fs::Ext4, "x");
    let timed = |event| Timed {
        host_ms: 1,
        uptime_ms: 1,
        event,
    };
    EvidenceBundle {
        events: events.into_iter().map(timed).collect(),
        ..EvidenceBundle::silent(ProgramKind::Test, &[], context, Ending::Finished, console.to_owned())
    }
}

fn digest(record: &LogRecord) -> LogDigest {
    LogDigest::of(record.level, &record.text)
}

const CONSOLE: &str = "[    1.000007] bioscope: begin x\r\n\
                       a program's words[    1.000008][    T1] two lines\r\n\
                       [    1.000008][    T1]  of one record\r\n\
                       the firmware\r\n\
                       [    1.000010] caf\u{e9}\tat 3\r\n\
                       [    1.000011] bioscope: end x\r\n";

fn log() -> Vec<LogRecord> {
    vec![
        record(7, 6, "bioscope: begin x"),
        record(8, 4, "two lines\n of one record"),
        record(9, 7, "for those who debug"),
        record(10, 6, "caf\u{fffd} at 3"),
        record(11, 6, "bioscope: end x"),
    ]
}

#[test]
fn a_console_has_what_is_in_the_log_and_more() {
    let whole = evidence(vec![piece(&log())], CONSOLE);
    assert_eq!(console::gap(&whole), None);
    for line in [0, 1, 2, 4, 5] {
        let mut lines: Vec<&str> = CONSOLE.split_inclusive('\n').collect();
        lines.remove(line);
        let cut = evidence(vec![piece(&log())], &lines.concat());
        assert!(console::gap(&cut).is_some(), "without line {line}");
    }
    let at_level = |level, console: &str| {
        let counters = Event::Counters(Counters {
            console_level: Some(level),
            ..Counters::default()
        });
        console::gap(&evidence(vec![counters, piece(&log())], console))
    };
    let level = |level| at_level(level, CONSOLE);
    assert_eq!(level(7), None);
    // Somebody lowered it before the job: a warning would not show.
    let lines = CONSOLE.split_inclusive('\n');
    let quiet: String = lines
        .filter(|line| !line.contains("of one record") && !line.contains("two lines"))
        .collect();
    assert!(at_level(4, &quiet).is_some_and(|gap| gap.contains("record 8")));
    assert_eq!(
        level(8).unwrap(),
        "the console lacks a message that the guest has in its kernel's log (record 9): for those who debug"
    );
}

#[test]
fn a_console_has_what_the_guest_had_no_room_for() {
    let log = log();
    let rest = Event::Log(LogPiece {
        first: 8,
        last: 10,
        records: Vec::new(),
        digests: log[1..4].iter().map(digest).collect(),
        overran: false,
    });
    let gap = |console: &str| {
        let events = vec![piece(&log[..1]), rest.clone(), piece(&log[4..])];
        console::gap(&evidence(events, console))
    };
    assert_eq!(gap(CONSOLE), None);
    let last = Event::Log(LogPiece {
        first: u64::MAX,
        last: u64::MAX,
        records: Vec::new(),
        digests: vec![digest(&log[1])],
        overran: false,
    });
    assert_eq!(console::gap(&evidence(vec![last], CONSOLE)), None);
    for line in [1, 2, 4] {
        let mut lines: Vec<String> = CONSOLE.split_inclusive('\n').map(str::to_owned).collect();
        let mut changed = lines.clone();
        changed[line] = changed[line]
            .replace("of", "if")
            .replace("at", "et")
            .replace("two", "one");
        lines.remove(line);
        for console in [lines, changed] {
            assert!(
                gap(&console.concat()).is_some_and(|gap| gap.contains("kernel's log (record ")),
                "{line}"
            );
        }
    }
}

#[test]
fn the_guests_reading_of_its_log_has_no_gap() {
    let records = log();
    let gap = |events: Vec<Event>| log::gap(&evidence(events, CONSOLE), true);
    assert_eq!(gap(vec![piece(&records)]), None);
    assert_eq!(gap(vec![piece(&records[..2]), piece(&records[2..])]), None);
    let digests = |last, digests: &[LogRecord]| {
        Event::Log(LogPiece {
            first: 9,
            last,
            records: Vec::new(),
            digests: digests.iter().map(digest).collect(),
            overran: false,
        })
    };
    let between = |middle| gap(vec![piece(&records[..2]), middle, piece(&records[4..])]);
    assert_eq!(between(digests(10, &records[2..4])), None);
    for (last, had) in [
        (10, &records[2..3]),
        (10, &records[1..4]),
        (9, &records[2..4]),
        (8, &records[2..4]),
    ] {
        assert!(between(digests(last, had)).is_some(), "{had:?}");
    }
    // Of which only the numbers are known nobody can say whether they are on the console.
    assert!(between(digests(10, &[])).is_some());
    let beyond = Event::Log(LogPiece {
        first: 9,
        last: u64::MAX,
        records: Vec::new(),
        digests: Vec::new(),
        overran: false,
    });
    assert!(gap(vec![piece(&records[..2]), beyond, piece(&records[4..])]).is_some());
    let seen: Vec<String> = [
        vec![],
        vec![piece(&records[..2]), piece(&records[3..])],
        vec![piece(&records[2..]), piece(&records[..2])],
        vec![piece(&[records[0].clone(), records[4].clone()])],
        vec![piece(&records[1..])],
        vec![piece(&records[..4])],
    ]
    .into_iter()
    .map(|events| gap(events).unwrap_or_default())
    .collect();
    assert_eq!(
        seen,
        [
            "the guest did not read its kernel's log, so nothing witnesses that the console is whole",
            "the guest's reading of its kernel's log is not whole between records 9 and 11",
            "the guest's reading of its kernel's log is not whole between records 12 and 8",
            "the guest's reading of its kernel's log is not whole between records 7 and 11",
            "the guest's reading of its kernel's log does not start where the case begins",
            "the guest's reading of its kernel's log does not go on until the case ends",
        ]
    );
    // A job that did not finish was not read to its end, but has no gap either.
    assert_eq!(log::gap(&evidence(vec![piece(&records[..4])], CONSOLE), false), None);
    assert!(
        log::gap(
            &evidence(vec![piece(&records[..2]), piece(&records[3..])], CONSOLE),
            false
        )
        .is_some()
    );
}

#[test]
fn a_part_that_could_not_be_had_is_named() {
    let mut evidence = evidence(vec![piece(&log())], CONSOLE);
    evidence.lost.push(LostPart {
        part: "trace.jsonl".to_owned(),
        why: "permission denied".to_owned(),
    });
    let judgement = broken(&evidence).unwrap();
    assert_eq!(judgement.detail(), "evidence: trace.jsonl: permission denied");
}

/// A job that stalled in its run, of which two samples were taken, each followed by a count.
fn stalled() -> EvidenceBundle {
    let mut seal = EventSeal::default();
    let mut events = Vec::new();
    let mut say = |event: Event| {
        seal.add(1, &event);
        events.push(event);
        seal
    };
    say(Event::Begin);
    say(Event::PhaseStart { phase: Phase::Run });
    for _ in 0..2 {
        let so_far = say(Event::Sample(sample(Phase::Run))).so_far();
        say(so_far);
    }
    let ending = Ending::Stalled(Stall {
        phase: Phase::Run,
        how: StallKind::Blocked,
        comm: "cp".to_owned(),
        stack: Vec::new(),
        span_ms: 4_000,
        samples: 2,
        behind: Vec::new(),
    });
    EvidenceBundle {
        ending,
        ..evidence(events, "")
    }
}

#[test]
fn the_events_of_a_job_that_does_not_finish_are_counted_on_the_way() {
    let whole = stalled();
    assert_eq!(events::gap(&whole, false), None);
    for lost in 0..whole.events.len() {
        let mut cut = whole.clone();
        let event = cut.events.remove(lost).event;
        // The last count itself can be lost without a trace; what it counts is there.
        let is_noticed = lost + 1 < whole.events.len();
        assert_eq!(events::gap(&cut, false).is_some(), is_noticed, "without {event:?}");
    }
    let mut changed = whole.clone();
    changed.events[1].event = Event::PhaseStart { phase: Phase::Umount };
    assert_eq!(
        events::gap(&changed, false).unwrap(),
        "the guest's first 3 events are not those that it sent: their count or hash is another one"
    );
    let mut cut = whole;
    cut.events.truncate(4);
    assert_eq!(
        events::gap(&cut, false).unwrap(),
        "the stall was seen in 2 samples, and the guest's events have 1"
    );
}

#[test]
fn without_one_of_the_clocks_no_fault_is_known_to_come_first() {
    let whole = crate::testing::Sketch::healthy(ProgramKind::Test).bundle();
    assert_eq!(broken(&whole), None);
    let without: [fn(&mut Clocks); 3] = [
        |clocks| clocks.guest = None,
        |clocks| clocks.log = None,
        |clocks| clocks.device = None,
    ];
    for without in without {
        let mut cut = whole.clone();
        without(&mut cut.clocks);
        let broken = broken(&cut).map(|broken| broken.detail());
        assert!(broken.is_some_and(|detail| detail.contains("the clock of ")));
    }
}
