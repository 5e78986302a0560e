//! Reports that our own faults must bring about, and the fault that each needs before it.
//!
//! - A line of the block layer on a failed request needs a request that we failed, with its sector in it, and uses that
//!   request up. A flush that failed may have been part of any write. A failed write that is part of a flush is told of
//!   twice, in the same words: by the write and by the flush around it (seen on 6.1 with ext4 and XFS).
//! - What a file system does about an error that it was told of (aborts, goes read-only, shuts down) needs any failed
//!   request, and must name that error or what follows from it.
//! - What it says of content that is wrong needs a fault that changed content behind its back.
//! - What btrfs counts of a device needs, for each counter that is not zero, a fault that can have raised it.
//! - A hung task needs a request that we kept from it.
//!
//! Nothing else is ever excused. Lines are rate-limited, so none needs to be there.

use klog::{KernelReport, Kind};
use vhost_blk_api::op::Op;

use super::failed::{self, FailedRequests, Spans, is_before};
use super::text;
use crate::faults::Faults;
use crate::times::Times;

const EIO: i32 = 5;
const EROFS: i32 = 30;

/// The disk that rules act on, as guests call it.
const DISK: &str = "vda";

/// Sectors of a block of a buffer: nobody says how large it is.
const SECTORS_OF_A_BLOCK: [u64; 4] = [1, 2, 4, 8];

/// Words of btrfs for a tree block that is not the one that was to be written.
const OLD_BLOCK: &[&str] = &["parent transid verify failed", "bad tree block"];

/// Words of ext4 and its journal for an error that they were told of, where they do not number it.
const TOLD_WORDS: &[&str] = &[
    "Detected aborted journal",
    "I/O error",
    "IO error",
    "IO failure",
    "reading directory",
    "unable to read",
    "Cannot read",
    "couldn't read",
    "Failed to read",
    "Readonly filesystem",
    "Retrying async write",
];

/// What faults excuse, while a log is gone through.
pub(super) struct Excuses<'a> {
    times: &'a Times,
    failed: FailedRequests,
    /// When content was first changed.
    silent: Option<i64>,
    is_any_held: bool,
    /// When requests were held; none if nobody knows the device's clock.
    held: Option<Spans>,
}

impl<'a> Excuses<'a> {
    pub(super) fn new(faults: &Faults, times: &'a Times) -> Excuses<'a> {
        let held: Option<Vec<(i64, i64)>> = faults
            .held
            .iter()
            .map(|held| {
                let (from, _) = times.of_device(held.from_us)?;
                let until = held.until_us.map(|us| times.of_device(us));
                Some((from, until.map_or(Some(i64::MAX), |until| Some(until?.1))?))
            })
            .collect();
        Excuses {
            times,
            failed: FailedRequests::of(&faults.told, times),
            silent: faults.silent.iter().map(|us| failed::earliest(times, *us)).min(),
            is_any_held: !faults.held.is_empty(),
            held: held.map(Spans::of),
        }
    }

    /// Whether a report must come of what we did.
    pub(super) fn cover(&mut self, report: &KernelReport) -> bool {
        let title = report.title.as_str();
        if text::device(title).is_some_and(|device| !is_of_ours(device)) {
            return false;
        }
        match report.kind {
            Kind::IoError => self.failed_request(report),
            Kind::BufferIoError | Kind::LostWrite => self.failed_buffer(report),
            Kind::BtrfsDeviceErrors => self.counted(report),
            Kind::HungTask => self.held(report),
            Kind::BtrfsReadonly | Kind::JournalAbort | Kind::XfsPageDiscard => self.told(report) || self.silent(report),
            Kind::BtrfsAbort
            | Kind::BtrfsError
            | Kind::Ext4DataLost
            | Kind::Ext4Error
            | Kind::Ext4Orphan
            | Kind::JournalError
            | Kind::XfsIoError => (says_told(title) && self.told(report)) || self.silent(report),
            // A dirty transaction that is cancelled shuts XFS down, whatever made the file system cancel it.
            Kind::XfsShutdown => self.told(report) || self.silent(report),
            Kind::XfsInternal => (title.contains("xfs_trans_cancel") && self.told(report)) || self.silent(report),
            Kind::BtrfsCorrupt => self.not_written(report) || self.silent(report),
            Kind::BtrfsCsum | Kind::XfsCorruption | Kind::BeyondEnd => self.silent(report),
            _ => false,
        }
    }

    /// Whether something of the device came before a report.
    fn is_before(&self, earliest: Option<i64>, report: &KernelReport) -> bool {
        is_before(earliest, self.latest(report))
    }

    /// The latest that a report can have been printed.
    fn latest(&self, report: &KernelReport) -> Option<i64> {
        let printed = report.time_us.and_then(|us| self.times.of_log(us));
        printed.map(|(_, latest)| latest)
    }

    /// Whether the guest was told of any error before.
    fn told(&self, report: &KernelReport) -> bool {
        self.is_before(self.failed.first(|_, _| true), report)
    }

    /// Whether a tree block is old or was never written because a write of it failed before: of two copies one is then
    /// noticed and mended later. Only one that was written in part has a wrong checksum.
    fn not_written(&self, report: &KernelReport) -> bool {
        let is_old = OLD_BLOCK.iter().any(|words| report.title.contains(words));
        let is_mixed = report.title.contains("checksum verify failed") || report.title.contains("checksum error");
        let fits = |op, is_torn| op != Op::Read && (is_old || (is_mixed && is_torn));
        self.is_before(self.failed.first(fits), report)
    }

    /// Whether content was changed before.
    fn silent(&self, report: &KernelReport) -> bool {
        self.is_before(self.silent, report)
    }

    /// Whether a request of one of these operations failed before.
    fn failed(&self, ops: &[Op], report: &KernelReport) -> bool {
        self.is_before(self.failed.first(|op, _| ops.contains(&op)), report)
    }

    fn failed_request(&mut self, report: &KernelReport) -> bool {
        let (Some(sector), op) = (text::sector(&report.title), text::op(&report.title)) else {
            return false;
        };
        let latest = self.latest(report);
        if self.failed.put_down(&report.title, sector, op, latest) {
            return true;
        }
        // A write with a flush in it fails as a whole.
        op.is_none_or(|op| matches!(op, Op::Write | Op::Flush)) && self.failed(&[Op::Flush], report)
    }

    fn failed_buffer(&self, report: &KernelReport) -> bool {
        let writes = report.title.contains("write") || report.kind == Kind::LostWrite;
        let fits = |op| (op == Op::Write) == writes;
        let first = match text::logical_block(&report.title) {
            Some(block) => SECTORS_OF_A_BLOCK
                .iter()
                .filter_map(|sectors| self.failed.first_at(block.checked_mul(*sectors)?, fits))
                .min(),
            None => self.failed.first(|op, _| fits(op)),
        };
        self.is_before(first, report) || (writes && self.failed(&[Op::Flush], report))
    }

    /// Whether for each counter of btrfs that is not zero something of ours failed before. A disk begins with none.
    fn counted(&self, report: &KernelReport) -> bool {
        let counted = text::device_errors(&report.title);
        let comes_of_us = |counter: &str| match counter {
            // A write may have a flush in it.
            "wr" => self.failed(&[Op::Write, Op::Flush], report),
            "rd" => self.failed(&[Op::Read], report),
            "flush" => self.failed(&[Op::Flush], report),
            // A scrub finds the copy that could not be written.
            "corrupt" | "gen" => self.told(report) || self.silent(report),
            _ => false,
        };
        !counted.is_empty() && counted.into_iter().all(comes_of_us)
    }

    /// Whether requests were kept from the guest for long enough while a task was blocked: for a quarter of the time
    /// that the report speaks of, without which it would not have been reached. A rule that delays each request for a
    /// moment blocks nobody for seconds.
    fn held(&self, report: &KernelReport) -> bool {
        let Some(blocked_us) = text::blocked_us(&report.title) else {
            return false;
        };
        // The kernel looks at a task as often as the time that it must be blocked for.
        let since_us = |printed_us: u64| printed_us.saturating_sub(blocked_us.saturating_mul(2));
        let window = report.time_us.and_then(|printed_us| {
            let (since, _) = self.times.of_log(since_us(printed_us))?;
            Some((since, self.times.of_log(printed_us)?.1))
        });
        match window.zip(self.held.as_ref()) {
            Some((window, held)) => {
                let held_us = held.covered(window);
                held_us > 0 && held_us.saturating_mul(4) >= blocked_us
            }
            // Without times any may have been held meanwhile.
            None => self.is_any_held,
        }
    }
}

/// Whether there is a fault that excuses a report of this kind.
pub(super) fn may_be_excused(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::IoError
            | Kind::BufferIoError
            | Kind::LostWrite
            | Kind::BtrfsDeviceErrors
            | Kind::HungTask
            | Kind::BtrfsReadonly
            | Kind::JournalAbort
            | Kind::XfsPageDiscard
            | Kind::BtrfsAbort
            | Kind::BtrfsError
            | Kind::Ext4DataLost
            | Kind::Ext4Error
            | Kind::Ext4Orphan
            | Kind::JournalError
            | Kind::XfsIoError
            | Kind::XfsShutdown
            | Kind::XfsInternal
            | Kind::BtrfsCorrupt
            | Kind::BtrfsCsum
            | Kind::XfsCorruption
            | Kind::BeyondEnd
    )
}

/// Whether a device is the one that rules act on, or may stand on it.
fn is_of_ours(device: &str) -> bool {
    [DISK, "loop", "dm-"].iter().any(|name| device.starts_with(name))
}

/// Whether a file system says that it was told of an error, or that it gave up after one.
fn says_told(title: &str) -> bool {
    match text::errno(title) {
        Some(errno) => matches!(errno, EIO | EROFS),
        None => TOLD_WORDS.iter().any(|words| title.contains(words)),
    }
}
