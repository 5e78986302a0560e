//! Recorded cells of which something is taken away, or into which something is put: what is not whole is broken, and a
//! report that appears in a log or goes from it changes the verdict.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic here is the test's failure"
)]

#[path = "common/clone.rs"]
mod clone;
#[path = "common/recorded.rs"]
mod recorded;

use std::ops::Range;
use std::path::{Path, PathBuf};

use evidence::parts::Ending;
use evidence::{EvidenceBundle, judge};
use guest_wire::{DUMPED, Event};
use run::rejudge::{Rejudged, amend, rejudge};
use verdict::{Cause, Stage, Verdict};
use vhost_blk_api::trace::Record;

use recorded::{cells, reseal};

/// Ranges that are taken out of each file.
const RANGES: usize = 40;
/// Lines of a file that are taken out one by one, at most; of a longer file, some are chosen.
const LINES_MAX: usize = 400;
const SEED: u64 = 18;
const WHOLE: Verdict = Verdict::Broken { stage: Stage::Evidence };

fn names() -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(cells())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    names.sort();
    names
}

fn bundles() -> Vec<(String, EvidenceBundle)> {
    let name = |dir: &Path| dir.file_name().unwrap().to_string_lossy().into_owned();
    names()
        .iter()
        .map(|dir| (name(dir), EvidenceBundle::load(dir).unwrap()))
        .collect()
}

fn finished() -> Vec<(String, EvidenceBundle)> {
    let mut bundles = bundles();
    bundles.retain(|(_, evidence)| evidence.ending == Ending::Finished);
    assert!(bundles.len() >= 15);
    bundles
}

/// A recorded cell in a directory of its own.
struct Copy {
    dir: tempfile::TempDir,
}

impl Copy {
    fn of(cell: &Path) -> Copy {
        let dir = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(cell).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
        }
        Copy { dir }
    }

    fn judge(&self) -> Rejudged {
        rejudge(self.dir.path()).unwrap().remove(0)
    }

    /// Judges with other content of a file, which is put back.
    fn with(&self, name: &str, whole: &[u8], changed: &[u8]) -> Rejudged {
        let file = self.dir.path().join(name);
        std::fs::write(&file, changed).unwrap();
        let judged = self.judge();
        std::fs::write(&file, whole).unwrap();
        judged
    }
}

fn without(bytes: &[u8], gone: Range<usize>) -> Vec<u8> {
    [&bytes[..gone.start], &bytes[gone.end..]].concat()
}

fn lines(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut at = 0;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').map(|line| {
        at += line.len();
        at - line.len()..at
    });
    lines.collect()
}

#[test]
fn there_are_twenty_cells_of_five_kernels_and_each_gets_its_verdict() {
    let mut kernels = std::collections::BTreeSet::new();
    let mut systems = std::collections::BTreeSet::new();
    let dirs = names();
    assert!(dirs.len() >= 20, "{}", dirs.len());
    for dir in &dirs {
        let cell = rejudge(dir).unwrap().remove(0);
        let stored = cell.stored.as_ref().expect("cell.json");
        assert!(!cell.differs(), "{}: {:?}", dir.display(), cell.now.judgement);
        assert_eq!(cell.now.detail(), stored.detail(), "{}", dir.display());
        assert_eq!(cell.now.judgement.armed, stored.judgement.armed, "{}", dir.display());
        kernels.insert(cell.now.kernel.clone());
        systems.insert(cell.now.fs);
    }
    assert_eq!((kernels.len(), systems.len()), (5, 3), "{kernels:?} {systems:?}");
}

#[test]
fn without_any_file_a_cell_is_broken() {
    for cell in names() {
        for name in EvidenceBundle::FILES {
            if !cell.join(name).exists() {
                continue;
            }
            let copy = Copy::of(&cell);
            std::fs::remove_file(copy.dir.path().join(name)).unwrap();
            let judged = copy.judge();
            assert_eq!(judged.now.verdict(), &WHOLE, "{} without {name}", cell.display());
            assert!(judged.now.detail().contains(name), "{}", judged.now.detail());
        }
    }
}

#[test]
fn without_any_line_of_any_file_a_cell_is_broken() {
    let mut random = fastrand::Rng::with_seed(SEED);
    for cell in names() {
        let copy = Copy::of(&cell);
        for name in EvidenceBundle::FILES {
            let Ok(whole) = std::fs::read(cell.join(name)) else {
                continue;
            };
            let mut lines = lines(&whole);
            if lines.len() > LINES_MAX {
                random.shuffle(&mut lines);
                lines.truncate(LINES_MAX);
            }
            for line in lines {
                let judged = copy.with(name, &whole, &without(&whole, line.clone()));
                assert_eq!(
                    judged.now.verdict(),
                    &WHOLE,
                    "{}: {name} without {line:?}",
                    cell.display()
                );
            }
        }
        assert!(!copy.judge().differs(), "what was put back is whole");
    }
}

#[test]
fn without_any_range_of_any_file_a_cell_is_broken() {
    let mut random = fastrand::Rng::with_seed(SEED);
    for cell in names() {
        let copy = Copy::of(&cell);
        for name in EvidenceBundle::FILES {
            let whole = std::fs::read(cell.join(name)).unwrap_or_default();
            for _ in 0..if whole.is_empty() { 0 } else { RANGES } {
                let start = random.usize(..whole.len());
                let end = random.usize(start + 1..=whole.len());
                let judged = copy.with(name, &whole, &without(&whole, start..end));
                assert_eq!(
                    judged.now.verdict(),
                    &WHOLE,
                    "{}: {name} without {start}..{end}",
                    cell.display()
                );
            }
        }
    }
}

/// From here on files would be right: a record was lost before they were written.
#[test]
fn an_event_that_was_lost_on_the_way_is_noticed() {
    for (name, whole) in finished() {
        for lost in 0..whole.events.len() {
            let mut cut = whole.clone();
            let event = cut.events.remove(lost).event;
            let verdict = judge(&cut).verdict;
            assert_eq!(verdict, WHOLE, "{name} without {event:?}");
        }
        let mut random = fastrand::Rng::with_seed(SEED);
        for _ in 0..RANGES {
            let mut cut = whole.clone();
            let start = random.usize(..cut.events.len());
            let end = random.usize(start + 1..=cut.events.len());
            cut.events.drain(start..end);
            let verdict = judge(&cut).verdict;
            assert_eq!(verdict, WHOLE, "{name} without {start}..{end}");
        }
        let mut cut = whole;
        cut.events.clear();
        assert_eq!(judge(&cut).verdict, WHOLE, "{name} without any event");
    }
}

/// Of a job that did not finish, what came before the agent's last count is covered by it.
#[test]
fn an_event_that_an_unfinished_job_lost_is_noticed() {
    let mut seen = 0;
    for (name, whole) in bundles() {
        let is_count = |timed: &evidence::parts::Timed| matches!(timed.event, Event::SoFar { .. });
        if whole.ending == Ending::Finished {
            continue;
        }
        seen += 1;
        let last = whole.events.iter().rposition(is_count).expect("a count");
        for lost in 0..last {
            let mut cut = whole.clone();
            let event = cut.events.remove(lost).event;
            assert_eq!(judge(&cut).verdict, WHOLE, "{name} without {event:?}");
        }
    }
    assert!(seen >= 3);
}

#[test]
fn a_record_of_the_trace_that_was_lost_is_noticed() {
    // Those of cells that hung or crashed, too: the device outlives the guest.
    for (name, whole) in bundles() {
        let mut lost: Vec<usize> = (0..whole.trace.len()).collect();
        let mut random = fastrand::Rng::with_seed(SEED);
        random.shuffle(&mut lost);
        lost.truncate(LINES_MAX);
        for lost in lost {
            let mut cut = whole.clone();
            let record = cut.trace.remove(lost);
            assert_eq!(judge(&cut).verdict, WHOLE, "{name} without {record:?}");
        }
        let mut missed = whole.clone();
        let mid = missed.trace.len() / 2;
        missed.trace[mid] = Record::Missed { t_us: 0, lines: 1 };
        assert_eq!(judge(&missed).verdict, WHOLE, "{name}");
        missed.trace.clear();
        assert_eq!(judge(&missed).verdict, WHOLE, "{name}");
    }
}

/// Where the case's own lines are that its guest has read in its log: from the mark at which it begins to that at which
/// it ends, or at which the stacks of a stalled guest are printed.
fn witnessed(evidence: &EvidenceBundle) -> Vec<Range<usize>> {
    let console = evidence.console.as_bytes();
    let end = match evidence.ending {
        Ending::Finished => format!("bioscope: end {}", evidence.context.case),
        _ => format!("bioscope: {DUMPED}"),
    };
    let end = evidence.console.find(&end).expect("the end mark");
    lines(console).into_iter().filter(|line| line.start < end).collect()
}

#[test]
fn a_line_that_the_console_lost_is_noticed() {
    let died = |evidence: &EvidenceBundle| matches!(evidence.ending, Ending::VmGone(_));
    for (name, whole) in bundles().into_iter().filter(|(_, evidence)| !died(evidence)) {
        let lines = witnessed(&whole);
        assert!(lines.len() >= 8, "{name}");
        for line in &lines {
            let mut cut = whole.clone();
            cut.console.replace_range(line.clone(), "");
            assert_eq!(
                judge(&cut).verdict,
                WHOLE,
                "{name} without {}",
                &whole.console[line.clone()]
            );
        }
        let mut cut = whole.clone();
        cut.console.clear();
        assert_eq!(judge(&cut).verdict, WHOLE, "{name}");
        let mut swapped = whole.clone();
        let text = |at: usize| &whole.console[lines[at].clone()];
        swapped
            .console
            .replace_range(lines[1].start..lines[2].end, &[text(2), text(1)].concat());
        assert_eq!(judge(&swapped).verdict, WHOLE, "{name}");
    }
}

#[test]
fn a_record_that_the_guest_lost_of_its_log_is_noticed() {
    for (name, whole) in finished() {
        let mut seen = 0;
        for at in 0..whole.events.len() {
            let Event::Log(piece) = &whole.events[at].event else {
                continue;
            };
            for lost in 0..piece.records.len() {
                seen += 1;
                let mut cut = whole.clone();
                if let Event::Log(piece) = &mut cut.events[at].event {
                    piece.records.remove(lost);
                }
                reseal(&mut cut);
                let found = judge(&cut).verdict;
                // A piece without any says that there was too much to send: no pass, but what has failed has failed.
                let is_told = piece.records.len() == 1 && found.failure().is_some();
                assert!(
                    found == WHOLE || is_told && found == judge(&whole).verdict,
                    "{name}: {at}, {lost}"
                );
            }
            let mut cut = whole.clone();
            cut.events.remove(at);
            reseal(&mut cut);
            assert_eq!(judge(&cut).verdict, WHOLE, "{name} without the piece {at}");
        }
        assert!(seen >= 8, "{name}");
    }
}

#[test]
fn a_report_that_appears_in_a_log_changes_the_verdict() {
    let reports = [
        (Cause::Crash, "kernel BUG at fs/btrfs/ordered-data.c:281!"),
        (
            Cause::Crash,
            "BUG: KASAN: slab-use-after-free in btrfs_put_ordered_extent+0x1/0x2 [btrfs]",
        ),
        (
            Cause::Warning,
            "WARNING: CPU: 0 PID: 7 at fs/btrfs/x.c:1 btrfs_get_extent+0x1/0x2 [btrfs]",
        ),
    ];
    for (name, whole) in bundles() {
        let before = judge(&whole).verdict;
        for (cause, line) in reports {
            for at in lines(whole.console.as_bytes()) {
                let mut more = whole.clone();
                more.console.insert_str(at.end, &format!("[    9.123456] {line}\r\n"));
                let after = judge(&more).verdict;
                // A worse failure than a warning stays what it is.
                let worse = before.cause().is_some() && cause == Cause::Warning;
                assert!(
                    worse || after.cause() == Some(cause),
                    "{name}: {line} at {at:?}: {after:?}"
                );
            }
        }
    }
}

#[test]
fn a_report_after_the_end_of_a_case_is_that_cases() {
    let warning = "[   99.900000] WARNING: CPU: 0 PID: 7 at fs/btrfs/x.c:1 btrfs_get_extent+0x1/0x2 [btrfs]\r\n";
    for cell in names().iter().take(4) {
        let copy = Copy::of(cell);
        let before = copy.judge().now;
        let quiet = amend(&before, Ok("[   99.800000] a word\r\n"), &[], None).unwrap();
        assert_eq!(quiet.verdict(), before.verdict());
        let amended = amend(&before, Ok(warning), &[], None).unwrap();
        let cause = before.verdict().cause().unwrap_or(Cause::Warning);
        assert_eq!(amended.verdict().cause(), Some(cause), "{}", cell.display());
        let stored = copy.judge();
        assert!(!stored.differs());
        let shown = format!("{} {:?}", stored.now.detail(), stored.now.judgement.evidence);
        assert!(shown.contains("btrfs_get_extent"), "{shown}");
    }
}

#[test]
fn a_report_that_goes_from_a_log_changes_the_verdict() {
    let mut seen = 0;
    for (name, whole) in bundles() {
        let reports = klog::read(whole.console.as_bytes());
        if reports.is_empty() {
            continue;
        }
        seen += 1;
        let mut cut = whole.clone();
        let kept = |(at, _): &(usize, &str)| !reports.iter().any(|report| report.line == *at + 1);
        let text = whole.console.split_inclusive('\n').enumerate().filter(kept);
        cut.console = text.map(|(_, line)| line).collect();
        let judgement = judge(&cut);
        assert!(
            matches!(judgement.verdict, Verdict::Broken { .. }),
            "{name}: {judgement:?}"
        );
    }
    assert!(seen >= 1, "cells whose log has a report");
}
