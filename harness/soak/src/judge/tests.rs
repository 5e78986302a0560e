use vhost_blk_api::trace::{Record, Status};

use super::*;

/// A real round (`cargo xtask soak` with the rules that the trace names), cut down to the requests of two slots in
/// which a rule had a say or that change something; and what fio said as it read back.
const TRACE: &str = include_str!("../../../tests/fixtures/soak/trace.jsonl");
const REPORTS: &str = include_str!("../../../tests/fixtures/soak/reports.jsonl");

/// The round, so that a test can take something away.
struct Recorded {
    trace: Vec<Record>,
    /// What fio said as it wrote; nothing was recorded of that.
    writing: Vec<SoakReport>,
    reports: Vec<SoakReport>,
}

impl Recorded {
    fn load() -> Recorded {
        Recorded {
            trace: TRACE.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
            writing: Vec::new(),
            reports: REPORTS
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect(),
        }
    }

    /// What came of reading and of checking, together.
    fn judge(&self) -> (Tally, Vec<String>) {
        let workload = Workload::recorded(&[(1, 16 << 10), (2, 4 << 10)]);
        let mut ledger = Ledger::default();
        ledger.begin_round(&workload);
        let mut phases = self
            .reports
            .split_inclusive(|report| matches!(report, SoakReport::End { .. }));
        let mut now = Phase::Writing;
        let (mut sum, mut findings) = (Tally::default(), Vec::new());
        let mut aftermath = Aftermath::default();
        let mut end_of = |phase, ledger: &Ledger| {
            let reports = match phase {
                Phase::Writing => self.writing.as_slice(),
                _ => phases.next().unwrap(),
            };
            let (tally, found) = super::phase(ledger, &workload, phase, reports, &mut aftermath);
            for (action, count) in tally.explained {
                *sum.explained.entry(action).or_default() += count;
            }
            sum.errors += tally.errors;
            sum.silent += tally.silent;
            sum.noticed += tally.noticed;
            findings.extend(found.into_iter().map(|finding| finding.what));
        };
        for record in &self.trace {
            let next = match record {
                Record::Mark { name, .. } if name == "reading" => Some(Phase::Reading),
                Record::Mark { name, .. } if name == "checking" => Some(Phase::Checking),
                _ => None,
            };
            if let Some(next) = next {
                end_of(now, &ledger);
                ledger.begin_phase();
                now = next;
            }
            ledger.take(record);
        }
        end_of(now, &ledger);
        assert_eq!(ledger.problems(), Vec::<String>::new());
        (sum, findings)
    }

    /// As if the device had done this rule's work without saying so.
    fn hush(&mut self, rule: &str) {
        for record in &mut self.trace {
            if let Record::Complete(complete) = record
                && complete.outcome.as_ref().is_some_and(|outcome| outcome.rule == rule)
            {
                complete.outcome = None;
                complete.status = Status::Ok;
            }
        }
    }
}

#[test]
fn a_recorded_round_is_explained() {
    let (tally, findings) = Recorded::load().judge();
    assert_eq!(findings, Vec::<String>::new());
    let explained: Vec<(&str, u64)> = tally
        .explained
        .iter()
        .map(|(action, count)| (action.as_str(), *count))
        .collect();
    assert_eq!(explained, [("corrupt", 10), ("cut", 123), ("drop", 8), ("fail", 2)]);
    assert_eq!((tally.errors, tally.silent, tally.noticed), (5, 10, 10));
}

#[test]
fn what_the_trace_does_not_tell_of_is_found() {
    for (rule, expected) in [
        ("lost", "differs from what fio wrote"),
        ("astray", "differs from what fio wrote"),
        ("flip", "differs"),
        ("fail", "differs"),
    ] {
        let mut recorded = Recorded::load();
        recorded.hush(rule);
        let (_, findings) = recorded.judge();
        assert!(!findings.is_empty(), "without {rule} all is explained");
        assert!(
            findings.iter().all(|what| what.contains(expected)),
            "{rule}: {findings:#?}"
        );
    }
}

#[test]
fn a_cut_that_the_trace_does_not_tell_of_is_found() {
    let mut recorded = Recorded::load();
    recorded.trace.retain(|record| !matches!(record, Record::Cut { .. }));
    let (_, findings) = recorded.judge();
    assert!(
        findings.iter().any(|what| what.contains("no rule explains it")),
        "{findings:#?}"
    );
}

#[test]
fn damage_that_fio_does_not_notice_is_found() {
    let mut recorded = Recorded::load();
    recorded
        .reports
        .retain(|report| !matches!(report, SoakReport::Mismatch { .. }));
    let (tally, findings) = recorded.judge();
    assert_eq!(tally.noticed, 0);
    for rule in ["lost", "astray", "flip", "fail"] {
        let unnoticed = |what: &&String| what.contains(&format!("by {rule} went unnoticed"));
        assert!(findings.iter().any(|what| unnoticed(&what)), "{rule}: {findings:#?}");
    }
}

#[test]
fn a_block_that_was_not_read_is_found() {
    let mut recorded = Recorded::load();
    for report in &mut recorded.reports {
        if let SoakReport::Job(job) = report {
            job.reads -= 1;
        }
    }
    let (_, findings) = recorded.judge();
    assert_eq!(
        findings,
        [
            "fio read 63 of the 64 blocks of slot1".to_owned(),
            "fio read 255 of the 256 blocks of slot2".to_owned()
        ]
    );
}

#[test]
fn a_block_that_the_kernel_did_not_ask_for_is_explained_by_fio_having_been_told() {
    let mut recorded = Recorded::load();
    let block = Range {
        offset: 2_097_152,
        len: 16 << 10,
    };
    // In the round it was written well.
    let differs = SoakReport::Mismatch { block, first: 0 };
    assert!(!recorded.reports.contains(&differs));
    recorded.reports.insert(0, differs);
    let (_, findings) = recorded.judge();
    assert_eq!(findings.len(), 1, "{findings:#?}");
    recorded.writing.push(SoakReport::Failed {
        op: "write".to_owned(),
        range: block,
        error: "Input/output error".to_owned(),
    });
    let (tally, findings) = recorded.judge();
    assert_eq!(findings, Vec::<String>::new());
    assert_eq!(tally.explained.get("fail"), Some(&3));
    // Without a rule by which a write failed there is no reason for either.
    recorded.hush("fail");
    let (_, findings) = recorded.judge();
    assert!(
        findings
            .iter()
            .any(|what| what.contains("write of 16384 bytes at offset 2097152 failed")),
        "{findings:#?}"
    );
    assert!(
        findings.iter().any(|what| what.contains("at offset 2097152 differs")),
        "{findings:#?}"
    );
}

/// A write-back failed in one round and nobody synced; Linux 6.1.192 told the first sync of the next (seen in a soak,
/// seed 1846585976, rounds 69 and 70).
#[test]
fn a_sync_may_be_told_of_a_write_back_that_failed_rounds_ago() {
    let workload = Workload::recorded(&[(1, 16 << 10), (2, 4 << 10)]);
    let mut ledger = Ledger::default();
    let mut aftermath = Aftermath::default();
    let told = |op: &str| {
        vec![SoakReport::Failed {
            op: op.to_owned(),
            range: Range { offset: 0, len: 0 },
            error: "Input/output error".to_owned(),
        }]
    };
    let mut round = |trace: &[Record], reports: &[SoakReport]| {
        ledger.begin_round(&workload);
        aftermath.next_round();
        for record in trace {
            ledger.take(record);
        }
        let (_, findings) = phase(&ledger, &workload, Phase::Writing, reports, &mut aftermath);
        findings.len()
    };
    assert_eq!(round(&[], &told("sync")), 1, "nothing failed before");
    assert_eq!(round(&Recorded::load().trace, &[]), 0, "a rule made a write fail");
    assert_eq!(round(&[], &[]), 0);
    assert_eq!(round(&[], &told("read")), 1, "a reader is not told");
    assert_eq!(round(&[], &told("datasync")), 0);
    assert_eq!(round(&[], &told("sync")), 1, "it was told");
}
