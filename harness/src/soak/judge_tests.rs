use guest_tests::soak::Job;
use vhost_blk::trace::{self, Record};

use super::*;

/// A real round: its trace, cut down to the requests that the test is about, and what fio said.
const TRACE: &str = include_str!("recorded/trace.jsonl");
const REPORTS: &str = include_str!("recorded/reports.jsonl");
/// The round's seed.
const SEED: u64 = 0;

fn records() -> Vec<Record> {
    let lines = TRACE.lines();
    lines.map(|line| serde_json::from_str(line).expect("a record")).collect()
}

fn reports() -> Vec<Report> {
    let lines = REPORTS.lines();
    lines.map(|line| serde_json::from_str(line).expect("a report")).collect()
}
