//! Lines that a reader wants beside a verdict.

use guest_wire::Event;
use vhost_blk_api::trace::RequestLine;

use crate::armed;
use crate::bundle::EvidenceBundle;

/// Lines of the output of a user's own program.
const OUTPUT_LINES: usize = 8;

/// How the output of a user's own program ends.
pub(super) fn output(evidence: &EvidenceBundle) -> Vec<String> {
    evidence.output_end(OUTPUT_LINES)
}

/// Lines that a reader wants beside the verdict: how the device saw the write, what the call returned, what rules did.
pub(super) fn lines(evidence: &EvidenceBundle) -> Vec<String> {
    let mut lines = Vec::new();
    for timed in &evidence.events {
        match &timed.event {
            Event::Syscall {
                call,
                offset,
                len,
                ret,
                errno,
                faults,
            } => {
                let errno = errno.as_deref().map(|errno| format!(" ({errno})")).unwrap_or_default();
                lines.push(format!(
                    "{call}(len {len}, offset {offset}) = {ret}{errno}, {faults} page faults during it"
                ));
            }
            Event::Finding { oracle, detail, .. } => lines.push(format!("{oracle}: {detail}")),
            Event::Note { text } => lines.push(text.clone()),
            _ => {}
        }
    }
    lines.extend(cut(&evidence.requests()));
    lines.extend(
        evidence
            .rules
            .iter()
            .map(|rule| format!("rule {}: {} hits: {}", rule.name, rule.hits, rule.text)),
    );
    lines
}

/// How the device saw the tagged write: the requests it came in, in order of arrival.
fn cut(requests: &[RequestLine]) -> Option<String> {
    const SHOWN: usize = 8;
    let tagged: Vec<_> = requests
        .iter()
        .filter(|request| armed::is_write(request) && request.submit.tag.is_some())
        .collect();
    if tagged.is_empty() {
        return None;
    }
    let mut parts: Vec<String> = tagged
        .iter()
        .take(SHOWN)
        .map(|request| {
            let page = request.submit.tag.map_or(0, |tag| tag.page);
            let status = request
                .complete
                .as_ref()
                .map_or("outstanding", |complete| complete.status.name());
            format!(
                "{} B from page {page} at sector {} ({status})",
                request.submit.len, request.submit.sector
            )
        })
        .collect();
    if tagged.len() > SHOWN {
        parts.push(format!("and {} more", tagged.len() - SHOWN));
    }
    Some(format!(
        "the device saw the write in {} requests: {}",
        tagged.len(),
        parts.join(", ")
    ))
}
