//! The decision itself. Pure: the same evidence always gives the same verdict.
//!
//! The order of the questions is the order of trust. First whether the rig held (a broken rig says nothing about the
//! kernel), then what the kernel did wrong, worst first, then whether the thing under test happened at all. Only what comes
//! through all of that is a pass; there is no path to a pass from silence.

use guest_wire::{Event, FindingCause, Outcome, Phase};
use vhost_blk_api::trace::RequestLine;

use verdict::{Cause, Judgement, Verdict, console};

use crate::needs;
use crate::parts::{Ending, Evidence, VmEnd};

/// The oracle that reports success although the device was to fail.
const LOST_ERROR: &str = "lost-error";
/// The oracle that compares what is on disk.
const DATA: &str = "data";

/// Lines of a file system check that are shown; the cell's `fsck.log` has all.
const COMPLAINTS_MAX: usize = 12;

/// Judges a cell.
#[must_use]
pub fn judge(evidence: &Evidence<'_>) -> Judgement {
    let unmet = needs::unmet(evidence);
    let mut judgement = broken_rig(evidence)
        .or_else(|| kernel_failure(evidence))
        .or_else(|| unfinished(evidence))
        .unwrap_or_else(|| match &unmet[..] {
            [] => plain(Verdict::Pass, "every oracle was content"),
            [first, ..] => plain(Verdict::Inconclusive, first),
        });
    judgement.armed = unmet.is_empty() && evidence.began();
    judgement.evidence.extend(supporting(evidence));
    if judgement.verdict != Verdict::Inconclusive {
        judgement
            .evidence
            .extend(unmet.into_iter().map(|line| format!("not armed: {line}")));
    }
    judgement
}

fn plain(verdict: Verdict, detail: &str) -> Judgement {
    Judgement {
        verdict,
        cause: None,
        phase: None,
        detail: detail.to_owned(),
        place: None,
        armed: false,
        evidence: Vec::new(),
    }
}

fn broken(stage: &str, detail: &str) -> Judgement {
    plain(Verdict::Broken, &format!("{stage}: {detail}"))
}

fn fail(cause: Cause, place: Option<&str>, detail: String) -> Judgement {
    Judgement {
        cause: Some(cause),
        place: place.map(str::to_owned),
        detail,
        ..plain(Verdict::Fail, "")
    }
}

/// Whether our own side went wrong.
fn broken_rig(evidence: &Evidence<'_>) -> Option<Judgement> {
    if console::init_died(evidence.console) {
        return Some(broken("guest", "pid 1 of the guest died"));
    }
    match &evidence.ending {
        Ending::DeviceGone(how) => return Some(broken("device", &format!("the block device went away: {how}"))),
        Ending::VmGone(VmEnd::Signalled(signal)) => {
            return Some(broken("vm", &format!("QEMU was ended by signal {signal}")));
        }
        Ending::VmGone(VmEnd::Exited(code)) if *code != 0 => {
            return Some(broken("vm", &format!("QEMU exited with code {code}; see qemu.log")));
        }
        Ending::Harness(reason) => return Some(broken("harness", reason)),
        Ending::Unfit(reason) => return Some(broken("boot", reason)),
        Ending::NoHello => return Some(broken("boot", "the guest never answered")),
        _ => {}
    }
    if let Some(line) = console::agent_ended(evidence.console) {
        return Some(broken("guest", line));
    }
    if !evidence.began() {
        let how = if matches!(evidence.ending, Ending::VmGone(_)) {
            "the guest went down"
        } else {
            "no word came"
        };
        return Some(broken("boot", &format!("{how} before the case began")));
    }
    // The first mount is of a fresh golden image: what fails there is the rig's or this kernel's ability to take part.
    [Phase::Mount, Phase::Remount]
        .into_iter()
        .find_map(|phase| match evidence.outcome(phase) {
            Some(Outcome::Failed(what)) => Some(broken("mount", what)),
            _ => None,
        })
}

/// What the kernel did wrong, worst first.
fn kernel_failure(evidence: &Evidence<'_>) -> Option<Judgement> {
    let reports = console::reports(evidence.console);
    let report = |cause: Cause| {
        let first = reports.iter().find(|report| report.cause == cause)?;
        let place = first.place.as_deref();
        let within = place.map(|place| format!("in {place}: ")).unwrap_or_default();
        Some(fail(cause, place, format!("{within}{}", first.line)))
    };
    report(Cause::Crash)
        .or_else(|| hang(evidence))
        .or_else(|| finding(evidence, FindingCause::Corruption))
        .or_else(|| fsck(evidence))
        .or_else(|| mount_again(evidence))
        .or_else(|| finding(evidence, FindingCause::Leak))
        .or_else(|| finding(evidence, FindingCause::Error))
        .or_else(|| exec_outcome(evidence))
        .or_else(|| report(Cause::Warning))
}

fn hang(evidence: &Evidence<'_>) -> Option<Judgement> {
    let Ending::Stalled(stall) = &evidence.ending else {
        return None;
    };
    let phase = stall.phase.name();
    let how = if stall.spinning {
        "spins in the kernel"
    } else {
        "blocked for ever"
    };
    let detail = format!("in {phase}, {} {how} at {}", stall.comm, stall.place());
    let mut judgement = fail(Cause::Hang, Some(&format!("{phase}: {}", stall.place())), detail);
    judgement.phase = Some(stall.phase);
    judgement.evidence.push(format!(
        "{} samples over {:.1} s of guest time with the same picture, guest idle, nothing outstanding at the device",
        stall.samples,
        f64::from(u32::try_from(stall.span_ms).unwrap_or(u32::MAX)) / 1000.0
    ));
    judgement.evidence.push(format!("stack: {}", stall.stack.join(" < ")));
    Some(judgement)
}

fn finding(evidence: &Evidence<'_>, wanted: FindingCause) -> Option<Judgement> {
    // A test that was told of a device error that never came reports its success as a lost error; that is not the kernel's.
    let faulted = evidence.rules.iter().any(|rule| rule.hits > 0);
    let found = evidence.events.iter().filter_map(|timed| match &timed.event {
        Event::Finding { oracle, .. } if oracle == LOST_ERROR && !faulted => None,
        Event::Finding { cause, oracle, detail } if *cause == wanted => Some((oracle, detail)),
        _ => None,
    });
    // What was read back tells a reader the most; among equals the first counts.
    let (oracle, detail) = found.min_by_key(|(oracle, _)| oracle.as_str() != DATA)?;
    let cause = match wanted {
        FindingCause::Corruption => Cause::Corruption,
        FindingCause::Leak => Cause::Leak,
        FindingCause::Error => Cause::Error,
    };
    Some(fail(cause, Some(oracle), format!("{oracle}: {detail}")))
}

fn fsck(evidence: &Evidence<'_>) -> Option<Judgement> {
    let fsck = evidence.fsck.filter(|fsck| !fsck.clean)?;
    let complaints = complaints(&fsck.output);
    let first = complaints.first().or(fsck.output.lines().last().as_ref()).copied();
    let mut judgement = fail(
        Cause::Corruption,
        Some("file system check"),
        format!("file system check: {}", first.unwrap_or("not clean").trim()),
    );
    let lines = complaints.iter().take(COMPLAINTS_MAX);
    judgement
        .evidence
        .extend(lines.map(|line| format!("check: {}", line.trim())));
    Some(judgement)
}

/// The lines of a checker's output that complain rather than report progress; those that only count what others say come last.
fn complaints(output: &str) -> Vec<&str> {
    let telling = |line: &&str| {
        let lower = line.to_lowercase();
        [
            "error", "mismatch", "bad", "corrupt", "wrong", "invalid", "missing", "would",
        ]
        .iter()
        .any(|word| lower.contains(word))
    };
    let sums_up = |line: &str| line.ends_with("error(s) found") || line.starts_with("ERROR: errors found in ");
    let (sums, mut complaints): (Vec<&str>, Vec<&str>) =
        output.lines().filter(telling).partition(|line| sums_up(line.trim()));
    complaints.extend(sums);
    complaints
}

/// A file system that mounted before the write and does not after it is damaged.
fn mount_again(evidence: &Evidence<'_>) -> Option<Judgement> {
    match evidence.outcome(Phase::MountAgain) {
        Some(Outcome::Failed(what)) => Some(fail(
            Cause::Corruption,
            Some("mount again"),
            format!("cannot be mounted again: {what}"),
        )),
        _ => None,
    }
}

/// A user's own program fails by its exit code; one of our tests never does, it reports findings.
fn exec_outcome(evidence: &Evidence<'_>) -> Option<Judgement> {
    if !evidence.exec {
        return None;
    }
    match evidence.outcome(Phase::Run) {
        Some(Outcome::Exited(code)) => Some(fail(
            Cause::Error,
            Some(&format!("exit code {code}")),
            format!("the program exited with code {code}"),
        )),
        Some(Outcome::Signalled(signal)) => Some(fail(
            Cause::Error,
            Some(&format!("signal {signal}")),
            format!("the program was ended by signal {signal}"),
        )),
        _ => None,
    }
}

/// A job that did not come to its end although the kernel did nothing that we can name.
fn unfinished(evidence: &Evidence<'_>) -> Option<Judgement> {
    let phase = evidence.last_phase().map_or("begin", Phase::name);
    for timed in evidence.events {
        if let Event::PhaseEnd { phase, outcome } = &timed.event {
            match outcome {
                Outcome::Failed(what) => return Some(broken(phase.name(), what)),
                Outcome::Exited(code) => {
                    return Some(broken("test", &format!("{} exited with code {code}", phase.name())));
                }
                Outcome::Signalled(signal) => {
                    return Some(broken(
                        "test",
                        &format!("{} was ended by signal {signal}", phase.name()),
                    ));
                }
                Outcome::Done | Outcome::Skipped => {}
            }
        }
    }
    match &evidence.ending {
        Ending::VmGone(_) => Some(broken("vm", &format!("the guest went down in {phase}"))),
        Ending::OutOfTime { limit_s } => Some(broken(
            "harness",
            &format!(
                "no end and no evidence of a hang within {limit_s} s, in {phase}; a slow machine or a sleeping program"
            ),
        )),
        Ending::Finished if !evidence.events.iter().any(|timed| timed.event == Event::End) => {
            Some(broken("guest", "the job ended without its end event"))
        }
        Ending::Finished => skipped(evidence)
            .or_else(|| gap(evidence))
            .or_else(|| unchecked(evidence)),
        _ => None,
    }
}

/// A program that says that it does not apply here leaves out what would follow.
fn skipped(evidence: &Evidence<'_>) -> Option<Judgement> {
    let phase = [Phase::Setup, Phase::Run]
        .into_iter()
        .find(|phase| evidence.outcome(*phase) == Some(&Outcome::Skipped))?;
    Some(plain(
        Verdict::Skipped,
        &format!("{}: the program says that it does not apply here", phase.name()),
    ))
}

/// A finished job of which a phase is missing, or only half heard: an oracle that was not heard was not content.
fn gap(evidence: &Evidence<'_>) -> Option<Judgement> {
    const OF_TEST: &[Phase] = &[Phase::Setup, Phase::Remount, Phase::Verify];
    const OF_ALL: &[Phase] = &[
        Phase::Mount,
        Phase::Run,
        Phase::Umount,
        Phase::MountAgain,
        Phase::LastUmount,
    ];
    let of_test = if evidence.exec { &[] } else { OF_TEST };
    if let Some(missing) = of_test
        .iter()
        .chain(OF_ALL)
        .find(|phase| evidence.outcome(**phase).is_none())
    {
        return Some(broken(
            "guest",
            &format!("no word of the end of {}, so nothing is known of it", missing.name()),
        ));
    }
    let mut open: Option<Phase> = None;
    for timed in evidence.events {
        let ends = match &timed.event {
            Event::PhaseStart { phase } => open.replace(*phase),
            // The end of a phase that is not the open one is one whose beginning was not heard.
            Event::PhaseEnd { phase, .. } => (open.take() != Some(*phase)).then_some(*phase),
            _ => None,
        };
        if let Some(phase) = ends {
            return Some(broken(
                "guest",
                &format!("beginning and end of {} do not belong together", phase.name()),
            ));
        }
    }
    None
}

/// A finished job whose image nobody looked at.
fn unchecked(evidence: &Evidence<'_>) -> Option<Judgement> {
    evidence
        .fsck
        .is_none()
        .then(|| broken("harness", "the file system was not checked on the host"))
}

/// Lines that a reader wants beside the verdict: how the device saw the write, what the call returned, what rules did.
fn supporting(evidence: &Evidence<'_>) -> Vec<String> {
    let mut lines = Vec::new();
    for timed in evidence.events {
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
        .filter(|request| needs::is_write(request) && request.submit.tag.is_some())
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
