//! The report as a mail, in the form that the kernel's document on reporting regressions asks for.

use std::fmt::Write as _;

use super::result::BisectReport;
use super::sides::Side;
use bisect::driver::percent;
use bisect::search::{Conclusion, Direction};
use bisect::state::Kind;

/// Lines of the kernel's log that a mail quotes.
const EVIDENCE_MAX: usize = 12;
/// Letters of a commit that a trailer has.
const COMMIT_SHORT: usize = 12;

/// The mail, ready but for the name below it.
pub(crate) fn mail(report: &BisectReport<'_>, bad: &Side, good: &Side) -> String {
    let Conclusion::Found { item, probability } = report.conclusion else {
        return report.render();
    };
    let regression = report.planned.direction == Direction::Regression;
    let mail = Mail::new(report, *item, if regression { (bad, good) } else { (good, bad) });
    let mut text = String::new();
    mail.head(&mut text);
    let _ = writeln!(
        text,
        "The bisection is right with a probability of {}; {}.\n",
        percent(*probability),
        report.costs()
    );
    for note in report.notes() {
        let _ = writeln!(text, "Note: {note}.\n");
    }
    mail.tracker(&mut text);
    let _ = writeln!(text, "What is seen on {}:\n", bad.release);
    if let Some(cell) = &bad.cell {
        let _ = writeln!(text, "  {}: {}", mail.cause, cell.detail());
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
    mail.foot(&mut text);
    text
}

/// What the parts of a mail are made of.
struct Mail<'a> {
    kind: Kind,
    regression: bool,
    case: &'a str,
    fs: &'a str,
    /// What the failure is called.
    cause: String,
    /// The name of the first changed item.
    item: &'a str,
    /// The first changed item, for a person.
    what: String,
    first: &'a Side,
    before: &'a Side,
}

impl<'a> Mail<'a> {
    fn new(report: &BisectReport<'a>, item: usize, (first, before): (&'a Side, &'a Side)) -> Mail<'a> {
        let planned = report.planned;
        let (name, label) = (&planned.names[item], &planned.labels[item]);
        let (case, fs) = report.cell.split_once(" on ").unwrap_or((report.cell, ""));
        let pinned = report.state.pinned.as_ref();
        Mail {
            kind: planned.kind,
            regression: planned.direction == Direction::Regression,
            case,
            fs,
            cause: pinned.map_or_else(String::new, |pinned| pinned.cause.to_string()),
            item: name,
            what: match planned.kind {
                Kind::Git => format!("{} (\"{label}\")", short(name)),
                Kind::Series => format!("patch \"{label}\""),
                Kind::Releases | Kind::Delta => upstream(&first.version),
            },
            first,
            before,
        }
    }

    /// Addresses, subject and the first paragraph.
    fn head(&self, text: &mut String) {
        let Mail {
            case, fs, cause, what, ..
        } = self;
        let before = &self.before.name;
        let _ = writeln!(text, "To: {}", list(fs));
        if self.kind == Kind::Series {
            // A patch that is not in a kernel has an author who reads the list, and neither users nor a tracker.
            let (with, verdict) = if self.regression {
                ("with", "fails")
            } else {
                ("before", "passes")
            };
            let _ = writeln!(text, "Subject: {fs}: {cause} in {case} {with} {what}\n");
            let _ = writeln!(
                text,
                "Hi,\n\n{case} on {fs} {verdict} with {what} ({}), \
                and not yet with what stands before it in the series ({before}).",
                self.item
            );
        } else if self.regression {
            let _ = writeln!(text, "Cc: regressions@lists.linux.dev, stable@vger.kernel.org");
            let _ = writeln!(text, "Subject: [REGRESSION] {fs}: {cause} in {case} since {what}\n");
            let _ = writeln!(text, "Hi,\n\n{case} on {fs} fails since {what}; {before} still passes.");
        } else {
            let _ = writeln!(text, "Cc: stable@vger.kernel.org");
            let _ = writeln!(text, "Subject: {fs}: {cause} in {case}, fixed by {what}\n");
            let _ = writeln!(
                text,
                "Hi,\n\n{case} on {fs} fails up to {before} and passes since {what}."
            );
        }
    }

    /// What the regression tracker reads.
    fn tracker(&self, text: &mut String) {
        if !self.regression || self.kind == Kind::Series {
            return;
        }
        let introduced = if self.kind == Kind::Git {
            short(self.item)
        } else {
            format!(
                "v{}..v{}",
                upstream(&self.before.version),
                upstream(&self.first.version)
            )
        };
        let _ = writeln!(
            text,
            "#regzbot introduced: {introduced}\n#regzbot title: {}: {} in {}\n",
            self.fs, self.cause, self.case
        );
    }

    /// What comes after the evidence.
    fn foot(&self, text: &mut String) {
        if self.kind == Kind::Releases {
            let _ = writeln!(
                text,
                "These are a distribution's packages ({} and {}); their own changes are among what differs.\n",
                self.before.version, self.first.version
            );
        }
        let _ = writeln!(
            text,
            "Attached: bad/ and good/ with the configuration, the kernel's hashes, the fault plan, \
            console and the device's trace of each."
        );
        if self.kind == Kind::Git && self.regression {
            let _ = writeln!(text, "\nA fix would carry:\n\nFixes: {}", self.what);
        }
    }
}

/// The mailing list of a file system.
fn list(fs: &str) -> &'static str {
    match fs {
        "btrfs" => "linux-btrfs@vger.kernel.org",
        "ext4" => "linux-ext4@vger.kernel.org",
        "xfs" => "linux-xfs@vger.kernel.org",
        _ => "linux-fsdevel@vger.kernel.org",
    }
}

fn short(commit: &str) -> String {
    commit.chars().take(COMMIT_SHORT).collect()
}

/// The upstream version of a package's: `6.1.176` of `6.1.176-1`.
fn upstream(version: &str) -> String {
    version.split('-').next().unwrap_or(version).to_owned()
}
