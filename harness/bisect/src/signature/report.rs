//! The report of the kernel's log that a failure is about, in words that are the same in each build.

use klog::{KernelReport, Kind};
use verdict::{Cause, Failure};

/// Functions of a report's stack that are kept, innermost first.
const FRAMES_KEPT: usize = 5;
/// The kind of a report of btrfs that aborts a transaction.
const ABORT: &str = "Transaction aborted (error";

/// The report that a failure is about: what sort it is, and its functions, innermost first.
pub(super) fn of_failure(failure: &Failure, detail: &str, log: &str) -> Option<(String, Vec<String>)> {
    let reports = klog::read(log.as_bytes());
    let report = chosen(&reports, failure, detail)?;
    let kind = if is_of_abort(&reports, report) {
        ABORT.to_owned()
    } else {
        kind(report)
    };
    Some((kind, frames(report)))
}

/// Whether a warning is the stack of a transaction that is aborted. Up to 6.17 it has the words of that; since then
/// they come after it.
fn is_of_abort(reports: &[KernelReport], warning: &KernelReport) -> bool {
    let after = |report: &&KernelReport| report.line > warning.line;
    let next = reports.iter().filter(after).min_by_key(|report| report.line);
    warning.kind == Kind::Warning
        && warning.place.is_some()
        && next.is_some_and(|next| next.kind == Kind::BtrfsAbort && next.place == warning.place)
}

/// The judge's headline quotes the report that it judged by. Where it has other words, a crash or a warning is still
/// one of the reports: that of the same place, else the first.
fn chosen<'a>(reports: &'a [KernelReport], failure: &Failure, detail: &str) -> Option<&'a KernelReport> {
    let quoted = reports.iter().find(|report| detail.contains(&report.title));
    if quoted.is_some() || !matches!(failure.kind.cause(), Cause::Crash | Cause::Warning) {
        return quoted;
    }
    let of_kernel = |report: &&KernelReport| !report.title.contains("Attempted to kill init");
    let mut known = reports.iter().filter(of_kernel);
    let placed = failure.place.as_ref().and_then(|place| {
        let mut known = known.clone();
        known.find(|report| report.place.as_ref() == Some(place))
    });
    placed.or_else(|| known.next())
}

/// The stack, with the function that the report is about before those that called it.
fn frames(report: &KernelReport) -> Vec<String> {
    let place = report.place.iter().filter(|place| {
        let stands_apart = matches!(report.kind, Kind::Oops | Kind::Bug | Kind::Warning);
        let missing = !report.frames.contains(place) && !klog::is_machinery(place);
        missing && (stands_apart || !report.frames.is_empty())
    });
    place.chain(&report.frames).take(FRAMES_KEPT).cloned().collect()
}

/// What sort of report it is, without numbers and names. What earlier versions wrote into journals is still written so.
fn kind(report: &KernelReport) -> String {
    let title = report.title.as_str();
    let upto = |end: &str| {
        let words = title.split(end).next().unwrap_or(title);
        words.trim_end_matches(['.', '!']).trim_end().to_owned()
    };
    let before_numbers = |text: &str| {
        let words = text.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default();
        words.trim_end().to_owned()
    };
    match report.kind {
        Kind::Warning => "WARNING".to_owned(),
        // A reason, as far as it has no numbers or names in it.
        Kind::Panic | Kind::Lockdep | Kind::RcuUsage => before_numbers(&upto(" in: ")),
        // The sanitizers say what, and then where.
        Kind::Kasan | Kind::Kfence | Kind::Kmsan | Kind::Kcsan | Kind::Ubsan => upto(" in "),
        // The file, and then the line; or whatever the kernel calls it.
        Kind::Bug if title.starts_with("kernel BUG at ") => upto(":"),
        Kind::Bug => before_numbers(title),
        // The condition, and then the file; 6.16 put values between them.
        Kind::BtrfsAssertion | Kind::XfsAssertion => {
            let condition = upto(", in ");
            let condition = condition.split(", file: ").next().unwrap_or_default();
            let condition = condition.split(" :: ").next().unwrap_or_default();
            condition.trim_start_matches("BTRFS: ").to_owned()
        }
        Kind::Oops => "oops".to_owned(),
        Kind::List if title.starts_with("list_add") => "list_add corruption".to_owned(),
        Kind::List => "list_del corruption".to_owned(),
        Kind::Refcount => "refcount_t".to_owned(),
        Kind::BadPage => "BUG: Bad page".to_owned(),
        Kind::BadRss => "BUG: Bad rss".to_owned(),
        Kind::SoftLockup => "BUG: soft lockup".to_owned(),
        Kind::StackGuard => "BUG: stack guard page".to_owned(),
        Kind::Spinlock => "BUG: spinlock".to_owned(),
        Kind::AtomicSleep => "BUG: sleeping function called".to_owned(),
        Kind::AtomicSchedule => "BUG: scheduling while atomic".to_owned(),
        Kind::WorkqueueLockup => "BUG: workqueue lockup".to_owned(),
        Kind::BtrfsAbort => ABORT.to_owned(),
        kind => kind.name().to_owned(),
    }
}

/// Whether two sorts of report are one. A fault is told in other words on each version, and which fault a stale pointer
/// makes is chance.
pub(super) fn is_same_kind(one: &str, other: &str) -> bool {
    const FAULTS: &[&str] = &[
        "oops",
        "Oops",
        "BUG: kernel NULL pointer",
        "BUG: unable to handle",
        "general protection fault",
        "divide error",
        "invalid opcode",
    ];
    const WARNINGS: &[&str] = &["WARNING", "WARNING: at"];
    let bare = |kind: &'_ str| match kind {
        // Since 6.4, and since 6.1.
        "BUG: KASAN: slab-use-after-free" => "BUG: KASAN: use-after-free".to_owned(),
        "BUG: KASAN: double-free" | "BUG: KASAN: invalid-free" => "BUG: KASAN: double-free or invalid-free".to_owned(),
        kind => kind.trim_start_matches("BTRFS: ").to_owned(),
    };
    let within = |kinds: &[&str]| kinds.contains(&one) && kinds.contains(&other);
    within(FAULTS) || within(WARNINGS) || bare(one) == bare(other)
}
