//! What is kept of a round in which something was found.

use std::fmt::Write as _;
use std::path::Path;

use vhost_blk_api::trace::show::{Filter, listing};
use vhost_blk_api::trace::{self, Record};

use super::judge::Finding;
use super::round::Round;
use super::sectors::sectors_of;

/// Findings whose requests are listed.
const LISTED_MAX: usize = 50;

/// The round's rules, and each finding with all requests of the round that touched its place.
#[must_use]
pub(crate) fn of(round: &Round, trace: &Path) -> String {
    let mut text = format!("round {} (seed {})\n", round.number, round.seed);
    for rule in &round.rules {
        let _ = writeln!(text, "  {} hits: {}", rule.hits, rule.text);
    }
    if let Some(how) = &round.broke_off {
        let _ = writeln!(text, "\nit broke off: {how}");
    }
    let records = match trace::read(trace) {
        Ok(records) => records,
        Err(error) => {
            let _ = writeln!(text, "\n{error}");
            Vec::new()
        }
    };
    for finding in round.findings.iter().take(LISTED_MAX) {
        let _ = writeln!(text, "\n{:?}: {}", finding.phase, finding.what);
        text.push_str(&requests(round.number, &records, finding));
    }
    if round.findings.len() > LISTED_MAX {
        let _ = writeln!(text, "\nand {} findings more", round.findings.len() - LISTED_MAX);
    }
    text
}

/// The requests of a round that touched a finding's place, a line each.
fn requests(round: u64, records: &[Record], finding: &Finding) -> String {
    let Some(range) = finding.range else {
        return String::new();
    };
    let filter = Filter {
        sectors: Some(sectors_of(range)),
        from: Some(format!("round-{round}")),
        ..Filter::default()
    };
    match filter.part(records) {
        Ok(part) => listing(part, &filter),
        Err(error) => format!("{error}\n"),
    }
}
