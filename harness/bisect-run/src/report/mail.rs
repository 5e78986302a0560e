//! The report as a mail, in the form that the kernel's document on reporting regressions asks for.

use std::fmt::Write as _;

use super::{Report, Side};
use bisect::driver::percent;
use bisect::search::{Conclusion, Direction};
use bisect::state::Kind;

/// Lines of the kernel's log that a mail quotes.
const EVIDENCE_MAX: usize = 12;
/// Letters of a commit that a trailer has.
const COMMIT_SHORT: usize = 12;

/// The mail, ready but for the name below it.
pub fn mail(report: &Report<'_>, bad: &Side, good: &Side) -> String {
    let Conclusion::Found { item, probability } = report.conclusion else {
        return report.render();
    };
    let planned = report.planned;
    let regression = planned.direction == Direction::Regression;
    let (case, fs) = report.cell.split_once(" on ").unwrap_or((report.cell, ""));
    let cause = report
        .state
        .pinned
        .as_ref()
        .map_or_else(String::new, |pinned| pinned.cause.to_string());
    let (first, before) = if regression { (bad, good) } else { (good, bad) };
    let commit = planned.kind == Kind::Git;
    let what = match planned.kind {
        Kind::Git => format!("{} (\"{}\")", short(&planned.names[*item]), planned.labels[*item]),
        Kind::Series => format!("patch \"{}\"", planned.labels[*item]),
        Kind::Releases | Kind::Delta => upstream(&first.version),
    };
    let mut text = String::new();
    let list = match fs {
        "btrfs" => "linux-btrfs@vger.kernel.org",
        "ext4" => "linux-ext4@vger.kernel.org",
        "xfs" => "linux-xfs@vger.kernel.org",
        _ => "linux-fsdevel@vger.kernel.org",
    };
    let _ = writeln!(text, "To: {list}");
    if planned.kind == Kind::Series {
        // A patch that is not in a kernel has an author who reads the list, and neither users nor a regression tracker.
        let (with, verdict) = if regression {
            ("with", "fails")
        } else {
            ("before", "passes")
        };
        let _ = writeln!(text, "Subject: {fs}: {cause} in {case} {with} {what}\n");
        let _ = writeln!(
            text,
            "Hi,\n\n{case} on {fs} {verdict} with {what} ({}), and not yet with what stands before it in the series ({}).",
            planned.names[*item], before.name
        );
    } else if regression {
        let _ = writeln!(text, "Cc: regressions@lists.linux.dev, stable@vger.kernel.org");
        let _ = writeln!(text, "Subject: [REGRESSION] {fs}: {cause} in {case} since {what}\n");
        let _ = writeln!(
            text,
            "Hi,\n\n{case} on {fs} fails since {what}; {} still passes.",
            before.name
        );
    } else {
        let _ = writeln!(text, "Cc: stable@vger.kernel.org");
        let _ = writeln!(text, "Subject: {fs}: {cause} in {case}, fixed by {what}\n");
        let _ = writeln!(
            text,
            "Hi,\n\n{case} on {fs} fails up to {} and passes since {what}.",
            before.name
        );
    }
    let _ = writeln!(
        text,
        "The bisection is right with a probability of {}; {}.\n",
        percent(*probability),
        report.costs()
    );
    if regression && planned.kind != Kind::Series {
        let introduced = if commit {
            short(&planned.names[*item])
        } else {
            format!("v{}..v{}", upstream(&before.version), upstream(&first.version))
        };
        let _ = writeln!(
            text,
            "#regzbot introduced: {introduced}\n#regzbot title: {fs}: {cause} in {case}\n"
        );
    }
    let _ = writeln!(text, "What is seen on {}:\n", bad.release);
    if let Some(cell) = &bad.cell {
        let _ = writeln!(text, "  {cause}: {}", cell.detail());
        for line in cell.judgement.evidence.iter().take(EVIDENCE_MAX) {
            let _ = writeln!(text, "    {line}");
        }
    }
    let _ = writeln!(
        text,
        "\nRuns of both sides, with seeds from {} on:\n",
        report.setting.seed
    );
    for (side, word) in [(bad, "failed"), (good, "passed")] {
        let _ = writeln!(text, "  {}: {} of {} {word}", side.name, side.runs.0, side.runs.1);
    }
    let _ = writeln!(
        text,
        "\nTo see it (bioscope, in QEMU, with a block device that injects faults):\n\n  {}\n",
        bad.command("")
    );
    if planned.kind == Kind::Releases {
        let _ = writeln!(
            text,
            "These are a distribution's packages ({} and {}); their own changes are among what differs.\n",
            before.version, first.version
        );
    }
    let _ = writeln!(
        text,
        "Attached: bad/ and good/ with the configuration, the kernel's hashes, the fault plan, console and the device's trace of each."
    );
    if commit && regression {
        let _ = writeln!(text, "\nA fix would carry:\n\nFixes: {what}");
    }
    text
}

fn short(commit: &str) -> String {
    commit.chars().take(COMMIT_SHORT).collect()
}

/// The upstream version of a package's: `6.1.176` of `6.1.176-1`.
fn upstream(version: &str) -> String {
    version.split('-').next().unwrap_or(version).to_owned()
}
