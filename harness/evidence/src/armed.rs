//! Whether the thing under test happened at all: what should have been seen for a cell to count and was not.

use guest_wire::Event;
use vhost_blk_api::op::Op;
use vhost_blk_api::trace::{ReleasedBy, RequestLine};

use crate::bundle::EvidenceBundle;
use crate::needs::Need;
use crate::parts::{Ending, ProgramKind};

/// A test says this before the call under test: that it is about to take page faults.
const ABOUT_TO_FAULT: &str = "source-pages-absent";
/// A test says one of these after the call: whether it did take them.
const FAULTED: &str = "fault-during-";
/// Or it says that part of the buffer is forbidden: then only a call that came upon it answers as the test's oracle
/// demands.
const FORBIDDEN: &str = "-forbidden";

/// What should have happened for the cell to count and did not.
pub(crate) fn unmet(evidence: &EvidenceBundle) -> Vec<String> {
    let mut unmet = Vec::new();
    let mut said = Vec::new();
    for timed in &evidence.events {
        if let Event::Armed { what, holds, detail } = &timed.event {
            said.push(what.as_str());
            if !holds {
                unmet.push(format!("{what} does not hold: {detail}"));
            }
        }
    }
    if !evidence.plan_in_force() {
        unmet.push("the device's trace does not show that the fault plan was put in force".to_owned());
    }
    if evidence.kind == ProgramKind::Exec {
        // A user's program need not say anything, but a rule that never fired means its fault never happened.
        unmet.extend(
            evidence
                .rules
                .iter()
                .filter(|rule| rule.hits == 0)
                .map(|rule| format!("rule never fired: {}", rule.text)),
        );
        return unmet;
    }
    if said.is_empty() && evidence.needs.is_empty() {
        unmet.push("the test never said that it was armed".to_owned());
    }
    let requests = evidence.requests();
    // A call that hangs is cut off before it can say what it did, and need not have reached the device.
    if !matches!(evidence.ending, Ending::Stalled(_)) {
        if requests.is_empty() {
            unmet.push("no request reached the device while the fault plan was in force".to_owned());
        }
        let hit = evidence.rules.iter().any(|rule| rule.hits > 0);
        if said.contains(&ABOUT_TO_FAULT) && !hit && !said.iter().any(|what| faulted(what)) {
            unmet.push("the test never said whether the call took page faults".to_owned());
        }
    }
    unmet.extend(
        evidence
            .needs
            .iter()
            .filter_map(|need| unmet_need(need, evidence, &requests)),
    );
    unmet
}

fn faulted(what: &str) -> bool {
    what.starts_with(FAULTED) || what.ends_with(FORBIDDEN)
}

fn unmet_need(need: &Need<String>, evidence: &EvidenceBundle, requests: &[RequestLine]) -> Option<String> {
    match need {
        Need::Hits(name, least) => {
            let hits = evidence
                .rules
                .iter()
                .find(|rule| rule.name == *name)
                .map_or(0, |rule| rule.hits);
            (hits < *least).then(|| format!("rule {name} fired {hits} times, {least} needed"))
        }
        Need::ReleasedByCondition(name) => {
            let released = requests.iter().any(|request| released_by_condition(request, name));
            (!released).then(|| format!("rule {name} held nothing until what it waited for"))
        }
        Need::WriteRequests { tag, at_least } => {
            let count = tagged_writes(requests, *tag).count();
            // A write that hangs before its continuation is cut all the same; only its first part can reach the device.
            let enough = count >= *at_least || matches!(evidence.ending, Ending::Stalled(_));
            (!enough).then(|| format!("the write came in {count} requests, {at_least} needed"))
        }
    }
}

/// Whether a request carries data to the disk.
pub(crate) fn is_write(request: &RequestLine) -> bool {
    request.submit.op == Op::Write
}

fn released_by_condition(request: &RequestLine, name: &str) -> bool {
    let timing = request.complete.as_ref().and_then(|complete| complete.timing.as_ref());
    timing.is_some_and(|timing| timing.rule == name && timing.released_by.is_some_and(by_condition))
}

/// Whether something came that the request waited for, rather than its time or somebody's `clear`.
fn by_condition(by: ReleasedBy) -> bool {
    matches!(
        by,
        ReleasedBy::Next | ReleasedBy::Done | ReleasedBy::Release | ReleasedBy::Window
    )
}

fn tagged_writes(requests: &[RequestLine], tag: u64) -> impl Iterator<Item = &RequestLine> {
    requests
        .iter()
        .filter(move |request| is_write(request) && request.submit.tag.is_some_and(|found| found.tag == tag))
}
