//! btrfs.

use crate::Kind;
use crate::row::{Extent, Place, Row, line, row};

/// A message as `btrfs_err` and its like print it, with the device.
const fn said(kind: Kind, pattern: &'static str) -> Row {
    line(kind, pattern)
}

pub(super) const ROWS: &[Row] = &[
    // With a stack: up to 6.17 the message of a `WARN()`.
    line(Kind::BtrfsAbort, "BTRFS: Transaction aborted (error "),
    line(Kind::BtrfsAbort, "BTRFS: Transaction * aborted (error "),
    // Without one, and since 6.18 after it.
    said(Kind::BtrfsAbort, "BTRFS* (device *: Transaction aborted (error "),
    said(Kind::BtrfsAbort, "BTRFS* (device *: Transaction * aborted ("),
    said(Kind::BtrfsError, "BTRFS: error (device * in *:*: errno=")
        .place(Place::Line)
        .continues(&[Kind::BtrfsAbort]),
    said(Kind::BtrfsError, "BTRFS critical (device *: panic in ").place(Place::Line),
    // At a mount it says the same of what was counted before, as `BTRFS info`.
    said(Kind::BtrfsDeviceErrors, "BTRFS error (device *: bdev * errs: wr "),
    said(Kind::LostWrite, "BTRFS* (device *: lost page write due to IO error on "),
    said(
        Kind::LostWrite,
        "BTRFS* (device *: lost super block write due to IO error on ",
    ),
    said(Kind::BtrfsReadonly, "BTRFS* (device *: forced readonly").continues(&[Kind::BtrfsAbort, Kind::BtrfsError]),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: corrupt leaf"),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: corrupt node"),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: corrupted leaf, "),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: corrupted node, "),
    said(
        Kind::BtrfsCorrupt,
        "BTRFS* (device *time tree block corruption detected",
    )
    .continues(&[Kind::BtrfsCorrupt]),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: *extent tree corruption detected"),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: tree first key mismatch detected"),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: tree level mismatch detected"),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: unable to find ref byte nr "),
    said(
        Kind::BtrfsCorrupt,
        "BTRFS* (device *: super block corruption detected before writing",
    ),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: bad fsid on "),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: bad tree block"),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: parent transid verify failed"),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: level verify failed"),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: checksum verify failed"),
    // 5.10 has the device once more.
    said(Kind::BtrfsCorrupt, "BTRFS* (device *): * checksum verify failed on "),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: *checksum error at logical"),
    said(Kind::BtrfsCorrupt, "BTRFS* (device *: *csum error at logical"),
    said(Kind::BtrfsCsum, "BTRFS* (device *: csum failed "),
    said(Kind::BtrfsCsum, "BTRFS* (device *: csum hole found "),
    said(Kind::BtrfsLeak, "BTRFS* (device *: qgroup reserved space leaked"),
    said(Kind::BtrfsLeak, "BTRFS* (device *: leaking qgroup reserved space"),
    said(Kind::BtrfsLeak, "BTRFS* (device *: qgroup * has unreleased space"),
    said(Kind::BtrfsLeak, "BTRFS* (device *: qgroup * reserved space underflow"),
    said(Kind::BtrfsLeak, "BTRFS* (device *: leaked root "),
    said(Kind::BtrfsLeak, "BTRFS* (device *: buffer leak "),
    said(Kind::BtrfsLeak, "BTRFS* (device *: state leak"),
    line(Kind::BtrfsLeak, "BTRFS: buffer leak "),
    line(Kind::BtrfsLeak, "BTRFS: state leak"),
    said(Kind::BtrfsLeak, "BTRFS* (device *: at unmount delalloc count "),
    said(Kind::BtrfsLeak, "BTRFS* (device *: at unmount dio bytes count "),
    row(Kind::BtrfsAssertion, "assertion failed: *, in fs/btrfs/")
        .place(Place::Stack)
        .extent(Extent::Trace),
    row(Kind::BtrfsAssertion, "BTRFS: assertion failed")
        .place(Place::Stack)
        .extent(Extent::Trace),
    row(Kind::BtrfsAssertion, "BTRFS* (device *: assertion failed")
        .place(Place::Stack)
        .extent(Extent::Trace),
    // What it finds critical and goes on from, without a stack. Other such messages come with a `WARN()` or an abort,
    // which say where.
    said(
        Kind::BtrfsError,
        "BTRFS critical (device *: bad ordered accounting left ",
    ),
    said(
        Kind::BtrfsError,
        "BTRFS critical (device *: bad ordered extent accounting, ",
    ),
    said(Kind::BtrfsError, "BTRFS critical (device *: unable to find logical "),
    said(
        Kind::BtrfsError,
        "BTRFS critical (device *: unable to find chunk map for logical ",
    ),
    said(Kind::BtrfsError, "BTRFS critical (device *: found a bad "),
    said(Kind::BtrfsError, "BTRFS critical (device *: mapping failed logical "),
];
