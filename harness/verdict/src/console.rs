//! What a kernel log says of crashes and warnings.

use super::Cause;

/// A report in the kernel's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelReport {
    /// [`Cause::Crash`] or [`Cause::Warning`].
    pub cause: Cause,
    /// The line that opened it, without its time stamp.
    pub line: String,
    /// The function that it names, if it does.
    pub place: Option<String>,
    /// The words by which it was recognised.
    pub opening: &'static str,
    /// The line's number in the log, from 0.
    pub index: usize,
}

/// Openings of reports after which the kernel cannot be trusted any more.
const CRASHES: &[&str] = &[
    "Kernel panic - not syncing",
    "kernel BUG at",
    "BUG: kernel NULL pointer",
    "BUG: unable to handle",
    "BUG: KASAN",
    "BUG: KFENCE",
    "BUG: KMSAN",
    "BUG: Bad page",
    "BUG: Bad rss",
    "BUG: soft lockup",
    "BUG: spinlock",
    "BUG: stack guard page",
    "Oops:",
    "general protection fault",
    "divide error:",
    "invalid opcode:",
    "UBSAN:",
    "watchdog: BUG",
    "list_add corruption",
    "list_del corruption",
    "refcount_t:",
];

/// Openings of reports of something that should not be, though the kernel goes on.
const WARNINGS: &[&str] = &[
    "WARNING: CPU:",
    "WARNING: possible",
    "WARNING: inconsistent lock",
    "WARNING: bad unlock",
    "WARNING: suspicious RCU",
    "WARNING: lock held",
    "WARNING: at ",
    "BUG: sleeping function called",
    "BUG: scheduling while atomic",
    "BUG: workqueue lockup",
    "BTRFS: assertion failed",
    "assertion failed:",
    "Transaction aborted (error",
];

/// Lines that look like a report and are none: they tell of the rig or of the machine below.
const INNOCENT: &[&str] = &["Attempted to kill init", "clocksource:", "hrtimer: interrupt took"];

/// Reports in a console log, in order. A crash report often comes in several lines; each opening is one entry.
#[must_use]
pub fn reports(log: &str) -> Vec<KernelReport> {
    let mut found = Vec::new();
    for (index, line) in log.lines().map(message).enumerate() {
        if INNOCENT.iter().any(|text| line.contains(text)) {
            continue;
        }
        let opening = |openings: &[&'static str]| openings.iter().find(|text| line.contains(**text)).copied();
        let crash = opening(CRASHES).map(|opening| (Cause::Crash, opening));
        let Some((cause, opening)) = crash.or_else(|| opening(WARNINGS).map(|opening| (Cause::Warning, opening)))
        else {
            continue;
        };
        found.push(KernelReport {
            cause,
            line: line.to_owned(),
            place: place(line),
            opening,
            index,
        });
    }
    found
}

/// Whether pid 1 died, which the rig answers for and not the kernel.
#[must_use]
pub fn init_died(log: &str) -> bool {
    log.contains("Attempted to kill init")
}

/// What the guest's own init said of its agent's end, if it did.
#[must_use]
pub fn agent_ended(log: &str) -> Option<&str> {
    log.lines()
        .map(message)
        .find(|line| line.contains("bioscope: agent ended"))
}

/// The part of a log that belongs to a case: from its `bioscope: begin` to its `bioscope: end` or the log's end.
#[must_use]
pub fn of_case<'a>(log: &'a str, case: &str) -> Option<&'a str> {
    let begin = format!("bioscope: begin {case}");
    let end = format!("bioscope: end {case}");
    let at = |text: &str| {
        log.match_indices(text).map(|(at, _)| at).find(|at| {
            // `begin partial-write` must not match `begin partial-write.dsync`.
            log[at + text.len()..].chars().next().is_none_or(char::is_whitespace)
        })
    };
    let start = at(&begin)?;
    let stop = at(&end).filter(|stop| *stop > start).unwrap_or(log.len());
    log.get(start..stop)
}

/// A line without its time stamp (`[    1.234567] `) and thread or CPU mark (`[   T12] `).
#[must_use]
pub fn message(line: &str) -> &str {
    let mut rest = line.trim();
    while let Some(inner) = rest.strip_prefix('[') {
        match inner.split_once(']') {
            Some((_, after)) => rest = after.trim_start(),
            None => break,
        }
    }
    rest
}

/// The function in `… at fs/btrfs/x.c:12 function+0x1/0x2 [btrfs]`.
fn place(line: &str) -> Option<String> {
    line.split_whitespace()
        .find_map(|word| word.split_once("+0x").map(|(name, _)| name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_names_its_function() {
        let log = "[    5.1] WARNING: CPU: 0 PID: 71 at fs/btrfs/inode.c:99 btrfs_finish_one+0x12/0x80 [btrfs]\r\n";
        let found = reports(log);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].cause, Cause::Warning);
        assert_eq!(found[0].place.as_deref(), Some("btrfs_finish_one"));
    }

    #[test]
    fn ordinary_talk_is_no_report() {
        let log = "[    0.1] Linux version 6.1\n[    1.0] BTRFS info (device vda): using free space tree\n\
                   [    1.0] BTRFS error (device vda): bdev /dev/vda errs: wr 1, rd 0, flush 0\n\
                   [    9.0] INFO: task self-deadlock:71 blocked for more than 4 seconds.\n";
        assert_eq!(reports(log), []);
    }

    #[test]
    fn the_end_of_init_is_the_rigs_and_no_crash() {
        let log = "[    2.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\n";
        assert_eq!(reports(log), []);
        assert!(init_died(log));
    }

    #[test]
    fn a_case_gets_its_own_part_of_the_log() {
        let log = "boot\nbioscope: begin a.b\none\nbioscope: end a.b\nbioscope: begin a\ntwo\n";
        assert_eq!(of_case(log, "a.b"), Some("bioscope: begin a.b\none\n"));
        assert_eq!(of_case(log, "a"), Some("bioscope: begin a\ntwo\n"));
        assert_eq!(of_case(log, "c"), None);
    }
}
